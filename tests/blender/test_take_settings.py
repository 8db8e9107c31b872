# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every setting of a take comes back: from presets, folders, strips and duplicates, and in Try."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import pytest
from conftest import ROOT, module, plate_strip

OLD = ROOT / "tests" / "data" / "old_shot"


@pytest.fixture
def shot(tmp_path: Path, session: Any, until: Callable[..., None]) -> Iterator[Any]:
    """An old shot, opened, once the backend has told of its options."""
    shutil.copytree(OLD, tmp_path / "old_shot")
    if session.state != "ready":
        bpy.ops.portraitgen.check_setup()
    until(lambda: session.state == "ready" and not session.doing)
    bpy.ops.portraitgen.open_shot(directory=str(tmp_path / "old_shot"))
    yield bpy.context.scene.portraitgen.shots[0]


def settings_of(take: Any) -> dict[str, Any]:
    return module("portraitgen_addon.take_settings").settings_of(take)


def restore(take: Any, settings: dict[str, Any]) -> None:
    module("portraitgen_addon.take_settings").restore_settings(take, settings)


def values_to_try(option: Any) -> list[Any]:
    """Values of an option, away from its default, its ends among them."""
    if option.type == "bool":
        return [True, False]
    if option.choices:
        return list(option.choices)
    if option.type == "str":
        return [] if option.path else ["hair, skin", ""]
    low = option.minimum if option.minimum is not None else -3
    high = option.maximum if option.maximum is not None else low + 40
    ends = [low, high, low + 0.3 * (high - low)]
    return [int(each) for each in ends] if option.type == "int" else [float(e) for e in ends]


def same(told: Any, value: Any) -> bool:
    if isinstance(value, float):
        return told == pytest.approx(value, rel=1e-6, abs=1e-6)
    return type(told) is type(value) and told == value


def test_every_field_of_every_options_class_is_saved_and_restored(shot: Any) -> None:
    properties = module("portraitgen_addon.backend_properties")
    bpy.ops.portraitgen.take_add(editor="grade")
    take = shot.take
    tried = 0
    for name, plain in (("edit", None), *((each.id, each) for each in properties.editors())):
        options = plain.options if plain else properties.job_options("edit")
        slot = properties.slot_of_editor(name) if plain else properties.slot_of_job("edit")
        group = getattr(take, slot)
        for option in options:
            for value in values_to_try(option):
                properties.restore(group, options, {option.name: value})
                told = properties.values(group, options)
                assert same(told[option.name], value), (name, option.name, told, value)
                properties.restore(group, options, {})
                properties.restore(group, options, told)
                assert properties.values(group, options) == told, (name, option.name)
                tried += 1
    assert tried > 100
    # The shot's own jobs, as Resume and Open Shot find them.
    for kind in ("track", "reconstruct", "render"):
        group, options = getattr(shot, properties.slot_of_job(kind)), properties.job_options(kind)
        for option in options:
            for value in values_to_try(option):
                properties.restore(group, options, {option.name: value})
                told = properties.values(group, options)
                assert same(told[option.name], value), (kind, option.name, told, value)


ASKED = {
    "strength": 0.0,
    "seed": 7,
    "parts": "hair",
    "expression": 0.3,
    "keys": 5,
    "face": "off",
    "commercial": True,
}


@pytest.fixture
def asked(shot: Any) -> Any:
    bpy.ops.portraitgen.take_add(editor="grade")
    restore(shot.take, {"editor": "grade", "editor_options": '{"exposure": 1.5}'} | ASKED)
    sent = settings_of(shot.take)
    assert ASKED.items() <= sent.items() and json.loads(sent["editor_options"])["exposure"] == 1.5
    return sent


def test_a_preset_brings_every_setting(shot: Any, asked: dict[str, Any]) -> None:
    assert bpy.ops.portraitgen.preset_save(name="mine") == {"FINISHED"}
    bpy.ops.portraitgen.take_add(editor="relight")
    assert settings_of(shot.take)["editor"] == "relight"
    assert bpy.ops.portraitgen.preset_apply(name="mine") == {"FINISHED"}
    assert settings_of(shot.take) == asked


def test_a_preset_of_an_older_version_is_understood(shot: Any) -> None:
    folder = module("operators.presets").folder()
    old = {"editor": "grade", "strength": 0.5, "options": {"exposure": "1"}}
    (folder / "old.json").write_text(json.dumps(old))
    bpy.ops.portraitgen.take_add(editor="relight")
    assert bpy.ops.portraitgen.preset_apply(name="old") == {"FINISHED"}
    sent = settings_of(shot.take)
    assert sent["editor"] == "grade" and sent["strength"] == 0.5
    assert json.loads(sent["editor_options"])["exposure"] == 1.0


