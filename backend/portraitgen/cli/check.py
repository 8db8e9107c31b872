# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen check`."""

import argparse
from typing import Any

from .output import print_json, say


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "check", help="check this machine's set-up"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def run(given: argparse.Namespace) -> None:
    """A line a part of the set-up."""
    from ..pipeline.requests.diagnostics import check_setup

    rows = check_setup()
    if given.json:
        print_json([row.to_json() for row in rows])
        return
    for row in rows:
        remedy = f" ({row.remedy})" if row.remedy else ""
        say(f"{row.state:>8}  {row.name}: {row.message}{remedy}")
