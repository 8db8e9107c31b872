# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body fills its outline, its shoulders meet their landmarks, and the head stays the head."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from portraitgen.body.geometry import rasterize_mesh
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion
from portraitgen.tracking.bodyfit import hang_body
from portraitgen.tracking.silhouette import HEAD, fit_silhouettes, shape_precision, with_identity
from synthetic.acting import act, camera

ROWS = (0, 7, 14)
SIZE = 192


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def motion(body: BodyModel) -> Motion:
    motion = act(body, range(1, 16), 0)
    return replace(motion, betas=np.zeros(body.n_shape, np.float32))


def broader(body: BodyModel, motion: Motion, deviations: float = 6.0) -> np.ndarray:
    """An identity with the same head, broader in the trunk."""
    precision, directions = np.linalg.eigh(shape_precision(body, joints=True))
    steps = (directions / np.sqrt(precision)).T
    moved = steps @ body.directions[: body.n_shape].double().numpy()
    on_body = np.isin(body.weights.numpy().argmax(1), (3, 6, 9, 16, 17))
    sizes = np.linalg.norm(moved.reshape(len(moved), -1, 3)[:, on_body], axis=2).mean(1)
    return (motion.betas + deviations * steps[sizes.argmax()]).astype(np.float32)


def posed(body: BodyModel, motion: Motion, row: int) -> np.ndarray:
    """(V, 3), camera space."""
    values = (each[row : row + 1] for each in (motion.pose, motion.expression, motion.transl))
    with torch.no_grad():
        output = body.forward(torch.from_numpy(motion.betas)[None], *map(torch.from_numpy, values))
    return output.vertices[0].numpy()


def outline(body: BodyModel, motion: Motion, row: int) -> np.ndarray:
    view = camera(SIZE)
    face_id, _, _ = rasterize_mesh(posed(body, motion, row), body.faces.numpy(), view)
    return np.where(face_id >= 0, 255, 0).astype(np.uint8)


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    return float(((one > 0) & (other > 0)).sum() / ((one > 0) | (other > 0)).sum())


def head_moved(body: BodyModel, one: Motion, other: Motion) -> float:
    """Root mean square over the head's vertices, metres."""
    head = np.isin(body.weights.numpy().argmax(1), (HEAD, 22, 23, 24))
    apart = (posed(body, one, 7) - posed(body, other, 7))[head]
    return float(np.sqrt((apart**2).sum(1).mean()))


def test_a_body_grows_into_its_outline_and_keeps_its_head(body: BodyModel, motion: Motion) -> None:
    truth = with_identity(body, motion, broader(body, motion))
    mattes = [outline(body, truth, row) for row in ROWS]
    found = fit_silhouettes(body, motion, ROWS, [camera(SIZE)] * len(ROWS), mattes)
    before, after = (
        [
            agreement(outline(body, each, row), matte)
            for row, matte in zip(ROWS, mattes, strict=True)
        ]
        for each in (motion, found)
    )
    assert 1 - np.mean(after) < 0.5 * (1 - np.mean(before))
    assert head_moved(body, motion, found) < 5e-4
    assert np.array_equal(found.pose, motion.pose)


def test_an_outline_that_fits_changes_little(body: BodyModel, motion: Motion) -> None:
    mattes = [outline(body, motion, row) for row in ROWS]
    found = fit_silhouettes(body, motion, ROWS, [camera(SIZE)] * len(ROWS), mattes)
    assert np.abs(posed(body, found, 7) - posed(body, motion, 7)).max() < 0.01
    assert head_moved(body, motion, found) < 1e-4


def test_without_an_edge_of_the_matte_nothing_changes(body: BodyModel, motion: Motion) -> None:
    for everywhere in (0, 255):
        mattes = [np.full((SIZE, SIZE), everywhere, np.uint8)] * len(ROWS)
        found = fit_silhouettes(body, motion, ROWS, [camera(SIZE)] * len(ROWS), mattes)
        assert np.array_equal(found.betas, motion.betas)
        assert np.array_equal(found.transl, motion.transl)


def test_shoulders_meet_their_landmarks_and_the_head_stays(body: BodyModel) -> None:
    motion = replace(act(body, range(1, 25), 0), betas=np.zeros(body.n_shape, np.float32))
    view = camera(512)
    with torch.no_grad():
        values = (motion.pose, motion.expression, motion.transl)
        joints = body.forward(torch.from_numpy(motion.betas)[None], *map(torch.from_numpy, values))
    heads, place = joints.rotations[:, HEAD].numpy(), joints.joints[:, HEAD].numpy()
    marks = np.full((len(motion), 33, 3), np.nan)
    # Shoulders 3 cm farther apart on either side than this identity has them.
    apart = joints.joints[:, [16, 17]].numpy() + np.array([[[0.03, 0, 0]], [[-0.03, 0, 0]]])[:, 0]
    marks[:, 11:13] = np.concatenate([view.project(apart), np.ones((len(motion), 2, 1))], axis=2)
    hands = np.full((len(motion), 2, 21, 2), np.nan)
    betas, pose, transl = hang_body(body, motion.betas, heads, place, marks, hands, view)
    found = replace(
        motion, betas=betas.astype(np.float32), pose=pose, transl=transl.astype(np.float32)
    )
    with torch.no_grad():
        values = (found.pose, found.expression, found.transl)
        hung = body.forward(torch.from_numpy(found.betas)[None], *map(torch.from_numpy, values))
    assert np.abs(hung.joints[:, HEAD].numpy() - place).max() < 1e-5
    assert np.abs(hung.rotations[:, HEAD].numpy() - heads).max() < 1e-4
    off = np.linalg.norm(
        view.project(hung.joints[:, [16, 17]].numpy()) - marks[:, 11:13, :2], axis=2
    )
    metres = off * place[:, None, 2] / view.fx
    assert metres.mean() < 0.015
    # Where its skull is does not depend on how broad the shoulders are.
    assert head_moved(body, with_identity(body, found, motion.betas), found) < 5e-4
