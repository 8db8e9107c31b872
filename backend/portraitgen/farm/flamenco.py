# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flamenco 3: the job type that its Manager runs, and a job for each shot."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import OptionError
from ..frames import frame_list
from ..storage import write_bytes, write_json
from .bundle import FarmSettings, PathWord, ShotPlan, check_shots

JOB_TYPE = Path(__file__).parent / "data" / "portraitgen.js"

# What is given words of its own.
_STAGES = ("track", "reconstruct", "edit", "render", "qc")
# Two-way variables are known by how the submitting machine writes its paths.
_PLATFORMS = {"win32": "windows", "darwin": "darwin"}


def write_flamenco(
    out: Path, name: str, take: str, shots: Sequence[ShotPlan], farm: FarmSettings
) -> list[Path]:
    """Writes the job type, and one job a shot as `POST /api/v3/jobs` takes it.

    Returns:
        The files.

    Raises:
        OptionError: if something is asked that Flamenco's workers decide themselves, or that a job
        of a word a line cannot hold.
    """
    if farm.gpus or farm.models:
        raise OptionError(
            "Flamenco's workers have the cards and weights that they have",
            "--gpus" if farm.gpus else "--models",
            "leave it out; tag the workers, and set PORTRAITGEN_MODELS on them",
        )
    check_shots(shots)
    jobs: dict[str, object] = {}
    for index, plan in enumerate(shots, 1):
        paths: dict[str, str] = {}
        settings = {
            "shot": str(plan.folder),
            "footage": str(plan.footage),
            "frames": frame_list(plan.frames),
            "chunk_size": farm.chunk,
            "take": take,
            **{f"{stage}_arguments": _lines(plan, stage, paths) for stage in _STAGES},
            "stages": ",".join(plan.stages),
        }
        # A folder's name may be as long as any file's.
        short = os.fsdecode(os.fsencode(plan.folder.name)[:100])
        jobs[f"job-{index:02d}-{short}.json"] = {
            "name": f"{name}: {plan.folder.name}",
            "type": "portraitgen",
            "priority": 50,
            "submitter_platform": _PLATFORMS.get(sys.platform, "linux"),
            "settings": settings,
            "metadata": {"take": take} | paths,
        }
    write_bytes(out / JOB_TYPE.name, JOB_TYPE.read_bytes())
    for name, job in jobs.items():
        write_json(out / name, job)
    return [out / name for name in (JOB_TYPE.name, *jobs)]


def _lines(plan: ShotPlan, stage: str, paths: dict[str, str]) -> str:
    """The words of a stage, one a line, as the job type takes them apart again.

    Args:
        paths: gets those that the words name. The Manager knows two-way variables at the beginning
            of a value alone, so that each is one by itself, and its key stands in the word.
    """
    words = []
    for word in plan.options.get(stage, ()):
        if isinstance(word, PathWord):
            key = f"path_{len(paths) + 1}"
            paths[key] = word.path
            words.append(f"{word.before}{{{key}}}")
        else:
            words.append(word)
    for word in [*words, *paths.values()]:
        if not word or len(word.splitlines()) > 1:
            raise OptionError(
                "a job of Flamenco's holds no empty words and no words of several lines",
                f"{stage} {word!r}",
                "write it on one line",
            )
    # An end of line behind the last word, too: one line without any was typed by somebody.
    return "".join(f"{word}\n" for word in words)
