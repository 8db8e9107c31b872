# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen edit SHOT`."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from ..trust import typed_by_user
from .job_command import add_job, asked_options, pairs, run_job, typed_program


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser = add_job(commands, "edit", "edit the performer into a take", chosen)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the editor; may be repeated",
    )
    parser.add_argument("--models", type=Path, help="the folder where weights lie")
    return parser


def run(given: argparse.Namespace) -> None:
    """Edits a take."""
    if given.models:
        os.environ["PORTRAITGEN_MODELS"] = str(given.models)
    values = {}
    asked = asked_options("edit", given)
    if given.set:
        from ..farm.path_words import rooted_options
        from ..pipeline.jobs.edit import EditOptions, editor_values
        from ..settings import parse

        chosen = parse(EditOptions, asked)
        # Above what was given as one object.
        typed = dict(editor_values(chosen.editor_options))
        typed |= rooted_options(chosen.editor, pairs(given.set))
        values["editor_options"] = json.dumps(typed, sort_keys=True)
    program = typed_program(asked | values)
    with typed_by_user(program):
        run_job("edit", given, **values)
