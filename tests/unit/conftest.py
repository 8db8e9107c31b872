# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Things several tests need: the embedded clip, and the command line."""

import io
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from portraitgen.footage.plate import open_plate
from portraitgen.renders import render_of
from portraitgen.shot import Shot
from portraitgen.storage import read_json, write_json

ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "tests" / "data" / "performer.mp4"
MAIN_JOB_FRAMES = "1-16"
# Under nohup what tests start would be told to outlive them.
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
SMALL = ["--size", "128", "--gaussians", "4000", "--steps", "150"]


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


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, portraitgen: Command, clip: Path) -> Path:
    """A shot that has gone through every stage; tests read it, and copy it before they write."""
    folder = tmp_path_factory.mktemp("job") / "shot ü"
    for words in (
        ["track", folder, "--footage", clip, "--frames", MAIN_JOB_FRAMES, "--focal", "1280"],
        ["reconstruct", folder, *SMALL],
        ["edit", folder, "--take", "toon", "--editor", "toon", "--steps", "60", "--keys", "4"],
        ["render", folder, "--take", "toon", "--plate"],
    ):
        done = portraitgen(*words)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the shot to work on; the clip's relative path is renewed."""
    shutil.copytree(finished, tmp_path / "shot")
    facts = read_json(tmp_path / "shot" / "shot.json")
    plate = Shot.open(finished).footage_path.resolve()
    write_json(
        tmp_path / "shot" / "shot.json",
        facts | {"footage": facts["footage"] | {"path": str(plate)}},
    )
    return tmp_path / "shot"


def plate_and_take(shot: Path, take: str, frame: int, clip: Path) -> tuple[np.ndarray, np.ndarray]:
    """A frame of the plate and of a take's full plates, uint8 (H, W, 3) RGB."""
    written = render_of(shot / "takes" / take).full_plates()[frame]
    encoded = cv2.imread(str(written), cv2.IMREAD_UNCHANGED)
    assert encoded is not None
    return open_plate(clip).read_uint8(frame), encoded[..., 2::-1]
