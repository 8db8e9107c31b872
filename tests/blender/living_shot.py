# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shot of a numbered sequence without a backend: its folder, strip and takes, made at once."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from conftest import module

FIRST, COUNT = 1001, 24
WIDTH, HEIGHT = 96, 64
SHOT = "0123456789abcdef"


def pictures(folder: Path, name: str, edited: bool = False, alpha: bool = False) -> Path:
    """Numbered pictures of noise; the edited ones are inverted in a square."""
    folder.mkdir(parents=True, exist_ok=True)
    image = bpy.data.images.new("picture", WIDTH, HEIGHT, alpha=alpha)
    for number in range(FIRST, FIRST + COUNT):
        pixels = np.ones((HEIGHT, WIDTH, 4), np.float32)
        noise = np.random.default_rng(number)
        pixels[..., :3] = noise.random((HEIGHT, WIDTH, 3))
        if alpha:
            pixels[..., 3] = noise.random((HEIGHT, WIDTH))
        if edited:
            pixels[16:48, 24:72, :3] = 1 - pixels[16:48, 24:72, :3]
        image.pixels.foreach_set(pixels.ravel())
        image.filepath_raw = str(folder / f"{name}.{number:04d}.png")
        image.file_format = "PNG"
        image.save()
    bpy.data.images.remove(image)
    return folder / f"{name}.{FIRST:04d}.png"


def image_strip(among: Any, path: Path, channel: int, start: int) -> Any:
    """A strip of a numbered sequence."""
    strip = among.new_image(name="plate", filepath=str(path), channel=channel, frame_start=start)
    for file in sorted(path.parent.glob(f"{path.name.split('.')[0]}.*.png"))[1:]:
        strip.elements.append(file.name)
    module("portraitgen_addon.compat").set_length(strip, COUNT)
    return strip


def make(scene: Any, folder: Path, plate: Path, start: int = 2001) -> Any:
    """A shot of a new strip, as *New Shot* leaves it."""
    from portraitgen.records import FootageRecord
    from portraitgen.shot import Shot

    scene.render.fps, scene.render.fps_base = 24, 1.0
    scene.sequence_editor_create()
    strip = image_strip(scene.sequence_editor.strips, plate, 2, start)
    footage = FootageRecord(
        path=str(plate),
        kind="sequence",
        first=FIRST,
        last=FIRST + COUNT - 1,
        fps=Fraction(24),
        width=WIDTH,
        height=HEIGHT,
        bit_depth=8,
        colour_space="sRGB",
        pixel_aspect=Fraction(1),
        matrix=None,
        range=None,
        digest="",
    )
    made = Shot.create(folder, footage)
    made.update(footage=footage)
    shot = scene.portraitgen.shots.add()
    module("portraitgen_addon.file_paths").note(scene)
    shot.name, shot.shot_id, shot.folder = "shot", made.record.id, str(folder)
    shot.offset = start - FIRST
    shot.first, shot.last = FIRST, FIRST + COUNT - 1
    where = module("portraitgen_addon.plate_strip").whereabouts(strip, scene)
    found = module("portraitgen_addon.plate_strip").footage_of(strip, scene, where)
    module("portraitgen_addon.strip_sync").apply(shot, where, found)
    return shot


def show_take(scene: Any, shot: Any, take: Path, name: str = "take") -> Any:
    """A take's strip above the plate, of all its pictures."""
    sync = module("portraitgen_addon.strip_sync")
    for file in sorted(take.parent.glob("*.png")):
        strip = module("portraitgen_addon.sequencer").grow(
            scene,
            shot.shot_id,
            name,
            f"shot {name}",
            file,
            int(file.stem.rsplit(".", 1)[-1]) + shot.offset,
            above=shot.channel,
            colour_space="",
            settings="{}",
            plate=sync.plate_of(shot),
        )
    return strip


def look(shot: Any) -> list[str]:
    """What the panel says once the timer has looked."""
    watch = module("portraitgen_addon.edit_watch")
    watch.note_change()
    watch.look(force=True)
    return [each.text for each in watch.notices(shot)]


def point_at(strip: Any, path: Path) -> None:
    """Has an image strip show other pictures of the same numbers."""
    name = path.name.split(".")[0]
    for element in strip.elements:
        element.filename = ".".join([name, *element.filename.split(".")[1:]])
    # Last: this is what makes Blender forget the pictures that it has read.
    strip.directory = f"{path.parent}/"
