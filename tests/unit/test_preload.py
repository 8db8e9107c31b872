# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that run in copies of a process that has loaded what draws, by themselves where not."""

import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from child_process import child_environment

from portraitgen.footage.exr import read_exr
from portraitgen.preloaded import VARIABLE, connected, run_preloaded
from portraitgen.shot import Shot

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="commands are preloaded on Linux alone"
)
Waiting = tuple[subprocess.Popen[str], int, Path]
PROGRAM = [sys.executable, "-m", "portraitgen"]


def command(*words: object, **more: str) -> subprocess.CompletedProcess[str]:
    around = child_environment(**more)
    given = [*PROGRAM, *map(str, words)]
    return subprocess.run(given, capture_output=True, text=True, env=around, timeout=300)


def server_of(folder: Path) -> int:
    with connected(folder) as server:
        told = server.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", told)[0])


def copies_of(server: int) -> list[int]:
    listed = Path(f"/proc/{server}/task/{server}/children").read_text()
    return [int(process) for process in listed.split()]


def until(what: str, holds: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.05)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a process, of a name that no socket's address has place for."""
    folder = tmp_path_factory.mktemp("p") / ("long" * 40) / "loaded"
    done = command("preload", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"export {VARIABLE}={folder}\n"
    yield folder
    assert command("preload", folder, "--end").returncode == 0


def test_a_copy_renders_the_same_bits(
    loaded: Path, copied: Path, finished: Path, tmp_path: Path
) -> None:
    shutil.rmtree(copied / "takes" / "toon" / "renders")
    words = ("render", copied, "--take", "toon", "--no-movie", "--frames", "1")
    done = command(*words, **{VARIABLE: str(loaded)})
    assert done.returncode == 0, done.stderr
    assert "render: 1 of 1" in done.stderr and "frames: 1" in done.stdout
    name = "takes/toon/renders/v001/frames/toon.0001.exr"
    made = read_exr(copied / name)
    shutil.rmtree(copied / "takes" / "toon" / "renders")
    assert command(*words).returncode == 0
    alone = read_exr(copied / name)
    assert made.keys() == alone.keys() and all((made[each] == alone[each]).all() for each in alone)


def test_who_may_reach_it(loaded: Path) -> None:
    assert stat.S_IMODE(loaded.stat().st_mode) == 0o700
    assert stat.S_IMODE((loaded / "socket").lstat().st_mode) & 0o077 == 0


def test_a_command_that_fails_says_so_as_ever(loaded: Path, tmp_path: Path) -> None:
    words = ("render", tmp_path / "nothing", "--take", "x", "--events")
    alone, there = command(*words), command(*words, **{VARIABLE: str(loaded)})
    assert alone.returncode == there.returncode == 1
    assert (alone.stdout, alone.stderr) == (there.stdout, there.stderr) and alone.stderr
    wrong = command("render", "--nonsense", **{VARIABLE: str(loaded)})
    assert wrong.returncode == 2 and "required: SHOT" in wrong.stderr


def test_a_copy_is_where_and_who_the_command_was(loaded: Path, tmp_path: Path) -> None:
    """Its folder, its streams and its environment are those of whoever asked."""
    around = child_environment(**{VARIABLE: str(loaded), "PORTRAITGEN_CACHE": str(tmp_path / "c")})
    with (tmp_path / "said").open("w") as said:
        given = [*PROGRAM, "render", "here", "--events"]
        done = subprocess.run(given, stdout=said, cwd=tmp_path, env=around, stderr=said)
    assert done.returncode == 1 and "here" in (tmp_path / "said").read_text()


@pytest.mark.parametrize(
    "other",
    [{VARIABLE: "/nowhere/at/all"}, {"OMP_NUM_THREADS": "3"}, {"NUMBA_CACHE_DIR": "/tmp/other"}],
    ids=["nobody answers", "other threads", "another cache"],
)
def test_what_cannot_be_handed_over_runs_by_itself(
    loaded: Path, tmp_path: Path, other: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ({VARIABLE: str(loaded)} | other).items():
        monkeypatch.setenv(name, value)
    assert run_preloaded(["render", str(tmp_path / "nothing")]) is None
    done = command("render", tmp_path / "nothing", **{VARIABLE: str(loaded)} | other)
    assert done.returncode == 1 and "nothing" in done.stderr


def test_a_socket_of_nobody_hangs_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left.bind("socket")
    left.close()
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert run_preloaded(["render", "x"]) is None


@pytest.fixture
def waiting(loaded: Path, copied: Path) -> Iterator[Waiting]:
    """A command that waits for a lock, and the copy that it is."""
    with Shot.open(copied).hold("frames:toon", "render"):
        given = [*PROGRAM, "render", str(copied), "--take", "toon", "--wait", "300"]
        around = child_environment(**{VARIABLE: str(loaded)})
        waits = subprocess.Popen(given, stderr=subprocess.PIPE, text=True, env=around)
        server = server_of(loaded)
        until("no copy", lambda: copies_of(server))
        (copy,) = copies_of(server)
        # It has taken itself for the command once it looks for the end of who started it.
        until("no watch", lambda: len(list(Path(f"/proc/{copy}/task").iterdir())) > 1)
        yield waits, server, copied
        waits.kill()
        waits.wait()
        until("a copy is left", lambda: not copies_of(server))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_copy_in_good_order(waiting: Waiting, number: signal.Signals) -> None:
    waits, server, _ = waiting
    waits.send_signal(number)
    _, said = waits.communicate(timeout=60)
    assert waits.returncode == 128 + number and "Stopped" in said
    assert not copies_of(server)


def test_a_copy_ends_with_who_asked_for_it(
    waiting: Waiting,
) -> None:
    """A farm kills the command alone."""
    waits, server, _ = waiting
    waits.kill()
    until("the copy goes on", lambda: not copies_of(server))


def test_its_end_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "loaded"
    assert command("preload", folder, "--openjd").stdout == f"openjd_env: {VARIABLE}={folder}\n"
    server = server_of(folder)
    again = command("preload", folder)
    assert again.returncode == 2 and "not empty" in again.stderr
    # On a farm no task fails for it.
    farm = command("preload", folder, "--openjd")
    assert farm.returncode == 0 and farm.stdout.startswith("Nothing is preloaded")
    assert command("preload", folder, "--end").returncode == 0
    assert not folder.exists()
    until("it goes on", lambda: not Path(f"/proc/{server}").exists())
    twice = command("preload", folder, "--end")
    assert twice.returncode == 0 and "No process runs" in twice.stdout


def test_it_ends_when_its_folder_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "loaded"
    assert command("preload", folder).returncode == 0
    server = server_of(folder)
    shutil.rmtree(folder)
    until("it goes on", lambda: not Path(f"/proc/{server}").exists())


def test_a_copy_ends_with_the_process_it_was_made_from(copied: Path, tmp_path: Path) -> None:
    folder = tmp_path / "loaded"
    assert command("preload", folder).returncode == 0
    server = server_of(folder)
    with Shot.open(copied).hold("frames:toon", "render"):
        given = [*PROGRAM, "render", str(copied), "--take", "toon", "--wait", "300"]
        around = child_environment(**{VARIABLE: str(folder)})
        waits = subprocess.Popen(given, stderr=subprocess.PIPE, text=True, env=around)
        until("no copy", lambda: copies_of(server))
        (copy,) = copies_of(server)
        until("no watch", lambda: len(list(Path(f"/proc/{copy}/task").iterdir())) > 1)
        os.kill(server, signal.SIGKILL)
        _, said = waits.communicate(timeout=60)
    assert waits.returncode == 75 and "try again" in said
    until("the copy goes on", lambda: not Path(f"/proc/{copy}").exists())
