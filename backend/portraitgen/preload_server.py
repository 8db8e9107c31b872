# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that has loaded what draws, and forks for each command that is handed to it.

It runs as `python -m portraitgen.preload_server FOLDER`, started by `portraitgen preload`. It has
one thread and has computed nothing when it forks, so that what forks is safe: libraries start their
threads, and look for a card, in the copy. It ends when it is told to, when its folder is gone, or
when nobody has asked for anything for a quarter of an hour.
"""

import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .preloaded import END, HEADER, LOG, SOCKET, Command, program_mark, read_once, socket_address
from .startup import run_to_the_end, settle

_IDLE = 900.0
_POLL = 2.0
_SLOW = 5.0
_LONGEST = 1 << 24
_STREAMS = 3
_PEER = struct.Struct("3i")


@dataclass
class _Running:
    """A copy that runs, and who waits for it.

    Attributes:
        caller: the connection; it ends when whoever waits does.
        left: whether it has ended, and the copy was asked to.
    """

    caller: socket.socket
    left: bool = False


@dataclass
class Server:
    """Takes commands in until it is time to end.

    Attributes:
        folder: where its socket lies.
        listener: the socket.
        program, environment: what it was started from, and what libraries have read of it.
    """

    folder: Path
    listener: socket.socket
    program: str
    environment: dict[str, str]
    _running: dict[int, _Running] = field(default_factory=dict)
    _enders: list[socket.socket] = field(default_factory=list)
    _ends: bool = False

    def serve(self) -> Command | None:
        """Forks for each command.

        Returns:
            In a copy the command that it is; None in the process itself, when it has ended.
        """
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        mark = os.stat(self.folder)
        last = time.monotonic()
        while self._running or not self._ends:
            awaited: list[socket.socket | int] = [reader]
            awaited += [each.caller for each in self._running.values() if not each.left]
            if not self._ends:
                awaited.append(self.listener)
            ready, _, _ = select.select(awaited, [], [], _POLL)
            if reader in ready:
                os.read(reader, 4096)
            self._reap()
            for process, each in self._running.items():
                if each.caller in ready:
                    # It sends nothing more: it has ended, and so does what it asked for.
                    each.left = True
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGTERM)
            if self.listener in ready:
                last = time.monotonic()
                if (command := self._taken()) is not None:
                    os.close(reader)
                    os.close(writer)
                    return command
            if self._running:
                last = time.monotonic()
            idle = time.monotonic() - last > _IDLE
            if idle or not _same(self.folder, mark):
                self._ends = True
        return None

    def _reap(self) -> None:
        """Tells how copies ended to those who wait."""
        for process, running in list(self._running.items()):
            done, state = os.waitpid(process, os.WNOHANG)
            if done:
                del self._running[process]
                _tell(running.caller, str(os.waitstatus_to_exitcode(state)))
                running.caller.close()

    def _taken(self) -> Command | None:
        """Takes a command in, and forks; in the copy it is returned."""
        caller, _ = self.listener.accept()
        caller.settimeout(_SLOW)
        streams = list[int]()
        try:
            peer = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
            if _PEER.unpack(peer)[1] != os.getuid():
                raise ValueError("somebody else's")
            command = _received(caller, streams)
        except (OSError, ValueError):
            _close(caller, streams)
            return None
        if command.words == (END,):
            self._ends = True
            for process in self._running:
                os.kill(process, signal.SIGTERM)
            # Hung up with the end of this process, which is what is waited for.
            self._enders.append(caller)
            _close(None, streams)
            return None
        same = read_once(command.environment) == self.environment
        if command.program != self.program or not same:
            _tell(caller, "")
            _close(caller, streams)
            return None
        if process := os.fork():
            _tell(caller, str(process))
            _close(None, streams)
            self._running[process] = _Running(caller)
            return None
        self.listener.close()
        _close(caller, [])
        for each in self._running.values():
            each.caller.close()
        _become(command, streams)
        return command


def _received(caller: socket.socket, streams: list[int]) -> Command:
    """A command, and its streams.

    Raises:
        OSError, ValueError: if it is none.
    """
    header, found, _, _ = socket.recv_fds(caller, HEADER.size, _STREAMS)
    streams += found
    (length,) = HEADER.unpack(header.ljust(HEADER.size, b"\xff"))
    if len(streams) != _STREAMS or length > _LONGEST:
        raise ValueError("no command")
    data = bytearray()
    while len(data) < length:
        part = caller.recv(length - len(data))
        if not part:
            raise ValueError("cut off")
        data += part
    read = json.loads(data)
    return Command(**(read | {"words": tuple(read["words"])}))


def _tell(caller: socket.socket, line: str) -> None:
    # Who waited may have gone.
    with suppress(OSError):
        caller.sendall(f"{line}\n".encode())


def _close(caller: socket.socket | None, streams: list[int]) -> None:
    if caller is not None:
        caller.close()
    for stream in streams:
        os.close(stream)


def _same(folder: Path, mark: os.stat_result) -> bool:
    try:
        found = os.stat(folder)
    except OSError:
        return False
    return (found.st_ino, found.st_dev) == (mark.st_ino, mark.st_dev)


def _become(command: Command, streams: list[int]) -> None:
    """Makes this copy the process that was asked for."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    for name, mode, number in (("stdin", "r", 0), ("stdout", "w", 1), ("stderr", "w", 2)):
        errors = "backslashreplace" if name == "stderr" else "strict"
        lines = 1 if name == "stderr" or os.isatty(number) else -1
        opened = open(number, mode, buffering=lines, errors=errors, closefd=False)
        setattr(sys, name, opened)
        setattr(sys, f"__{name}__", opened)
    sys.argv[1:] = command.words
    os.umask(command.umask)
    os.chdir(command.folder)
    os.environ.clear()
    os.environ.update(command.environment)
    gc.enable()


def listening(folder: Path) -> socket.socket:
    """The folder's socket, that only its owner reaches.

    Raises:
        OSError: if it cannot be made.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with socket_address(folder) as address:
        mask = os.umask(0o177)
        try:
            listener.bind(address)
        finally:
            os.umask(mask)
    listener.listen(64)
    return listener


def _load() -> None:
    """Loads what draws and its kernels, on one thread, and looks for no card."""
    from .raster.warm import load_kernels

    load_kernels()
    gc.freeze()


def main() -> None:
    """Serves the folder that is named."""
    folder = Path(sys.argv[1])
    program, environment = program_mark(), read_once(dict(os.environ))
    listener = listening(folder)
    settle()
    gc.disable()
    _load()
    # Whoever asked for its end is hung up on with it, when nothing of it is left.
    server = Server(folder, listener, program, environment)
    command = server.serve()
    if command is not None:
        from .cli import main as run

        run(command.words)
        return
    listener.close()
    # Nothing stays of what it alone put there.
    with suppress(OSError):
        for name in (SOCKET, LOG):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


if __name__ == "__main__":
    run_to_the_end(main)
