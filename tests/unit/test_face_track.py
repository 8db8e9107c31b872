# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyes that are shut are shut, a face at rest is at rest, and what a face is like is its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.steadiness import NOTICED, noticed_units
from portraitgen.body.camera import Camera
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion, posed
from portraitgen.footage.plate import open_plate
from portraitgen.tracking.headfit import HeadModel, HeadPoses, fit_heads, neutral_face, project
from portraitgen.tracking.landmarks import FACE_POINTS, LandmarkDetector
from portraitgen.tracking.lids import shut_lids
from portraitgen.tracking.silhouette import with_identity
from portraitgen.tracking.solve import TrackSettings, solve_track
from synthetic.acting import act

FOOTAGE = Path(__file__).resolve().parents[3] / "shared" / "footage"
# Frames of real clips, some of them with both eyes shut to the eye of who looked at them.
SHUT = {
    "upper_body_1080p.mp4": (range(40, 60), (45, 46, 47, 48)),
    "bust_glasses.mp4": (range(74, 111), (80, 81, 103, 104, 105)),
    "green_screen.mp4": (range(50, 79), (66, 67)),
    "expressions.mp4": (range(30, 61), (51,)),
}
VIEW = Camera(1200, 1200, 256, 256, 512, 512)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def model(body: BodyModel) -> HeadModel:
    return HeadModel(body)


@pytest.mark.parametrize("name", SHUT)
def test_shut_eyes_of_real_clips_are_shut(body: BodyModel, name: str) -> None:
    clip = FOOTAGE / name
    if not clip.exists():
        pytest.skip("the real clips are not here")
    frames, shut = SHUT[name]
    plate = open_plate(clip)
    images = [image for _, image in plate.frames_uint8(frames, exact=False)]
    plate.close()
    detector = LandmarkDetector()
    seen = detector.whole(frames, images)
    solved = solve_track(body, seen, (plate.width, plate.height), TrackSettings())
    motion = solved.motion
    lids = [body.expression_names.index(f"eyeBlink{side}") for side in ("Left", "Right")]
    closing = body.blink_closed - motion.neutral(body)[lids]
    rows = [motion.index(frame) for frame in shut]
    assert (motion.expression[rows][:, lids] > 0.9 * closing).all()
    # And open ones are not.
    near = {frame + step for frame in shut for step in range(-4, 5)}
    others = [row for row, frame in enumerate(motion.frames) if int(frame) not in near]
    assert (motion.expression[others][:, lids] < 0.75 * closing).all()
    # Nobody looks at their feet while they blink.
    assert np.degrees(motion.pose[rows, 23, 0]).max() < 15


def lids_apart(share: np.ndarray) -> np.ndarray:
    """Faces (F, 478, 2) whose lids stand apart by shares (F, 2) of 10 pixels."""
    face = np.zeros((len(share), FACE_POINTS, 2))
    pairs = (((387, 373), (386, 374), (385, 380)), ((160, 144), (159, 145), (158, 153)))
    for side, of_eye in enumerate(pairs):
        for upper, _ in of_eye:
            face[:, upper, 1] = -10 * share[:, side]
    for _, inner in ((263, 362), (33, 133)):
        face[:, inner, 0] = 30
    return face


def test_lids_shut_together_unless_one_eye_winks() -> None:
    share = np.ones((20, 2))
    share[5], share[9], share[13], share[16] = (0.1, 0.4), (0.1, 1.0), (0.7, 0.7), (0.4, 0.4)
    shut = shut_lids(lids_apart(share), np.ones(20), np.full(20, 1000.0))
    assert shut[5].tolist() == [1, 1]
    assert shut[9].tolist() == [1, 0]
    assert shut[13].tolist() == [0, 0]
    assert 0 < shut[16, 0] < 1
    assert not shut[[0, 19]].any()


def acting(body: BodyModel, model: HeadModel, frames: int) -> tuple[HeadPoses, np.ndarray]:
    """A head that speaks and smiles at times; and its neutral face, which no identity has."""
    names = body.expression_names
    neutral = np.zeros(len(names))
    rests = {"browDownRight": 0.3, "noseSneerLeft": 0.3, "mouthRollUpper": 0.25, "mouthRight": 0.2}
    rests |= {"cheekPuff": 0.25, "mouthPressLeft": 0.25, "eyeSquintRight": 0.25}
    for name, value in rests.items():
        neutral[names.index(name)] = value
    truth = act(body, range(1, frames + 1), 0)
    expression = np.zeros((frames, len(names)))
    for name in ("jawOpen", "mouthSmileLeft", "mouthSmileRight"):
        expression[:, names.index(name)] = truth.expression[:, names.index(name)]
    turns = np.tile(np.diag([1.0, -1.0, -1.0]), (frames, 1, 1))
    place = np.tile([0.02, -0.01, 1.2], (frames, 1))
    return HeadPoses(turns, place, expression), neutral


def test_what_a_face_shows_at_rest_is_no_expression(body: BodyModel, model: HeadModel) -> None:
    heads, neutral = acting(body, model, 40)
    shape = np.zeros(len(model.shapes))
    shown = replace(heads, expression=heads.expression + neutral)
    points = project(model, shape, VIEW, shown)
    betas = neutral_face(model, points, shape, VIEW)
    sparse = model.from_neutral(betas)
    found = fit_heads(sparse, points, betas, VIEW)
    before = fit_heads(model, points, shape, VIEW)
    calm = heads.expression.sum(1) < 0.1
    assert calm.sum() > 3
    assert (found.expression[calm] > NOTICED).sum(1).max() <= 1
    assert (before.expression[calm] > NOTICED).sum(1).mean() > 4

    def residual(through: HeadModel, identity: np.ndarray, poses: HeadPoses) -> float:
        apart = project(through, identity, VIEW, poses) - points
        return float(np.linalg.norm(apart, axis=2).mean())

    assert residual(sparse, betas, found) < 1.1 * residual(model, shape, before)
    for name in ("jawOpen", "mouthSmileLeft"):
        unit = body.expression_names.index(name)
        assert np.corrcoef(found.expression[:, unit], heads.expression[:, unit])[0, 1] > 0.95


def test_a_neutral_face_is_shown_and_another_identity_keeps_every_face(body: BodyModel) -> None:
    motion = act(body, range(1, 5), 1)
    neutral = np.zeros(body.n_expression, np.float32)
    neutral[body.expression_names.index("mouthSmileLeft")] = 0.3
    neutral[body.expression_names.index("jawOpen")] = 0.1
    own = replace(motion, betas=np.concatenate([motion.betas, neutral]))
    assert np.array_equal(own.neutral(body), neutral)
    assert not motion.neutral(body).any()
    added = replace(motion, expression=motion.expression + neutral)
    assert np.allclose(posed(body, own).vertices, posed(body, added).vertices, atol=1e-6)
    joints = body.rest_joints(torch.from_numpy(own.betas))
    assert not np.allclose(joints, body.rest_joints(torch.from_numpy(motion.betas)))
    other = with_identity(body, motion, own.betas)
    assert np.allclose(posed(body, other).vertices, posed(body, motion).vertices, atol=1e-5)


def test_units_are_counted_in_some_frames_only(body: BodyModel) -> None:
    motion: Motion = act(body, range(1, 4), 0)
    expression = np.zeros_like(motion.expression)
    expression[1, :5] = 0.2
    counted = noticed_units(replace(motion, expression=expression), (2,))
    assert counted == 5
