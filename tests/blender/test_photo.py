# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A photo is a shot of one frame, however long its strip holds it and whatever its name says."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import living_shot
import pytest
from conftest import CLIP, PYTHON, module

_STILL = """
import sys
import cv2
found, frame = cv2.VideoCapture(sys.argv[1]).read()
for path in sys.argv[2:]:
    cv2.imwrite(path, frame)
"""


@pytest.fixture
def portraits(tmp_path: Path) -> list[Path]:
    """Two photos that are no sequence."""
    paths = [tmp_path / name for name in ("portrait.png", "IMG_0412.jpg")]
    subprocess.run([str(PYTHON), "-c", _STILL, str(CLIP), *map(str, paths)], check=True)
    return paths


def still_strip(photo: Path, start: int, held: int) -> Any:
    scene = bpy.context.scene
    scene.sequence_editor_create()
    strip = scene.sequence_editor.strips.new_image(
        name=photo.stem, filepath=str(photo), channel=1, frame_start=start
    )
    module("portraitgen_addon.compat").set_length(strip, held)
    scene.sequence_editor.active_strip = strip
    return strip


def test_a_photo_held_for_a_second_is_tracked_as_one_frame(
    portraits: list[Path], tmp_path: Path, session: Any, until: Callable[..., None]
) -> None:
    scene = bpy.context.scene
    plate_strip = module("portraitgen_addon.plate_strip")
    strip = still_strip(portraits[0], 101, 25)
    assert bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "shot")) == {"FINISHED"}
    until(lambda: len(scene.portraitgen.shots))
    shot = scene.portraitgen.shots[0]
    assert (shot.first, shot.last, shot.offset) == (1, 1, 100)
    bpy.ops.portraitgen.track()
    until(lambda: not session.busy)
    assert session.job.state == "done", session.job.message
    until(lambda: shot.has_rig)
    # The artist moves the strip: the shot is the same picture there.
    module("portraitgen_addon.compat").move_content(strip, 201)
    found = plate_strip.footage_of(strip, scene)
    assert (found.first, found.last, found.offset) == (1, 1, 200)


def test_another_photo_of_the_folder_is_another_plate(tmp_path: Path) -> None:
    from portraitgen.shot import Shot

    path = living_shot.pictures(tmp_path, "plate")
    shot = living_shot.make(bpy.context.scene, tmp_path / "shot", path)
    same_file = module("portraitgen_addon.strip_sync").same_file
    other = path.with_name("plate.1002.png")
    assert same_file(shot, path) and same_file(shot, other), "of one sequence"
    opened = Shot.open(shot.path)
    opened.update(footage=replace(opened.record.footage, last=living_shot.FIRST))
    module("portraitgen_addon.shot_summary").forget_summaries()
    assert same_file(shot, path) and not same_file(shot, other)


def test_a_photos_frame_has_the_number_that_its_shot_knows(
    portraits: list[Path], tmp_path: Path, until: Callable[..., None]
) -> None:
    scene = bpy.context.scene
    still_strip(portraits[1], 11, 50)
    bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "shot"))
    until(lambda: len(scene.portraitgen.shots))
    shot = scene.portraitgen.shots[0]
    known = module("portraitgen_addon.shot_summary").Shot.open(shot.path).record.footage
    assert (shot.first, shot.last) == (known.first, known.last)
    assert shot.first + shot.offset == 11
    # Among other photos the shot's own strip is found again.
    bpy.ops.portraitgen.remove_shot()
    still_strip(portraits[0], 200, 5)
    bpy.ops.portraitgen.open_shot(directory=str(tmp_path / "shot"))
    shot = scene.portraitgen.shots[0]
    assert shot.strip == "IMG_0412" and shot.first + shot.offset == 11
