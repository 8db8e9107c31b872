# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks of the artist's become mattes, a picture a frame of the plate."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from conftest import plate_strip

START = 1001


def square(name: str, low: float, high: float) -> Any:
    """A mask of straight lines, from `low` to `high` of the picture both ways."""
    mask = bpy.data.masks.new(name)
    layer = mask.layers.new(name="layer")
    spline = layer.splines.new()
    spline.points.add(4 - len(spline.points))
    spline.use_cyclic = True
    corners = ((low, low), (high, low), (high, high), (low, high))
    for point, corner in zip(spline.points, corners, strict=True):
        point.handle_left_type = point.handle_right_type = "VECTOR"
        point.co = corner
    return mask


def grey(path: Path) -> np.ndarray:
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    size = tuple(image.size)
    bpy.data.images.remove(image)
    return pixels.reshape(size[1], size[0], -1)[..., 0]


@pytest.mark.parametrize(
    ("purpose", "kind", "option"),
    [
        ("PERFORMER", "track", "matte_from"),
        ("GARBAGE", "track", "garbage"),
        ("HOLD_OUT", "render", "holdout"),
    ],
)
def test_a_mask_becomes_the_matte_that_it_is_for(
    purpose: str, kind: str, option: str, until: Callable[..., None], tmp_path: Path
) -> None:
    scene = bpy.context.scene
    plate_strip(scene, START)
    bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "shot"))
    until(lambda: len(scene.portraitgen.shots))
    shot = scene.portraitgen.shots[0]
    shot.first, shot.last = 5, 7
    assert not bpy.ops.portraitgen.mask_to_matte.poll(), "no mask is drawn"
    mask = square("Hand & mic", 0.25, 0.75)
    scenes, frame = len(bpy.data.scenes), scene.frame_current
    assert bpy.ops.portraitgen.mask_to_matte(mask=mask.name, purpose=purpose) == {"FINISHED"}
    pictures = sorted((tmp_path / "shot" / "masks" / "Hand-mic").glob("*.png"))
    assert [path.name for path in pictures] == [f"Hand-mic.{n:04d}.png" for n in (5, 6, 7)]
    settings = getattr(shot, f"settings_{kind}")
    assert getattr(settings, option) == str(pictures[0])
    cover = grey(pictures[1])
    assert cover.shape == (512, 512)
    assert cover[140:370, 140:370].min() > 0.99
    if bpy.app.version < (5, 2):
        cover[-1, -1] = 0  # Blender gives the last pixel what lay in memory.
    assert not cover[:120].any() and not cover[:, 395:].any()
    assert len(bpy.data.scenes) == scenes and list(bpy.data.masks) == [mask]
    assert scene.frame_current == frame
