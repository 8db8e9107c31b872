# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cancelling, resuming, a worker that dies, hangs or lies, two shots, settings, set-up."""

import gc
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import pytest
from conftest import PYTHON, module, plate_strip, trim


@pytest.fixture
def shot(tmp_path: Path, until: Callable[..., None]) -> Any:
    scene = bpy.context.scene
    strip = plate_strip(scene, 1)
    trim(strip, 1, 13)
    bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "shot"))
    until(lambda: len(scene.portraitgen.shots))
    return scene.portraitgen.shots[0]


def test_cancel_then_resume(shot: Any, session: Any, until: Callable[..., None]) -> None:
    bpy.ops.portraitgen.track()
    until(lambda: session.job.stage == "landmarks")
    with pytest.raises(RuntimeError, match="Track is running"):
        bpy.ops.portraitgen.track()
    bpy.ops.portraitgen.cancel()
    until(lambda: not session.busy)
    assert session.job.state == "cancelled"
    module("portraitgen_addon.shot_summary").forget_summaries()
    bpy.ops.portraitgen.resume()
    until(lambda: not session.busy)
    assert session.job.state == "done", session.job.message
    until(lambda: shot.has_rig)


def test_a_killed_worker_is_told_and_its_job_resumed(
    shot: Any, session: Any, until: Callable[..., None]
) -> None:
    bpy.ops.portraitgen.track()
    until(lambda: session.job.stage == "landmarks")
    os.kill(session.pid, signal.SIGKILL)
    until(lambda: not session.busy)
    assert session.job.state == "failed" and "ended unexpectedly" in session.job.message
    module("portraitgen_addon.shot_summary").forget_summaries()
    bpy.ops.portraitgen.resume()
    until(lambda: not session.busy)
    assert session.job.state == "done", session.job.message


def test_loading_another_file_in_mid_job_leaves_the_result_in_the_folder(
    shot: Any, session: Any, until: Callable[..., None]
) -> None:
    folder = shot.path
    bpy.ops.portraitgen.track()
    until(lambda: session.job.stage == "landmarks")
    bpy.ops.wm.read_homefile(use_empty=True)
    until(lambda: not session.busy)
    assert session.job.state == "done", session.job.message
    assert (folder / "track" / "0001" / "track.json").exists()


def test_the_extension_leaves_no_process_behind(
    shot: Any, session: Any, until: Callable[..., None]
) -> None:
    bpy.ops.portraitgen.track()
    until(lambda: session.job.stage == "landmarks")
    pid = session.pid
    bpy.ops.preferences.addon_disable(module="bl_ext.user_default.portraitgen")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    bpy.ops.preferences.addon_enable(module="bl_ext.user_default.portraitgen")


LIAR = """#!{python}
import sys, time
{body}
"""


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("sys.exit('no module named torch')", "no module named torch"),
        ("print('rubbish ' * 9, flush=True); sys.stdin.readline(); sys.exit(3)", "ended"),
        (
            'sys.stdin.readline(); print(\'{"jsonrpc":"2.0","id":1,"error":'
            '{"code":-32000,"message":"the worker speaks protocol 9"}}\', flush=True);'
            "time.sleep(900)",
            "speaks protocol 9",
        ),
    ],
)
def test_a_worker_that_cannot_start_says_why(
    body: str,
    sentence: str,
    tmp_path: Path,
    session: Any,
    until: Callable[..., None],
) -> None:
    session.end()
    fake = tmp_path / "python"
    fake.write_text(LIAR.format(python=sys.executable, body=body))
    fake.chmod(fake.stat().st_mode | stat.S_IEXEC)
    settings = module("portraitgen_addon.preferences").get()
    settings.interpreter = str(fake)
    try:
        bpy.ops.portraitgen.check_setup()
        until(lambda: session.state == "failed")
        assert sentence in session.message
    finally:
        session.end()
        settings.interpreter = str(PYTHON)


def test_what_a_dead_worker_was_not_told_is_no_error_of_blenders(
    session: Any, until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    session.end()
    heard: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", heard.append)

    def told_and_lost() -> None:
        lost: list[object] = []
        worker = module("portraitgen_addon.worker").Worker(["true"], print, lost.append)
        worker._process.wait()
        worker.ask(module("portraitgen_addon.session").Describe(), print, lost.append)
        until(lambda: bool(worker.drain() or lost))
        for thread in threading.enumerate():
            if getattr(thread, "_target", None) == worker._write:
                thread.join(5)

    told_and_lost()
    gc.collect()
    assert heard == []


def test_nothing_works_without_an_interpreter_and_says_so() -> None:
    settings = module("portraitgen_addon.preferences").get()
    settings.interpreter = "/nowhere/python"
    try:
        assert not bpy.ops.portraitgen.check_setup.poll()
        with pytest.raises(RuntimeError, match="Set up the backend"):
            bpy.ops.portraitgen.check_setup()
    finally:
        settings.interpreter = str(PYTHON)


def test_check_setup_tells_every_part(session: Any, until: Callable[..., None]) -> None:
    setup = module("operators.environment").Setup
    bpy.ops.portraitgen.check_setup()
    until(lambda: setup.checked)
    names = {row.name for row in setup.rows}
    assert {"Backend", "Device", "Memory", "Disk", "Body model"} <= names


def test_two_shots_keep_to_themselves(
    shot: Any, tmp_path: Path, until: Callable[..., None]
) -> None:
    scene = bpy.context.scene
    bpy.ops.portraitgen.take_add(editor="grade")
    second = plate_strip(scene, 100)
    scene.sequence_editor.active_strip = second
    # Another folder for the same plate is another shot.
    bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "two"))
    until(lambda: len(scene.portraitgen.shots) == 2)
    state = scene.portraitgen
    assert state.active == 1 and len(state.shots[1].takes) == 0
    assert state.shots[1].offset == 99 and state.shots[0].offset == 0
    state.active = 0
    assert module("portraitgen_addon.properties").active_shot(bpy.context).take.editor == "grade"


