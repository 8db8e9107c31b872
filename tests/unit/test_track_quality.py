# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A track says what it guesses, where it is weak, and frames what was seen."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from portraitgen.body.camera import Camera
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import posed
from portraitgen.pipeline.jobs.track import _extents, _guessed, _weak
from portraitgen.records import FrameQuality
from portraitgen.tracking.body_landmarks import guessed_parts
from portraitgen.tracking.solve import TrackSettings, TrackSolution, _quality
from synthetic.acting import act

FRAMES = 8
VIEW = Camera(1000, 1000, 540, 960, 1080, 1920)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


def marks() -> tuple[np.ndarray, np.ndarray]:
    """Body landmarks in every other frame, all in the middle of the picture; no hands."""
    pose = np.full((FRAMES, 33, 3), np.nan)
    pose[::2] = (540, 700, 0.95)
    return pose, np.full((FRAMES, 2, 21, 2), np.nan)


def test_what_is_out_of_the_picture_or_hidden_is_a_guess() -> None:
    pose, hands = marks()
    pose[:, 13, 0] = -30
    pose[::2, 16, 2] = 0.1
    hands[2, 0] = (500, 800)
    guessed = guessed_parts(pose, hands, (1080, 1920))
    assert guessed["left_arm"].all()
    assert guessed["right_forearm"].all()
    assert not guessed["right_arm"].any()
    assert not guessed["shoulders"].any(), "frames that were skipped are no guesses"
    assert np.flatnonzero(~guessed["left_hand"]).tolist() == [0, 1, 2, 3, 4]
    assert guessed["right_hand"].all()


def quality(residual: list[float]) -> tuple[FrameQuality, ...]:
    known = np.ones(len(residual), bool)
    parts = {"left_hand": np.ones(len(residual), bool)}
    frames = np.arange(1, len(residual) + 1)
    error = np.array(residual)
    return _quality(frames, known, error, 1 - error / 10, TrackSettings(), parts)


def test_a_face_that_the_body_does_not_follow_is_not_called_tracked() -> None:
    rows = quality([0.9, 5.7, 1.1])
    assert [row.state for row in rows] == ["tracked", "weak", "tracked"]
    heads: dict[int, tuple[float, float, float] | None] = {}
    motion: Any = None
    solution = TrackSolution(motion, VIEW, rows, heads)
    assert _weak(solution) == ["The body lies beside the face in frames 2; look there, and pin it."]
    assert "left hand" in _guessed(solution)[0]
    assert "right hand" not in _guessed(solution)[0]
    counted = solution.summary()
    assert (counted.tracked_frames, counted.weak_frames) == (2, 1)


def test_a_window_holds_no_legs_that_nobody_saw(body: BodyModel) -> None:
    motion = act(body, range(1, FRAMES + 1), 0)
    motion.transl[:, 2] += 1.6
    pose, hands = marks()
    pose[..., 2] = np.where(np.isnan(pose[..., 2]), np.nan, 0.1)
    seen: Any = SimpleNamespace(pose=pose, hands=hands)
    rows = tuple(FrameQuality(frame, "tracked", 1.0) for frame in range(1, FRAMES + 1))
    solution: Any = SimpleNamespace(motion=motion, camera=VIEW, quality=rows)
    whole = VIEW.project(posed(body, motion).vertices.numpy())[..., 1].max()
    extents = _extents(body, solution, seen)
    assert extents[:, 3].max() < whole - 200
    # A knee that is seen counts, be it beside where the body has its own.
    pose[0, 25] = (900, 1700, 0.9)
    assert _extents(body, solution, seen)[0, 2:].tolist() == [900, 1700]
