# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen apply SHOT --take TAKE OTHER...`."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from ..job_results import ApplyResult
from .job_command import add_job, run_job


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser = add_job(
        commands, "apply", "copy a take of a shot to other shots and edit it there", False
    )
    parser.add_argument("others", nargs="+", type=Path, metavar="OTHER", help="the other shots")
    parser.add_argument("--take", required=True, help="the take to copy")
    parser.add_argument("--models", type=Path, help="the folder where weights lie")
    return parser


def run(given: argparse.Namespace) -> None:
    """Copies and edits; ends with 1 if a shot failed."""
    if given.models:
        os.environ["PORTRAITGEN_MODELS"] = str(given.models)
    given.shots = None
    shots = json.dumps([str(each.absolute()) for each in given.others])
    result = run_job("apply", given, shots=shots)
    if isinstance(result, ApplyResult) and result.failed:
        sys.exit(1)
