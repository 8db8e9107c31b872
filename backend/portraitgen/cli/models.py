# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen models list | check | fetch NAME`."""

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "models", help="list, check or fetch the weights of editors"
    )
    parser.add_argument("action", choices=("list", "check", "fetch"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="all that are here, by default")
    parser.add_argument("--models", type=Path, help="the models folder")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def run(given: argparse.Namespace) -> None:
    """Lists, checks or fetches."""
    from ..models.command import run_models

    run_models(given.action, given.names, given.models, given.json)
