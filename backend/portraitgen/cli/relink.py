# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen relink SHOT`."""

import argparse
from pathlib import Path
from typing import Any

from .output import say


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    text = "find a shot's plate again after it was moved or renamed, by its digest"
    parser: argparse.ArgumentParser = commands.add_parser("relink", help=text)
    parser.add_argument("shot", type=Path, metavar="SHOT")
    parser.add_argument(
        "--to",
        type=Path,
        metavar="PLACE",
        help="the plate's file, or a folder to look in; by default near its old place and the shot",
    )
    return parser


def run(given: argparse.Namespace) -> None:
    """Finds it, and says where it lies."""
    from ..errors import FootageError
    from ..pipeline.requests.relink import relink
    from ..shot import Shot

    if given.to is not None and not given.to.exists():
        raise FootageError("there is no such file or folder", given.to, "give one that there is")
    say(str(relink(Shot.open(given.shot), given.to)))
