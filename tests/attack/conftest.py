# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One tiny shot for all attacks, made once; each test gets a copy to break.

PORTRAITGEN_ATTACK_SHOT names a shot of yours that is attacked (as a copy) in its place; it must
have a take `toon` with its frames rendered.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter
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


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shot of five frames that has gone through every job; nobody may change it."""
    if given := os.environ.get("PORTRAITGEN_ATTACK_SHOT"):
        return Path(given)
    from portraitgen.pipeline.data.shots import create_shot

    folder = tmp_path_factory.mktemp("attack") / "made"
    create_shot(folder, CLIP, {})
    run("track", folder, {"frames": "1-5", "focal": 1280}, Reporter())
    run("reconstruct", folder, SMALL, Reporter())
    run("edit", folder, EDIT, Reporter())
    run("render", folder, {"take": "toon", "plate": True}, Reporter())
    return folder


@pytest.fixture
def shot(made: Path, tmp_path: Path) -> Path:
    """A copy of the shot to break."""
    return copy_of(made, tmp_path / "shot")


def copy_of(made: Path, folder: Path) -> Path:
    """A copy of a shot whose plate is still found."""
    shutil.copytree(made, folder, symlinks=True)
    facts = read_json(folder / "shot.json")
    plate = Shot.open(made).footage_path.resolve()
    footage = facts["footage"] | {"path": str(plate)}
    write_json(folder / "shot.json", facts | {"footage": footage})
    return folder


@pytest.fixture(scope="session")
def portraitgen() -> Portraitgen:
    """Runs the command line in a process of its own."""

    def call(*words: object, timeout: float = 120.0) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "portraitgen", *map(str, words)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=environment(),
            stdin=subprocess.DEVNULL,
        )

    return call
