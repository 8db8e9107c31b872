# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen selftest`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from ..errors import PortraitError
from ..user_folders import user_path
from .output import print_json, say


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    text = "try drawing, training and every installed editor on this machine, in three minutes"
    parser: argparse.ArgumentParser = commands.add_parser(
        "selftest", help=text, description=text.capitalize() + "."
    )
    parser.add_argument("--out", type=Path, help="where the report and the pictures go")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def run(given: argparse.Namespace) -> None:
    """A line a part, and where the report lies.

    Raises:
        PortraitError: if a part failed.
    """
    from ..pipeline.requests.selftest import SelfTest, line, parts_of, report_folder

    test = SelfTest(
        user_path(given.out or report_folder()).absolute(),
        lambda name: print(f"{name} ...", file=sys.stderr),
    )
    rows = test.run()
    text, data = test.report()
    if given.json:
        print_json([row.to_json() for row in rows])
    else:
        for row in rows:
            say(line(row))
        say(f"{', '.join(parts_of(rows))}; the report lies in {text} and {data}")
    failed = [row.name for row in rows if row.state == "failed"]
    if failed:
        raise PortraitError(
            f"{len(failed)} parts failed", ", ".join(failed), f"send {text} with your report"
        )
