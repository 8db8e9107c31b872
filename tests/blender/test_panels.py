# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Panels are drawn many times a second: what they show is there already, whatever lies in the shot.

`PORTRAITGEN_TAKES`, `PORTRAITGEN_RENDERS` and `PORTRAITGEN_STRIPS` make the shot larger.
"""

import builtins
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import living_shot
import pytest
from conftest import module
from test_random_edit import give_rig
from test_rig import made

__all__ = ["made"]

TAKES = int(os.environ.get("PORTRAITGEN_TAKES", "12"))
RENDERS = int(os.environ.get("PORTRAITGEN_RENDERS", "4"))
STRIPS = int(os.environ.get("PORTRAITGEN_STRIPS", "60"))
_ROWS = 10
_ASKED = (
    *((os, name) for name in ("stat", "lstat", "scandir", "listdir", "open", "mkdir", "access")),
    *((owner, "open") for owner in (builtins, io)),
    *((json, name) for name in ("load", "loads")),
)


class Layout:
    """Takes what a panel draws, asks each button whether it may be pressed, and draws lists."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *words, **more: self._take(more)

    def _take(self, more: dict[str, Any]) -> "Layout":
        self.said.append(str(more.get("text", "")))
        return self

    def panel(self, name: str, default_closed: bool = False) -> tuple["Layout", "Layout"]:
        """All are open."""
        return self, self

    def operator(self, name: str, **more: Any) -> "Layout":
        """Asks as Blender does."""
        room, _, own = name.partition(".")
        getattr(getattr(bpy.ops, room), own).poll()
        return self._take(more)

    def template_list(
        self, kind: str, title: str, owner: Any, name: str, *more: Any, **rows: int
    ) -> None:
        """Draws the rows that a list shows at once."""
        kinds = [*module("ui.lists").CLASSES, module("ui.frame_marks").PORTRAITGEN_UL_marks]
        drawn = next(each for each in kinds if each.__name__ == kind)
        for item in list(getattr(owner, name))[:_ROWS]:
            drawn.draw_item(None, bpy.context, self, owner, item, 0, *more[:2])


def panels() -> dict[str, Callable[[Layout], None]]:
    """What draws each panel and menu, by name."""
    found: dict[str, Callable[[Layout], None]] = {}

    def of(kind: type) -> Callable[[Layout], None]:
        def draw(layout: Layout) -> None:
            made: Any = type("Drawn", (kind,), {})()
            made.layout = layout
            made.draw(bpy.context)

        return draw

    for kind in module("ui.panels")._CONTENTS:
        found[kind.bl_label] = of(kind)
    for menu in module("ui.lists").CLASSES:
        if "_MT_" in menu.__name__:
            plain = type(menu.__name__, (), {"draw": menu.draw})
            found[menu.bl_label] = of(plain)
    return found


@pytest.fixture
def shot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A shot of many takes, renders, jobs and strips, looked at once by the timer."""
    from portraitgen.records import RenderRecord
    from portraitgen.shot import Shot

    scene = bpy.context.scene
    made = living_shot.make(scene, tmp_path / "shot", living_shot.pictures(tmp_path, "plate"))
    opened = Shot.open(made.path)
    runner = module("portraitgen_addon.queue_runner")
    runner.queue().path.unlink(missing_ok=True)
    for number in range(TAKES):
        home = opened.make_take(f"take {number}")
        for version in range(1, RENDERS + 1):
            folder = home / "renders" / f"v{version:03d}"
            (folder / "plates").mkdir(parents=True)
            for plate in tmp_path.glob("plate.*.png"):
                shutil.copy(plate, folder / "plates" / plate.name.replace("plate", "take"))
            rendered = f"2026-01-{version:02d}"
            record = RenderRecord(created="", inputs=str(version), rendered=rendered)
            record.write(folder / "render.json")
        queued = runner.QueuedJob
        runner.add([queued.of(made.path, "edit", {"take": f"take {number}"}, f"take {number}")])
    strips = scene.sequence_editor.strips
    for number in range(STRIPS):
        start = 10 * number
        end = {"length": 5} if bpy.app.version >= (5, 0, 0) else {"frame_end": start + 5}
        strips.new_effect(
            name=f"colour {number}", type="COLOR", channel=1, frame_start=start, **end
        )
    strip = living_shot.show_take(scene, made, _plate_of(opened, "take 0"))
    sequencer = module("portraitgen_addon.sequencer")
    strip[sequencer.TAKE], strip[sequencer.VERSION] = "take 0", 1
    monkeypatch.setattr(module("portraitgen_addon.file_marks"), "watched", True)
    module("portraitgen_addon.shot_summary").forget_summaries()
    living_shot.look(made)
    yield made
    runner.queue().path.unlink(missing_ok=True)


def _plate_of(opened: Any, take: str) -> Path:
    folder: Path = opened.take_folder(take) / "renders" / "v001" / "plates"
    return folder / f"take.{living_shot.FIRST}.png"


def _by_the_timer(shot: Any) -> None:
    """A job's end, as the timer brings it in."""
    updates, session = (
        module(f"portraitgen_addon.{each}") for each in ("scene_updates", "session")
    )
    updates._on_done(session.Job("edit", shot.shot_id, shot.path, 0), {})
    updates.redraw()
    updates.tick()


