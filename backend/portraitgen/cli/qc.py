# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen qc SHOT --take T`."""

import argparse
from typing import Any

from .job_command import add_job, run_job


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    text = "measure a rendered take against its plate, and write a sheet of it"
    return add_job(commands, "qc", text, chosen)


def run(given: argparse.Namespace) -> None:
    """Measures, and writes the sheet."""
    run_job("qc", given)