def test_a_duplicate_has_every_setting(shot: Any, asked: dict[str, Any]) -> None:
    bpy.ops.portraitgen.take_duplicate()
    assert len(shot.takes) == 3 and settings_of(shot.take) == asked


def test_an_opened_shots_take_is_set_as_it_was_edited(shot: Any) -> None:
    sent = settings_of(shot.takes[0])
    wanted = {"editor": "grade", "strength": 0.5, "seed": 7, "parts": "hair", "expression": 0.3}
    wanted |= {"face": "off", "commercial": True, "keys": 2, "steps": 4}
    assert wanted.items() <= sent.items()
    assert json.loads(sent["editor_options"])["exposure"] == 1.0


def test_a_strip_restores_what_its_take_was_edited_with(shot: Any) -> None:
    take = shot.takes[0]
    before = settings_of(take)
    sequencer = module("portraitgen_addon.sequencer")
    strip = plate_strip(bpy.context.scene)
    updates = module("portraitgen_addon.scene_updates")
    strip[sequencer.SHOT], strip[sequencer.TAKE] = shot.shot_id, "dyed"
    strip[sequencer.SETTINGS] = updates._settings(shot, "dyed", Path())
    restore(take, {"editor": "relight", "strength": 1.0})
    assert settings_of(take) != before
    assert bpy.ops.portraitgen.restore_settings() == {"FINISHED"}
    assert settings_of(shot.takes[0]) == before


