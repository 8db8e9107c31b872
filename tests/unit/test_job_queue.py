# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A list of jobs that survives whatever happens to the process that runs it."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import shot_records
from child_process import child_environment
from conftest import Command

from portraitgen.errors import OptionError, PortraitError, ShotLocked
from portraitgen.job_queue import JobQueue, QueuedJob, blocked
from portraitgen.job_results import JobResult, MovieResult
from portraitgen.pipeline import registry
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.shot import Shot


@pytest.fixture
def shots(tmp_path: Path) -> list[Shot]:
    return [Shot.create(tmp_path / name, shot_records.footage()) for name in ("one", "two")]


@pytest.fixture
def queue(tmp_path: Path, shots: list[Shot]) -> JobQueue:
    """Track and two takes of one shot, and one take of another."""
    made = JobQueue(tmp_path / "night.json")
    jobs = [QueuedJob.of(shots[0].path, "track", {"frames": "1001-1005"})]
    for shot, take in ((shots[0], "a"), (shots[0], "b"), (shots[1], "a")):
        jobs.append(QueuedJob.of(shot.path, "render", {"take": take, "detail": 0.8}, take))
    made.add(jobs)
    return made


def told(queue: JobQueue) -> list[tuple[str, str]]:
    return [(f"{job}", job.state) for job in queue.read().jobs]


RUNNER = """
import os, signal, sys
from pathlib import Path
from portraitgen.cli import main
from portraitgen.job_results import EditResult
from portraitgen.pipeline import registry
from portraitgen.shot import Shot

def run(kind, folder, options, reporter):
    shot = Shot.open(folder)
    job = shot.start_job(kind, options)
    if sys.argv[2] == "in the middle":
        os.kill(os.getpid(), signal.SIGKILL)
    made = EditResult("warm", os.getpid(), 5)
    job.finish(made.told())
    if sys.argv[2] == "before it is written down":
        os.kill(os.getpid(), signal.SIGKILL)
    return made

registry.run = run
main(["queue", "run", sys.argv[1]])
"""


@pytest.mark.parametrize("when", ["in the middle", "before it is written down"])
def test_a_killed_queue_goes_on_and_does_nothing_twice(
    queue: JobQueue, shots: list[Shot], when: str
) -> None:
    def start(when: str) -> int:
        command = [sys.executable, "-c", RUNNER, str(queue.path), when]
        return subprocess.run(command, env=child_environment(), capture_output=True).returncode

    # A job is killed each time, until none is left.
    for _ in range(2):
        assert start(when) == -signal.SIGKILL
    assert start("") == 0
    assert [state for _, state in told(queue)] == ["done"] * 4
    records = [job.record for shot in shots for job in shot.jobs()]
    assert len(records) == 4 and {each.state for each in records} == {"done"}
    assert all(each.resumed == 0 for each in records) or when == "in the middle"
    assert all(job.result["edit"] for job in queue.read().jobs)


def test_a_clock_that_was_ahead_hides_no_job_that_was_killed(
    queue: JobQueue, shots: list[Shot]
) -> None:
    before = shots[0].start_job("track", {"frames": "1001-1005"})
    before.finish()
    before.update(finished="2099-01-01T00:00:00+00:00")
    assert queue.begin() is not None
    with queue.running():
        assert told(queue)[0] == ("one: track", "waiting")
    assert queue.begin() is not None
    shots[0].start_job("track", {"frames": "1001-1005"}).finish()
    with queue.running():
        assert told(queue)[0] == ("one: track", "done")


