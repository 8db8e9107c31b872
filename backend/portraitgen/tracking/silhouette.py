# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rest of an identity: how broad a body is, once its head is known.

Landmarks of the face tell little of the trunk. What identities may do without changing the head is
what is left to fit: the joints (`bodyfit`), and here the outline, to the mattes. The mattes show
clothes, so the body fills its clothes; that is what an avatar wants of it, too.
"""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch

from ..body.camera import Camera
from ..body.geometry import rasterize_mesh
from ..body.model import BodyModel
from ..body.motion import ANY_VERTEX, Motion, posed

HEAD = 15
_HEAD_JOINTS = (15, 22, 23, 24)
_BODY_JOINTS = 22
# What costs as much as one deviation of shape: so far a head's vertices, and a body's joints from
# the head's, may move (root mean square, metres).
_HEAD_MOVES, _JOINTS_MOVE = 7e-5, 5e-3
_ROUNDS = 3
# Points of an outline in each frame; all outlines together speak for so many independent ones.
_POINTS, _INDEPENDENT = 300, 60
# An edge of the matte is looked for so far from the outline; how far it is believed, metres.
_REACH, _DOUBTED, _CLOSE = 0.04, 0.02, 0.01
_BLUR = 2.0


def shape_precision(body: BodyModel, *, joints: bool) -> np.ndarray:
    """The prior of changes to an identity that leave the head as it is, float64 (S, S).

    Args:
        body: the body model, whose coefficients have deviation 1.
        joints: whether the joints of trunk and arms should stay as well.
    """
    count = body.n_shape
    of_joints = body.joint_directions[:count].view(count, -1, 3).double().numpy()
    on_head = _on_head(body)
    of_head = body.directions[:count].view(count, -1, 3).numpy()[:, on_head].astype(np.float64)
    of_head = (of_head - of_joints[:, HEAD : HEAD + 1]).reshape(count, -1)
    precision = np.eye(count) + of_head @ of_head.T / (on_head.sum() * _HEAD_MOVES**2)
    if joints:
        apart = (of_joints - of_joints[:, HEAD : HEAD + 1])[:, :_BODY_JOINTS].reshape(count, -1)
        precision += apart @ apart.T / (_BODY_JOINTS * _JOINTS_MOVE**2)
    return precision


def _on_head(body: BodyModel) -> np.ndarray:
    """Which vertices follow the head, bool (V,)."""
    return np.isin(body.weights.numpy().argmax(axis=1), _HEAD_JOINTS)


def fit_silhouettes(
    body: BodyModel,
    motion: Motion,
    rows: Sequence[int],
    cameras: Sequence[Camera],
    mattes: Sequence[np.ndarray],
) -> Motion:
    """The motion of a body whose outline follows the mattes; heads stay where they are.

    Args:
        body: the body model.
        motion: what was tracked.
        rows: some of its rows.
        cameras: of the pictures of these rows.
        mattes: the performer's coverage of these pictures, uint8 (H, W).
    """
    prior = shape_precision(body, joints=True)
    heads, on_head = _head_joints(body, motion.betas, motion), _on_head(body)
    change = np.zeros(body.n_shape)
    for _ in range(_ROUNDS):
        betas = changed(motion.betas, change)
        found = [
            _to_edges(body, on_head, motion, betas, row, heads[row], camera, matte)
            for row, camera, matte in zip(rows, cameras, mattes, strict=True)
        ]
        moves, misses = (np.concatenate(each) for each in zip(*found, strict=True))
        if not len(misses):
            return motion
        weights = np.minimum(1, _DOUBTED / np.maximum(np.abs(misses), 1e-9))
        weights *= _INDEPENDENT / len(misses) / _CLOSE**2
        weighted = moves * weights[:, None]
        change += np.linalg.solve(weighted.T @ moves + prior, weighted.T @ misses - prior @ change)
    return with_identity(body, motion, changed(motion.betas, change))


def changed(betas: np.ndarray, change: np.ndarray) -> np.ndarray:
    """An identity, (S,) or (S + E,), whose shape changes by (..., S); float32."""
    padding = [(0, 0)] * (change.ndim - 1) + [(0, len(betas) - change.shape[-1])]
    return np.asarray(betas + np.pad(change, padding), np.float32)


def with_identity(body: BodyModel, motion: Motion, betas: np.ndarray) -> Motion:
    """The motion of another identity, float32 (S,) or (S + E,): head joints and faces stay as they
    were in each frame, whatever the neutral face of the other."""
    other = replace(motion, betas=betas)
    expression = motion.expression + (motion.neutral(body) - other.neutral(body))
    other = replace(other, expression=expression)
    moved = _head_joints(body, motion.betas, motion) - _head_joints(body, betas, other)
    return replace(other, transl=motion.transl + moved)


def _head_joints(body: BodyModel, betas: np.ndarray, motion: Motion) -> np.ndarray:
    """Where the head joint lies in every frame, (F, 3)."""
    output = posed(body, replace(motion, betas=betas), ANY_VERTEX)
    places: np.ndarray = output.joints[:, HEAD].numpy()
    return places


@torch.no_grad()
def _to_edges(
    body: BodyModel,
    on_head: np.ndarray,
    motion: Motion,
    betas: np.ndarray,
    row: int,
    head: np.ndarray,
    camera: Camera,
    matte: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """How points of a frame's outline move outward with the identity, and how far they should.

    Returns:
        float64 (N, S), metres a deviation, and (N,), metres.
    """
    pose, expression = (
        torch.from_numpy(each[row : row + 1]) for each in (motion.pose, motion.expression)
    )
    nowhere = torch.zeros(1, 3)
    output = body.forward(torch.from_numpy(betas)[None], pose, expression, nowhere)
    vertices = (output.vertices[0] - output.joints[0, HEAD]).numpy() + head
    faces = body.faces.numpy()
    face_id, _, _ = rasterize_mesh(vertices, faces, camera)
    points, outward = _outline(face_id >= 0)
    nearest = faces[face_id[points[:, 1], points[:, 0]], 0]
    # Heads are known, and hair is no part of the body.
    used = np.flatnonzero(~on_head[nearest])
    used = used[np.linspace(0, len(used) - 1, min(len(used), _POINTS)).astype(int)]
    points, outward, nearest = points[used], outward[used], nearest[used]
    scale = camera.fx / vertices[nearest, 2]
    away, there = _edge_along(points, outward, matte, _REACH * scale.max(initial=0))
    away = away / scale
    there &= np.abs(away) < _REACH
    outward, nearest, away = outward[there], nearest[there], away[there]

    chosen, place = np.unique(nearest, return_inverse=True)
    count = body.n_shape
    each = changed(betas, np.concatenate([np.zeros((1, count)), np.eye(count)]))
    moved = body.forward(
        torch.from_numpy(each),
        pose.expand(len(each), -1, -1),
        expression.expand(len(each), -1),
        nowhere,
        vertices=torch.from_numpy(chosen),
    )
    beside = (moved.vertices - moved.joints[:, HEAD : HEAD + 1])[:, place, :2].double().numpy()
    return np.einsum("snc,nc->ns", beside[1:] - beside[:1], outward), away


def _outline(covered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of a mask's edge that lie inside the picture, and where out of it is.

    Returns:
        int64 (N, 2) x and y, and unit vectors float64 (N, 2).
    """
    mask = covered.astype(np.uint8)
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    edge = covered & (inner == 0)
    edge[:2] = edge[-2:] = False
    edge[:, :2] = edge[:, -2:] = False
    within, beyond = (cv2.distanceTransform(each, cv2.DIST_L2, 5) for each in (mask, 1 - mask))
    depth = within - beyond
    down, across = np.gradient(cv2.GaussianBlur(depth, (0, 0), _BLUR))
    y, x = np.nonzero(edge)
    outward = -np.stack([across[y, x], down[y, x]], axis=1).astype(np.float64)
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    return np.stack([x, y], axis=1), outward


def _edge_along(
    points: np.ndarray, outward: np.ndarray, matte: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """How far from each point the matte's nearest outer edge lies.

    Returns:
        Pixels outward, float64 (N,), and whether there is one within reach, bool (N,).
    """
    steps = np.arange(-np.ceil(2 * reach), np.ceil(2 * reach) + 1) / 2
    if not len(points) or len(steps) < 2:
        return np.zeros(len(points)), np.zeros(len(points), bool)
    places = (points[:, None] + outward[:, None] * steps[:, None]).astype(np.float32)
    cover = cv2.remap(
        matte,
        places[..., 0],
        places[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    inside = cover >= 128
    ends = inside[:, :-1] & ~inside[:, 1:]
    between = (steps[:-1] + steps[1:]) / 2
    apart = np.where(ends, np.abs(between), np.inf)
    nearest = apart.argmin(axis=1)
    return between[nearest], np.isfinite(apart[np.arange(len(points)), nearest])
