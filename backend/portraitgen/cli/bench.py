# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen bench`, in a checkout of the repository."""

import argparse
from pathlib import Path
from typing import Any

from ..errors import OptionError


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "bench", help="measure the figures of docs/figures.md"
    )
    parser.add_argument("what", nargs="*", help="what to measure, everything by default")
    parser.add_argument("--footage", type=Path, help="a folder of clips to measure on")
    parser.add_argument("--out", type=Path, default=Path("bench"), help="where pictures go")
    return parser


def run(given: argparse.Namespace) -> None:
    """Measures.

    Raises:
        OptionError: if the benchmarks are not there.
    """
    try:
        from benchmarks import run_bench
    except ModuleNotFoundError:
        raise OptionError(
            "the benchmarks are not part of what is installed",
            "bench",
            "run it from a checkout of the repository",
        ) from None
    run_bench(given.what, given.footage, given.out)