def test_what_comes_after_a_failure_waits_and_the_rest_goes_on(
    queue: JobQueue, portraitgen: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def run(kind: str, shot: Path, options: Any, reporter: Reporter) -> JobResult:
        ran.append(f"{shot.name} {kind} {options.get('take', '')}".strip())
        if kind == "track" and len(ran) == 1:
            raise ShotLocked("somebody works on it", shot, "wait")
        return MovieResult("a", 1, 5, "a.mp4")

    monkeypatch.setattr(registry, "run", run)
    first = portraitgen("queue", "run", queue.path)
    # What may go well later ends as farms understand it.
    assert first.returncode == 75 and "1 of 4 jobs failed; 2 wait for them" in first.stderr
    assert ran == ["one track", "two render a"]
    assert [state for _, state in told(queue)] == ["failed", "waiting", "waiting", "done"]
    assert len(blocked(queue.read())) == 2
    assert "waits for a job that failed" in portraitgen("queue", "show", queue.path).stdout
    assert portraitgen("queue", "retry", queue.path).returncode == 0
    second = portraitgen("queue", "run", queue.path)
    assert second.returncode == 0 and "4 done" in second.stdout
    assert ran[2:] == ["one track", "one render a", "one render b"]
    assert portraitgen("queue", "clear", queue.path).returncode == 0 and told(queue) == []


def test_a_take_that_failed_stops_no_other_take(queue: JobQueue) -> None:
    def begun() -> QueuedJob:
        job = queue.begin()
        assert job is not None
        return job

    queue.end(begun().id, {})
    job = begun()
    queue.end(job.id, error=PortraitError("no", "here", "do"))
    kept = queue.read().jobs[1]
    assert str(kept.error) == str(PortraitError("no", "here", "do"))
    assert str(begun()) == "one: render b" and str(begun()) == "two: render a"
    assert queue.begin() is None


def test_jobs_are_added_moved_taken_off_and_held_back(queue: JobQueue) -> None:
    first = queue.read().jobs[0]
    queue.add([QueuedJob.of(Path(first.shot), "track", {"frames": "1001-1005"})])
    assert len(queue.read().jobs) == 4, "what waits already was added twice"
    queue.move(first.id, 2)
    assert [job.id for job in queue.read().jobs].index(first.id) == 2
    queue.move(first.id, -9)
    assert queue.read().jobs[0].id == first.id
    queue.pause(True)
    assert queue.begin() is None
    queue.pause(False)
    with queue.running():
        assert queue.is_run()
        running = queue.begin()
        assert running is not None and running.id == first.id and running.attempts == 1
        with pytest.raises(OptionError, match="is running"):
            queue.remove(running.id)
    queue.remove(queue.read().jobs[1].id)
    assert len(queue.read().jobs) == 3
    with pytest.raises(OptionError, match="has no job"):
        queue.remove("unknown")
    # Stopped by its user, it waits again.
    queue.end(running.id)
    assert queue.read().jobs[0].state == "waiting"


def test_what_a_dead_process_left_running_can_be_taken_off(queue: JobQueue) -> None:
    running = queue.begin()
    assert running is not None and not queue.is_run()
    queue.remove(running.id)
    assert running.id not in [job.id for job in queue.read().jobs]


def test_only_one_process_runs_a_queue(queue: JobQueue, portraitgen: Command) -> None:
    with queue.running():
        refused = portraitgen("queue", "run", queue.path)
    assert refused.returncode == 75 and "busy with the queue night.json" in refused.stderr


def test_a_damaged_list_is_told_in_a_sentence(tmp_path: Path, portraitgen: Command) -> None:
    path = tmp_path / "list.json"
    for text, said in (("{", "list.json"), ('{"schema": 9}', "update PortraitGen")):
        path.write_text(text)
        done = portraitgen("queue", "show", path)
        assert done.returncode == 1 and said in done.stderr, done.stderr
    path.write_text('{"schema": 1, "jobs": [{"id": 1}]}')
    assert portraitgen("queue", "run", path).returncode == 1


def test_a_list_tells_machines_how_it_stands(queue: JobQueue, portraitgen: Command) -> None:
    facts = json.loads(portraitgen("queue", "show", queue.path, "--json").stdout)
    assert [job["kind"] for job in facts["jobs"]] == ["track", "render", "render", "render"]
