# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen refine SHOT`."""

import argparse
from typing import Any

from .job_command import add_job, run_job


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    return add_job(
        commands, "refine", "align the tracked performer with the plate's pixels", chosen
    )


def run(given: argparse.Namespace) -> None:
    """Aligns the track."""
    run_job("refine", given)
