# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths of a scene whose file is saved elsewhere, copied, undone to, or appended from."""

from pathlib import Path
from typing import Any

import bpy
import pytest
from conftest import module
from living_shot import make, pictures


def ours() -> Any:
    """The shots of the scene at hand; undo makes what was known of them stale."""
    return bpy.context.scene.portraitgen


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a saved file with a shot beside it, and a certificate named relative to it."""
    make(bpy.context.scene, tmp_path / "shot", pictures(tmp_path / "plate", "plate"))
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "edit.blend"))
    (tmp_path / "studio.pem").touch()
    ours().certificate = "//studio.pem"
    assert ours().shots[0].folder == "//shot"
    return tmp_path


def all_there(folder: Path) -> None:
    """Whether shot and certificate are what they were."""
    assert Path(bpy.path.abspath(ours().shots[0].folder)).resolve() == folder / "shot"
    assert Path(bpy.path.abspath(ours().certificate)).resolve() == folder / "studio.pem"


def test_save_copy_leaves_the_paths_of_the_file_at_hand(folder: Path) -> None:
    copy = folder / "elsewhere" / "deep" / "copy.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(copy), copy=True)
    assert ours().shots[0].folder == "//shot" and ours().certificate == "//studio.pem"
    all_there(folder)
    bpy.ops.wm.open_mainfile(filepath=str(copy))
    all_there(folder)


def test_saving_elsewhere_that_fails_leaves_the_paths(folder: Path) -> None:
    (folder / "elsewhere" / "taken.blend").mkdir()
    with pytest.raises(RuntimeError):
        bpy.ops.wm.save_as_mainfile(filepath=str(folder / "elsewhere" / "taken.blend"))
    assert ours().shots[0].folder == "//shot" and ours().certificate == "//studio.pem"


def test_save_as_elsewhere_takes_all_paths_along_and_undo_keeps_them(folder: Path) -> None:
    bpy.ops.ed.undo_push(message="before")
    ours().shots[0].name = "renamed"
    bpy.ops.ed.undo_push(message="renamed")
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "elsewhere" / "deep" / "edit.blend"))
    assert ours().shots[0].folder == "//../../shot"
    all_there(folder)
    bpy.ops.ed.undo()
    assert ours().shots[0].name == "shot"
    all_there(folder)
    bpy.ops.ed.redo()
    assert ours().shots[0].name == "renamed"
    all_there(folder)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    all_there(folder)


def test_a_shot_made_since_the_file_was_saved_survives_an_undo_too(folder: Path) -> None:
    other = bpy.data.scenes.new("second")
    bpy.context.window.scene = other
    make(other, folder / "other", pictures(folder / "plates", "plate"))
    other.portraitgen.shots[0].folder = "//other"
    for _ in range(2):
        bpy.ops.ed.undo_push(message="made")
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "elsewhere" / "edit.blend"))
    bpy.ops.ed.undo()
    found = bpy.data.scenes["second"].portraitgen.shots[0].path
    assert found.resolve() == folder / "other"


def test_a_project_that_is_moved_as_a_whole_is_no_other(folder: Path, tmp_path: Path) -> None:
    bpy.ops.wm.save_mainfile()
    moved = tmp_path.parent / f"{tmp_path.name} moved"
    tmp_path.rename(moved)
    bpy.ops.wm.open_mainfile(filepath=str(moved / "edit.blend"))
    for _ in range(2):
        bpy.ops.ed.undo_push(message="moved")
    bpy.ops.ed.undo()
    assert ours().shots[0].folder == "//shot"
    all_there(moved)


@pytest.mark.parametrize("saved", [False, True])
def test_an_appended_scene_finds_its_shots(folder: Path, saved: bool) -> None:
    bpy.ops.wm.save_mainfile()
    name, source = bpy.context.scene.name, str(folder / "edit.blend")
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
    if saved:
        path = str(folder / "elsewhere" / "deep" / "new.blend")
        bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.append(directory=f"{source}/Scene", filename=name)
    scene = next(each for each in bpy.data.scenes if len(each.portraitgen.shots))
    assert scene.library is None
    bpy.context.window.scene = scene
    all_there(folder)


def test_what_lies_beside_the_file_is_named_without_a_dot(tmp_path: Path) -> None:
    """A relinked plate was called //./plate.mp4."""
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "edit.blend"))
    directory_of = module("portraitgen_addon.sequencer").directory_of
    assert directory_of(tmp_path) == "//"
    assert directory_of(tmp_path / "plates") == "//plates/"
    assert directory_of(tmp_path.parent) == "//../"
