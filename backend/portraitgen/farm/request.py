# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A farm's job of what Blender asks for: the settings of takes as words of the command line."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..editing.registry import editor_class
from ..errors import OptionError
from ..messages.farm import BundleWritten, WriteBundle
from ..pipeline.jobs.edit import program_of
from ..pipeline.registry import options_of
from ..schema import Values
from ..settings import parse
from ..trust import is_allowed, not_allowed
from .bundle import FarmSettings, write_bundle
from .flamenco import write_flamenco
from .plan import plan_shot

# The command line of a stage names them itself.
_NAMED = ("take", "frames", "movie")
# What commands take besides the options of their jobs.
_OF_COMMANDS = ("models", "wait")


def bundle_for(call: WriteBundle) -> BundleWritten:
    """Writes the files.

    Raises:
        OptionError: if nothing is to be done, or an option cannot be meant; ShotError: if a shot
        lacks what comes before its first stage; ProgramNotAllowed: if its settings name a program
        that this user has not allowed.
    """
    for shot in call.shots:
        _check_program(shot.options.get("edit", {}))
    plans = []
    for shot in call.shots:
        words = {stage: words_of(stage, options) for stage, options in shot.options.items()}
        frames = str(shot.options.get("render", {}).get("frames") or "")
        plan = plan_shot(Path(shot.folder), call.take, frames, (), words)
        if call.quality:
            plan = replace(plan, stages=(*plan.stages, "qc"))
        plans.append(plan)
    farm = FarmSettings(call.chunk, call.gpus, command=call.command)
    write = write_flamenco if call.flamenco else write_bundle
    files = write(Path(call.out), f"PortraitGen {call.take}", call.take, plans, farm)
    return BundleWritten(tuple(str(file) for file in files), tuple(plan.stages for plan in plans))


def _check_program(edit: Values) -> None:
    """A worker takes the words of its command line for typed by its user."""
    program = None
    if editor := str(edit.get("editor") or ""):
        program = program_of(editor, str(edit.get("editor_options") or "{}"))
    if program is not None and not is_allowed(program):
        raise not_allowed(program)


def check_typed(stage: str, options: Mapping[str, str]) -> None:
    """Whether a stage's command line takes options that were typed, before any worker tries.

    Raises:
        OptionError: if it does not.
    """
    given = {name.replace("-", "_"): value for name, value in options.items()}
    for name in _NAMED:
        if name in given:
            raise OptionError("the job says this itself", name, "leave it out")
    own = {name: value for name, value in given.items() if name not in _OF_COMMANDS}
    parse(options_of(stage), own)


def check_editor(editor: str, options: Mapping[str, object]) -> None:
    """Whether there is such an editor with such options; without a name there is nothing to ask.

    Raises:
        EditError: if there is no such editor; OptionError: if it does not take an option.
    """
    if editor:
        parse(editor_class(editor).Options, options)


def words_of(stage: str, options: Values) -> tuple[str, ...]:
    """Options as words of a stage's command line.

    Raises:
        OptionError: if one is unknown or cannot be meant.
    """
    parse(options_of(stage), options)
    words: list[str] = []
    for name, value in options.items():
        flag = name.replace("_", "-")
        if name in _NAMED or value is None or value == "":
            continue
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif name == "editor":
            words += ["--editor", str(value)]
        else:
            # One word, since a value may begin with a minus.
            words.append(f"--{flag}={value}")
    return tuple(words)
