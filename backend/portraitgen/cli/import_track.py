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
    parser.add_argument(
        "file", type=Path, metavar="FILE", help=".npz, .json, .csv, or a folder with a file a frame"
    )
    parser.add_argument(
        "--smplx-model", type=Path, metavar="NPZ", help="your SMPL-X file, which its numbers are of"
    )
    parser.add_argument("--fps", type=float, help="rate of the file, if it does not say")
    parser.add_argument("--first", type=int, help="the plate's frame of its first row")
    parser.add_argument("--focal", type=float, help="its focal length in pixels of the plate")
    parser.add_argument(
        "--hands", choices=("flat", "mean"), help="what its hands count from, if it does not say"
    )
    parser.add_argument(
        "--head",
        choices=("keep", "file"),
        default="keep",
        help="whether the head of a face capture stays as tracked or turns as in the file",
    )
    return parser


def run(given: argparse.Namespace) -> None:
    """Publishes the track."""
    from ..pipeline.requests.track_import import ImportOptions, import_track
    from ..shot import Shot

    options = ImportOptions(
        given.smplx_model, given.fps, given.first, given.focal, given.hands, given.head
    )
    print_facts(import_track(Shot.open(given.shot), given.file, options).to_json())
