# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set-up: the environment's parts, programs beside Blender, models and presets."""

import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import pytest
from conftest import module, plate_strip

_INDEX = """
<a href="https://files.example/uv-0.9.6-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl
#sha256=aa">old</a>
<a href="https://files.example/uv-0.9.7-py3-none-win_amd64.whl#sha256=bb">windows</a>
<a href="../../uv-0.9.7-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl#sha256=cc">l</a>
"""


def test_the_wheel_of_uv_for_this_machine_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = module("portraitgen_addon.environment")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    url, digest = environment._uv_wheel(_INDEX)
    assert url.startswith("https://pypi.org/") and url.endswith("2014_x86_64.whl")
    assert digest == "cc"
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(Exception, match="no build for Linux riscv64"):
        environment._uv_wheel(_INDEX)


def test_a_download_that_is_not_what_the_index_says_is_refused(tmp_path: Path) -> None:
    environment = module("portraitgen_addon.environment")
    creation = environment.Creation(tmp_path / "environment", tmp_path / "none.whl")
    file = tmp_path / "uv.whl"
    file.write_bytes(b"not uv")
    with pytest.raises(Exception, match="not what the index says"):
        creation._download(file.as_uri(), "0" * 64)


def test_a_program_that_fails_says_why_and_leaves_its_log(tmp_path: Path) -> None:
    program = _python(tmp_path, "print('50 %'); print('the disk is full'); raise SystemExit(3)")
    program.thread.join(60)
    assert program.state == "failed" and "the disk is full" in program.message
    assert program.share == 0.5
    assert "the disk is full" in (tmp_path / "log.txt").read_text()


def test_a_program_is_cancelled_at_once(tmp_path: Path) -> None:
    program = _python(tmp_path, "import time; print('begun', flush=True); time.sleep(60)")
    end = time.monotonic() + 60
    while "begun" not in program.log and time.monotonic() < end:
        time.sleep(0.01)
    program.cancel()
    program.thread.join(60)
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
    row = next(each for each in models.rows if each["name"] == "stable-diffusion-v1-5")
    assert row["licence"] and row["approximate_gb"] > 1 and row["state"] == "missing"
    assert not bpy.app.online_access and not bpy.ops.portraitgen.fetch_model.poll()
    with pytest.raises(RuntimeError, match="offline"):
        bpy.ops.portraitgen.fetch_model(name=row["name"])


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
