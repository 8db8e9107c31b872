# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen report SHOT`."""

import argparse
from pathlib import Path
from typing import Any

from .output import print_facts


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "report", help="draw how good a track is, with its worst frames"
    )
    parser.add_argument("shot", type=Path, metavar="SHOT")
    parser.add_argument("--version", type=int, help="of the track, the latest by default")
    return parser


def run(given: argparse.Namespace) -> None:
    """Draws the report and says where it lies."""
    from ..pipeline.requests.report import report
    from ..shot import Shot

    print_facts(report(Shot.open(given.shot), given.version).to_json())
