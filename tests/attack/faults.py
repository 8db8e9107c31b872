# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults at any step that a program takes on a file system.

Python tells its audit hooks before it opens, renames, deletes or makes anything. A hook of ours
counts these steps under one folder, and at the one that is asked for it either

* kills: from there on no step of any thread reaches the disk, which leaves what kill -9 leaves; or
* says that the disk is full, once or from there on.

What libraries write without Python (pictures, movies) goes to temporary files of ours, whose making
and renaming are such steps.
"""

import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from portraitgen import locks

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_GROWING = {"open", "os.mkdir", "os.rename"}
_STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link"}
# No process of this number runs anywhere.
_DEAD = 2**22 - 2


class Killed(BaseException):
    """The program does not run any more."""


class _Watch:
    """What the hook does now: `mode` is "", "count", "kill", "once" or "full".

    `trace` names the steps so far; `changes` says of each whether it changed what lies on the disk.
    """

    def __init__(self) -> None:
        self.mode, self.root, self.at, self.count = "", "", -1, 0
        self.trace: list[str] = []
        self.changes: list[bool] = []

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        if not self.mode or event not in _STEPS:
            return
        if event == "open" and not (isinstance(given[2], int) and given[2] & _WRITES):
            return
        path = given[0]
        if isinstance(path, int):
            return
        text = os.fsdecode(path)
        # Relative names are those that a folder's deletion goes through.
        if os.path.isabs(text) and not text.startswith(self.root):
            return
        if self.mode == "kill" and self.count > self.at:
            raise Killed
        self.count += 1
        self.trace.append(f"{event} {text.removeprefix(self.root)}")
        self.changes.append(_changes(event, text))
        reached = self.count > self.at
        if self.mode == "kill" and reached:
            raise Killed
        # A folder that is there needs no room.
        if (
            event in _GROWING
            and self.changes[-1]
            and (
                (self.mode == "once" and self.count == self.at + 1)
                or (self.mode == "full" and reached)
            )
        ):
            raise OSError(errno.ENOSPC, "No space left on device", text)


def _changes(event: str, path: str) -> bool:
    """Whether a step can change what lies on the disk: making what is there already does not, nor
    does deleting what is not. Relative names may lie anywhere."""
    if event == "os.mkdir":
        return not os.path.lexists(path)
    return event != "os.remove" or not os.path.isabs(path) or os.path.lexists(path)


def kills(watch: _Watch) -> list[int]:
    """The steps at which a kill leaves something else than at the step before."""
    return [at for at in range(watch.count) if not at or watch.changes[at - 1]]


def writes(watch: _Watch) -> list[int]:
    """The steps that a full disk can refuse."""
    events = [step.partition(" ")[0] for step in watch.trace]
    return [at for at in range(watch.count) if events[at] in _GROWING and watch.changes[at]]


_watch = _Watch()
sys.addaudithook(_watch)


@contextmanager
def fault(mode: str, root: Path, at: int = -1) -> Iterator[_Watch]:
    """Has a fault happen at a step under a folder while the block runs.

    Args:
        mode: "count" for none, "kill", "once" or "full" (a full disk, for one step or from it on).
        at: the step, counted from 0.
    """
    _watch.root, _watch.at, _watch.count = str(root), at, 0
    _watch.trace, _watch.changes = [], []
    with pytest.MonkeyPatch.context() as patch:
        if mode == "kill":
            # Claims and temporary files are those of a process that is dead afterwards.
            patch.setattr(os, "getpid", lambda: _DEAD)
        _watch.mode = mode
        try:
            yield _watch
        finally:
            _watch.mode = ""
            for lock in list(locks._held):
                lock._stop.set()
                locks._held.discard(lock)


# All that we start by ourselves.
_DECODER = [sys.executable, "-P", "-m", "portraitgen.footage.decoder_main"]


class _Outside:
    """What a program does outside of some folders, told by the same hooks."""

    def __init__(self) -> None:
        self.allowed: list[str] | None = None
        self.seen: list[str] = []

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        if self.allowed is None:
            return
        if event in ("socket.connect", "os.system", "os.exec", "os.posix_spawn", "os.startfile"):
            self.seen.append(f"{event} {given}")
        elif event == "subprocess.Popen":
            if list(given[1])[: len(_DECODER)] != _DECODER:
                self.seen.append(f"{event} {given[1]}")
        elif event in _STEPS and not isinstance(given[0], int):
            if event == "open" and not (isinstance(given[2], int) and given[2] & _WRITES):
                return
            places = given[:2] if event in ("os.rename", "os.link") else given[:1]
            self.seen += [f"{event} {place!r}" for place in places if not self._inside(place)]

    def _inside(self, place: str | bytes) -> bool:
        path = os.fsdecode(place)
        # Relative names are those that a folder's deletion goes through.
        if not os.path.isabs(path):
            return True
        # What is written or deleted is the link, not what it leads to.
        folder, name = os.path.split(path)
        path = os.path.join(os.path.realpath(folder), name)
        return any(f"{path}{os.sep}".startswith(each) for each in self.allowed or [])


_outside = _Outside()
sys.addaudithook(_outside)


@contextmanager
def done_outside(*allowed: Path) -> Iterator[list[str]]:
    """Notes what is written, deleted, started or called outside of some folders meanwhile; devices
    and temporary files are nobody's."""
    temporary = [os.path.join(tempfile.gettempdir(), name) for name in ("tmp", "portraitgen-")]
    _outside.seen = []
    _outside.allowed = [f"{os.path.realpath(each)}{os.sep}" for each in allowed]
    _outside.allowed += [*temporary, "/dev/"]
    try:
        yield _outside.seen
    finally:
        _outside.allowed = None
