# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile messages: every one is answered, nothing runs, and the worker ends when it is to."""

import io
import json
import os
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from attack_shot import CLIP, environment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portraitgen import protocol
from portraitgen.failures import ProgramFault
from portraitgen.messages.setup import RunSelfTest
from portraitgen.messages.tables import CALLS
from portraitgen.pipeline.registry import JOBS
from portraitgen.protocol import Failure, Notification, Request, Result
from portraitgen.worker import Channel, Worker

# What gets a message past its parser; `SHOT` stands for the shot's folder.
PLAUSIBLE: dict[str, list[Any]] = {
    **{name: ["SHOT", "SHOT/takes", "a"] for name in ("shot", "folder", "path", "out", "where")},
    **{name: [0, 1, 2, 3] for name in ("frame", "version", "base", "first", "chunk", "gpus")},
    "footage": [str(CLIP)],
    "take": ["toon"],
    "shots": [[{"folder": "SHOT", "options": {"render": {}, "edit": {"editor": "toon"}}}]],
    "settings": [{"take": "toon", "editor": "toon"}],
    "options": [{"take": "toon"}, {"model": "a"}, {}],
    "kind": list(JOBS),
    "record": ["20200101-000000-edit-abcdef"],
    "pins": [[{"face": 3, "weights": [0.2, 0.3, 0.5], "target": [1.0, 2.0]}], []],
    "span": [[1, 2]],
    "frames": ["1-2"],
    "protocol": [protocol.PROTOCOL],
}
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["SHOT", "..", "a\0b", "\ud800", "\udcff", "CON", "toon", "render", "x" * 999]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def _messages() -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    """Every request with fields of its own: what they may hold, and anything else."""

    def of(method: str) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
        names = [each.name for each in fields(CALLS[method])] if method in CALLS else ["shot"]
        given = {name: st.sampled_from(PLAUSIBLE.get(name, [""])) for name in names}
        wrong = {name: each | VALUES for name, each in given.items()}
        least = {name: given.pop(name) for name in ("shot", "take") if name in given}
        near = st.fixed_dictionaries(least, optional=given)
        any_of = st.fixed_dictionaries({}, optional=wrong | {"more": VALUES})
        return st.tuples(st.just(method), near | any_of)

    # The self-test takes minutes and reads nothing of a message.
    methods = sorted(CALLS.keys() - {RunSelfTest.METHOD}) + ["no.such.method"]
    return st.sampled_from(methods).flatmap(of)


def answers(shot: Path, line: bytes) -> list[protocol.Message]:
    """What the worker says to one line, with the job that it may have started."""
    stream = io.BytesIO()
    Worker(io.BytesIO(line), Channel(stream)).serve()
    said = [protocol.decode(each) for each in stream.getvalue().splitlines()]
    return [each for each in said if not isinstance(each, Notification)]


@settings(
    max_examples=int(os.environ.get("PORTRAITGEN_ATTACKS", "60")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(message=_messages())
def test_every_message_is_answered(
    shot: Path, message: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shot)
    method, params = message
    text = json.dumps(params).replace('"SHOT', f'"{shot}')
    line = f'{{"jsonrpc": "2.0", "id": 7, "method": "{method}", "params": {text}}}\n'
    (answer,) = answers(shot, line.encode())
    assert isinstance(answer, Result | Failure)
    if isinstance(answer, Failure):
        assert answer.id in (7, None) and len(answer.message) < 2000
        assert answer.data.get("code") != ProgramFault.code, f"{method} {params}: {answer.message}"


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(line=st.binary(max_size=200).map(lambda each: each.replace(b"\n", b" ")))
def test_every_line_is_answered(shot: Path, line: bytes) -> None:
    assert len(answers(shot, line + b"\n")) == 1


def test_an_answer_that_cannot_be_written_down_is_told() -> None:
    stream = io.BytesIO()
    channel = Channel(stream)
    channel.send(Result(3, object()))
    channel.send(Notification("job.done", {"job": "j", "result": {1, 2}}))
    first, second = (protocol.decode(each) for each in stream.getvalue().splitlines())
    assert isinstance(first, Failure) and first.id == 3
    assert isinstance(second, Notification) and second.method == "job.failed"
    assert second.params["job"] == "j"


HANGING = """
import sys, time
from portraitgen import worker
def hang(self, params):
    while True:
        try:
            time.sleep(3600)
        except BaseException:
            pass
assert worker.Worker._info_of_shot
worker.Worker._info_of_shot = hang
worker.main()
"""


@pytest.mark.parametrize("busy", [False, True])
def test_a_worker_whose_stdin_closed_ends_whatever_hangs(busy: bool) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HANGING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    assert process.stdin and process.stdout
    process.stdin.write(protocol.encode(Request(1, "models.list", {})))
    process.stdin.flush()
    while isinstance(protocol.decode(process.stdout.readline()), Notification):
        continue
    if busy:
        process.stdin.write(protocol.encode(Request(2, "shot.info", {"shot": "x"})))
        process.stdin.flush()
        time.sleep(1)
    process.stdin.close()
    begun = time.monotonic()
    process.wait(timeout=30)
    process.stdout.close()
    assert time.monotonic() - begun < 12
