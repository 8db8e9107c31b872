# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Face and torso are laid on the plate's own pixels, whatever light, hands and artists do."""

import copy
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from portraitgen.body.geometry import rasterize_mesh
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import ANY_VERTEX, Motion
from portraitgen.body.motion import posed as posed_body
from portraitgen.errors import Cancelled
from portraitgen.tracking.photometric import fit_photometric
from synthetic.acting import act, camera

FRAMES, SIZE = 10, 192
PELVIS, NECK, HEAD, EYES = 0, 12, 15, [23, 24]
SHOULDERS, HANGING = [16, 17], [1, 2, 18, 19]
VIEW = camera(SIZE)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def truth(body: BodyModel) -> Motion:
    chosen = np.arange(0, 40, 40 // FRAMES)
    return act(body, range(1, 41), 0).rows(chosen)


@pytest.fixture(scope="module")
def tracked(body: BodyModel, truth: Motion) -> Motion:
    """Heads off by a degree, brows that do not move."""
    generator = np.random.default_rng(0)
    pose, expression = truth.pose.copy(), truth.expression.copy()
    pose[:, HEAD] += generator.normal(0, np.radians(0.7), (FRAMES, 3))
    brows = [i for i, name in enumerate(body.expression_names) if name.startswith("brow")]
    expression[:, brows] = expression[:, brows].mean(0)
    return replace(truth, pose=pose, expression=expression)


def posed(body: BodyModel, motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (F, V, 3) and the joints' rotations (F, 55, 3, 3)."""
    output = posed_body(body, motion)
    return output.vertices.numpy(), output.rotations.numpy()


@pytest.fixture(scope="module")
def filmed(body: BodyModel, truth: Motion) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of a body with pores, and their mattes."""
    grain = np.random.default_rng(1).normal(size=(3, 64, 64, 64)).astype(np.float32)
    tone = sum(
        weight * cv2.GaussianBlur(each.reshape(64, -1), (0, 0), sigma).reshape(64, 64, 64)
        for weight, each, sigma in zip((1.0, 2.0, 3.0), grain, (0.5, 1.0, 2.0), strict=True)
    )
    cells = ((body.template.numpy() / 0.004).round().astype(int) % 64).T
    shade = np.clip(0.5 + 0.25 * tone[tuple(cells)], 0.05, 1)
    images = np.full((FRAMES, SIZE, SIZE, 3), 30, np.uint8)
    mattes = np.zeros((FRAMES, SIZE, SIZE), np.uint8)
    faces = body.faces.numpy()
    for row, vertices in enumerate(posed(body, truth)[0]):
        face, barycentric, _ = rasterize_mesh(vertices, faces, VIEW)
        seen = face >= 0
        grey = (shade[faces[face[seen]]] * barycentric[seen]).sum(1)
        images[row][seen] = (255 * grey[:, None]).astype(np.uint8)
        mattes[row][seen] = 255
    return images, mattes


def wander(
    body: BodyModel, truth: Motion, motion: Motion, vertices: np.ndarray | None = None
) -> float:
    """How far vertices, the face's by default, stray from the truth from frame to frame, pixels,
    root mean square.

    What all frames have in common cannot be seen by comparing them.
    """
    if vertices is None:
        vertices = body.faces[body.parts["face"]].unique().numpy()
    apart = VIEW.project(posed(body, motion)[0][:, vertices])
    apart = apart - VIEW.project(posed(body, truth)[0][:, vertices])
    return float(np.sqrt(((apart - apart.mean(0)) ** 2).sum(-1).mean()))


def fitted(body: BodyModel, tracked: Motion, images: np.ndarray, mattes: np.ndarray) -> Motion:
    return fit_photometric(body, tracked, images, mattes, [VIEW] * FRAMES)


def test_heads_and_brows_come_back(
    body: BodyModel, truth: Motion, tracked: Motion, filmed: tuple[np.ndarray, np.ndarray]
) -> None:
    found = fitted(body, tracked, *filmed)
    assert wander(body, truth, found) < 0.4 * wander(body, truth, tracked)
    brow = body.expression_names.index("browInnerUp")
    assert truth.expression[:, brow].std() > 0.05
    assert np.corrcoef(found.expression[:, brow], truth.expression[:, brow])[0, 1] > 0.8


def test_light_that_changes_is_not_taken_for_movement(
    body: BodyModel, truth: Motion, tracked: Motion, filmed: tuple[np.ndarray, np.ndarray]
) -> None:
    images, mattes = filmed
    across = np.linspace(-1, 1, SIZE)[None, :, None]
    lit = np.stack(
        [
            (image * (0.7 + 0.25 * np.sin(row) * across)).clip(0, 255).astype(np.uint8)
            for row, image in enumerate(images)
        ]
    )
    found = fitted(body, tracked, lit, mattes)
    assert wander(body, truth, found) < 0.5 * wander(body, truth, tracked)


@pytest.mark.parametrize("tones", [[0], [0, 255]], ids=["black", "flashing"])
def test_what_lies_beside_skin_is_not_taken_for_detail_of_it(
    body: BodyModel,
    truth: Motion,
    tracked: Motion,
    filmed: tuple[np.ndarray, np.ndarray],
    tones: list[int],
) -> None:
    """Eyes, hair and background, the latter not matted."""
    images, mattes = filmed[0].copy(), np.full_like(filmed[1], 255)
    skin = (body.parts["face"] | body.parts["lips"]).numpy()
    for row, vertices in enumerate(posed(body, truth)[0]):
        face, _, _ = rasterize_mesh(vertices, body.faces.numpy(), VIEW)
        images[row][(face < 0) | ~skin[face]] = tones[row % len(tones)]
    found = fitted(body, tracked, images, mattes)
    assert wander(body, truth, found) < 0.15 * wander(body, truth, tracked)


def test_a_hand_over_the_face_carries_nothing_away(
    body: BodyModel, truth: Motion, tracked: Motion, filmed: tuple[np.ndarray, np.ndarray]
) -> None:
    images, mattes = filmed[0].copy(), filmed[1]
    middle = VIEW.project(posed(body, truth)[0][:, body.faces[body.parts["lips"]].unique()]).mean(1)
    for row in (3, 4, 5):
        x, y = middle[row].astype(int)
        cv2.circle(images[row], (int(x), int(y)), SIZE // 12, (150, 110, 90), -1)
    found = fitted(body, tracked, images, mattes)
    assert wander(body, truth, found) < 0.5 * wander(body, truth, tracked)


def test_what_an_artist_fixed_and_what_shows_no_face_stays(
    body: BodyModel, tracked: Motion, filmed: tuple[np.ndarray, np.ndarray]
) -> None:
    images, mattes = filmed[0], filmed[1].copy()
    mattes[2] = 0
    fixed = np.zeros(FRAMES, bool)
    fixed[5] = True
    found = fitted(body, replace(tracked, fixed=fixed), images, mattes)
    for name in ("pose", "expression", "transl"):
        assert np.array_equal(getattr(found, name)[5], getattr(tracked, name)[5])
    # What shows no face leads from one neighbour to the other, no farther than they went.
    went = np.abs(found.transl - tracked.transl).max(1)
    assert went[2] <= went[[1, 3]].max() + 1e-4
    assert np.array_equal(found.betas, tracked.betas)
    assert not np.array_equal(found.pose[3], tracked.pose[3])


def test_spines_and_hands_keep_their_poses_and_eyes_look_where_they_looked(
    body: BodyModel, tracked: Motion, filmed: tuple[np.ndarray, np.ndarray]
) -> None:
    found = fitted(body, tracked, *filmed)
    turned_joints = [PELVIS, NECK, HEAD, *EYES, *SHOULDERS, *HANGING]
    others = np.setdiff1d(np.arange(55), turned_joints)
    assert np.array_equal(found.pose[:, others], tracked.pose[:, others])
    before, after = (posed(body, each)[1][:, EYES] for each in (tracked, found))
    turned = Rotation.from_matrix((after @ before.transpose(0, 1, 3, 2)).reshape(-1, 3, 3))
    assert np.degrees(turned.magnitude()).max() < 0.05
    low, high = body.expression_bounds
    assert found.expression.min() >= low
    assert found.expression.max() <= high
    lids = [i for i, name in enumerate(body.expression_names) if name.startswith("eyeBlink")]
    assert np.array_equal(found.expression[:, lids], tracked.expression[:, lids])


def test_a_body_without_labels_and_a_single_frame_serve(
    body: BodyModel, truth: Motion, tracked: Motion, filmed: tuple[np.ndarray, np.ndarray]
) -> None:
    images, mattes = filmed
    plain = copy.copy(body)
    plain.parts = {}
    told: list[int] = []
    found = fit_photometric(plain, tracked, images, mattes, [VIEW] * FRAMES, told.append)
    assert wander(body, truth, found) < 0.5 * wander(body, truth, tracked)
    assert told == sorted(told)
    assert told[-1] == 100
    assert len(told) > 10 * FRAMES
    one = tracked.rows(np.array([0]))
    alone = fit_photometric(plain, one, images[:1], mattes[:1], [VIEW])
    assert np.abs(alone.pose - one.pose).max() < 0.01


def test_it_stops_at_once(
    body: BodyModel, tracked: Motion, filmed: tuple[np.ndarray, np.ndarray]
) -> None:
    asked = 0

    def cancel(done: int) -> None:
        nonlocal asked
        asked += 1
        if done > 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        fit_photometric(body, tracked, *filmed, [VIEW] * FRAMES, cancel)
    assert asked < 10 * FRAMES


@pytest.fixture(scope="module")
def chest(body: BodyModel, truth: Motion) -> np.ndarray:
    """Vertices of the torso that lie in the picture."""
    places = VIEW.project(posed(body, truth)[0])
    inside = ((places > 4) & (places < SIZE - 4)).all((0, 2))
    torso = body.weights[:, [0, 3, 6, 9, 13, 14]].sum(1).numpy() > 0.7
    found: np.ndarray = np.flatnonzero(inside & torso)
    return found


@pytest.fixture(scope="module")
def swaying(body: BodyModel, truth: Motion) -> Motion:
    """Torsos off by a degree under heads that are right."""
    turns = np.random.default_rng(2).normal(0, np.radians(1), (FRAMES, 3))
    _, before = posed(body, truth)
    pose = truth.pose.copy()
    turned = Rotation.from_rotvec(turns) * Rotation.from_matrix(before[:, PELVIS])
    pose[:, PELVIS] = turned.as_rotvec()
    _, after = posed(body, replace(truth, pose=pose))
    head = after[:, NECK].transpose(0, 2, 1) @ before[:, HEAD]
    pose[:, HEAD] = Rotation.from_matrix(head).as_rotvec()
    moved = replace(truth, pose=pose)
    apart = heads(body, truth) - heads(body, moved)
    return replace(moved, transl=moved.transl + apart)


def heads(body: BodyModel, motion: Motion) -> np.ndarray:
    """The heads' joints, (F, 3)."""
    found: np.ndarray = posed_body(body, motion, ANY_VERTEX).joints[:, HEAD].numpy()
    return found


def test_torsos_come_back_and_limbs_keep_their_directions(
    body: BodyModel,
    truth: Motion,
    swaying: Motion,
    chest: np.ndarray,
    filmed: tuple[np.ndarray, np.ndarray],
) -> None:
    assert len(chest) > 50
    found = fitted(body, swaying, *filmed)
    assert wander(body, truth, found, chest) < 0.4 * wander(body, truth, swaying, chest)
    assert wander(body, truth, found) < 0.1
    before, after = (posed(body, each)[1][:, HANGING] for each in (swaying, found))
    assert np.abs(before - after).max() < 1e-4


def test_an_arm_across_the_chest_carries_no_torso_away(
    body: BodyModel,
    truth: Motion,
    swaying: Motion,
    chest: np.ndarray,
    filmed: tuple[np.ndarray, np.ndarray],
) -> None:
    images, mattes = filmed[0].copy(), filmed[1]
    middle = VIEW.project(posed(body, truth)[0][:, chest]).mean(1).astype(int)
    for row in (3, 4, 5):
        start, end = middle[row] + (-40, 3 * row), middle[row] + (40, -3 * row)
        cv2.line(images[row], start.tolist(), end.tolist(), (150, 110, 90), 12)
    found = fitted(body, swaying, images, mattes)
    assert wander(body, truth, found, chest) < 0.6 * wander(body, truth, swaying, chest)


def test_clothes_without_detail_leave_the_torso_to_landmarks(
    body: BodyModel, swaying: Motion, filmed: tuple[np.ndarray, np.ndarray]
) -> None:
    images = filmed[0].copy()
    below = body.weights[:, [0, 3, 6, 9, 12, 13, 14, 16, 17]].sum(1).numpy() > 0.3
    plain = below[body.faces.numpy()].any(1)
    for row, vertices in enumerate(posed(body, swaying)[0]):
        face, _, _ = rasterize_mesh(vertices, body.faces.numpy(), VIEW)
        images[row][(face >= 0) & plain[face]] = 40
    found = fitted(body, swaying, images, filmed[1])
    before, after = (posed(body, each)[1][:, PELVIS] for each in (swaying, found))
    turned = Rotation.from_matrix(after @ before.transpose(0, 2, 1)).as_rotvec()
    # Stilled, but pulled nowhere.
    assert np.degrees(np.abs(turned.mean(0))).max() < 0.15


def test_a_close_up_without_a_torso_serves(
    body: BodyModel, truth: Motion, tracked: Motion, filmed: tuple[np.ndarray, np.ndarray]
) -> None:
    mattes = filmed[1].copy()
    chin = VIEW.project(posed(body, truth)[0][:, body.faces[body.parts["face"]].unique()])[..., 1]
    mattes[:, int(chin.max()) - 8 :] = 0
    found = fitted(body, tracked, filmed[0], mattes)
    assert wander(body, truth, found) < 0.5 * wander(body, truth, tracked)
    assert np.array_equal(found.pose[:, PELVIS], tracked.pose[:, PELVIS])
