# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen import-track SHOT FILE`."""

import argparse
from pathlib import Path
from typing import Any

from .output import print_facts


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "import-track", help="take in a track of another program as a new version"
    )
    parser.add_argument("shot", type=Path, metavar="SHOT")
    parser.add_argument("file", type=Path, metavar="FILE", help=".npz or .json")
    return parser


def run(given: argparse.Namespace) -> None:
    """Publishes the track."""
    from ..pipeline.requests.track_io import import_track
    from ..shot import Shot

    print_facts(import_track(Shot.open(given.shot), given.file).to_json())
