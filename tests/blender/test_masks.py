# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks of the artist's become mattes, a picture a frame of the plate."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from conftest import module, plate_strip

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
    (folder,) = (tmp_path / "shot" / "masks").iterdir()
    pictures = sorted(folder.glob("*.png"))
    assert [path.name for path in pictures] == [f"{folder.name}.{n:04d}.png" for n in (5, 6, 7)]
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


def test_masks_of_names_that_are_much_alike_have_pictures_of_their_own(tmp_path: Path) -> None:
    """The second was written over the first, which went on being used as a matte."""
    folder_of = module("portraitgen_addon.masks").folder_of
    long = "a garbage matte for the microphone on the"
    names = [
        "Mask",
        "Mask.001",
        "Mask-001",
        "Mask 001",
        "é/1",
        "é-1",
        f"{long} left",
        f"{long} right",
    ]
    folders = {folder_of(tmp_path, name) for name in names}
    assert len(folders) == len(names) and folder_of(tmp_path, "Mask").name == "Mask"
    assert {folder.parent for folder in folders} == {tmp_path / "masks"}


def test_a_matte_is_named_relative_to_the_file_and_moves_with_it(
    until: Callable[..., None], tmp_path: Path
) -> None:
    """A colleague's Track looked for it where the project had been."""
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "edit.blend"))
    scene = bpy.context.scene
    plate_strip(scene, START)
    bpy.ops.portraitgen.new_shot(folder="//shot")
    until(lambda: len(scene.portraitgen.shots))
    shot = scene.portraitgen.shots[0]
    shot.first = shot.last = 5
    mask = square("Mask", 0.25, 0.75)
    bpy.ops.portraitgen.mask_to_matte(mask=mask.name, purpose="GARBAGE")
    assert shot.settings_track.garbage == "//shot/masks/Mask/Mask.0005.png"


def test_a_mask_that_cannot_be_rasterised_is_told(session: Any) -> None:
    def broken() -> Any:
        yield None
        raise RuntimeError("Error: no such render engine")

    step, steps = module("operators.masks")._step, broken()
    assert step(steps) == 0.01 and step(steps) is None
    assert "no such render engine" in session.message


def test_a_folder_with_braces_in_its_name_takes_masks(tmp_path: Path) -> None:
    """Blender reads them as templates of its own."""
    folder = tmp_path / "day {1} #2" / "M"
    made = list(
        module("portraitgen_addon.masks").rasterise(
            square("M", 0.25, 0.75), folder, range(5, 7), 10, (64, 48)
        )
    )
    assert made == sorted(folder.glob("*.png")) and len(made) == 2
