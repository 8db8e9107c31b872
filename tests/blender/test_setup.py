# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set-up: the environment's parts, programs beside Blender, models and presets."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import pytest
from conftest import module, plate_strip


class Layout:
    """Takes what a panel draws, and refuses icons and properties that Blender has not."""

    _icons = bpy.types.UILayout.bl_rna.functions["operator"].parameters["icon"].enum_items

    def __init__(self) -> None:
        self.said: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name in ("row", "column", "box", "separator", "progress"):
            return lambda *words, **more: self._take(more)
        raise AttributeError(name)

    def _take(self, more: dict[str, Any]) -> "Layout":
        assert more.get("icon", "NONE") in self._icons, more
        self.said.append(str(more.get("text", "")))
        return self

    def panel(self, name: str, default_closed: bool = False) -> tuple["Layout", "Layout"]:
        return self, self

    def label(self, **more: Any) -> None:
        self._take(more)

    def prop(self, owner: Any, name: str, **more: Any) -> None:
        assert name in owner.bl_rna.properties, name
        self.said.append(name)

    def operator(self, name: str, **more: Any) -> Any:
        room, _, own = name.partition(".")
        assert getattr(getattr(bpy.ops, room), own).get_rna_type(), name
        self.said.append(name)
        return self._take(more)


def drawn(**chosen: str) -> str:
    """What the preferences show."""
    settings = module("portraitgen_addon.preferences").get()
    for name, value in chosen.items():
        setattr(settings, name, value)
    layout = Layout()
    module("ui.preferences").draw(layout, settings)
    return "\n".join(layout.said)


def test_the_preferences_show_where_packages_come_from() -> None:
    said = drawn(source="CREATED", packages_from="INDEX")
    for name in ("index_url", "pytorch_index_url", "proxy", "ca_file", "make_offline_bundle"):
        assert name in said
    said = drawn(source="CREATED", packages_from="FOLDER")
    assert "wheel_folder" in said and "index_url" not in said
    assert "wheel_folder" not in drawn(source="EXISTING")


def test_the_preferences_become_a_source_of_packages(tmp_path: Path) -> None:
    preferences = module("portraitgen_addon.preferences")
    settings = preferences.get()
    settings.packages_from, settings.index_url = "INDEX", " https://pypi.studio/simple "
    settings.proxy, settings.ca_file = "http://proxy:3128", str(tmp_path / "ca.pem")
    source = preferences.source()
    assert (source.index, source.proxy) == ("https://pypi.studio/simple", "http://proxy:3128")
    assert source.ca_file == str(tmp_path / "ca.pem") and not source.folder
    settings.packages_from, settings.wheel_folder = "FOLDER", str(tmp_path)
    assert preferences.source().folder == str(tmp_path) and not preferences.source().index
    settings.packages_from, settings.wheel_folder = "INDEX", ""
    settings.index_url = settings.proxy = settings.ca_file = ""


def test_an_environment_needs_leave_to_go_online_unless_its_packages_are_here(
    tmp_path: Path,
) -> None:
    settings = module("portraitgen_addon.preferences").get()
    settings.packages_from = "INDEX"
    assert not bpy.app.online_access and not bpy.ops.portraitgen.create_environment.poll()
    assert not bpy.ops.portraitgen.make_offline_bundle.poll()
    settings.packages_from, settings.wheel_folder = "FOLDER", str(tmp_path)
    settings.environment_folder = str(tmp_path)
    assert bpy.ops.portraitgen.create_environment.poll()
    # The folder holds no wheels: it is told, and nothing else is asked.
    assert bpy.ops.portraitgen.create_environment() == {"FINISHED"}
    setup = module("operators.environment").Setup
    setup.creation.thread.join(600)
    assert setup.creation.state == "failed" and "no wheels in it" in setup.creation.message
    assert "no wheels in it" in drawn(source="CREATED").replace("\n", " ")
    settings.packages_from, settings.wheel_folder = "INDEX", ""
    settings.environment_folder = ""
    setup.creation = None


def test_a_program_where_blender_was_started_is_none_of_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadline").write_text("#!/bin/sh\n")
    (tmp_path / "deadline").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    # As Windows does of itself.
    monkeypatch.setenv("PATH", ".")
    assert module("portraitgen_addon.farm").deadline() == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert module("portraitgen_addon.farm").deadline()


def test_a_program_that_fails_says_why_and_leaves_its_log(tmp_path: Path) -> None:
    program = _python(tmp_path, "print('50 %'); print('the disk is full'); raise SystemExit(3)")
    program.thread.join(600)
    assert program.state == "failed" and "the disk is full" in program.message
    assert program.share == 0.5
    assert "the disk is full" in (tmp_path / "log.txt").read_text()


def test_a_program_is_cancelled_at_once(tmp_path: Path) -> None:
    program = _python(tmp_path, "import time; print('begun', flush=True); time.sleep(3600)")
    end = time.monotonic() + 600
    while "begun" not in program.log and time.monotonic() < end:
        time.sleep(0.01)
    program.cancel()
    program.thread.join(600)
    assert program.state == "cancelled" and not program.message


def _python(folder: Path, code: str) -> Any:
    parent = module("portraitgen_addon.background_process").BackgroundProcess

    class Code(parent):  # type: ignore[misc, valid-type]
        def work(self) -> None:
            self.call([sys.executable, "-c", code])

    program = Code(folder / "log.txt")
    program.start()
    return program


def test_models_are_listed_and_fetched_only_online(until: Callable[..., None]) -> None:
    models = module("operators.models").Models
    bpy.ops.portraitgen.list_models()
    until(lambda: models.rows)
    row = next(each for each in models.rows if each.name == "stable-diffusion-v1-5")
    assert row.licence and row.approximate_gb > 1 and row.state == "missing"
    assert not bpy.app.online_access and not bpy.ops.portraitgen.fetch_model.poll()
    with pytest.raises(RuntimeError, match="offline"):
        bpy.ops.portraitgen.fetch_model(name=row.name)


def test_presets_carry_a_take_s_settings(until: Callable[..., None], tmp_path: Path) -> None:
    scene = bpy.context.scene
    plate_strip(scene)
    bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "shot"))
    until(lambda: len(scene.portraitgen.shots))
    until(lambda: module("portraitgen_addon.backend_properties").editors())
    bpy.ops.portraitgen.take_add(editor="grade")
    shot = scene.portraitgen.shots[0]
    shot.take.options_grade.exposure, shot.take.strength = 1.5, 0.5
    assert bpy.ops.portraitgen.preset_save(name="Bright / warm") == {"FINISHED"}
    assert module("operators.presets").names() == ["Bright _ warm"]
    bpy.ops.portraitgen.take_add(editor="relight")
    assert bpy.ops.portraitgen.preset_apply(name="Bright _ warm") == {"FINISHED"}
    take = scene.portraitgen.shots[0].take
    assert (take.editor, take.strength, take.options_grade.exposure) == ("grade", 0.5, 1.5)
    assert bpy.ops.portraitgen.preset_delete(name="Bright _ warm") == {"FINISHED"}
    assert not module("operators.presets").names()
