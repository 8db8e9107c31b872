# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen worker`: serves Blender on stdin and stdout."""

import argparse
from typing import Any


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "worker", help="serve Blender on stdin and stdout"
    )
    return parser


def run(given: argparse.Namespace) -> None:
    """Serves until stdin closes."""
    from ..worker import main as serve

    serve()
