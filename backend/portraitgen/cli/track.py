# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen track SHOT`."""

import argparse
from pathlib import Path
from typing import Any

from .job_command import add_job, run_job

_OF_THE_PLATE = ("first", "colour_space", "fps", "matrix", "range", "body_model")


def add(commands: Any, chosen: bool) -> argparse.ArgumentParser:
    """The command's parser."""
    parser = add_job(commands, "track", "fit the body to the performer in a plate", chosen)
    parser.add_argument("--footage", type=Path, help="the plate: a movie, sequence or photo")
    parser.add_argument("--first", type=int, help="the number of a movie's first frame")
    parser.add_argument("--colour-space", help="the plate's colour space")
    parser.add_argument("--fps", help="the shot's frame rate, such as 24000/1001")
    parser.add_argument("--matrix", help="the movie's YUV matrix: 601, 709 or 2020")
    parser.add_argument("--range", help="the movie's YUV range: limited or full")
    parser.add_argument("--body-model", type=Path, help="an SMPLX_NEUTRAL.npz of your own")
    return parser


def run(given: argparse.Namespace) -> None:
    """Makes the shot if a plate is given, and tracks it."""
    if given.footage:
        from ..pipeline.data.shots import create_shot

        facts = {name: getattr(given, name) for name in _OF_THE_PLATE}
        create_shot(given.shot, given.footage, {k: v for k, v in facts.items() if v is not None})
    run_job("track", given)
