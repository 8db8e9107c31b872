# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strips as footage, and edited frames as strips."""

from pathlib import Path
from typing import Any

import bpy
import pytest
from conftest import CLIP, module, plate_strip, shown, trim


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Numbered pictures from 1001 on, in a folder with a blank and an umlaut."""
    folder = tmp_path / "plates grün"
    folder.mkdir()
    image = bpy.data.images.new("frame", 8, 8)
    for number in range(1001, 1031):
        image.filepath_raw = str(folder / f"plate.{number:04d}.png")
        image.file_format = "PNG"
        image.save()
    return folder


def image_strip(scene: Any, frames: Path, start: int) -> Any:
    files = sorted(frames.glob("*.png"))
    scene.sequence_editor_create()
    strip = scene.sequence_editor.strips.new_image(
        name="plate", filepath=str(files[0]), channel=1, frame_start=start
    )
    for file in files[1:]:
        strip.elements.append(file.name)
    module("portraitgen_addon.compat").set_length(strip, len(files))
    return strip


def test_a_trimmed_sequence_keeps_its_own_numbers(frames: Path) -> None:
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = 24, 1.001
    strip = image_strip(scene, frames, 50)
    trim(strip, 55, 70)
    found = module("portraitgen_addon.plate_strip").footage_of(strip, scene)
    assert found.kind == "sequence" and found.path == frames / "plate.1001.png"
    assert (found.first, found.last, found.offset) == (1006, 1020, 50 - 1001)
    assert found.fps == (24000, 1001)
    assert found.colour_space == strip.colorspace_settings.name


def test_a_strip_held_beyond_its_files_ends_with_them(frames: Path) -> None:
    scene = bpy.context.scene
    strip = image_strip(scene, frames, 1)
    trim(strip, 1, 100)
    assert module("portraitgen_addon.plate_strip").footage_of(strip, scene).last == 1030


def test_a_trimmed_movie_counts_from_one() -> None:
    scene = bpy.context.scene
    strip = plate_strip(scene, 86400)
    trim(strip, 86410, 86448)
    found = module("portraitgen_addon.plate_strip").footage_of(strip, scene)
    assert (found.first, found.last, found.offset) == (11, 48, 86399)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda scene, strip: setattr(strip, "use_reverse_frames", True), "plays backwards"),
        (lambda scene, strip: setattr(scene.render, "fps", 30), "the scene at 30"),
    ],
)
def test_what_a_plate_cannot_be_is_said(spoil: Any, sentence: str) -> None:
    scene = bpy.context.scene
    strip = plate_strip(scene)
    spoil(scene, strip)
    with pytest.raises(Exception, match=sentence):
        module("portraitgen_addon.plate_strip").footage_of(strip, scene)


def test_strips_that_are_no_footage_or_are_lost_are_refused(frames: Path) -> None:
    scene = bpy.context.scene
    plate_strip_ = module("portraitgen_addon.plate_strip")
    strip = image_strip(scene, frames, 1)
    (frames / "plate.1001.png").unlink()
    with pytest.raises(Exception, match="file is missing"):
        plate_strip_.footage_of(strip, scene)
    strips = scene.sequence_editor.strips
    text = strips.new_effect(name="t", type="TEXT", channel=5, frame_start=1, **_length(9))
    with pytest.raises(Exception, match="only movie and image strips"):
        plate_strip_.footage_of(text, scene)


def _length(count: int) -> dict[str, int]:
    """How new_effect is told a length changed its name in 5.0."""
    return {"length": count} if bpy.app.version >= (5, 0, 0) else {"frame_end": 1 + count}


def grow(scene: Any, folder: Path, number: int, offset: int = 0, **facts: Any) -> Any:
    arguments = {"above": 1, "colour_space": "", "settings": "{}"} | facts
    return module("portraitgen_addon.sequencer").grow(
        scene,
        "id",
        "take",
        "shot take",
        folder / f"plate.{number:04d}.png",
        number + offset,
        **arguments,
    )


def test_a_strip_grows_refreshes_and_leaves_others_alone(frames: Path) -> None:
    scene = bpy.context.scene
    plate = image_strip(scene, frames, 1001)
    blocker = scene.sequence_editor.strips.new_image(
        name="mine", filepath=str(frames / "plate.1001.png"), channel=2, frame_start=1005
    )
    for number in range(1003, 1011):
        made = grow(scene, frames, number)
        assert shown(made)[1] == number + 1
    assert made.channel == 3 and shown(made)[0] == 1003
    assert (blocker.channel, *shown(blocker)) == (2, 1005, 1006)
    assert shown(plate) == (1001, 1031)
    assert grow(scene, frames, 1005) == made and len(made.elements) == 8


def test_a_range_with_a_gap_gets_a_strip_of_its_own(frames: Path) -> None:
    scene = bpy.context.scene
    image_strip(scene, frames, 1001)
    first = grow(scene, frames, 1002)
    second = grow(scene, frames, 1010)
    assert first != second and len(first.elements) == 1
    assert grow(scene, frames, 1011) == second
    assert grow(scene, frames, 1003) == first


def test_a_trimmed_end_stays_trimmed(frames: Path) -> None:
    scene = bpy.context.scene
    image_strip(scene, frames, 1001)
    for number in range(1001, 1006):
        made = grow(scene, frames, number)
    trim(made, 1001, 1004)
    grow(scene, frames, 1006)
    assert shown(made)[1] == 1004 and len(made.elements) == 6


def test_a_slipped_start_keeps_its_frames_in_place(frames: Path) -> None:
    scene = bpy.context.scene
    image_strip(scene, frames, 1001)
    for number in range(1001, 1006):
        made = grow(scene, frames, number)
    trim(made, 1003, 1006)
    grow(scene, frames, 1006)
    assert shown(made) == (1003, 1007)


def test_no_channel_left_is_said(frames: Path) -> None:
    scene = bpy.context.scene
    image_strip(scene, frames, 1001)
    with pytest.raises(Exception, match="every channel"):
        grow(scene, frames, 1002, above=128)


def test_open_shot_finds_its_strip(tmp_path: Path, session: Any, until: Any) -> None:
    scene = bpy.context.scene
    strip = plate_strip(scene, 1001)
    trim(strip, 1011, shown(strip)[1])
    bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "shot"))
    until(lambda: len(scene.portraitgen.shots))
    bpy.ops.portraitgen.remove_shot()
    assert not len(scene.portraitgen.shots)
    assert bpy.ops.portraitgen.open_shot(directory=str(tmp_path / "shot")) == {"FINISHED"}
    shot = scene.portraitgen.shots[0]
    assert (shot.first, shot.offset, shot.channel) == (11, 1000, strip.channel)
    with pytest.raises(RuntimeError, match="has this shot already"):
        bpy.ops.portraitgen.open_shot(directory=str(tmp_path / "shot"))
    with pytest.raises(RuntimeError, match="is not a shot"):
        bpy.ops.portraitgen.open_shot(directory=str(CLIP.parent))
