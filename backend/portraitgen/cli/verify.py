# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen verify FILE ...`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from ..errors import PortraitError
from ..failures import readable
from ..plain_text import printable


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    text = "say what the Content Credentials of files tell, and whether they hold"
    parser: argparse.ArgumentParser = commands.add_parser(
        "verify", help=text, description=text[0].upper() + text[1:] + "."
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--roots", type=Path, help="root certificates that you trust, PEM")
    return parser


def run(given: argparse.Namespace) -> None:
    """Prints a sentence a file; ends with 1 if one has no credential that holds, or a source whose
    own did not hold, or is no file."""
    from ..provenance.credentials import verify

    good = {"trusted"} if given.roots else {"trusted", "untrusted"}
    bad = 0
    for path in given.files:
        try:
            verdict = verify(path, given.roots)
        except (PortraitError, OSError) as error:
            bad += 1
            print(printable(f"error: {readable(error)}"), file=sys.stderr)
            continue
        bad += verdict.state not in good or not verdict.sources_hold
        print(printable(f"{verdict.state}: {verdict.sentence}"))
    if bad:
        sys.exit(1)
