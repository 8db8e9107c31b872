# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No program runs because a shot names it."""

import sys
from pathlib import Path

import pytest

from portraitgen.editing.editors.anydoor import AnyDoorOptions
from portraitgen.editing.external_editor import PlugInProcess
from portraitgen.errors import ProgramNotAllowed
from portraitgen.settings import describe
from portraitgen.trust import Program, allow, config_folder, is_allowed, typed_by_user

WITNESS = "open('ran.txt', 'w').write('yes')\nprint('{\"type\": \"ready\", \"contract\": 1}')"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PORTRAITGEN_CONFIG", str(tmp_path / "configuration"))
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "program.py").write_text(WITNESS)
    return tmp_path / "checkout"


def start(folder: Path) -> None:
    process = PlugInProcess([sys.executable, "program.py"], folder, "anydoor")
    process.wait_ready(60, lambda: None)
    process.stop()


def test_a_program_that_was_not_allowed_does_not_run(checkout: Path) -> None:
    with pytest.raises(ProgramNotAllowed, match="you have not allowed it yet"):
        start(checkout)
    assert not (checkout / "ran.txt").exists()


def test_what_the_user_typed_runs_and_is_remembered(checkout: Path) -> None:
    typed = Program("", ("program.py",), checkout)
    with typed_by_user(typed):
        start(checkout)
    assert (checkout / "ran.txt").exists()
    start(checkout)
    assert (config_folder() / "programs.json").exists()


def test_another_program_than_the_typed_one_does_not_run(checkout: Path) -> None:
    for typed in (None, Program("", ("program.py",), checkout.parent)):
        with typed_by_user(typed), pytest.raises(ProgramNotAllowed):
            start(checkout)
    assert not (checkout / "ran.txt").exists()


def test_a_program_that_has_changed_or_lies_elsewhere_is_asked_for_again(checkout: Path) -> None:
    options = describe(AnyDoorOptions)
    values = {"checkout": str(checkout), "script": "program.py"}
    program = Program.of_options(options, values)
    assert program is not None and not is_allowed(program)
    allow(program)
    start(checkout)
    moved = checkout.rename(checkout.with_name("elsewhere"))
    with pytest.raises(ProgramNotAllowed):
        start(moved)
    moved.rename(checkout)
    (checkout / "program.py").write_text(WITNESS + "\n# changed")
    assert not is_allowed(program)
    with pytest.raises(ProgramNotAllowed):
        start(checkout)


def test_editors_without_programs_name_none() -> None:
    assert Program.of_options(describe(AnyDoorOptions), {"garment": "a.png"}) is None


def test_a_damaged_list_allows_nothing(checkout: Path) -> None:
    config_folder().mkdir()
    for text in ("", "[]", '{"allowed": 7}', '{"allowed": [{}, null]}'):
        (config_folder() / "programs.json").write_text(text)
        with pytest.raises(ProgramNotAllowed):
            start(checkout)


def test_a_program_in_a_shot_cannot_be_allowed(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(checkout, target_is_directory=True)
    (checkout / "shot.json").write_text("{}")
    for folder in (checkout, tmp_path / "link"):
        typed = Program("", ("program.py",), folder)
        with pytest.raises(ProgramNotAllowed, match="lies in a shot"):
            allow(typed)
        with typed_by_user(typed), pytest.raises(ProgramNotAllowed, match="move it out"):
            start(folder)
    assert not (checkout / "ran.txt").exists()
