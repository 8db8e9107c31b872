# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen split PLATE FOLDER`."""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from .output import say
from .plate_options import add_plate_options, plate_facts


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    text = "make a shot of each part between a plate's cuts that shows a face"
    parser: argparse.ArgumentParser = commands.add_parser("split", help=text)
    parser.add_argument("plate", type=Path, metavar="PLATE", help="a movie or sequence")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the shots go")
    add_plate_options(parser)
    return parser


def run(given: argparse.Namespace) -> None:
    """Splits it, and says how each part is tracked."""
    from ..pipeline.requests.split import split_at_cuts

    made = split_at_cuts(given.plate, given.folder, plate_facts(given))
    for part, shot in made:
        frames = f"{part[0]}-{part[-1]}"
        if shot is None:
            print(f"frames {frames} show no face; no shot is made of them", file=sys.stderr)
        else:
            say(f"portraitgen track {_word(shot.path)} --frames={frames}")


def _word(path: Path) -> str:
    """A path as one word of this system's command line."""
    return (
        subprocess.list2cmdline([str(path)]) if sys.platform == "win32" else shlex.quote(str(path))
    )
