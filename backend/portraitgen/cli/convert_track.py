# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen convert-track FILE TARGET`."""

import argparse
from pathlib import Path
from typing import Any

from .output import print_facts


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "convert-track", help="make an .npz of a pickled track, in a process without rights"
    )
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help=".pkl, .pt, .pth, .npy or .npz; or a folder of them, a file a frame",
    )
    parser.add_argument("target", type=Path, metavar="TARGET", help=".npz")
    return parser


def run(given: argparse.Namespace) -> None:
    """Writes the file."""
    from ..interchange.convert import convert_track

    print_facts(convert_track(given.file, given.target))
