# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen reconstruct SHOT`."""

import argparse
from typing import Any

from .job_command import add_job, run_job


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    return add_job(commands, "reconstruct", "rebuild the performer as an avatar", chosen)


def run(given: argparse.Namespace) -> None:
    """Rebuilds the performer."""
    run_job("reconstruct", given)
