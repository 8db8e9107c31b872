# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How processes end: by signals, with their parents, and however they hang."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from attack_shot import environment

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")

# A job that holds a part of the shot and would go on for an hour.
JOB = """
import sys, time
from pathlib import Path
from portraitgen.cli import main
import portraitgen.cli as cli
from portraitgen.pipeline.run.job_context import running
from portraitgen.shot import Shot

def work(arguments):
    with running(Shot.open(Path(sys.argv[1])), "render", {"take": "x"}, "frames:x"):
        print("working", flush=True)
        HANG

cli._run = work
main(["info"])
"""
SLEEPS = "time.sleep(3600)"
# Python code never runs again in the main thread, as in a library that hangs.
HANGS = "import ctypes; [ctypes.CDLL(None).sleep(3600) for _ in range(100)]"


def start(shot: Path, hang: str, prefix: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", JOB.replace("HANG", hang), str(shot)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def state(shot: Path) -> str:
    records = [json.loads(path.read_text()) for path in (shot / "jobs").glob("*/job.json")]
    return next(each["state"] for each in records if each["options"] == {"take": "x"})


def claims(shot: Path) -> list[Path]:
    return list((shot / "locks").glob("*.json"))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("hang", [SLEEPS, HANGS], ids=["waits", "hangs"])
def test_a_signal_ends_a_job_in_good_order(shot: Path, number: int, status: int, hang: str) -> None:
    # As a shell's background processes, which are told to pass SIGINT over.
    ignoring = "import os, signal, sys; signal.signal(2, signal.SIG_IGN)"
    ignoring += "; os.execv(sys.argv[1], sys.argv[1:])"
    process = start(shot, hang, (sys.executable, "-c", ignoring))
    assert process.stdout and process.stdout.readline() == "working\n"
    assert len(claims(shot)) == 1
    begun = time.monotonic()
    process.send_signal(number)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == status
    assert time.monotonic() - begun < 15
    assert state(shot) == "cancelled" and claims(shot) == []
    assert "Stopped; run the same command again" in complaint or "Ended, since" in complaint
    assert "Traceback" not in complaint


def test_a_process_ends_with_its_parent(shot: Path) -> None:
    # Whoever runs the tests may have started them by nohup.
    wrapper = "import signal, subprocess, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL)"
    wrapper += "; subprocess.run(sys.argv[1:])"
    process = start(shot, SLEEPS, (sys.executable, "-c", wrapper))
    assert process.stdout and process.stdout.readline() == "working\n"
    process.kill()
    # The pipe closes when the job, too, has ended.
    assert process.stdout.read() == ""
    assert state(shot) == "cancelled" and claims(shot) == []


def test_a_process_started_with_nohup_outlives_its_parent(shot: Path) -> None:
    wrapper = "import subprocess, sys; subprocess.run(['nohup', *sys.argv[1:]])"
    process = start(shot, "time.sleep(3)", (sys.executable, "-c", wrapper))
    assert process.stdout and process.stdout.readline() == "working\n"
    process.kill()
    begun = time.monotonic()
    process.stdout.read()
    assert time.monotonic() - begun > 1.5
