# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One tiny shot for all attacks, made once; each test gets a copy to break.

PORTRAITGEN_ATTACK_SHOT names a shot of yours that is attacked (as a copy) in its place; it must
have a take `toon` with its frames rendered.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from attack_shot import CLIP, EDIT, SMALL, Portraitgen, copy_of, environment

from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("PORTRAITGEN_ATTACKS"):
        # It would keep every failed job's trace, with all that the job held, to the test's end.
        config.pluginmanager.set_blocked("logging-plugin")


@pytest.fixture(scope="session", autouse=True)
def own_configuration(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a test allows, the user of this machine has not."""
    os.environ["PORTRAITGEN_CONFIG"] = str(tmp_path_factory.mktemp("configuration"))


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
