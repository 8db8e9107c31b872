# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Things several tests need: the embedded clip, a tracked shot, the command line as a process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "tests" / "data" / "performer.mp4"

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def command(*words: object) -> "subprocess.CompletedProcess[str]":
    """Runs `portraitgen` as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "portraitgen.cli", *(str(word) for word in words)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "backend")},
        timeout=300,
    )


@pytest.fixture(scope="session")
def portraitgen() -> Command:
    return command


@pytest.fixture(scope="session")
def clip() -> Path:
    return CLIP
