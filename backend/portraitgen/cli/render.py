# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen render SHOT`."""

import argparse
from typing import Any

from .job_command import add_job, run_job


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    text = "render a take, or the reconstruction, to frames"
    return add_job(commands, "render", text, chosen)


def run(given: argparse.Namespace) -> None:
    """Renders frames."""
    run_job("render", given)
