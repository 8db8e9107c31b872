# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen info SHOT`."""

import argparse
from pathlib import Path
from typing import Any

from .output import print_facts, print_json


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser: argparse.ArgumentParser = commands.add_parser("info", help="tell all about a shot")
    parser.add_argument("shot", type=Path, metavar="SHOT")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def run(given: argparse.Namespace) -> None:
    """Tells it."""
    from ..pipeline.data.shots import info
    from ..shot import Shot

    facts = info(Shot.open(given.shot)).to_json()
    if given.json:
        print_json(facts)
    else:
        print_facts(facts)