def test_try_and_edit_are_asked_for_the_same_settings(
    shot: Any, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    updates, base = module("portraitgen_addon.scene_updates"), module("operators.base")
    sent: list[Any] = []
    monkeypatch.setattr(updates, "ask", lambda doing, call, on_result: sent.append(call.settings))
    monkeypatch.setattr(base, "run_job", lambda context, kind, options, *more: sent.append(options))
    bpy.ops.portraitgen.try_frame()
    bpy.ops.portraitgen.edit()
    assert sent[0] == sent[1] == asked | {"take": shot.take.folder_name}


def test_what_the_backend_has_not_told_of_yet_is_kept(shot: Any) -> None:
    given = {"editor": "from_a_plugin", "editor_options": '{"age": 3}', "strength": 0.25}
    bpy.ops.portraitgen.take_add(editor="grade")
    restore(shot.take, given | {"a_later_setting": "x"})
    sent = settings_of(shot.take)
    assert (given | {"a_later_setting": "x"}).items() <= sent.items()
    bpy.ops.portraitgen.take_duplicate()
    assert settings_of(shot.take) == sent


@pytest.mark.parametrize(
    "kind", ["track", "refine", "reconstruct", "act", "edit", "render", "movie"]
)
def test_every_kind_of_job_is_resumed_as_it_was_asked(
    kind: str, shot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator hands the job's own name to the backend, which knows its options."""
    opened = module("portraitgen_addon.shot_summary").Shot.open(shot.path)
    for job in opened.jobs():
        job.update(state="done")
    job = opened.start_job(kind, {"frames": "1-2"}, {"track": 2, "avatar": 1, "state": "x"})
    job.update(state="failed")
    module("portraitgen_addon.shot_summary").forget_summaries()
    calls: list[Any] = []
    live = module("portraitgen_addon.session").session
    monkeypatch.setattr(live, "ask", lambda call, *callbacks: calls.append(call))
    try:
        assert bpy.ops.portraitgen.resume() == {"FINISHED"}
    finally:
        live.job = None
    assert calls[0].METHOD == "job.resume"
    assert (calls[0].record, calls[0].shot) == (job.id, str(shot.path))


class Labels:
    """A layout that writes down what it is asked to show."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def box(self) -> "Labels":
        return self

    def label(self, text: str = "", **how: Any) -> None:
        self.texts.append(text)


def test_resume_shows_the_whole_of_what_it_will_do(shot: Any) -> None:
    opened = module("portraitgen_addon.shot_summary").Shot.open(shot.path)
    for job in opened.jobs():
        job.update(state="done")
    folder = "/somebody/" + "deep/" * 40 + "anydoor"
    options = json.dumps({"checkout": folder})
    asked = {"take": "new", "editor": "anydoor", "editor_options": options, "strength": 0.25}
    opened.start_job("edit", asked, {}).update(state="failed")
    module("portraitgen_addon.shot_summary").forget_summaries()
    layout = Labels()
    drawn = module("operators.track").PORTRAITGEN_OT_resume
    job = SimpleNamespace(layout=layout, _record=lambda context: drawn._record(None, bpy.context))
    drawn.draw(job, bpy.context)
    assert layout.texts[0] == "Edit Shot"
    assert {"take: new", "editor: anydoor", "strength: 0.25"} <= set(layout.texts)
    assert "This runs a program that you have not allowed yet:" in layout.texts
    # Twice: among the settings, and as the program that would be run.
    assert "".join(layout.texts).replace(" ", "").count(folder) == 2
    assert max(len(text) for text in layout.texts) <= 90


def test_resume_starts_nothing_but_what_it_showed(shot: Any) -> None:
    """Another process may stop a job, or change one, while the question is open."""
    opened = module("portraitgen_addon.shot_summary").Shot.open(shot.path)
    for job in opened.jobs():
        job.update(state="done")
    opened.start_job("track", {"frames": "1-2"}, {}).update(state="failed")
    module("portraitgen_addon.shot_summary").forget_summaries()
    with pytest.raises(RuntimeError, match="another unfinished job by now"):
        bpy.ops.portraitgen.resume(shown=json.dumps(["another", "track", {"frames": "1-2"}]))


def test_a_report_and_a_log_can_be_read(shot: Any, session: Any) -> None:
    report = module("portraitgen_addon.job_report")
    text = report.report(shot)
    assert "Blender 4" in text or "Blender 5" in text
    assert "worker.log" in text and "torch" in text
    assert bpy.ops.portraitgen.open_log() == {"FINISHED"}
    assert any("torch" in each.as_string() for each in bpy.data.texts)


def test_a_takes_name_follows_its_editor_until_somebody_names_it(shot: Any) -> None:
    bpy.ops.portraitgen.take_add()
    take = shot.take
    assert (take.name, take.folder_name) == ("Relight", "relight")
    bpy.ops.portraitgen.take_editor(editor="toon")
    assert (take.name, take.folder_name) == ("Toon", "toon")
    bpy.ops.portraitgen.take_add()
    assert (shot.take.name, shot.take.folder_name) == ("Relight", "relight")
    bpy.ops.portraitgen.take_editor(editor="toon")
    assert (shot.take.name, shot.take.folder_name) == ("Toon 2", "toon-2")
    # A preset changes the editor, too.
    bpy.ops.portraitgen.preset_save(name="toons")
    bpy.ops.portraitgen.take_editor(editor="grade")
    assert shot.take.name == "Grade"
    bpy.ops.portraitgen.preset_apply(name="toons")
    assert (shot.take.name, shot.take.folder_name) == ("Toon 2", "toon-2")
    # As it is called in files from before the backend has told how.
    for name, editor, label in (("toon 2", "ic_light", ""), ("Ic Light 3", "statue", "Statue")):
        shot.take.name = name
        bpy.ops.portraitgen.take_editor(editor=editor)
        assert shot.take.name == label or not label
    bpy.ops.portraitgen.take_editor(editor="toon")
    assert (shot.take.name, shot.take.folder_name) == ("Toon 2", "toon-2")
    shot.take.name = "Night"
    bpy.ops.portraitgen.take_editor(editor="grade")
    assert (shot.take.name, shot.take.folder_name) == ("Night", "toon-2")


def test_a_takes_folder_keeps_its_name_once_something_bears_it(shot: Any) -> None:
    takes = shot.path / "takes"
    bpy.ops.portraitgen.take_add(editor="grade")
    (takes / "grade" / "tried").mkdir(parents=True)
    shot.take.preview = "tried"
    bpy.ops.portraitgen.take_editor(editor="relight")
    # Tried alone, nothing bears it yet; and what was tried was another editor's.
    assert shot.take.folder_name == "relight" and not shot.take.preview
    assert (takes / "relight" / "tried").is_dir() and not (takes / "grade").exists()
    (takes / "relight" / "keys").mkdir()
    bpy.ops.portraitgen.take_editor(editor="toon")
    assert (shot.take.name, shot.take.folder_name) == ("Toon", "relight")
    # Names are told apart even where folders already are.
    bpy.ops.portraitgen.take_add(editor="toon")
    assert (shot.take.name, shot.take.folder_name) == ("Toon 2", "toon-2")
    bpy.ops.portraitgen.queue_add(kind="edit")
    bpy.ops.portraitgen.take_editor(editor="grade")
    queued = module("portraitgen_addon.queue_runner").record().jobs
    module("portraitgen_addon.queue_runner").queue().path.unlink()
    assert [each.take for each in queued] == ["toon-2"]
    assert (shot.take.name, shot.take.folder_name) == ("Grade", "toon-2")
