# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the attacks share: the tiny shot's options, and how a checkout is run in a process."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from portraitgen.shot import Shot
from portraitgen.storage import read_json, write_json

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "tests" / "data" / "performer.mp4"

SMALL = {"size": 64, "gaussians": 1000, "steps": 10}
EDIT = {"take": "toon", "editor": "toon", "steps": 5, "keys": 2}
Portraitgen = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(**more: str) -> dict[str, str]:
    """The environment of a process that runs this checkout."""
    return os.environ | {"PYTHONPATH": str(ROOT / "backend"), "OMP_NUM_THREADS": "1"} | more


def copy_of(made: Path, folder: Path) -> Path:
    """A copy of a shot whose plate is still found."""
    shutil.copytree(made, folder, symlinks=True)
    facts = read_json(folder / "shot.json")
    plate = Shot.open(made).footage_path.resolve()
    footage = facts["footage"] | {"path": str(plate)}
    write_json(folder / "shot.json", facts | {"footage": footage})
    return folder
