# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen export-track SHOT FILE`."""

import argparse
from pathlib import Path
from typing import Any

from .output import print_facts


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "export-track", help="write a track as the parameters of SMPL-X"
    )
    parser.add_argument("shot", type=Path, metavar="SHOT")
    parser.add_argument("file", type=Path, metavar="FILE", help=".npz or .json")
    parser.add_argument("--version", type=int, help="of the track, the latest by default")
    return parser


def run(given: argparse.Namespace) -> None:
    """Writes the file."""
    from ..pipeline.requests.track_io import export_track
    from ..shot import Shot

    print_facts(export_track(Shot.open(given.shot), given.file, given.version))
