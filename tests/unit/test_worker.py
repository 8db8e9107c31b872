# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker answers everything, survives rubbish, and ends when its stdin closes."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from child_process import child_environment
from shot_records import footage

from portraitgen import protocol
from portraitgen.errors import Cancelled
from portraitgen.messages.base import ErrorData
from portraitgen.messages.jobs import ResumeJob
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.protocol import Failure, Message, Notification, Request, Result
from portraitgen.shot import Shot
from portraitgen.worker import Channel, Worker


class Talk:
    """A worker process and the lines it speaks."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "portraitgen.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
        )
        self.news: list[Notification] = []

    def send(self, line: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def answer(self) -> Message:
        """The next answer; notifications before it are kept in `news`."""
        assert self.process.stdout
        while True:
            message = protocol.decode(self.process.stdout.readline())
            if not isinstance(message, Notification):
                return message
            self.news.append(message)

    def ask(self, method: str, **params: Any) -> Message:
        self.send(protocol.encode(Request(1, method, params)))
        return self.answer()


@pytest.fixture(scope="module")
def worker() -> Iterator[Talk]:
    talk = Talk()
    yield talk
    assert talk.process.stdin and talk.process.stdout
    talk.process.stdin.close()
    assert talk.process.wait(timeout=60) == 0
    talk.process.stdout.close()


def test_hello_tells_versions_and_device(worker: Talk) -> None:
    answer = worker.ask("hello", protocol=protocol.PROTOCOL, version="0")
    assert isinstance(answer, Result)
    assert answer.value["protocol"] == protocol.PROTOCOL and answer.value["device"]
    assert answer.value["pid"] == worker.process.pid


def test_another_protocol_is_refused_with_the_remedy(worker: Talk) -> None:
    answer = worker.ask("hello", protocol=99, version="0")
    assert isinstance(answer, Failure) and "update the environment" in answer.message


def test_rubbish_is_answered_and_never_ends_the_worker(worker: Talk) -> None:
    for line, code in (
        (b"{]\n", protocol.PARSE_ERROR),
        (b'{"jsonrpc": "2.0", "id": 5}\n', protocol.INVALID_REQUEST),
        (b"x" * (protocol.MAX_LINE + 100) + b"\n", protocol.INVALID_REQUEST),
        (protocol.encode(Request(7, "no.such", {})), protocol.METHOD_NOT_FOUND),
        (protocol.encode(Request(8, "shot.info", {})), protocol.INVALID_PARAMS),
    ):
        worker.send(line)
        answer = worker.answer()
        assert isinstance(answer, Failure) and answer.code == code
    assert isinstance(worker.ask("hello", protocol=protocol.PROTOCOL), Result)


def test_a_fault_of_the_users_comes_with_its_remedy(worker: Talk, tmp_path: Path) -> None:
    answer = worker.ask("shot.info", shot=str(tmp_path))
    assert isinstance(answer, Failure) and answer.code == protocol.FAILED
    assert answer.data["code"] == "shot" and "track a plate" in answer.data["remedy"]


def test_a_job_that_cannot_begin_says_so_at_once(worker: Talk, tmp_path: Path) -> None:
    answer = worker.ask("job.start", kind="dance", shot=str(tmp_path))
    assert isinstance(answer, Failure) and "no such job" in answer.message
    answer = worker.ask("job.start", kind="track", shot=str(tmp_path), options={"wobble": 1})
    assert isinstance(answer, Failure) and "no such option" in answer.message


def test_a_job_that_fails_tells_why(worker: Talk, tmp_path: Path) -> None:
    answer = worker.ask("job.start", kind="track", shot=str(tmp_path), options={})
    assert isinstance(answer, Result)
    while not (failed := [news for news in worker.news if news.method == "job.failed"]):
        assert worker.process.stdout
        message = protocol.decode(worker.process.stdout.readline())
        assert isinstance(message, Notification)
        worker.news.append(message)
    assert failed[0].params["job"] == answer.value["job"]
    error = ErrorData.parse(failed[0].params["error"])
    assert error.code == "shot" and "is not a shot" in error.message
    assert error.place == str(tmp_path) and "track a plate" in error.remedy


def news_of(worker: Talk, job: str) -> Iterator[Notification]:
    """The job's notifications as they arrive, the last one its end."""
    assert worker.process.stdout
    while True:
        message = protocol.decode(worker.process.stdout.readline())
        if isinstance(message, Notification) and message.params.get("job") == job:
            yield message
            if message.method in ("job.done", "job.failed", "job.cancelled"):
                return


