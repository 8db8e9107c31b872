# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen bundle SHOT ... --take T --out DIR`."""

import argparse
from pathlib import Path
from typing import Any

from .output import say

STAGES = ("track", "reconstruct", "edit", "render", "movie", "qc")


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    text = "write a job for a render farm: Open Job Description, or Flamenco 3"
    parser: argparse.ArgumentParser = commands.add_parser(
        "bundle", help=text, description=text.capitalize() + "."
    )
    parser.add_argument("shots", type=Path, nargs="+", metavar="SHOT", help="the shot folders")
    parser.add_argument("--take", required=True, help="the take to render, of every shot")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the job's files")
    parser.add_argument("--name", default="", help="the job's name; the take's by default")
    parser.add_argument("--flamenco", action="store_true", help="for Flamenco 3")
    parser.add_argument("--frames", default="", help="frames as 1001-1250 or 1-9x2")
    parser.add_argument(
        "--stages", default="", help=f"of {','.join(STAGES)}; what is missing by default"
    )
    parser.add_argument("--editor", default="", help="the take's editor, if it is to be edited")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="an option of the editor"
    )
    for stage in ("track", "reconstruct", "edit", "render", "qc"):
        parser.add_argument(
            f"--{stage}-option",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help=f"an option of {stage}, as {stage} --help lists them",
        )
    parser.add_argument("--chunk", type=int, default=16, help="frames of one task (default 16)")
    parser.add_argument("--gpus", type=int, default=0, help="cards that a worker must have")
    parser.add_argument("--command", dest="program", default="portraitgen", help="on the workers")
    parser.add_argument("--models", default="", help="the workers' folder of weights")
    return parser


def run(given: argparse.Namespace) -> None:
    """Writes the job's files and says how it is sent."""
    from ..errors import OptionError
    from ..farm.bundle import FarmSettings, write_bundle
    from ..farm.flamenco import write_flamenco
    from ..farm.plan import plan_shot
    from ..farm.request import check_editor, check_typed
    from .job_command import pairs

    stages = [word.strip() for word in given.stages.split(",") if word.strip()]
    for stage in stages:
        if stage not in STAGES:
            raise OptionError(f"there is no stage '{stage}'", "--stages", f"use {','.join(STAGES)}")
    asked = {
        "track": pairs(given.track_option, "--track-option"),
        "reconstruct": pairs(given.reconstruct_option, "--reconstruct-option"),
        "edit": pairs(given.edit_option, "--edit-option"),
        "render": pairs(given.render_option, "--render-option"),
        "qc": pairs(given.qc_option, "--qc-option"),
    }
    for stage, options in asked.items():
        check_typed(stage, options)
    check_editor(given.editor, pairs(given.set))
    words = {
        "track": _words(given.track_option),
        "reconstruct": _words(given.reconstruct_option),
        "edit": (["--editor", given.editor] if given.editor else [])
        + [word for pair in given.set for word in ("--set", pair)]
        + _words(given.edit_option),
        "render": _words(given.render_option),
        "qc": _words(given.qc_option),
    }
    plans = [plan_shot(shot, given.take, given.frames, stages, words) for shot in given.shots]
    farm = FarmSettings(given.chunk, given.gpus, command=given.program, models=given.models)
    name = given.name or f"PortraitGen {given.take}"
    write = write_flamenco if given.flamenco else write_bundle
    for file in write(given.out, name, given.take, plans, farm):
        say(str(file))
    for plan in plans:
        say(f"{plan.folder.name}: {', '.join(plan.stages)}, {len(plan.frames)} frames")
        unused = [stage for stage, given_to in words.items() if given_to]
        if unused := [stage for stage in unused if stage not in plan.stages]:
            say(f"{plan.folder.name}: what was asked of {', '.join(unused)} is not used here")


def _words(pairs: list[str]) -> list[str]:
    """NAME=VALUE as the command line takes it; NAME=true and NAME=false are switches."""
    from ..errors import OptionError

    words = []
    for pair in pairs:
        name, equals, value = pair.partition("=")
        flag = name.replace("_", "-")
        if not equals or not flag:
            raise OptionError(f"'{pair}' is no option", place="", remedy="write it as name=value")
        if value in ("true", "false"):
            words.append(f"--{flag}" if value == "true" else f"--no-{flag}")
        else:
            # One word, since a value may be empty, or begin with a minus.
            words.append(f"--{flag}={value}")
    return words