def _by_a_button(shot: Any) -> None:
    shot.active_take = TAKES - 1
    bpy.ops.portraitgen.take_delete()
    shot.active_take = 0


@pytest.mark.parametrize("change", [None, _by_the_timer, _by_a_button])
def test_what_is_drawn_again_asks_neither_the_disk_nor_all_strips(
    shot: Any, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None] | None
) -> None:
    """Not even the first time after what it shows has changed."""
    asked: list[str] = []
    drawn, layout = panels(), Layout()
    for draw in drawn.values():
        draw(Layout())
    if change is not None:
        change(shot)

    def note(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def noted(*given: Any, **named: Any) -> Any:
            asked.append(f"{name} {str(given[:1])[-90:]} after {layout.said[-1:]}")
            return real(*given, **named)

        monkeypatch.setattr(owner, name, noted)

    for owner, name in _ASKED:
        note(owner, name)
    note(module("portraitgen_addon.compat"), "every_strip")
    for draw in drawn.values():
        draw(layout)
    monkeypatch.undo()
    assert not asked, "\n".join(asked)
    assert f"Version 1 of {RENDERS}" in layout.said
    assert f"Queue: {TAKES} of {TAKES} left" in layout.said


def _lines_run(work: Callable[[], None]) -> int:
    """How many lines of Python are run, each turn of a loop with it: no clock decides a test."""
    count = 0

    def note(frame: Any, event: str, given: Any) -> Any:
        nonlocal count
        count += 1
        return note

    before = sys.gettrace()
    sys.settrace(note)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def _key_much(shot: Any) -> None:
    """Corrections on all bones, acting, pins in many frames, all bones selected."""
    compat, acting, pins = (
        module(f"portraitgen_addon.{each}") for each in ("compat", "acting_layer", "pins")
    )
    data = shot.armature.animation_data
    for bone in shot.armature.pose.bones:
        for frame in range(10):
            path = f'pose.bones["{bone.name}"].rotation_quaternion'
            compat.insert_key(data, path, 1, shot.offset + shot.first + frame, 0.1)
    for frame in range(400):
        pins.add(shot, shot.first + frame + 1, 3, (1.0, 0.0, 0.0), (5.0, 5.0))
    parts = pins.parts_of(shot)
    acting.act(parts, "shot", "take 1")
    compat.insert_key(data, 'pose.bones["head"].location', 0, shot.offset + shot.first, 0.1)
    acting.correct(parts)
    for chosen in shot.armature.pose.bones:
        (chosen if hasattr(chosen, "select") else chosen.bone).select = True


def test_drawing_costs_no_more_where_more_is_keyed_pinned_and_selected(
    made: Path, shot: Any
) -> None:
    """The Rig panel went through all pins and all bones with each drawing."""
    give_rig(made)
    drawn = panels()
    bpy.context.scene.frame_set(shot.first + shot.offset)

    def costs() -> dict[str, int]:
        living_shot.look(shot)
        for draw in drawn.values():
            draw(Layout())
        return {name: _lines_run(lambda d=draw: d(Layout())) for name, draw in drawn.items()}

    few = costs()
    _key_much(shot)
    many = costs()
    more = {name: many[name] - few[name] for name in few}
    # What is keyed is offered to be sent, resolved and reverted: a few rows, however much it is.
    assert max(more.values()) < 150, more


def test_settings_of_one_panel_are_told_apart(shot: Any, session: Any, until: Any) -> None:
    bpy.ops.portraitgen.check_setup()
    until(lambda: session.state == "ready" and not session.doing)
    for name, draw in panels().items():
        layout = Layout()
        draw(layout)
        assert layout.said.count("Settings") <= 1, name


def test_a_strip_that_is_no_shots_yet_is_offered_beside_other_shots(shot: Any) -> None:
    """With a shot in the list, Split at Cuts was nowhere in the panels."""
    editor = bpy.context.scene.sequence_editor
    editor.active_strip = (
        module("portraitgen_addon.plate_strip").find(shot, bpy.context.scene).strip
    )

    def operators() -> list[str]:
        asked: list[str] = []
        layout = Layout()
        draw = Layout.operator
        layout.operator = lambda name, **more: (asked.append(name), draw(layout, name, **more))[1]
        panels()["Shot"](layout)
        return asked

    assert "portraitgen.split_at_cuts" not in operators()
    path = bpy.path.abspath(
        editor.active_strip.directory + editor.active_strip.elements[0].filename
    )
    free = editor.strips.new_image(name="other", filepath=path, channel=7, frame_start=900)
    editor.active_strip, free.select = free, True
    assert "portraitgen.split_at_cuts" in operators()


def test_what_is_said_of_a_track_is_wrapped_to_the_panel(shot: Any) -> None:
    summary = SimpleNamespace(
        landmark_residual_percent=0.731,
        tracked_frames=1230,
        frames=1234,
        weak_frames=123,
        lost_frames=4,
    )
    layout = Layout()
    track = SimpleNamespace(summary=summary, source="refine")
    module("ui.track_panels")._residual(layout, track, shot)
    said = [text for text in layout.said if text]
    assert "before it was refined" in " ".join(said)
    assert max(map(len, said)) <= 46, said


def test_an_ear_that_is_half_an_ear_off_has_no_check_mark(shot: Any) -> None:
    """Up to 35 % of the eye distance, three centimetres, it had one."""
    icons: dict[str, str] = {}
    layout = Layout()
    layout.label = lambda text, icon="": icons.update({text: icon})
    told = {"face": 1.0, "left_ear": 15.0, "right_ear": 30.0, "left_hand": 36.0}
    summary = SimpleNamespace(part_residual_percent=told, guessed_parts=())
    module("ui.track_panels")._parts(layout, summary, shot)
    marked = {label: icon for label, icon in icons.items() if icon}
    assert marked == {
        "Face": "CHECKMARK",
        "Left Ear": "CHECKMARK",
        "Right Ear": "DOT",
        "Left Hand": "ERROR",
    }


def test_jobs_are_called_as_their_buttons() -> None:
    label = module("portraitgen_addon.job_labels").job_label
    assert label("qc") == "QC Sheet" and label("render") == "Render to Strip"


def test_what_was_changed_by_others_is_drawn_once_the_timer_has_looked(shot: Any) -> None:
    runner, draw = module("portraitgen_addon.queue_runner"), panels()["Jobs"]
    marks = module("portraitgen_addon.file_marks")
    others = module("portraitgen_addon.queue_runner").JobQueue(runner.queue().path)
    draw(Layout())
    others.remove(others.read().jobs[0].id)
    assert marks.look(), "the timer has this drawn"
    layout = Layout()
    draw(layout)
    assert f"Queue: {TAKES - 1} of {TAKES - 1} left" in layout.said
    assert not marks.look()


def test_what_is_changed_here_is_drawn_at_once(shot: Any) -> None:
    runner, draw = module("portraitgen_addon.queue_runner"), panels()["Jobs"]
    draw(Layout())
    bpy.ops.portraitgen.queue_remove(job=runner.record().jobs[0].id)
    layout = Layout()
    draw(layout)
    assert f"Queue: {TAKES - 1} of {TAKES - 1} left" in layout.said


def test_what_is_awaited_moves_no_button_from_under_the_mouse(session: Any, shot: Any) -> None:
    """A row came and went above Try, so that a second click on it gave out a mask."""
    progress = module("ui.progress")
    drawn: dict[str, Callable[[Layout], None]] = panels()
    rest = {name: Layout() for name in drawn}
    for name, draw in drawn.items():
        draw(rest[name])
    session.doing = "Trying frame 12"
    session.asked = module("ui.edit_panels").TryFrame("shot", 12, {})
    try:
        waiting = {name: Layout() for name in drawn}
        for name, draw in drawn.items():
            draw(waiting[name])
        header: Any = type("Drawn", (module("ui.shot_panels").ShotPanel,), {})()
        header.layout, bar = Layout(), SimpleNamespace(layout=Layout())
        header.draw_header_preset(bpy.context)
        progress._status(bar, bpy.context)
    finally:
        session.doing, session.asked = "", None
    assert {name: len(each.said) for name, each in waiting.items()} == {
        name: len(each.said) for name, each in rest.items()
    }
    for said in (waiting["Edit"].said, header.layout.said, bar.layout.said):
        assert "Trying frame 12..." in said


def test_how_long_drawing_takes_is_told(
    made: Path, shot: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tells, and decides nothing: figures come from the larger shot of `PORTRAITGEN_TAKES=100`."""
    give_rig(made)
    _key_much(shot)
    module("portraitgen_addon.acting_layer").act(
        module("portraitgen_addon.pins").parts_of(shot), "shot", "take 1"
    )
    living_shot.look(shot)
    longest: dict[str, float] = {}
    for name, draw in panels().items():
        draw(Layout())
        for _ in range(20):
            begun = time.thread_time()
            draw(Layout())
            took = 1e3 * (time.thread_time() - begun)
            longest[name] = max(longest.get(name, 0.0), took)
    with capsys.disabled():
        text = ", ".join(f"{name} {took:.1f}" for name, took in longest.items())
        held = f"{TAKES} takes of {RENDERS} renders, {STRIPS} strips"
        print(f"\n{held}, longest of 20, ms of processor time: {text}")
