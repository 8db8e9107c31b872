# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backend's process as Blender sees it: requests out, what it says in. Needs no bpy.

Two threads read the process's output into a queue; `Worker.drain` empties it on the caller's
thread, so that a timer, or a loop in a test, decides when Blender's data may change.
"""

import atexit
import os
import queue
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from portraitgen import protocol
from portraitgen.errors import PortraitError
from portraitgen.messages.base import Call, ErrorData, Told
from portraitgen.messages.jobs import Heartbeat
from portraitgen.messages.tables import NOTIFICATIONS
from portraitgen.native_log_filter import is_noise
from portraitgen.protocol import Failure, Notification, ProtocolError, Request, Result
from portraitgen.schema import Data, Misfit

# What is asked for may be much work on a busy machine: a frame tried as the first thing compiles
# and loads all it needs. That the worker lives it says itself, all the time.
ANSWER_LIMIT = 900.0
# A job may hold the interpreter for a while; a beat this late means that nothing moves any more.
SILENCE_LIMIT = 30.0
STDERR_LINES = 20

A = TypeVar("A", bound=Data)
OnResult = Callable[[A], None]
OnError = Callable[[PortraitError], None]


class WorkerError(PortraitError):
    """The process could not be started, has died, hangs or does not answer."""

    code = "worker"


@dataclass(frozen=True)
class _Waiting:
    """A request that waits for its answer, until a time on the monotonic clock."""

    call: Call[Any]
    until: float
    on_result: Callable[[Any], None]
    on_error: OnError


def _error_of(failure: Failure) -> PortraitError:
    """A failure with the code, place and remedy that the worker gave it."""
    try:
        return ErrorData.parse(failure.data).error()
    except Misfit:
        # Refused before it was tried: the message is all there is.
        return WorkerError(failure.message.rstrip("."))


class Worker:
    """One backend process.

    Args:
        command: the program and its arguments.
        on_notification: called with each notification but the heartbeat, from `drain`.
        on_lost: called once, from `drain`, when the process has died or hangs.

    Raises:
        WorkerError: if the process cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        on_notification: Callable[[Told], None],
        on_lost: OnError,
    ) -> None:
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # Blender's own Python must not leak into another interpreter.
                env={key: value for key, value in os.environ.items() if key != "PYTHONHOME"},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise WorkerError(
                f"the backend cannot be started ({error.strerror})",
                command[0],
                "create the environment again in the preferences",
            ) from None
        self._on_notification, self._on_lost = on_notification, on_lost
        self._incoming: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._waiting: dict[int | str, _Waiting] = {}
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._next_id = 0
        self._heard = time.monotonic()
        self.alive = True
        self._stderr_thread = threading.Thread(target=self._read_stderr, daemon=True)
        self._stderr_thread.start()
        for target in (self._read, self._write):
            threading.Thread(target=target, daemon=True).start()
        atexit.register(self.end)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def ask(
        self,
        call: Call[A],
        on_result: OnResult[A],
        on_error: OnError,
        limit_s: float = ANSWER_LIMIT,
    ) -> None:
        """Sends a request; `drain` calls one of the two when it is answered or late.

        Raises:
            WorkerError: if the process has ended.
        """
        if not self.alive:
            raise WorkerError("the backend has ended", remedy="start it again")
        self._next_id += 1
        until = time.monotonic() + limit_s
        self._waiting[self._next_id] = _Waiting(call, until, on_result, on_error)
        # Written by a thread: a hung worker's full pipe must not hold Blender's window.
        request = Request(self._next_id, call.METHOD, call.to_json())
        self._outgoing.put(protocol.encode(request))

    def drain(self, budget_s: float = 0.005) -> None:
        """Handles what has arrived, for about `budget_s` seconds, and watches the time limits."""
        until = time.monotonic() + budget_s
        while self.alive and time.monotonic() < until:
            try:
                line = self._incoming.get_nowait()
            except queue.Empty:
                break
            if line is None:
                # What it printed last says why; its other pipe may be a moment behind.
                self._stderr_thread.join(0.2)
                status = self._process.poll()
                self._lose("ended unexpectedly" + (f" ({status})" if status is not None else ""))
                return
            self._handle(line)
        if self.alive:
            self._watch()

    def end(self, wait_s: float = 2.0) -> None:
        """Ends the process: closes its stdin, which ends the worker, and kills it if that fails."""
        atexit.unregister(self.end)
        self.alive = False
        self._waiting.clear()
        self._outgoing.put(None)
        try:
            self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _handle(self, line: bytes) -> None:
        try:
            message = protocol.decode(line)
        except ProtocolError:
            self._stderr.append(line[:200].decode(errors="replace").strip())
            return
        # Only a message shows that the worker lives: rubbish can come from a library's loop.
        self._heard = time.monotonic()
        if isinstance(message, Notification):
            self._tell(message)
        elif isinstance(message, Result | Failure) and message.id in self._waiting:
            waiting = self._waiting.pop(message.id)
            if isinstance(message, Result):
                self._answered(waiting, message)
            else:
                waiting.on_error(_error_of(message))

    def _tell(self, message: Notification) -> None:
        kind = NOTIFICATIONS.get(message.method)
        if kind is None or kind is Heartbeat:
            return
        try:
            told = kind.parse(message.params)
        except Misfit as misfit:
            self._stderr.append(f"{message.method}: {misfit}")
            return
        self._on_notification(told)

    def _answered(self, waiting: "_Waiting", message: Result) -> None:
        try:
            answer = waiting.call.ANSWER.parse(message.value)
        except Misfit as misfit:
            method = waiting.call.METHOD
            waiting.on_error(
                WorkerError(
                    f"the backend's answer to '{method}' cannot be used ({misfit})",
                    remedy="update the environment in the extension's preferences",
                )
            )
            return
        waiting.on_result(answer)

    def _watch(self) -> None:
        now = time.monotonic()
        if now - self._heard > SILENCE_LIMIT:
            self._lose(f"has said nothing for {SILENCE_LIMIT:.0f} seconds")
            return
        for id in [id for id, each in self._waiting.items() if now > each.until]:
            late = self._waiting.pop(id)
            late.on_error(self._error(f"the backend has not answered '{late.call.METHOD}' in time"))

    def _lose(self, what: str) -> None:
        error = self._error(f"the backend {what}")
        waiting = list(self._waiting.values())
        self.end(wait_s=0)
        for each in waiting:
            each.on_error(error)
        self._on_lost(error)

    def _error(self, message: str) -> WorkerError:
        said = f"; it last printed: {' | '.join(list(self._stderr)[-3:])}" if self._stderr else ""
        return WorkerError(message + said, remedy="start it again and resume the job")

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout as stream:
            while line := stream.readline(protocol.MAX_LINE + 1):
                self._incoming.put(line)
        self._incoming.put(None)

    def _read_stderr(self) -> None:
        assert self._process.stderr
        with self._process.stderr as stream:
            while line := stream.readline(4096):
                if not is_noise(line):
                    self._stderr.append(line.decode(errors="replace").rstrip())

    def _write(self) -> None:
        stream = self._process.stdin
        assert stream
        # The process may have gone; the reader tells. What could not be written goes with the pipe.
        with suppress(OSError):
            while (line := self._outgoing.get()) is not None:
                stream.write(line)
                stream.flush()
        with suppress(OSError):
            stream.close()
