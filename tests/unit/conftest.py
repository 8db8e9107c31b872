# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Things several tests need: the embedded clip, and the command line."""

import io
import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "tests" / "data" / "performer.mp4"


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Done]


def command(*words: object) -> Done:
    """Runs `portraitgen` with its arguments in this process, which spares loading torch anew."""
    from portraitgen.cli import main

    out, err, status = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            status = int(end.code or 0)
    return Done(status, out.getvalue(), err.getvalue())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that it is not waited for in the end."""
    items.sort(key=lambda item: item.path.name != "test_resume.py")


@pytest.fixture(scope="session", autouse=True)
def own_configuration(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a test allows, the user of this machine has not."""
    os.environ["PORTRAITGEN_CONFIG"] = str(tmp_path_factory.mktemp("configuration"))


@pytest.fixture(scope="session")
def portraitgen() -> Command:
    return command


@pytest.fixture(scope="session")
def clip() -> Path:
    return CLIP
