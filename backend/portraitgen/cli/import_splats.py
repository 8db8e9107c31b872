# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen import-splats SHOT FILE`."""

import argparse
from pathlib import Path
from typing import Any

from .author import add_author
from .export_splats import add_source
from .output import print_facts


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "import-splats", help="take retouched splats of one frame back; all frames follow"
    )
    parser.add_argument("shot", type=Path, metavar="SHOT")
    parser.add_argument("file", type=Path, metavar="FILE", help=".ply or .spz")
    parser.add_argument("--frame", type=int, help="which frame it is of, the first by default")
    add_source(parser)
    add_author(parser)
    return parser


def run(given: argparse.Namespace) -> None:
    """Makes the new version."""
    from ..pipeline.requests.retouched_splats import import_splats
    from ..shot import Shot

    shot = Shot.open(given.shot)
    made = import_splats(
        shot,
        given.file,
        given.frame,
        given.take,
        given.version,
        given.world,
        author=given.author,
    )
    print_facts(made.to_json())
