# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other cameras and other performances."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from portraitgen.avatar.avatar import AvatarOutput
from portraitgen.body.camera import Camera
from portraitgen.body.motion import Motion
from portraitgen.errors import OptionError
from portraitgen.pipeline.compositing.novel_view import (
    NovelView,
    NovelViewRenderer,
    driven_by,
    read_views,
)

TRUTH = Path(__file__).parents[1] / "data" / "performer.safetensors"


@pytest.fixture
def motion() -> Motion:
    return Motion.load(TRUTH)


def test_driven_by_itself_nothing_changes(motion: Motion) -> None:
    same = driven_by(motion, motion)
    assert np.abs(same.expression - motion.expression).max() < 1e-5
    assert np.abs(same.pose - motion.pose).max() < 1e-5


def test_another_s_habits_are_not_taken_over(motion: Motion) -> None:
    jaw = 15
    pose = motion.pose[::-1].copy()
    pose[:, jaw] += (0.2, -0.1, 0.0)
    other = replace(motion, pose=pose, expression=motion.expression[::-1] * 0.5 + 0.1)
    acted = driven_by(motion, other)
    assert np.abs(acted.pose[:, jaw].mean(0) - motion.pose[:, jaw].mean(0)).max() < 1e-4
    moves = motion.expression.std(0) > 0.1
    assert moves.any()
    turned = acted.expression[:, moves] - motion.expression[::-1][:, moves]
    assert np.abs(turned).mean() < 0.02
    assert (acted.transl == motion.transl).all() and (acted.betas == motion.betas).all()


def test_a_shorter_performance_begins_again(motion: Motion) -> None:
    acted = driven_by(motion, motion.rows(np.arange(10)))
    assert len(acted) == len(motion)
    assert np.abs(acted.pose[0, 15] - acted.pose[10, 15]).max() < 1e-6


def cameras(folder: Path, **changes: object) -> Path:
    one = {"fx": 900, "fy": 900, "cx": 320, "cy": 180, "matrix": np.eye(4).tolist()}
    facts = {"width": 640, "height": 360, "frames": {"1": one, "2": one}} | changes
    (folder / "cameras.json").write_text(json.dumps(facts))
    return folder / "cameras.json"


def test_cameras_are_read_and_bad_ones_refused(tmp_path: Path) -> None:
    views = read_views(cameras(tmp_path), (1, 2))
    assert views[2].camera.width == 640 and np.array_equal(views[2].matrix, np.eye(4))
    with pytest.raises(OptionError, match="the cameras lack frame 3"):
        read_views(cameras(tmp_path), (1, 3))
    with pytest.raises(OptionError, match="too large"):
        read_views(cameras(tmp_path, width=99999), (1,))
    broken = {"1": {"fx": 0, "fy": 1, "cx": 0, "cy": 0, "matrix": np.eye(4).tolist()}}
    with pytest.raises(OptionError, match="camera of frame 1 is unusable"):
        read_views(cameras(tmp_path, frames=broken), (1,))
    with pytest.raises(OptionError, match="cannot be read"):
        read_views(tmp_path / "none.json", (1,))


def test_normals_are_told_in_the_space_of_the_camera_that_sees_them(motion: Motion) -> None:
    ones = torch.ones(1, 3, 16, 16)
    to_the_right = torch.tensor([1.0, 0, 0])[None, :, None, None].expand(1, 3, 16, 16)
    drawn = AvatarOutput(ones, ones[:, :1], ones, ones[:, :1], to_the_right, ones)
    look: Any = SimpleNamespace(
        avatar=SimpleNamespace(render=lambda *given, **named: drawn),
        colours=lambda frame, colours, output: colours,
    )
    # Turned to the right by a quarter: what points right in the plate points at its back.
    matrix = np.eye(4)
    matrix[:3, :3] = [[0, 0, -1], [0, 1, 0], [1, 0, 0]]
    frame = int(motion.frames[0])
    views = {frame: NovelView(Camera(20, 20, 8, 8, 16, 16), matrix)}
    track: Any = SimpleNamespace()
    seen = NovelViewRenderer(track, look, motion, views, 16).render(frame)
    np.testing.assert_allclose(seen.normals, np.broadcast_to([0, 0, 1], (16, 16, 3)), atol=1e-6)


@pytest.mark.parametrize(("own", "other", "gain"), [(0.7, 0.05, 2.0), (0.05, 0.7, 0.5)])
def test_a_performance_is_made_twice_or_half_as_large_at_most(
    motion: Motion, own: float, other: float, gain: float
) -> None:
    wave = np.sin(np.arange(len(motion), dtype=np.float32))
    turned = [motion.pose.copy(), motion.pose.copy()]
    turned[0][:, 15, 0], turned[1][:, 15, 0] = own * wave, other * wave
    acted = driven_by(*(replace(motion, pose=each) for each in turned))
    assert acted.pose[:, 15, 0].std() == pytest.approx(gain * other * wave.std(), rel=1e-4)
