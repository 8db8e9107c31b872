# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks on parts of a shot folder that name their holder and survive a dead one.

Standard library only. Each holder keeps one small file in the shot's `locks` folder and touches it
while it lives. The files are enough on a network share: a holder on this machine is looked up by
process id, one on another machine counts as dead when its file has not been touched for a minute.
"""

import getpass
import json
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from .errors import ShotLocked

_HEARTBEAT = 10.0
_DEAD_AFTER = 60.0


class Lock:
    """A claim on one resource of a shot, held inside a `with` block."""

    def __init__(self, folder: Path, resource: str, purpose: str, frames: range | None) -> None:
        self._folder = folder
        self._path = folder / f"{uuid.uuid4().hex}.json"
        self._stop = threading.Event()
        self._facts: dict[str, Any] = {
            "resource": resource,
            "purpose": purpose,
            "frames": [frames[0], frames[-1]] if frames else None,
            "host": socket.gethostname(),
            "user": _user(),
            "pid": os.getpid(),
            "process_started": _process_started(os.getpid()),
        }

    def __enter__(self) -> "Lock":
        self._folder.mkdir(parents=True, exist_ok=True)
        with _claiming(self._folder) as clock:
            for path in self._folder.glob("*.json"):
                other = _read(path)
                if other is None or not self._conflicts(other):
                    continue
                if _alive(path, other, clock):
                    raise ShotLocked(
                        f"{other['user']} on {self._machine(other)} (process {other['pid']}) is"
                        f" busy with {other['purpose']}",
                        self._folder.parent,
                        "wait until it ends or stop it",
                    )
                path.unlink(missing_ok=True)
            self._path.write_text(json.dumps(self._facts), "utf-8")
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._path.unlink(missing_ok=True)

    def _machine(self, other: dict[str, Any]) -> str:
        return "this machine" if other["host"] == self._facts["host"] else str(other["host"])

    def _beat(self) -> None:
        while not self._stop.wait(_HEARTBEAT):
            try:
                os.utime(self._path)
            except OSError:
                return  # The file was taken away; nothing is left to keep alive.

    def _conflicts(self, other: dict[str, Any]) -> bool:
        if other["resource"] != self._facts["resource"]:
            return False
        mine, theirs = self._facts["frames"], other["frames"]
        if mine is None or theirs is None:
            return True
        return bool(mine[0] <= theirs[1] and theirs[0] <= mine[1])


@contextmanager
def _claiming(folder: Path) -> Iterator[Path]:
    """Lets one process at a time look and claim: making a folder is atomic on shares too.

    Yields:
        The folder made, whose time of change reads the share's own clock.
    """
    gate = folder / "claiming"
    while True:
        try:
            gate.mkdir()
            break
        except FileExistsError:
            # Looking and claiming takes milliseconds; whoever left the gate shut has died.
            if time.time() - _touched(gate) > _DEAD_AFTER:
                with suppress(FileNotFoundError):
                    gate.rmdir()
            time.sleep(0.02)
    try:
        yield gate
    finally:
        with suppress(FileNotFoundError):
            gate.rmdir()


def _touched(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()


def holders(folder: Path) -> list[dict[str, Any]]:
    """The living claims on a shot: resource, purpose, frames, host, user and pid of each."""
    if not folder.is_dir():
        return []
    found = [(path, _read(path)) for path in folder.glob("*.json")]
    return [facts for path, facts in found if facts is not None and _alive(path, facts, None)]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        facts = json.loads(path.read_text("utf-8"))
    except (OSError, json.JSONDecodeError):
        return None  # Released meanwhile.
    keys = {"resource", "purpose", "frames", "host", "user", "pid"}
    return facts if isinstance(facts, dict) and keys <= facts.keys() else None


def _alive(path: Path, facts: dict[str, Any], clock: Path | None) -> bool:
    if facts["host"] == socket.gethostname():
        started = _process_started(facts["pid"])
        return started is not None and facts.get("process_started") in (started, None)
    try:
        touched = path.stat().st_mtime
        # The share's own clock, where there is a file just written to read it from.
        present = clock.stat().st_mtime if clock else time.time()
    except OSError:
        return False
    return present - touched < _DEAD_AFTER


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "someone"


def _process_started(pid: int) -> str | None:
    """A mark that differs between two processes with one id; None if no such process runs."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    if sys.platform == "win32":
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, pid)
        if not handle:
            return None
        code = ctypes.c_ulong()
        ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
        ctypes.windll.kernel32.CloseHandle(handle)
        return "running" if code.value == 259 else None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return "running"
    return "running"
