# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen warm`."""

import argparse
import os
from typing import Any


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    text = "compile what is compiled on first use, into the cache that workers may share"
    parser: argparse.ArgumentParser = commands.add_parser(
        "warm", help=text, description=text.capitalize() + "."
    )
    return parser


def run(given: argparse.Namespace) -> None:
    """Compiles the kernels and says where they lie."""
    from ..pipeline.data.avatars import best_device
    from ..raster.warm import compile_kernels

    compile_kernels(best_device())
    print(f"compiled for {best_device()} into {os.environ['NUMBA_CACHE_DIR']}")
