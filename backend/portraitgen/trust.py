# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which programs this user has allowed to be run. Standard library only.

A shot folder, a preset or a .blend may come from a stranger, and names whatever it likes. So no
program is run for an editor unless this user has typed it on a command line, or was asked for it in
Blender and agreed. What was allowed is remembered in the user's own configuration, outside of every
shot: program, arguments, folder, and a digest of their files. A program that has changed, or that
lies elsewhere, is asked for again. One that lies in a shot is never run: what it loads beside
itself would change with the shot.
"""

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ProgramNotAllowed, ShotError
from .schema import Record
from .settings import OptionDescription
from .storage import shot_root
from .user_folders import home_folder, user_path

_typed: "Program | None" = None


@dataclass(frozen=True)
class Program:
    """A program that an editor would run.

    Attributes:
        program: its path; empty for the Python that runs the backend.
        arguments: what it is given, scripts among them.
        folder: where it runs.
    """

    program: str
    arguments: tuple[str, ...]
    folder: Path

    @classmethod
    def of_command(cls, command: Sequence[str], folder: Path) -> "Program":
        """What a command would run."""
        first = "" if command[0] == sys.executable else command[0]
        return cls(first, tuple(command[1:]), Path(folder))

    @classmethod
    def of_options(
        cls, options: Sequence[OptionDescription], values: Mapping[str, Any]
    ) -> "Program | None":
        """What an editor would run with these options, None if it runs nothing.

        Args:
            options: the editor's, as `settings.describe` gives them.
            values: their values by name.
        """

        def told(runs: str) -> str:
            named = (each for each in options if each.runs == runs)
            return next((str(values.get(each.name) or each.default or "") for each in named), "")

        folder, script = told("folder"), told("script")
        if not folder:
            return None
        place = user_path(folder).absolute()
        return cls(told("program"), (script,) if script else (), place)

    def __str__(self) -> str:
        words = [self.program or "Python", *self.arguments]
        return f"{' '.join(words)} in {self.folder}"

    def identity(self) -> dict[str, object]:
        """What is remembered of it."""
        folder = Path(os.path.abspath(self.folder))
        whole = hashlib.sha256()
        for word in (self.program, *self.arguments):
            file = folder / word if word else Path()
            whole.update(f"{word}\0".encode("utf-8", "surrogateescape"))
            if word and file.is_file():
                whole.update(hashlib.sha256(file.read_bytes()).digest())
        return {
            "program": self.program,
            "arguments": list(self.arguments),
            "folder": str(folder),
            "sha256": whole.hexdigest(),
        }


def config_folder() -> Path:
    """Where this user's configuration lies: PORTRAITGEN_CONFIG, or what the system gives."""
    if given := os.environ.get("PORTRAITGEN_CONFIG"):
        return Path(given)
    home = home_folder()
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or home / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    return base / "portraitgen"


def _file() -> Path:
    return config_folder() / "programs.json"


@dataclass(frozen=True, kw_only=True)
class _Allowed(Record):
    """programs.json: what `Program.identity` gives of each."""

    allowed: tuple[object, ...] = ()


def _known() -> tuple[object, ...]:
    try:
        return _Allowed.read(_file()).allowed
    except ShotError:
        return ()


def _lies_in_shot(program: Program) -> bool:
    folders = (program.folder, Path(os.path.realpath(program.folder)))
    return any(shot_root(folder / "program") is not None for folder in folders)


def is_allowed(program: Program) -> bool:
    """Whether this user has allowed the program, as it is now."""
    return not _lies_in_shot(program) and program.identity() in _known()


def allow(program: Program) -> None:
    """Remembers that this user allows the program, as it is now.

    Raises:
        ProgramNotAllowed: if it lies in a shot.
    """
    if _lies_in_shot(program):
        raise not_allowed(program)
    identity = program.identity()
    others = [each for each in _known() if each != identity]
    _Allowed(allowed=(*others, identity)).write(_file())


@contextmanager
def typed_by_user(program: Program | None) -> Iterator[None]:
    """The program that the user's own typing names may run meanwhile, and is remembered then.

    Others, that a shot names, may not.
    """
    global _typed
    before, _typed = _typed, program
    try:
        yield
    finally:
        _typed = before


def not_allowed(program: Program) -> ProgramNotAllowed:
    """What is told of a program that this user has not allowed, or that nobody can."""
    if _lies_in_shot(program):
        return ProgramNotAllowed(
            "this program lies in a shot folder, and what comes with a shot is not run",
            str(program),
            "if it is yours, move it out of the shot",
        )
    return ProgramNotAllowed(
        "this program is named by the shot's settings, and you have not allowed it yet",
        str(program),
        "press Edit Shot and allow it there, or name it on a command line of yours",
    )


def check_program(command: Sequence[str], folder: Path) -> None:
    """Called before any program is run for an editor.

    Raises:
        ProgramNotAllowed: if this user has not allowed it.
    """
    program = Program.of_command(command, folder)
    alike = (program, Program(command[0], program.arguments, program.folder))
    if any(is_allowed(each) for each in alike):
        return
    if _typed is None or _typed.identity() not in [each.identity() for each in alike]:
        raise not_allowed(program)
    allow(program)
