# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's masks as mattes: rasterised by Blender itself, a picture a frame of the plate.

A scratch scene shows the mask as a strip at the plate's size; what its sequencer renders is the
mask with its feather, its animation and whatever it is parented to.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

from portraitgen.errors import FootageError
from portraitgen.storage import make_folder

from . import compat

PURPOSES = {
    "PERFORMER": ("track", "matte_from"),
    "GARBAGE": ("track", "garbage"),
    "HOLD_OUT": ("render", "holdout"),
}
"""What a mask is for: the job, and its option that takes the pictures."""


def folder_of(shot: Path, mask: str) -> Path:
    """Where the pictures of a mask lie: of each its own, however alike their names are."""
    stem = (re.sub(r"[^\w-]+", "-", mask).strip("-_") or "mask")[:40]
    if stem != mask:
        stem += f"-{hashlib.sha256(mask.encode()).hexdigest()[:6]}"
    return shot / "masks" / stem


def rasterise(
    mask: Any, folder: Path, frames: range, offset: int, size: tuple[int, int]
) -> Iterator[Path]:
    """Renders a mask, one frame a step.

    Args:
        frames: of the plate; offset: scene frame minus footage frame.
        size: width and height of the plate.

    Yields:
        The picture of each frame, 8-bit grey, as large as the plate.

    Raises:
        FootageError: if Blender writes none.
    """
    make_folder(folder)
    shown = mask.copy()
    scene = bpy.data.scenes.new("PortraitGen mask")
    try:
        first, last = frames[0] + offset, frames[-1] + offset
        # The strip begins with the mask's first frame, and ends before its last one.
        shown.frame_start, shown.frame_end = first, last + 1
        scene.frame_start, scene.frame_end = first, last
        render = scene.render
        render.resolution_x, render.resolution_y = size
        render.resolution_percentage = 100
        render.use_sequencer, render.use_compositing = True, False
        render.dither_intensity = 0
        render.image_settings.file_format = "PNG"
        render.image_settings.color_mode, render.image_settings.color_depth = "BW", "8"
        # Values as they are: what the mask says, and not light to be graded.
        scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
        strip = compat.strips(scene, create=True).new_mask(
            name="mask", mask=shown, channel=1, frame_start=first
        )
        compat.set_length(strip, len(frames))
        for frame in frames:
            path = folder / f"{folder.name}.{frame:04d}.png"
            scene.frame_set(frame + offset)
            render.filepath = compat.plain_path(path)
            # Of a scene that is only named, the frame is the active scene's.
            with compat.with_window(bpy.context), bpy.context.temp_override(scene=scene):
                bpy.ops.render.render(write_still=True)
            if not path.exists():
                raise FootageError("Blender wrote no picture of the mask", path, "try again")
            yield path
    finally:
        # First, so that the strip that shows it lets go of it.
        bpy.data.masks.remove(shown)
        bpy.data.scenes.remove(scene)
