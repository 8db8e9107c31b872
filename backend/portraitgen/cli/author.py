# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who does what a command takes over from somebody's hands, for the record of the pictures."""

import argparse
import os


def add_author(parser: argparse.ArgumentParser) -> None:
    """The option `--author`."""
    parser.add_argument(
        "--author",
        metavar="NAME",
        default=os.environ.get("PORTRAITGEN_AUTHOR", ""),
        help="whose handiwork it is, for the record that pictures carry; nobody is named by"
        " default (or set PORTRAITGEN_AUTHOR)",
    )
