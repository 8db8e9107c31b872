# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each part of a track is judged by itself: a good face says nothing of the arm beside it."""

import numpy as np
import pytest

from portraitgen.body.camera import Camera
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion, posed
from portraitgen.records import FrameQuality
from portraitgen.tracking.part_quality import (
    EARS,
    _ear,
    _eye_distance,
    mean_parts,
    part_residuals,
    with_parts,
)
from synthetic.acting import act

FRAMES = 12
VIEW = Camera(1400, 1400, 540, 700, 1080, 1920)
MARKS = {11: 16, 12: 17, 13: 18, 14: 19, 15: 20, 16: 21}
FINGERS = ((20, 0), (25, 5), (28, 9), (31, 17), (34, 13), (37, 2))


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def motion(body: BodyModel) -> Motion:
    return act(body, range(1, FRAMES + 1), 0)


def seen(body: BodyModel, motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks exactly where the body is; the right hand is seen nowhere."""
    made = posed(body, motion)
    joints = VIEW.project(made.joints.double().numpy())
    places = VIEW.project(made.vertices.double().numpy())
    pose = np.full((FRAMES, 33, 3), np.nan)
    for mark, joint in MARKS.items():
        pose[:, mark, :2] = joints[:, joint]
    for mark, side in EARS.values():
        pose[:, mark, :2] = places[:, _ear(body, side)].mean(1)
    pose[..., 2] = 0.95
    hands = np.full((FRAMES, 2, 21, 2), np.nan)
    hands[:, 0] = joints[:, 20, None]
    for joint, mark in FINGERS:
        hands[:, 0, mark] = joints[:, joint]
    return pose, hands


def test_each_part_is_judged_by_its_own_landmarks(body: BodyModel, motion: Motion) -> None:
    pose, hands = seen(body, motion)
    exact = part_residuals(body, motion, VIEW, pose, hands)
    assert np.isnan(exact.pop("right_hand")).all(), "what is not seen has no number"
    assert all(np.nanmax(values) < 1.5 for values in exact.values()), exact
    # An elbow half an eye distance off, an ear a fifth: only they are called bad.
    depth = posed(body, motion).joints[:, 15, 2].numpy()
    eyes = VIEW.fx * _eye_distance(body) / depth
    pose[:, 13, 0] += 0.5 * eyes
    pose[:, 8, 1] += 0.2 * eyes
    off = part_residuals(body, motion, VIEW, pose, hands)
    assert np.nanmean(off["left_arm"]) == pytest.approx(50, abs=3)
    assert np.nanmean(off["right_ear"]) == pytest.approx(20, abs=2)
    for part in ("left_ear", "shoulders", "right_arm", "left_forearm", "left_hand"):
        assert np.nanmax(off[part]) < 1.5, part


def test_what_is_guessed_has_no_number_and_means_leave_it_out() -> None:
    quality = [FrameQuality(1, "tracked", 1.0, 0.84, ("left_arm",)), FrameQuality(2, "lost", 0.0)]
    residuals = {"left_arm": np.array([30.0, 40.0]), "left_hand": np.array([np.nan, 5.0])}
    rows = with_parts(quality, residuals)
    assert rows[0].parts == {"face": 0.84} and rows[1].parts == {"left_arm": 40.0, "left_hand": 5.0}
    assert mean_parts(rows) == {"face": 0.84, "left_arm": 40.0, "left_hand": 5.0}
    assert FrameQuality.parse(rows[1].to_json()) == rows[1]
    assert FrameQuality.parse({"frame": 1, "state": "lost", "confidence": 0.0}).parts == {}
