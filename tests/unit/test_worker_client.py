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
        self.worker.ask("hello", {}, self.answers.append, self.errors.append, limit_s)

    def until(self, met: Callable[[], object]) -> None:
        end = time.monotonic() + 60
        while not met() and time.monotonic() < end:
            self.worker.drain()
            time.sleep(0.005)
        assert met()


def test_answers_and_news_arrive_despite_rubbish() -> None:
    script = "input(); print('rubbish'); say(method='job.note', params={}); say(id=1, result=7)"
    heard = Heard(script + "\nsys.stdin.read()")
    heard.ask()
    heard.until(lambda: heard.answers)
    assert heard.answers == [7] and heard.news[0].method == "job.note"
    heard.worker.end()
    assert heard.worker._process.returncode == 0


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


def test_a_missing_program_is_one_sentence() -> None:
    with pytest.raises(client.WorkerError, match="cannot be started"):
        client.Worker(["/nowhere/python"], print, print)


def test_the_real_worker_answers_hello(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", child_environment()["PYTHONPATH"])
    answers: list[Any] = []
    command = [sys.executable, "-m", "portraitgen.worker"]
    process = client.Worker(command, print, print)
    process.ask("hello", {"protocol": client.protocol.PROTOCOL}, answers.append, print)
    end = time.monotonic() + 50
    while not answers and time.monotonic() < end:
        process.drain()
        time.sleep(0.01)
    process.end(wait_s=20)
    assert answers[0]["pid"] == process.pid and process._process.returncode == 0
