# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A farm's job of what Blender asks for: the settings of takes as words of the command line."""

from pathlib import Path

from ..errors import OptionError
from ..messages import BundleWritten, WriteBundle
from ..pipeline.registry import options_of
from ..schema import Values
from ..settings import parse
from .bundle import FarmSettings, write_bundle
from .flamenco import write_flamenco
from .plan import plan_shot

# The command line of a stage names them itself.
_NAMED = ("take", "frames", "movie")


def bundle_for(call: WriteBundle) -> BundleWritten:
    """Writes the files.

    Raises:
        OptionError: if nothing is to be done, or an option cannot be meant; ShotError: if a shot
        lacks what comes before its first stage.
    """
    if call.chunk < 1:
        raise OptionError("a task renders one frame at least", "chunk", "give 1 or more")
    plans = []
    for shot in call.shots:
        words = {stage: words_of(stage, options) for stage, options in shot.options.items()}
        frames = str(shot.options.get("render", {}).get("frames") or "")
        plans.append(plan_shot(Path(shot.folder), call.take, frames, (), words))
    farm = FarmSettings(call.chunk, call.gpus, command=call.command)
    write = write_flamenco if call.flamenco else write_bundle
    files = write(Path(call.out), f"PortraitGen {call.take}", call.take, plans, farm)
    return BundleWritten(tuple(str(file) for file in files), tuple(plan.stages for plan in plans))


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
