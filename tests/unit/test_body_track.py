# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body under the head holds still where it is still, and follows where it moves."""

import numpy as np
import pytest

from benchmarks.steadiness import alternating, steadiness
from portraitgen.body.camera import Camera
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion, posed
from portraitgen.tracking.body_landmarks import steady_landmarks
from portraitgen.tracking.bodyfit import hang_body
from synthetic.acting import act

FRAMES = 40
VIEW = Camera(1600, 1600, 540, 540, 1080, 1080)
SHOULDERS = [16, 17]
MARKS = {11: 16, 12: 17, 13: 18, 14: 19, 15: 20, 16: 21}


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


def looked_for(body: BodyModel, motion: Motion, noise: float) -> np.ndarray:
    """Body landmarks in every other frame, all to one side of the model's joints, as they are."""
    places = VIEW.project(posed(body, motion).joints.double().numpy())
    pose = np.full((len(motion), 33, 3), np.nan)
    shaken = np.random.default_rng(0).normal(0, noise, (len(motion), 33, 2))
    for mark, joint in MARKS.items():
        pose[:, mark, :2] = places[:, joint] + shaken[:, mark] + (12, 18)
        pose[:, mark, 2] = 0.99
    pose[1::2] = np.nan
    return pose


def hung(body: BodyModel, motion: Motion, pose: np.ndarray) -> Motion:
    output = posed(body, motion)
    hands = np.full((len(motion), 2, 21, 2), np.nan)
    rotations, joints = output.rotations[:, 15].double().numpy(), output.joints[:, 15].numpy()
    betas, turns, place = hang_body(body, motion.betas, rotations, joints, pose, hands, VIEW)
    return Motion(
        motion.frames,
        betas.astype(np.float32),
        place.astype(np.float32),
        turns.astype(np.float32),
        motion.expression,
        motion.valid,
        motion.fixed,
    )


def test_a_still_body_does_not_hop_though_it_is_looked_for_in_every_other_frame(
    body: BodyModel,
) -> None:
    still = act(body, range(1, 2), 0).rows(np.zeros(FRAMES, int))
    found = hung(body, still, looked_for(body, still, noise=3.0))
    figures = steadiness(body, found, VIEW)
    assert figures["torso_alternates_px"] < 0.2
    assert figures["shoulders_mm"] < 0.5
    assert figures["elbows_mm"] < 2


def test_an_arm_that_is_raised_quickly_is_followed(body: BodyModel) -> None:
    motion = act(body, range(1, 2), 0).rows(np.zeros(FRAMES, int))
    raised = 1 / (1 + np.exp(-(np.arange(FRAMES) - 20) / 1.5))
    motion.pose[:, 17, 2] += (1.1 * raised).astype(np.float32)
    found = hung(body, motion, looked_for(body, motion, noise=0.5))
    moved, followed = (
        VIEW.project(posed(body, each).joints.double().numpy())[:, 19] for each in (motion, found)
    )
    apart = np.linalg.norm((followed - followed[0]) - (moved - moved[0]), axis=1)
    assert np.linalg.norm(moved[-1] - moved[0]) > 150
    assert apart.max() < 0.15 * np.linalg.norm(moved[-1] - moved[0])


def test_marks_far_from_their_path_are_left_out_and_long_gaps_stay_gaps() -> None:
    pose = np.full((FRAMES, 33, 3), np.nan)
    pose[::2, 15] = (100, 200, 0.9)
    pose[12, 15, :2] = (400, 200)
    pose[20:30, 15] = np.nan
    hands = np.full((FRAMES, 2, 21, 2), np.nan)
    stilled, fingers = steady_landmarks(pose, hands)
    known = ~np.isnan(stilled[:, 15, 0])
    assert np.flatnonzero(~known).tolist() == list(range(19, 30))
    assert np.abs(stilled[known, 15, :2] - (100, 200)).max() < 4
    assert np.isnan(fingers).all()
    assert np.isnan(stilled[:, 11]).all()


def test_what_turns_round_in_every_frame_is_told_from_what_moves() -> None:
    time = np.arange(60)
    slow = np.stack([5 * np.sin(time / 6), 3 * np.cos(time / 9)], axis=1)[:, None]
    hopping = slow + 1.5 * (-1.0) ** time[:, None, None] * (0, 1)
    assert alternating(slow) < 0.05
    assert alternating(hopping) == pytest.approx(1.5, abs=0.05)
