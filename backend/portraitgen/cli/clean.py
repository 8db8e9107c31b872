# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen clean SHOT`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from ..clean_up import leftovers, remove
from ..plain_text import as_size
from ..shot import Shot


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "clean", help="show what a shot keeps without need, and remove it"
    )
    parser.add_argument("shot", type=Path, metavar="SHOT")
    parser.add_argument(
        "--only",
        action="append",
        choices=("trash", "work", "halves", "previews"),
        help="remove this alone; may be repeated",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def run(given: argparse.Namespace) -> None:
    """Shows it with its size, asks, and removes it."""
    found = leftovers(Shot.open(given.shot))
    chosen = [each for each in found if not given.only or each.name in given.only]
    for each in chosen:
        print(f"{each.name:>9}  {each}")
    if not chosen:
        print("There is nothing to remove.")
        return
    if not given.yes:
        if not sys.stdin.isatty():
            print("Nothing was removed; say --yes to remove it.")
            return
        if input("Remove all of this? [y/N] ").strip().lower() not in ("y", "yes"):
            print("Nothing was removed.")
            return
    print(f"{as_size(remove(chosen))} are free again.")
