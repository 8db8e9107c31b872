# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen paint SHOT`."""

import argparse
from pathlib import Path
from typing import Any

from .author import add_author
from .output import say


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "paint", help="give a frame out to be painted over"
    )
    parser.add_argument("shot", type=Path, metavar="SHOT")
    parser.add_argument("--take", required=True, help="the take that the paint is for")
    parser.add_argument("--frame", type=int, required=True)
    parser.add_argument(
        "--mask", action="store_true", help="paint where the take's editor may work"
    )
    add_author(parser)
    return parser


def run(given: argparse.Namespace) -> None:
    """Writes the picture and says what to do with it."""
    from ..pipeline.requests.paint import start_painting
    from ..shot import Shot

    shot = Shot.open(given.shot)
    made = start_painting(shot, given.take, given.frame, given.mask, author=given.author)
    then = "edit the take: it changes there only" if given.mask else "use --editor paint"
    say(f"Paint over {made.path}, save it, and {then}")
