# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen try SHOT`."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from ..trust import typed_by_user
from .job_command import (
    add_options,
    add_paths,
    asked_options,
    map_paths,
    pairs,
    typed_program,
)
from .output import say


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser: the edit's options, and a frame."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "try", help="edit one frame, to look at in seconds"
    )
    parser.add_argument("shot", type=Path, metavar="SHOT")
    parser.add_argument("--frame", type=int, required=True)
    add_paths(parser, "edit")
    if chosen:
        add_options(parser, "edit")
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
    """Edits the frame and says where it lies."""
    if given.models:
        os.environ["PORTRAITGEN_MODELS"] = str(given.models)
    from ..pipeline.jobs.edit import EditOptions
    from ..pipeline.requests.preview import preview_frame
    from ..settings import parse
    from ..shot import Shot

    map_paths("edit", given)
    asked = asked_options("edit", given)
    if given.set:
        asked["editor_options"] = json.dumps(pairs(given.set), sort_keys=True)
    with typed_by_user(typed_program(asked)):
        options = parse(EditOptions, asked)
        tried = preview_frame(Shot.open(given.shot), given.frame, options)
    say(f"{tried.path} shows frame {given.frame} with the edit, {tried.plate} without")
