# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's side of the worker: every fault is told, nothing blocks, no process is left."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from child_process import child_environment

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from portraitgen_addon import worker as client  # noqa: E402

from portraitgen.messages.jobs import JobNote  # noqa: E402
from portraitgen.messages.setup import Hello  # noqa: E402

HELLO = "{'protocol': 2, 'version': '1', 'python': '3', 'device': 'CPU', 'pid': 5}"

SPEAK = "import sys,json,time\ndef say(**m): print(json.dumps({'jsonrpc':'2.0',**m}),flush=True)\n"


class Heard:
    def __init__(self, script: str) -> None:
        self.news: list[Any] = []
        self.lost: list[Any] = []
        self.answers: list[Any] = []
        self.errors: list[Any] = []
        command = [sys.executable, "-c", SPEAK + script]
        self.worker = client.Worker(command, self.news.append, self.lost.append)

    def ask(self, limit_s: float = 60) -> None:
        self.worker.ask(Hello(2), self.answers.append, self.errors.append, limit_s)

    def until(self, met: Callable[[], object]) -> None:
        end = time.monotonic() + 60
        while not met() and time.monotonic() < end:
            self.worker.drain()
            time.sleep(0.005)
        assert met()


def test_answers_and_news_arrive_despite_rubbish() -> None:
    script = "input(); print('rubbish'); say(method='job.note', params={'job': 'a', 'text': 'b'})"
    script += f"; say(method='job.note', params={{}}); say(id=1, result={HELLO})"
    heard = Heard(script + "\nsys.stdin.read()")
    heard.ask()
    heard.until(lambda: heard.answers)
    assert heard.answers[0].device == "CPU" and heard.news == [JobNote("a", "b")]
    heard.worker.end()
    assert heard.worker._process.returncode == 0


def test_an_answer_of_another_shape_is_told_and_not_used() -> None:
    heard = Heard("input(); say(id=1, result={'pid': 'seven'}); sys.stdin.read()")
    heard.ask()
    heard.until(lambda: heard.errors)
    told = str(heard.errors[0])
    assert not heard.answers and "'hello'" in told and "'protocol' is missing" in told
    heard.worker.end()


def test_code_place_and_remedy_of_an_error_arrive_whole() -> None:
    data = {"code": "shot", "message": "is damaged", "place": "a/b", "remedy": "mend it"}
    error = {"code": -32000, "message": "a/b: is damaged; mend it.", "data": data}
    heard = Heard(f"input(); say(id=1, error={error}); sys.stdin.read()")
    heard.ask()
    heard.until(lambda: heard.errors)
    told = heard.errors[0]
    assert (told.code, told.message, told.place, told.remedy) == tuple(data.values())
    assert str(told) == error["message"]
    heard.worker.end()


def test_death_tells_what_was_last_printed() -> None:
    heard = Heard("input(); sys.exit('no torch here')")
    heard.ask()
    heard.until(lambda: heard.lost)
    assert len(heard.errors) == 1 and not heard.worker.alive
    with pytest.raises(client.WorkerError):
        heard.ask()


def test_a_late_answer_is_told_and_a_deaf_worker_is_killed() -> None:
    heard = Heard("time.sleep(60)")
    heard.ask(limit_s=0.1)
    heard.until(lambda: heard.errors)
    heard.worker.end(wait_s=0.1)
    assert heard.worker._process.returncode not in (0, None)


def test_silence_is_told_as_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SILENCE_LIMIT", 0.2)
    heard = Heard("sys.stdin.read()")
    heard.until(lambda: heard.lost)
    assert "has said nothing" in str(heard.lost[0])


def test_a_worker_that_lives_may_take_its_time_and_libraries_talk_is_not_passed_on() -> None:
    """An artist's first try was refused after a minute on a busy machine, with MediaPipe's log."""
    assert client.ANSWER_LIMIT > 600 > client.SILENCE_LIMIT
    noise = "W0000 00:00:1795914148.479417 24603 inference_feedback_manager.cc:114] Feedback"
    heard = Heard(f"sys.stderr.write('no room\\n{noise}\\n'); sys.exit(3)")
    heard.until(lambda: heard.lost)
    assert "no room" in str(heard.lost[0]) and "feedback" not in str(heard.lost[0])


def test_a_missing_program_is_one_sentence() -> None:
    with pytest.raises(client.WorkerError, match="cannot be started"):
        client.Worker(["/nowhere/python"], print, print)


def test_the_real_worker_answers_hello(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", child_environment()["PYTHONPATH"])
    answers: list[Any] = []
    command = [sys.executable, "-m", "portraitgen.worker"]
    process = client.Worker(command, print, print)
    process.ask(Hello(client.protocol.PROTOCOL), answers.append, print)
    end = time.monotonic() + 50
    while not answers and time.monotonic() < end:
        process.drain()
        time.sleep(0.01)
    process.end(wait_s=20)
    assert answers[0].pid == process.pid and process._process.returncode == 0
