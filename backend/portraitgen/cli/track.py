# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen track SHOT`."""

import argparse
from pathlib import Path
from typing import Any

from .job_command import add_job, run_job
from .plate_options import add_plate_options, plate_facts


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser = add_job(commands, "track", "fit the body to the performer in a plate", chosen)
    parser.add_argument("--footage", type=Path, help="the plate: a movie, sequence or photo")
    add_plate_options(parser)
    parser.add_argument("--body-model", type=Path, help="an SMPLX_NEUTRAL.npz of your own")
    return parser


def run(given: argparse.Namespace) -> None:
    """Makes the shot if a plate is given, and tracks it."""
    if given.footage:
        from ..pipeline.data.shots import create_shot

        facts = plate_facts(given)
        if given.body_model:
            facts["body_model"] = given.body_model
        create_shot(given.shot, given.footage, facts)
    run_job("track", given)
