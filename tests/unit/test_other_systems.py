# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done on Windows and macOS alone, tried here with what those systems would say."""

import ctypes
import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from portraitgen import locks, process_identity, stopping, storage
from portraitgen.errors import ShotError
from portraitgen.failures import readable
from portraitgen.locks import Lock, Waiting
from portraitgen.process_identity import ProcessIdentity, is_running, process_started
from portraitgen.storage import (
    append_json,
    check_inside,
    check_own_folder,
    is_link,
    move_folder,
    read_json,
    remove_file,
    remove_tree,
    strays,
    temporary_path,
    write_json,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="plays other systems on Linux")


class Kernel:
    """kernel32 of Windows, as far as it is asked.

    Attributes:
        forbidden: processes of others, that may not be looked at.
    """

    def __init__(self) -> None:
        self.forbidden: set[int] = set()
        self.error = 0
        self.OpenProcess: Any = lambda access, inherit, pid: self._open(pid)
        self.opened = 0

    def __call__(self, name: str, use_last_error: bool = False) -> "Kernel":
        assert name == "kernel32" and use_last_error
        return self

    def _open(self, pid: int) -> int | None:
        if pid in self.forbidden:
            self.error = 5
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            self.error = 87
            return None
        self.opened += 1
        return pid

    def GetExitCodeProcess(self, handle: Any, code: Any) -> int:
        code._obj.value = 259
        return 1

    def GetProcessTimes(self, handle: Any, *times: Any) -> int:
        times[0]._obj.value = 1000 + handle.value
        return 1

    def CloseHandle(self, handle: Any) -> int:
        self.opened -= 1
        return 1


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(ctypes, "WinDLL", made, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: made.error, raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    return made


@pytest.fixture
def macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")


@pytest.fixture
def no_proc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A system without Linux's folder of processes."""
    read = Path.read_text

    def read_text(path: Path, *rest: Any) -> str:
        if str(path).startswith("/proc"):
            raise FileNotFoundError(path)
        return read(path, *rest)

    monkeypatch.setattr(Path, "read_text", read_text)
    process_identity._boot.cache_clear()
    yield
    process_identity._boot.cache_clear()


@pytest.fixture
def dead() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def identity(pid: int, started: str | None) -> ProcessIdentity:
    return replace(process_identity.process_identity(), pid=pid, started=started)


def test_a_process_is_known_by_its_start_on_macos(macos: None, dead: int) -> None:
    mine = process_started(os.getpid())
    assert mine is not None and len(mine.split()) == 5, mine
    assert process_started(dead) is None
    parent = process_started(os.getppid())
    assert is_running(identity(os.getppid(), parent)) is True
    # Another process has its number now.
    assert is_running(identity(os.getppid(), "Thu Jan 1 00:00:00 1970")) is False
    assert is_running(identity(dead, mine)) is False


def test_a_process_that_waits_to_be_buried_does_not_run_on_macos(macos: None) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    try:
        until = time.monotonic() + 20
        while process_started(process.pid) is not None and time.monotonic() < until:
            time.sleep(0.05)
        assert process_started(process.pid) is None
    finally:
        process.wait()


def test_a_process_that_does_not_say_since_when_is_watched(
    macos: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_ps(*words: Any, **more: Any) -> None:
        raise FileNotFoundError("/bin/ps")

    monkeypatch.setattr(process_identity.subprocess, "run", no_ps)
    assert process_started(os.getppid()) == "running"
    assert is_running(identity(os.getppid(), "running")) is None
    assert is_running(identity(os.getpid(), "running")) is True


def test_a_process_is_known_by_its_start_on_windows(kernel: Kernel, dead: int) -> None:
    parent = os.getppid()
    assert process_started(parent) == str(1000 + parent)
    assert is_running(identity(parent, str(1000 + parent))) is True
    assert is_running(identity(parent, "1")) is False
    assert is_running(identity(dead, "1")) is False
    # Another user's, or one with more rights: it may live.
    kernel.forbidden.add(parent)
    assert is_running(identity(parent, str(1000 + parent))) is None
    assert kernel.opened == 0


def test_machines_of_one_name_are_told_apart(no_proc: None) -> None:
    own = process_identity.process_identity()
    assert own.boot == f"{uuid.getnode():012x}" or uuid.getnode() >> 40 & 1
    assert is_running(replace(own, boot="000000000001")) is None


def test_a_machine_without_a_network_card_has_no_number(
    no_proc: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uuid, "getnode", lambda: 0x010000000001)
    own = process_identity.process_identity()
    assert own.boot is None and is_running(own) is True


@pytest.fixture
def windows(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> "list[str]":
    """Files as Windows has them: none lasts that is open for reading alone, and none is replaced,
    moved, deleted or read at first, since a scanner or an indexer has it open.

    Gives the names of what was refused.
    """
    import fcntl

    refused: list[str] = []
    asked: dict[tuple[str, str], int] = {}

    def busy(name: str, real: Callable[..., Any], at: int) -> Callable[..., Any]:
        def call(*given: Any, **more: Any) -> Any:
            key = name, str(given[at])
            asked[key] = asked.get(key, 0) + 1
            if asked[key] < 3:
                refused.append(name)
                raise PermissionError(errno.EACCES, "The process cannot access the file", key[1])
            return real(*given, **more)

        return call

    def fsync(handle: int) -> None:
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")

    for name, at in (("replace", 1), ("rename", 0), ("unlink", 0)):
        monkeypatch.setattr(os, name, busy(name, getattr(os, name), at))
    monkeypatch.setattr(os, "fsync", fsync)
    for name in ("O_NONBLOCK", "O_NOFOLLOW"):
        monkeypatch.delattr(os, name)
    return refused


def test_files_that_others_have_open_are_written_and_deleted_on_windows(
    windows: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": 2})
    assert read_json(path) == {"a": 2}
    append_json(tmp_path / "events.jsonl", {"b": 1})
    assert (tmp_path / "events.jsonl").read_bytes() == b'{"b": 1}\n'
    (tmp_path / "folder").mkdir()
    move_folder(tmp_path / "folder", tmp_path / "moved")
    remove_file(path)
    remove_tree(tmp_path / "events.jsonl")
    assert [each.name for each in tmp_path.iterdir()] == ["moved"]
    assert set(windows) == {"replace", "rename", "unlink"}


def test_what_stays_open_is_told_on_windows(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "toon.mp4"
    path.write_bytes(b"x")

    def refuse(source: object, target: object) -> None:
        raise PermissionError(errno.EACCES, "Access is denied", str(source), 5, str(target))

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(storage.patiently, "__defaults__", (0.1,))
    with pytest.raises(OSError) as told:
        write_json(path, {})
    assert "another program uses this" in str(readable(told.value))
    assert [each.name for each in tmp_path.iterdir()] == ["toon.mp4"]


def test_a_path_that_is_too_long_for_windows_is_told(kernel: Kernel) -> None:
    long = "C:\\" + "a" * 300
    for number in (errno.ENOENT, errno.EACCES):
        told = readable(OSError(number, "The system cannot find the path specified", long))
        assert "has 303 characters" in str(told)
    assert "missing" in str(readable(FileNotFoundError(errno.ENOENT, "", "C:\\a")))


def test_a_long_path_has_two_spellings_on_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shot = tmp_path / "shot"
    (shot / "deep").mkdir(parents=True)
    (shot / "shot.json").write_text("{}")
    real = os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path: f"\\\\?\\{real(path)}"
                        if str(path).endswith("deep") else real(path))  # fmt: skip
    assert check_inside(shot / "deep" / "a.json") == shot / "deep" / "a.json"
    monkeypatch.setattr(os.path, "realpath", lambda path: f"\\\\?\\UNC\\farm{real(path)}"
                        if str(path).endswith("deep") else f"\\\\farm{real(path)}")  # fmt: skip
    assert check_inside(shot / "deep" / "a.json")
    monkeypatch.setattr(os.path, "realpath", lambda path: f"\\\\?\\C:\\{path}")
    monkeypatch.setattr(os.path, "normcase", str.lower)
    assert check_inside(shot / "deep" / "a.json")


def test_junctions_are_links_to_every_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before 3.12 Python calls them folders, and walks into them."""
    outside, shot = tmp_path / "outside", tmp_path / "shot"
    outside.mkdir()
    shot.mkdir()
    (shot / "shot.json").write_text("{}")
    junction = shot / "junction"
    junction.mkdir()
    # What one would see there.
    precious = temporary_path(junction / "a.json")
    precious.write_text("mine")
    os.utime(precious, (1, 1))
    real = os.lstat

    def lstat(path: Any, **more: Any) -> Any:
        facts = real(path, **more)
        if str(path) != str(junction):
            return facts
        return SimpleNamespace(st_mode=stat.S_IFDIR | 0o755, st_reparse_tag=0xA0000003)

    monkeypatch.setattr(os, "lstat", lstat)
    assert is_link(junction) and not is_link(shot)
    assert strays(shot, older_than=-1) == []
    with pytest.raises(ShotError, match="no plain file or folder"):
        check_own_folder(shot)


def test_a_gate_that_is_being_deleted_is_waited_for_on_windows(
    windows: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir, refused = Path.mkdir, []

    def deleting(path: Path, *given: Any, **more: Any) -> None:
        if path.name == "claiming" and len(refused) < 3:
            refused.append(path)
            raise PermissionError(errno.EACCES, "Access is denied", str(path))
        mkdir(path, *given, **more)

    monkeypatch.setattr(Path, "mkdir", deleting)
    with Lock(tmp_path / "locks", "track", "tracking", None, Waiting()) as lock:
        lock.check()
        assert len(list((tmp_path / "locks").glob("*.json"))) == 1
    # Though somebody read the claim as it was given back.
    assert list((tmp_path / "locks").iterdir()) == []
    assert len(refused) == 3
    monkeypatch.setattr(locks, "_PATIENCE", 0.1)
    monkeypatch.setattr(Path, "mkdir", lambda path, *given, **more: deleting_for_ever(path))
    with pytest.raises(PermissionError):
        Lock(tmp_path / "locks", "track", "tracking", None, Waiting()).__enter__()


def deleting_for_ever(path: Path) -> None:
    if path.name == "claiming":
        raise PermissionError(errno.EACCES, "Access is denied", str(path))


def test_signals_are_taken_by_a_python_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 3.12 it has no `os.set_blocking`, and never a SIGHUP."""
    wanted, wake = os.set_blocking, signal.set_wakeup_fd

    def set_wakeup_fd(handle: int, **more: Any) -> int:
        if handle >= 0:
            wanted(handle, False)  # This system's wish.
        return wake(handle, **more)

    monkeypatch.setattr(signal, "set_wakeup_fd", set_wakeup_fd)
    monkeypatch.delattr(os, "set_blocking")
    monkeypatch.delattr(signal, "SIGHUP")
    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(stopping.Stopped) as ended, stopping.graceful_stop():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.status == 143


def test_figures_without_an_account_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    sys.modules.pop("portraitgen.demo", None)
    from portraitgen import demo

    assert demo._peak_memory() is None
