# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen keep SHOT`."""

import argparse
from pathlib import Path
from typing import Any

from .author import add_author
from .output import say


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "keep", help="keep a key frame of a take, to repaint it"
    )
    parser.add_argument("shot", type=Path, metavar="SHOT")
    parser.add_argument("--take", required=True, help="the take that it belongs to")
    parser.add_argument("--frame", type=int, required=True)
    add_author(parser)
    return parser


def run(given: argparse.Namespace) -> None:
    """Keeps the picture and says what it is for."""
    from ..pipeline.data.key_frames import keep_key
    from ..shot import Shot

    shot = Shot.open(given.shot)
    kept = keep_key(shot, given.take, given.frame, author=given.author)
    say(f"{kept.path} takes the place of what the editor makes of this frame")
    print("Repaint it if you like, and edit the take again; delete it to let it go")
