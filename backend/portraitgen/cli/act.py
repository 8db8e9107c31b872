# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen act SHOT`."""

import argparse
import json
from typing import Any

from .author import add_author
from .job_command import add_job, pairs, run_job


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser = add_job(commands, "act", "let the performer act otherwise in a take", chosen)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what to act, as gaze=10,0 or jawOpen=0.4; may be repeated",
    )
    add_author(parser)
    return parser


def run(given: argparse.Namespace) -> None:
    """Writes a take's acting."""
    values = {}
    if given.set:
        values["settings"] = json.dumps(pairs(given.set))
    run_job("act", given, **values)