def test_a_job_is_cancelled_and_taken_up_again(worker: Talk, tmp_path: Path, clip: Path) -> None:
    shot = str(tmp_path / "shot")
    made = worker.ask("shot.create", shot=shot, footage=str(clip), fps="25")
    assert isinstance(made, Result) and made.value["track"] is None
    options = {"frames": "1-12"}
    begun = worker.ask("job.start", kind="track", shot=shot, options=options)
    assert isinstance(begun, Result)
    busy = worker.ask("job.start", kind="track", shot=shot, options=options)
    assert isinstance(busy, Failure) and "another job is running" in busy.message
    assert worker.ask("job.cancel", job=begun.value["job"]) == Result(1, {})
    assert [news.method for news in news_of(worker, begun.value["job"])][-1] == "job.cancelled"

    record = Shot.open(Path(shot)).jobs()[-1].record
    assert record.state == "cancelled"
    again = worker.ask("job.resume", shot=shot, record=record.id)
    assert isinstance(again, Result)
    told = list(news_of(worker, again.value["job"]))
    assert told[-1].method == "job.done", told[-1]
    assert told[-1].params["result"]["tracked_frames"] == 12
    stages = {news.params["stage"] for news in told if news.method == "job.progress"}
    assert {"landmarks", "solve", "mattes"} <= stages
    known = worker.ask("shot.info", shot=shot)
    assert isinstance(known, Result) and known.value["track"]["version"] == 1
    assert len(Shot.open(Path(shot)).jobs()) == 1, "another job was begun"
    late = worker.ask("job.resume", shot=shot, record=record.id)
    assert isinstance(late, Failure) and "the job is done" in late.message
    assert known.value["unfinished_jobs"] == []


def test_whoever_resumes_a_job_is_named_as_its_starter_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shot = Shot.create(tmp_path / "shot", footage())
    record = shot.start_job("act", {"take": "smile"}).record
    named: list[str] = []

    def run(kind: str, shot: Path, options: object, reporter: Reporter) -> NoReturn:
        named.append(reporter.author)
        raise Cancelled

    monkeypatch.setattr("portraitgen.pipeline.registry.run", run)
    worker = Worker(io.BytesIO(), Channel(io.BytesIO()))
    for author in ("Ann", ""):
        call = ResumeJob(str(shot.path), record.id, author)
        worker._resume_job(call)
        assert worker._thread
        worker._thread.join()
    assert named == ["Ann", ""]


def test_what_panels_draw_is_described(worker: Talk) -> None:
    answer = worker.ask("describe")
    assert isinstance(answer, Result)
    jobs = {"track", "refine", "reconstruct", "edit", "render"}
    assert jobs <= answer.value["settings"].keys()
    assert {"grade", "relight"} <= {editor["id"] for editor in answer.value["editors"]}


def test_the_set_up_is_checked(worker: Talk) -> None:
    answer = worker.ask("check")
    assert isinstance(answer, Result)
    states = {row["name"]: row["state"] for row in answer.value["rows"]}
    assert states["Body model"] == "ok" and states["ai-edge-litert"] == "ok"


def test_the_heart_beats_while_nothing_is_asked(worker: Talk) -> None:
    assert worker.process.stdout
    while True:
        message = protocol.decode(worker.process.stdout.readline())
        if isinstance(message, Notification) and message.method == "heartbeat":
            return


def test_shutdown_ends_the_process() -> None:
    talk = Talk()
    assert isinstance(talk.ask("shutdown"), Result)
    assert talk.process.stdin and talk.process.stdout
    assert talk.process.wait(timeout=60) == 0
    talk.process.stdin.close()
    talk.process.stdout.close()
