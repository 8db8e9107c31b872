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
        "export-track", help="write a track for other programs"
    )
    parser.add_argument("shot", type=Path, metavar="SHOT")
    parser.add_argument("file", type=Path, metavar="FILE", help=".npz, .json, .csv (ARKit) or .bvh")
    parser.add_argument("--version", type=int, help="of the track, the latest by default")
    parser.add_argument(
        "--smplx-model",
        type=Path,
        metavar="NPZ",
        help="your SMPL-X file: a track of the open body is written as SMPL-X's",
    )
    parser.add_argument(
        "--hands",
        choices=("flat", "mean"),
        default="flat",
        help="what hands count from; SMPL-X's own code takes its mean hands unless told otherwise",
    )
    return parser


def run(given: argparse.Namespace) -> None:
    """Writes the file."""
    from ..pipeline.requests.track_export import ExportOptions, export_track
    from ..shot import Shot

    options = ExportOptions(given.version, given.smplx_model, given.hands)
    print_facts(export_track(Shot.open(given.shot), given.file, options).to_json())
