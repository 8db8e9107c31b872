# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen probe PLATE`."""

import argparse
from pathlib import Path
from typing import Any

from .output import print_facts, print_json, say
from .plate_options import add_plate_options, plate_facts


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    text = "say how a plate would be read, and write frames of it as they are seen"
    parser: argparse.ArgumentParser = commands.add_parser("probe", help=text)
    parser.add_argument("plate", type=Path, metavar="PLATE", help="a movie, sequence or photo")
    parser.add_argument("--frames", default="", help="which to write: 1-3, or 1,5,9")
    parser.add_argument("--out", type=Path, help="the folder for probe.####.png and .exr")
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_plate_options(parser)
    return parser


def run(given: argparse.Namespace) -> None:
    """Probes it."""
    from ..pipeline.requests.probe import probe

    facts = probe(given.plate, plate_facts(given), given.frames, given.out)
    if given.json:
        print_json(facts)
        return
    notes = facts.pop("notes")
    print_facts(facts)
    for note in notes:
        say(f"note: {note}")
