# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sequence: several shots, one take, one queue."""

from collections.abc import Mapping
from typing import Any

from portraitgen.job_queue import QueuedJob
from portraitgen.schema import Value, Values

from . import queue_runner
from .take_settings import restore_settings, settings_of

_STAGES = ("track", "reconstruct", "edit", "render", "qc")


def jobs_of_takes(shot: Any) -> list[QueuedJob]:
    """What every take of a shot needs until it is rendered."""
    chosen = shot.active_take
    jobs: list[QueuedJob] = []
    try:
        for index in range(len(shot.takes)):
            shot.active_take = index
            jobs += [each for each in queue_runner.missing_of(shot) if not _has(jobs, each)]
    finally:
        shot.active_take = chosen
    return jobs


def jobs_of_sequence(shot: Any) -> list[QueuedJob]:
    """The active take of a shot, for every shot of its edit."""
    jobs: list[QueuedJob] = []
    for each in with_take(shot):
        jobs += queue_runner.missing_of(each)
    return jobs


def with_take(shot: Any) -> list[Any]:
    """The shots of a shot's edit, each with the active take of that shot as its own; those that
    lack it get it, with its settings."""
    name, title = shot.take.folder_name, shot.take.name
    settings = settings_of(shot.take)
    # Adding a take moves none of the shots in memory.
    shots = list(shot.id_data.portraitgen.shots)
    for each in shots:
        _choose(each, name, title, settings)
    return shots


def farm_options(shot: Any) -> Mapping[str, Values]:
    """What the stages of a shot are asked on a farm, which has its own folders."""
    options: dict[str, dict[str, Value]] = {
        kind: dict(queue_runner.options_of(shot, kind)) for kind in _STAGES
    }
    options["render"] |= {"plate": True, "frames": options["render"]["frames"] or shot.frames}
    return options


def _choose(shot: Any, name: str, title: str, settings: Any) -> None:
    """Makes the take of a name the active one; it is added if there is none."""
    for index, take in enumerate(shot.takes):
        if take.folder_name == name:
            shot.active_take = index
            return
    take = shot.takes.add()
    take.name, take.folder_name = title, name
    restore_settings(take, settings)
    shot.active_take = len(shot.takes) - 1


def _has(jobs: list[QueuedJob], job: QueuedJob) -> bool:
    asked = (job.kind, job.take, dict(job.options))
    return any((each.kind, each.take, dict(each.options)) == asked for each in jobs)
