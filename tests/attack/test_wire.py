# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile messages: every one is answered, nothing runs, and the worker ends when it is to."""

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from attack_shot import environment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portraitgen import protocol
from portraitgen.protocol import Failure, Notification, Request, Result
from portraitgen.worker import Channel, Worker

METHODS = (
    "hello",
    "shot.create",
    "shot.info",
    "rig.export",
    "track.publish",
    "track.solve_pins",
    "job.start",
    "job.cancel",
    "preview.frame",
    "paint.start",
    "keys.keep",
    "no.such.method",
)
KEYS = (
    *("shot", "footage", "version", "base", "path", "span", "frame", "pins", "start", "fixed"),
    *("kind", "options", "job", "take", "mask", "editor", "settings", "strength", "protocol"),
)
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
@given(method=st.sampled_from(METHODS), params=st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_every_message_is_answered(
    shot: Path, method: str, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shot)
    text = json.dumps(params).replace('"SHOT"', json.dumps(str(shot)))
    line = f'{{"jsonrpc": "2.0", "id": 7, "method": "{method}", "params": {text}}}\n'
    (answer,) = answers(shot, line.encode())
    assert isinstance(answer, Result | Failure)
    if isinstance(answer, Failure):
        assert answer.id in (7, None) and len(answer.message) < 2000


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
worker.Worker._shot_info = hang
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
