# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shutter is measured on a face that moves, and blurs what was drawn as long."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from portraitgen.body.camera import Camera
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import posed
from portraitgen.body.surface import Surface
from portraitgen.footage.crop import CompositeLayer
from portraitgen.pipeline.compositing.motion_blur import (
    MotionBlur,
    Pair,
    frames_of,
    pairs_of,
    shutter_of,
    smeared,
)
from synthetic.acting import act

SIZE = 256
VIEW = Camera(700, 700, SIZE / 2, SIZE / 2, SIZE, SIZE)
WAY = np.array([12.0, -5.0])


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


def skin(seed: int) -> np.ndarray:
    rough = np.random.default_rng(seed).standard_normal((SIZE, SIZE, 1)).astype("f4")
    fine = cv2.GaussianBlur(rough, (0, 0), 1.2)
    return np.repeat(0.5 + 0.3 * fine[..., None] / np.abs(fine).max(), 3, axis=2)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9])
def test_the_shutter_is_found_again(body: BodyModel, share: float) -> None:
    vertices = posed(body, act(body, range(1, 2), 0)).vertices[0].numpy()
    surface = Surface.of(body, vertices, VIEW)
    ways = np.broadcast_to((share * WAY).astype("f4"), (SIZE, SIZE, 2))
    windows = {1: (skin(1), surface), 2: (smeared(skin(2), ways), surface)}
    found = shutter_of([Pair(2, 1, WAY / 2)], windows.__getitem__, 2.0)
    assert found == pytest.approx(share, abs=0.1)
    assert shutter_of([], windows.__getitem__, 1.0) is None


def test_fast_frames_are_paired_with_resting_ones(body: BodyModel) -> None:
    motion = act(body, range(1, 13), 0)
    still = motion.rows(np.zeros(12, int))
    transl = still.transl.copy()
    transl[6:9, 0] += np.array([0.02, 0.06, 0.1], np.float32)
    transl[9:, 0] += 0.12
    moved = replace(still, transl=transl, frames=np.arange(1, 13))
    track: Any = SimpleNamespace(
        motion=moved, camera=VIEW, frames=range(1, 13), tracked=lambda frames: list(frames)
    )
    pairs = pairs_of(body, track)
    assert pairs and pairs[0].moving in (8, 9) and pairs[0].way[0] > 6
    assert all(pair.resting in (1, 2, 3, 4, 5, 6, 11, 12) for pair in pairs)
    assert list(frames_of(pairs)) == sorted(frames_of(pairs))


def test_a_blur_keeps_brightness_and_goes_along_its_way() -> None:
    picture = np.zeros((64, 64, 3), np.float32)
    picture[32, 32] = 1
    ways = np.zeros((64, 64, 2), np.float32)
    assert smeared(picture, ways) is picture
    ways[..., 0] = 8
    blurred = smeared(picture, ways)
    assert blurred.sum() == pytest.approx(picture.sum(), rel=0.02)
    assert np.count_nonzero(blurred[32, :, 0] > 0.02) >= 8 and not blurred[31].any()


def test_what_moves_right_and_up_is_smeared_right_and_up() -> None:
    """Blender's Vector pass counts y upwards, pictures downwards."""
    dot = np.zeros((33, 33, 3), np.float32)
    dot[16, 16] = 1
    every = slice(0, 33)
    laid = CompositeLayer(dot, np.ones((33, 33), np.float32), every, every)
    blur = MotionBlur(lambda frame, image, layer: np.full((33, 33, 4), 8, np.float32), 1.0)
    seen = blur.apply(1, dot, laid)[..., 0]
    up, down = seen[[14, 18], [18, 14]], seen[[14, 18], [14, 18]]
    assert up.min() > 0 and down.max() == 0
