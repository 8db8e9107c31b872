# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that run in copies of a process that has loaded what draws (Linux). Standard library.

A farm's task renders a few frames, and half its time goes into loading PyTorch. `portraitgen
preload FOLDER` starts a process that loads it once. A command that finds the folder's name in
`PORTRAITGEN_PRELOADED` hands its words, its environment and its three streams over; the process
forks, and the copy is the command: with locks, signals and an end of its own. Where that cannot be,
for whatever reason, a command runs by itself as ever.

What is sent, over a Unix socket in the folder: a header, the length of what follows, with the three
standard streams; then `Command` as JSON. What comes back, a line each: the process that runs it, or
nothing if it must run elsewhere; then its exit status.
"""

import json
import os
import signal
import socket
import stat
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import BinaryIO

VARIABLE = "PORTRAITGEN_PRELOADED"
"""Of the environment: the folder of the process."""
SOCKET, LOG = "socket", "log.txt"
"""What lies in the folder."""
SERVED = frozenset({"track", "refine", "reconstruct", "edit", "render", "movie", "qc"})
"""The commands that are handed over."""
HEADER = struct.Struct("!I")
END = "--end"
"""The word that ends the process."""
_LATER = 75
_FROM_SIGNAL = 128
# What libraries read once, as they load: there it cannot be changed for one command.
_READ_ONCE = tuple(
    "OMP_ KMP_ GOMP_ MKL_ OPENBLAS_ NUMBA_ TORCH PYTORCH CUDA PYTHON LD_ ATEN_ OPENCV OIIO OPENEXR"
    " MALLOC_ GLIBC_ LC_ LANG".split()
)
# Every command sets them alike, if nobody else has.
_OURS = {"OMP_WAIT_POLICY", "OPENBLAS_THREAD_TIMEOUT"}


@dataclass(frozen=True)
class Command:
    """A command as it was typed, and where.

    Attributes:
        words: after the program's name.
        folder: in which it was typed.
        environment: of the process that typed it.
        umask: the permissions that it takes from new files.
        program: the program that was called, as `program_mark` gives it.
    """

    words: tuple[str, ...]
    folder: str
    environment: dict[str, str]
    umask: int
    program: str


def run_preloaded(words: Sequence[str]) -> int | None:
    """Runs a command in a copy of the process that `PORTRAITGEN_PRELOADED` names.

    Signals go on to the copy, which a command's end ends, too.

    Returns:
        Its exit status; None if the command must run by itself: nothing is named, nobody answers,
        or what answers was started from another program or environment.
    """
    named = os.environ.get(VARIABLE)
    if not named or not words or words[0] not in SERVED or not sys.platform.startswith("linux"):
        return None
    try:
        with connected(Path(named)) as server:
            send(server, this_command(words), (0, 1, 2))
            with server.makefile("rb") as told:
                return _followed(told)
    except (OSError, ValueError):
        return None


def this_command(words: Sequence[str]) -> Command:
    """The command that this process was started for."""
    mask = os.umask(0)
    os.umask(mask)
    return Command(tuple(words), os.getcwd(), dict(os.environ), mask, program_mark())


def program_mark() -> str:
    """What tells this program from another, and from itself before an update."""
    here = Path(__file__).parent
    return f"{sys.executable} {here} {(here / '__init__.py').stat().st_mtime_ns}"


def read_once(environment: dict[str, str]) -> dict[str, str]:
    """The part of an environment that a process cannot take over later."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(_READ_ONCE) and name not in _OURS
    }


@contextmanager
def connected(folder: Path) -> Iterator[socket.socket]:
    """A connection to the process of a folder.

    Raises:
        OSError: if there is none, or if it is somebody else's.
    """
    with socket_address(folder) as address:
        found = os.lstat(address)
        if found.st_uid != os.getuid() or not stat.S_ISSOCK(found.st_mode):
            raise OSError(f"{folder}: this is no process of yours")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.connect(address)
            yield server


@contextmanager
def socket_address(folder: Path) -> Iterator[str]:
    """The folder's socket by a short name: addresses end at 107 bytes, folders of farms do not.

    Raises:
        OSError: if there is no such folder.
    """
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{opened}/{SOCKET}"
    finally:
        os.close(opened)


def send(server: socket.socket, command: Command, streams: Sequence[int]) -> None:
    """Sends a command with its streams.

    Raises:
        OSError: if a stream is closed, or nobody listens.
    """
    data = json.dumps(asdict(command)).encode()
    socket.send_fds(server, [HEADER.pack(len(data))], streams)
    server.sendall(data)


def _followed(told: BinaryIO) -> int | None:
    """Waits for a command that runs elsewhere, and hands signals on to it."""
    asked = list[int]()
    runs = list[int]()

    def hand_on(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        for process in runs:
            with suppress(OSError):
                os.kill(process, number)

    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)
    before = {number: signal.signal(number, hand_on) for number in numbers}
    try:
        if not (process := told.readline().strip()):
            return _FROM_SIGNAL + asked[0] if asked else None
        runs.append(int(process))
        for number in asked:
            with suppress(OSError):
                os.kill(runs[0], number)
        status = told.readline().strip()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
    if status:
        return int(status) if int(status) >= 0 else _FROM_SIGNAL - int(status)
    print("portraitgen: the process that had been loaded ended; try again", file=sys.stderr)
    return _LATER
