# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks between machines that disagree about the time, containers, sleepers and litter."""

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from portraitgen import locks
from portraitgen.errors import Cancelled, ShotLocked
from portraitgen.frames import frame_list
from portraitgen.locks import Claim, Lock, Waiting, holders
from portraitgen.process_identity import is_running, process_identity


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"DEAD_AFTER": 1.0, "_GATE_STALE": 0.4, "_GATE_LIMIT": 2.0}.items():
        monkeypatch.setattr(locks, name, seconds)
    monkeypatch.setattr(locks, "_LOOK", 0.05)
    monkeypatch.setattr(locks, "_PATIENCE", 0.1)


def lock(folder: Path, **more: Any) -> Lock:
    return Lock(folder, "track", "tracking", None, Waiting(**more))


def identity() -> dict[str, Any]:
    """This process, as claims name it."""
    own = asdict(process_identity())
    return own | {"process_started": own.pop("started")}


def claim(folder: Path, **changes: Any) -> Path:
    """Another process's claim."""
    folder.mkdir(exist_ok=True)
    facts = identity() | {
        "resource": "track",
        "purpose": "tracking",
        "frames": None,
        "user": "ann",
        "host": "farm-7",
        "boot": "another",
        "pid": 4711,
    }
    path = folder / "0123.json"
    path.write_text(json.dumps(facts | changes))
    return path


@pytest.fixture
def beating(tmp_path: Path) -> Iterator[Path]:
    """A claim of a living holder that cannot be looked up."""
    path, stop = claim(tmp_path), threading.Event()

    def beat() -> None:
        moment = 0
        while not stop.wait(0.1):
            # Its clock has nothing to do with ours.
            moment += 1
            os.utime(path, (moment, moment))

    thread = threading.Thread(target=beat)
    thread.start()
    yield path
    stop.set()
    thread.join()


def test_a_holder_that_is_seen_to_live_is_refused_whatever_its_clock_says(beating: Path) -> None:
    with pytest.raises(ShotLocked, match="ann on farm-7"), lock(beating.parent):
        pass
    assert beating.exists()


@pytest.mark.parametrize("skew", [-1e6, -90.0, 0.0, 90.0, 1e6])
def test_a_silent_holder_is_taken_over_whatever_its_clock_says(tmp_path: Path, skew: float) -> None:
    path = claim(tmp_path)
    os.utime(path, (time.time() + skew, time.time() + skew))
    told: list[str] = []
    begun = time.monotonic()
    with lock(tmp_path, tell=told.append):
        assert not path.exists()
    assert 1.0 <= time.monotonic() - begun < 5
    assert len(told) == 1 and "whether it still lives" in told[0]


def test_a_namesake_in_another_container_is_not_looked_up(tmp_path: Path) -> None:
    own = process_identity()
    path = claim(
        tmp_path,
        host=own.host,
        boot=own.boot,
        namespace="pid:[1]",
        pid=2**22 - 1,
    )
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.1):
            os.utime(path)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(ShotLocked), lock(tmp_path):
            pass
    finally:
        stop.set()
        thread.join()


def test_a_dead_process_of_this_machine_is_taken_over_at_once(tmp_path: Path) -> None:
    path = claim(tmp_path, **identity() | {"pid": 2**22 - 1})
    begun = time.monotonic()
    with lock(tmp_path):
        assert not path.exists()
    assert time.monotonic() - begun < 0.9


def test_waiting_can_be_cancelled(tmp_path: Path) -> None:
    claim(tmp_path)

    def check() -> None:
        raise Cancelled

    with pytest.raises(Cancelled), lock(tmp_path, check=check):
        pass


def test_a_living_holder_is_waited_for_as_long_as_was_asked(tmp_path: Path) -> None:
    first = lock(tmp_path)
    first.__enter__()
    timer = threading.Timer(0.4, first.release)
    timer.start()
    told: list[str] = []
    with lock(tmp_path, seconds=20, tell=told.append):
        timer.join()
    assert told and told[0].startswith("Waiting until ")


def test_a_holder_that_slept_is_told_before_it_publishes(tmp_path: Path) -> None:
    with lock(tmp_path) as held:
        held.check()
        next(tmp_path.glob("*.json")).unlink()
        with pytest.raises(ShotLocked, match="silent for too long"):
            held.check()


@pytest.mark.parametrize("kind", ["folder", "littered", "future", "dangling", "file"])
def test_a_gate_left_shut_opens(tmp_path: Path, kind: str) -> None:
    gate = tmp_path / "claiming"
    if kind == "dangling":
        gate.symlink_to(tmp_path / "nowhere")
    elif kind == "file":
        gate.write_text("")
    else:
        gate.mkdir()
    if kind == "littered":
        (gate / ".DS_Store").write_text("")
    if kind == "future":
        os.utime(gate, (time.time() + 86400, time.time() + 86400))
    with lock(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


def test_what_is_no_claim_is_passed_over(tmp_path: Path) -> None:
    for number, text in enumerate(
        ["", "[]", "{}", '{"resource": "track"}', '{"pid": ' + "9" * 5000 + "}"]
    ):
        (tmp_path / f"{number}.json").write_text(text)
    claim(tmp_path, frames=[0, "a"])
    (tmp_path / ".DS_Store").write_text("")
    (tmp_path / "folder.json").mkdir()
    with lock(tmp_path):
        assert len(holders(tmp_path)) == 1


def test_two_never_get_in_at_once(tmp_path: Path) -> None:
    inside, most, got = 0, 0, 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, most, got
        for _ in range(5):
            try:
                with lock(tmp_path, seconds=0.05):
                    with guard:
                        inside += 1
                        most, got = max(most, inside), got + 1
                    time.sleep(0.01)
                    with guard:
                        inside -= 1
            except ShotLocked:
                continue

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and got > 1 and os.listdir(tmp_path) == []


def test_a_heartbeat_that_fails_once_is_no_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "HEARTBEAT", 0.05)
    calls = 0
    real = os.utime

    def utime(*args: Any, **more: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError(5, "the share is gone for a moment")
        real(*args, **more)

    monkeypatch.setattr(os, "utime", utime)
    with lock(tmp_path) as held:
        time.sleep(0.4)
        assert calls > 2
        held.check()


def test_claims_of_dead_processes_on_other_parts_are_removed_too(tmp_path: Path) -> None:
    dead = claim(tmp_path, **identity() | {"pid": 2**22 - 1, "resource": "take:x"})
    with lock(tmp_path):
        assert not dead.exists()


def a_claim(frames: list[int], **more: Any) -> Claim:
    facts: dict[str, Any] = {"resource": "take:a", "purpose": "rendering", "user": "ann"}
    facts |= {"host": "farm-7", "pid": 5, "frame_list": frame_list(frames)}
    return Claim(frames=(frames[0], frames[-1]), **facts | more)


def test_only_claims_that_share_a_frame_conflict() -> None:
    odd, even = a_claim([1, 3, 5]), a_claim([2, 4, 6])
    assert not odd.conflicts(even) and odd.conflicts(a_claim([5, 7]))
    assert odd.conflicts(a_claim([2, 4, 6], frame_list="no list")), "all between its ends"
    assert not odd.conflicts(a_claim([1, 3], resource="take:b"))


def test_a_claim_with_endless_texts_is_none(tmp_path: Path) -> None:
    claim(tmp_path, user="a" * 500)
    assert holders(tmp_path) == []


def test_a_process_number_that_none_can_have_is_not_looked_up() -> None:
    for pid in (0, -1, 2**31):
        assert is_running(replace(process_identity(), pid=pid)) is None
