# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue: jobs over takes and shots, one after the other, that survive what happens."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
import pytest
from conftest import module, plate_strip, trim


@pytest.fixture
def shot(tmp_path: Path, until: Callable[..., None]) -> Any:
    scene = bpy.context.scene
    trim(plate_strip(scene, 1), 1, 7)
    bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "shot"))
    until(lambda: len(scene.portraitgen.shots))
    return scene.portraitgen.shots[0]


@pytest.fixture
def runner() -> Iterator[Any]:
    made = module("portraitgen_addon.queue_runner")
    made.queue().path.unlink(missing_ok=True)
    yield made
    made.end()
    made.queue().path.unlink(missing_ok=True)


def states(runner: Any) -> list[str]:
    return [f"{job.kind} {job.state}" for job in runner.queue().read().jobs]


def test_a_queue_goes_on_after_its_worker_was_killed_and_does_nothing_twice(
    shot: Any, session: Any, runner: Any, until: Callable[..., None]
) -> None:
    for _ in range(2):
        bpy.ops.portraitgen.queue_add(kind="track")
    queued = module("portraitgen_addon.queue_runner").QueuedJob
    runner.add([queued.of(shot.path, "render", {"take": "none"}, "none")])
    assert states(runner) == ["track waiting", "render waiting"]
    assert bpy.ops.portraitgen.queue_start() == {"FINISHED"}
    until(lambda: session.job and session.job.stage == "landmarks")
    assert states(runner) == ["track running", "render waiting"]
    os.kill(session.pid, signal.SIGKILL)
    until(lambda: not runner.runs())
    # What needs the track waits for it.
    assert states(runner) == ["track failed", "render waiting"]
    bpy.ops.portraitgen.queue_retry()
    bpy.ops.portraitgen.queue_start()
    until(lambda: not runner.runs())
    assert states(runner) == ["track done", "render failed"]
    assert "no take 'none'" in runner.record().jobs[1].message
    assert shot.has_rig and len(list((shot.path / "track").iterdir())) == 1
    # As a Blender leaves it that dies once the job is finished, before that is written down.
    path = runner.queue().path
    path.write_text(path.read_text().replace('"state": "done"', '"state": "running"', 1))
    bpy.ops.portraitgen.queue_start()
    until(lambda: not runner.runs())
    assert states(runner) == ["track done", "render failed"]
    assert len(list((shot.path / "track").iterdir())) == 1


def test_a_queue_that_was_interrupted_is_told_and_can_be_cleared(shot: Any, runner: Any) -> None:
    """It looked as if it ran, and what had run could not be taken off."""
    queued = runner.QueuedJob
    runner.add([queued.of(shot.path, "render", {"take": take}, take) for take in ("a", "b")])
    watch = module("portraitgen_addon.edit_watch")
    watch.look(force=True)
    assert watch.notices(shot) == ()
    # As a Blender leaves it that is killed.
    path = runner.queue().path
    path.write_text(path.read_text().replace('"state": "waiting"', '"state": "running"', 1))
    assert watch.look(force=True)
    (notice,) = watch.notices(shot)
    assert notice.text == "The queue was interrupted, with 2 jobs of this shot left"
    assert notice.operator == "portraitgen.queue_start"
    with runner.queue().running():
        watch.look(force=True)
        assert watch.notices(shot) == ()
    path.write_text(path.read_text().replace('"state": "waiting"', '"state": "running"', 1))
    bpy.ops.portraitgen.queue_remove(job=runner.record().jobs[0].id)
    watch.look(force=True)
    assert watch.notices(shot) == () and states(runner) == ["render waiting"]


def test_a_script_waits_until_nothing_is_left_to_run(shot: Any, runner: Any) -> None:
    module("portraitgen_addon.scene_updates").waits = True
    queued = module("portraitgen_addon.queue_runner").QueuedJob
    takes = ("none", "nothing")
    runner.add([queued.of(shot.path, "render", {"take": take}, take) for take in takes])
    assert bpy.ops.portraitgen.queue_start() == {"FINISHED"}
    assert states(runner) == ["render failed"] * 2 and not runner.runs()


def test_a_queue_is_ordered_paused_and_cleared(shot: Any, runner: Any) -> None:
    bpy.ops.portraitgen.take_add(editor="grade")
    bpy.ops.portraitgen.queue_add(kind="take")
    kinds = [job.kind for job in runner.record().jobs]
    assert kinds == ["track", "reconstruct", "edit", "render"]
    render = runner.record().jobs[3]
    assert render.options["take"] == shot.take.folder_name and render.options["plate"] is True
    bpy.ops.portraitgen.queue_move(job=render.id, by=-1)
    assert [job.kind for job in runner.record().jobs][2] == "render"
    bpy.ops.portraitgen.queue_remove(job=render.id)
    assert len(runner.record().jobs) == 3
    bpy.ops.portraitgen.queue_pause()


def test_what_runs_already_is_not_queued_again(shot: Any, session: Any, runner: Any) -> None:
    """Takes that were added while Track or Reconstruct ran had it done twice."""
    bpy.ops.portraitgen.take_add(editor="grade")
    before = session.job
    job = module("portraitgen_addon.session").Job
    try:
        for running, wanted in (("track", ["reconstruct"]), ("reconstruct", ["track"])):
            session.job = job(running, shot.shot_id, shot.path, shot.id_data.session_uid, "", {})
            session.job.state = "running"
            kinds = [each.kind for each in runner.missing_of(shot)]
            assert kinds == [*wanted, "edit", "render"]
    finally:
        session.job = before


def test_a_sequence_is_one_take_of_every_shot(
    shot: Any, runner: Any, tmp_path: Path, until: Callable[..., None]
) -> None:
    bpy.ops.portraitgen.take_add(editor="toon")
    shot.take.strength = 0.5
    scene = bpy.context.scene
    scene.sequence_editor.active_strip = plate_strip(scene, 100)
    bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "two"))
    until(lambda: len(scene.portraitgen.shots) == 2)
    scene.portraitgen.active = 0
    bpy.ops.portraitgen.queue_add(kind="sequence")
    jobs = runner.record().jobs
    assert [job.kind for job in jobs] == ["track", "reconstruct", "edit", "render"] * 2
    assert len({job.shot for job in jobs}) == 2
    other = scene.portraitgen.shots[1].take
    assert other.editor == "toon" and other.strength == pytest.approx(0.5)
    assert jobs[6].options["strength"] == pytest.approx(0.5)
