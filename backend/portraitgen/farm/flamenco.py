# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flamenco 3: the job type that its Manager runs, and a job for each shot."""

from collections.abc import Sequence
from pathlib import Path

from ..frames import runs_of
from ..storage import write_bytes, write_json
from .bundle import FarmSettings, ShotPlan

JOB_TYPE = Path(__file__).parent / "data" / "portraitgen.js"


def write_flamenco(
    out: Path, name: str, take: str, shots: Sequence[ShotPlan], farm: FarmSettings
) -> list[Path]:
    """Writes the job type, and one job a shot as `POST /api/v3/jobs` takes it.

    Returns:
        The files.
    """
    write_bytes(out / JOB_TYPE.name, JOB_TYPE.read_bytes())
    files = [out / JOB_TYPE.name]
    for index, plan in enumerate(shots, 1):
        edit = list(plan.options.get("edit", ()))
        settings = {
            "shot": str(plan.folder),
            "footage": str(plan.footage),
            "frames": runs_of(plan.frames).replace(" ", ""),
            "chunk_size": farm.chunk,
            "take": take,
            "edit_arguments": "\n".join(edit),
            "reconstruct_arguments": "\n".join(plan.options.get("reconstruct", ())),
            "from_stage": plan.stages[0],
            "quality": "qc" in plan.stages,
            "quality_arguments": "\n".join(plan.options.get("qc", ())),
        }
        job = {
            "name": f"{name}: {plan.folder.name}",
            "type": "portraitgen",
            "priority": 50,
            "submitter_platform": "manager",
            "settings": settings,
            "metadata": {"take": take},
        }
        files.append(out / f"job-{index:02d}-{plan.folder.name}.json")
        write_json(files[-1], job)
    return files
