# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs by name: what the command line and the worker both run."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import Cancelled, OptionError, PortraitError
from ..failures import readable
from ..job_results import JobResult
from ..settings import OptionDescription, describe, parse
from ..shot import Shot
from .run.job_log import warnings_as_notes
from .run.progress import Reporter
from .run.threads import keep_threads

# Where each job lives; imported when it is needed, since they load torch.
_JOBS = {
    "track": ("track", "TrackOptions", "track"),
    "refine": ("refine_track", "RefineOptions", "refine_track"),
    "reconstruct": ("reconstruct", "ReconstructOptions", "reconstruct"),
    "act": ("act", "ActOptions", "act"),
    "edit": ("edit", "EditOptions", "edit"),
    "look": ("learn_look", "LearnLookOptions", "learn_look"),
    "apply": ("apply_take", "ApplyOptions", "apply_take"),
    "render": ("render", "RenderOptions", "render"),
    "movie": ("movie", "MovieOptions", "movie"),
    "deliver": ("deliver", "DeliverOptions", "deliver"),
    "qc": ("quality", "QualityOptions", "quality"),
}
JOBS = tuple(_JOBS)

MEMORY_GB = {
    "track": 1.0,
    "refine": 0.8,
    "reconstruct": 0.9,
    "act": 0.6,
    "edit": 0.9,
    "look": 1.0,
    "apply": 0.9,
    "render": 0.8,
    "movie": 0.5,
    "deliver": 0.5,
    "qc": 0.6,
}
"""Peak memory of each job with its default settings, on the CPU; an editor's own adds to it."""


def options_of(kind: str) -> type:
    """The settings class of a job.

    Raises:
        OptionError: if there is no such job.
    """
    if kind not in _JOBS:
        raise OptionError("there is no such job", kind, f"use one of: {', '.join(_JOBS)}")
    module, options, _ = _JOBS[kind]
    found: type = getattr(importlib.import_module(f".jobs.{module}", __package__), options)
    return found


def describe_jobs() -> dict[str, tuple[OptionDescription, ...]]:
    """Every job's options."""
    return {kind: describe(options_of(kind)) for kind in _JOBS}


def run(kind: str, shot: Path, values: Mapping[str, Any], reporter: Reporter) -> JobResult:
    """Runs a job on a shot folder to its end.

    Args:
        kind: one of `JOBS`.
        shot: the folder.
        values: option values by name, as text or plain data.

    Returns:
        What the job made: the job's own result of `job_results`.

    Raises:
        PortraitError: if it cannot be done; Cancelled: if the reporter was asked to stop.
    """
    options: Any = parse(options_of(kind), values)
    module, _, function = _JOBS[kind]
    job = getattr(importlib.import_module(f".jobs.{module}", __package__), function)
    keep_threads()
    try:
        with warnings_as_notes(reporter):
            result: JobResult = job(Shot.open(shot), options, reporter)
    except (PortraitError, Cancelled):
        raise
    except Exception as error:
        raise readable(error) from error
    return result
