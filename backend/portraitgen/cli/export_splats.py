# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen export-splats SHOT FILE`."""

import argparse
from pathlib import Path
from typing import Any

from .output import print_facts


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "export-splats",
        help="write an avatar's or a take's Gaussian splats, a PLY or SPZ file a frame",
    )
    parser.add_argument("shot", type=Path, metavar="SHOT")
    parser.add_argument("file", type=Path, metavar="FILE", help=".ply or .spz")
    parser.add_argument("--frames", default="", help="as 1001-1010, the first by default")
    add_source(parser)
    return parser


def add_source(parser: argparse.ArgumentParser) -> None:
    """What both ways of splats have in common."""
    parser.add_argument("--take", default="", help="a take, the reconstruction by default")
    parser.add_argument("--version", type=int, help="of the avatar, the latest by default")
    parser.add_argument(
        "--world",
        type=Path,
        help="JSON that says where the camera stands in each frame; its own space by default",
    )


def run(given: argparse.Namespace) -> None:
    """Writes the files."""
    from ..pipeline.requests.splats import export_splats
    from ..shot import Shot

    shot = Shot.open(given.shot)
    print_facts(
        export_splats(
            shot, given.file, given.take, given.frames, given.version, given.world
        ).to_json()
    )
