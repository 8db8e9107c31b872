# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen keep SHOT`."""

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "keep", help="keep a key frame of a take, to repaint it"
    )
    parser.add_argument("shot", type=Path, metavar="SHOT")
    parser.add_argument("--take", required=True, help="the take that it belongs to")
    parser.add_argument("--frame", type=int, required=True)
    return parser


def run(given: argparse.Namespace) -> None:
    """Keeps the picture and says what it is for."""
    from ..pipeline.data.key_frames import keep_key
    from ..shot import Shot

    kept = keep_key(Shot.open(given.shot), given.take, given.frame)
    print(f"{kept.path} takes the place of what the editor makes of this frame")
    print("Repaint it if you like, and edit the take again; delete it to let it go")
