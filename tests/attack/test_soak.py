# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same thing again and again: nothing piles up, and two edits never mix.

PORTRAITGEN_ATTACKS says how often (quickly by default; 200 cycles, 40 kills by hand).
"""

import ctypes
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from attack_shot import EDIT, SMALL, environment

from portraitgen.errors import Cancelled
from portraitgen.pipeline.data.frame_identity import edit_shown
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter

ATTACKS = int(os.environ.get("PORTRAITGEN_ATTACKS", "0"))
JOBS: list[tuple[str, dict[str, Any]]] = [
    ("track", {"frames": "1-5", "focal": 1280}),
    ("render", {"take": "toon", "movie": False}),
    ("edit", EDIT),
    ("reconstruct", SMALL),
    ("refine", {}),
    ("qc", {"take": "toon", "version": 1}),
    ("act", {"take": "toon", "settings": '{"jawOpen": 0.3}'}),
    ("movie", {"take": "toon", "version": 1}),
]


RENDER = [sys.executable, "-m", "portraitgen", "render"]
# Of the shot that is attacked.
FRAMES = 5


class Stops(Reporter):
    """Stops a job at one of its steps."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def check(self) -> None:
        self.left -= 1
        if self.left < 0:
            self.cancel()
        super().check()


def memory_mb() -> float:
    """What the process holds, in MB, without what its allocator keeps for later."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_cancelled_jobs_leave_neither_memory_nor_threads(shot: Path) -> None:
    generator = random.Random(3)
    cycles = ATTACKS or 8
    first_memory, first_threads = 0.0, 0
    for cycle in range(cycles):
        kind, options = JOBS[cycle % (len(JOBS) if ATTACKS else 2)]
        changed = options | ({"detail": cycle % 100 / 100} if kind == "render" else {})
        # A job that has few steps may end before it is stopped.
        with suppress(Cancelled):
            run(kind, shot, changed, Stops(generator.randrange(3, 9)))
        if cycle == min(10, cycles // 2):
            first_memory, first_threads = memory_mb(), threading.active_count()
        if ATTACKS and cycle % 10 == 0:
            told = f"cycle {cycle}: {memory_mb():.0f} MB, {threading.active_count()} threads"
            print(told, flush=True)
    assert memory_mb() - first_memory < 150
    assert threading.active_count() <= first_threads + 2


def test_renders_killed_while_a_take_is_edited_anew_never_mix(shot: Path) -> None:
    generator = random.Random(7)
    home = shot / "takes" / "toon" / "renders"
    strength = 1.0

    def edit() -> int:
        nonlocal strength
        strength -= 0.005
        made = run("edit", shot, EDIT | {"strength": strength, "steps": 1}, Reporter())
        return int(made.told()["edit"])

    def frames() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in home.glob("v*/frames/toon.*.exr")}

    cut = 0
    for number in range(ATTACKS or 2):
        edit()
        before, wanted = set(frames().items()), generator.randrange(0, 4)
        process = subprocess.Popen(
            [*RENDER, str(shot), "--take", "toon", "--no-movie"],
            env=environment(),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        limit = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < limit:
            if len(set(frames().items()) - before) > wanted:
                break
            time.sleep(0.01)
        process.send_signal(generator.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
        process.wait(timeout=60)
        cut += 0 < len(set(frames().items()) - before) < FRAMES
        second = edit()
        result = run("render", shot, {"take": "toon", "movie": False}, Reporter()).told()
        assert result["edit"] == second, number
        shown: dict[Path, set[int]] = {}
        for path in frames():
            shown.setdefault(path.parent, set()).add(edit_shown(path))
        assert all(len(edits) == 1 for edits in shown.values()), number
        assert shown[Path(result["folder"])] == {second}, number
        assert len(list(Path(result["folder"]).glob("toon.*.exr"))) == FRAMES, number
    assert cut, "no render was cut off"
