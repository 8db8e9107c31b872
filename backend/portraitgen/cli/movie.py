# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen movie SHOT`."""

import argparse
from typing import Any

from .job_command import add_job, run_job


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    text = "make one movie of a take's frames, however they were rendered"
    return add_job(commands, "movie", text, chosen)


def run(given: argparse.Namespace) -> None:
    """Makes the movie."""
    run_job("movie", given)
