# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs and the scenes that their results go to: renamed, and copied, before and meanwhile."""

from pathlib import Path
from typing import Any

import bpy
import pytest
from conftest import module
from living_shot import FIRST, make, pictures


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The jobs that were started; the backend hears of none."""
    started: list[Any] = []
    updates = module("portraitgen_addon.scene_updates")
    monkeypatch.setattr(updates, "run", started.append)
    monkeypatch.setattr(updates, "wait_for", lambda job: None)
    return started


@pytest.fixture
def edited(tmp_path: Path) -> str:
    """A picture that a render has finished; the scene has its shot."""
    scene = bpy.context.scene
    make(scene, tmp_path / "shot", pictures(tmp_path / "plate", "plate"))
    return str(pictures(tmp_path / "shot" / "takes" / "take" / "plates", "take"))


def render() -> None:
    module("operators.base").run_job(bpy.context, "render", {"take": "take"}, "take")


def finish(job: Any, picture: str) -> None:
    """Has a job's first frame come."""
    job.frames[FIRST] = picture
    module("portraitgen_addon.scene_updates")._on_frame(job, FIRST)


def takes(scene: Any) -> list[int]:
    """Where the takes of a scene begin."""
    compat, sequencer = (module(f"portraitgen_addon.{each}") for each in ("compat", "sequencer"))
    shot = scene.portraitgen.shots[0]
    found = sequencer.all_take_strips(scene, shot.shot_id)
    return [compat.content_start(strip) for strip in found]


def test_frames_come_into_a_scene_that_is_renamed(jobs: list[Any], edited: str) -> None:
    scene = bpy.context.scene
    scene.name = "renamed before"
    render()
    scene.name = "renamed meanwhile"
    bpy.data.scenes.new("renamed before")
    finish(jobs[0], edited)
    assert takes(scene) == [2001]


def test_frames_come_into_the_copy_of_a_scene_that_asked_for_them(
    jobs: list[Any], edited: str
) -> None:
    home = bpy.context.scene
    bpy.ops.scene.new(type="FULL_COPY")
    copy = bpy.context.scene
    # First in the list of scenes, by its name.
    copy.name = "A copy"
    compat = module("portraitgen_addon.compat")
    strip = copy.sequence_editor.strips["plate"]
    compat.move_content(strip, 3001)
    bpy.ops.portraitgen.update_from_strip()
    assert [scene.portraitgen.shots[0].offset for scene in (home, copy)] == [1000, 2000]
    render()
    bpy.context.window.scene = home
    render()
    finish(jobs[1], edited)
    assert (takes(home), takes(copy)) == ([2001], [])
    finish(jobs[0], edited)
    assert (takes(home), takes(copy)) == ([2001], [3001])


def test_frames_come_after_the_file_was_loaded_again(
    jobs: list[Any], edited: str, tmp_path: Path
) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "edit.blend"))
    render()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "edit.blend"))
    finish(jobs[0], edited)
    assert takes(bpy.context.scene) == [2001]