def test_takes_are_copied_with_their_settings_and_deleted_into_the_trash(shot: Any) -> None:
    bpy.ops.portraitgen.take_add(editor="relight")
    take = shot.take
    take.options_relight.use_azimuth = True
    take.options_relight.azimuth = -0.5
    take.options_relight.key = "rim-left"
    take.settings_edit.keys = 7
    take.strength = 0.4
    bpy.ops.portraitgen.take_duplicate()
    first, second = shot.takes
    assert second.folder_name != first.folder_name and second.strength == pytest.approx(0.4)
    assert second.options_relight.azimuth == pytest.approx(-0.5)
    assert second.options_relight.key == "rim-left" and second.settings_edit.keys == 7
    settings_of = module("portraitgen_addon.take_settings").settings_of
    sent = settings_of(second)
    assert sent["keys"] == 7 and '"azimuth": -28.6' in sent["editor_options"]
    second.options_relight.use_azimuth = False
    assert "azimuth" not in settings_of(second)["editor_options"]
    folder = shot.path / "takes" / second.folder_name
    folder.mkdir(parents=True)
    (folder / "take.json").write_text('{"schema": 1, "created": "2026", "editor": "relight"}')
    bpy.ops.portraitgen.take_delete()
    assert len(shot.takes) == 1 and not folder.exists()
    assert list((shot.path / "trash").iterdir())


def test_options_show_ranges_units_and_tooltips(shot: Any) -> None:
    bpy.ops.portraitgen.take_add(editor="relight")
    facts = shot.take.options_relight.bl_rna.properties
    assert facts["elevation"].subtype == "ANGLE" and facts["elevation"].hard_max < 1.6
    assert facts["key"].enum_items.keys()[:2] == ["left", "right"]
    assert facts["ratio"].description and not facts["ratio"].description.endswith(".")


def test_the_drain_keeps_to_its_budget(shot: Any, session: Any, until: Callable[..., None]) -> None:
    session.longest_tick = 0.0
    ticks = []
    bpy.ops.portraitgen.track()
    while session.busy:
        began = time.perf_counter()
        session.tick()
        ticks.append(time.perf_counter() - began)
        time.sleep(0.005)
    assert session.job.state == "done" and len(ticks) > 20
    print(
        f"ticks: median {sorted(ticks)[len(ticks) // 2] * 1e3:.3f} ms, max {max(ticks) * 1e3:.1f}"
    )


def test_another_process_on_the_shot_is_named(
    shot: Any, session: Any, until: Callable[..., None]
) -> None:
    lock = module("portraitgen_addon.shot_summary").Shot.open(shot.path).hold("track", "track")
    with lock:
        bpy.ops.portraitgen.track()
        until(lambda: not session.busy)
    assert session.job.state == "failed"
    assert str(os.getpid()) in session.job.message, session.job.message


def test_every_operator_tells_what_it_does() -> None:
    names = [name for name in dir(bpy.ops.portraitgen) if not name.startswith("_")]
    assert len(names) > 20
    for name in names:
        text = getattr(bpy.ops.portraitgen, name).get_rna_type().description
        assert text and not text.endswith("."), name


def test_a_job_that_fails_before_its_start_is_answered_stays_failed(tmp_path: Path) -> None:
    from portraitgen.messages.base import ErrorData
    from portraitgen.messages.jobs import JobFailed, JobStarted

    made = module("portraitgen_addon.session")
    session, answers = made.Session(), []
    session.ask = lambda call, on_result, on_error: answers.append(on_result)
    job = made.Job("render", "id", tmp_path, 0)
    session.run(job)
    session._notified(JobFailed("1", ErrorData("error", "there is no take", "", "")))
    answers[0](JobStarted("1"))
    assert job.state == "failed" and not session.busy


def test_results_wait_while_something_is_dragged(
    session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rig that came while its bones were dragged left the mode under Blender's hand."""
    watch = module("portraitgen_addon.edit_watch")
    window = SimpleNamespace(screen=SimpleNamespace(is_animation_playing=False), modal_operators=[])
    manager = SimpleNamespace(windows=[window])
    monkeypatch.setattr(
        watch, "bpy", SimpleNamespace(context=SimpleNamespace(window_manager=manager))
    )
    done: list[str] = []
    for name in ("TRANSFORM_OT_translate", "PORTRAITGEN_OT_pin", "SCULPT_OT_brush_stroke"):
        window.modal_operators = [SimpleNamespace(bl_idname=name)]
        session.later(lambda: done.append("brought"))
        session.tick()
        assert not done and session.waiting_work
        window.modal_operators = [SimpleNamespace(bl_idname="SCREEN_OT_animation_play")]
        session.tick()
        assert done.pop() == "brought" and not session.waiting_work
