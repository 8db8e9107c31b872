# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program of the user's that edits images in a process of its own, spoken to in JSON lines.

docs/editors.md gives the contract. The program says {"type": "ready", "contract": 1} once it can
work; it answers every {"type": "edit", ...} with "progress" as often as it likes and then with
"done" or "failed"; it ends when its stdin closes. What else it prints is passed over.
"""

import json
import os
import queue
import signal
import subprocess
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..errors import EditError
from ..schema import Data
from ..trust import check_program

CONTRACT = 1
_TICK_S = 0.1
_GRACE_S = 3.0
_REMEMBERED = 20
_LONGEST = 1 << 20


@dataclass(frozen=True)
class _Answer(Data):
    """A line of the contract.

    Attributes:
        type: what it tells: "ready", "progress", "done" or "failed".
        contract: the version that a ready program speaks.
        message: why it failed.
    """

    type: str
    contract: object = None
    message: object = "it gave no reason"


class PlugInProcess:
    """The running program; it is ended when this object is, or when Python is.

    Args:
        command: the program and its arguments; no shell reads them.
        folder: where it runs.
        name: what errors call it.
        shipped: a script of ours that is run in the place of the command's own.

    Raises:
        ProgramNotAllowed: if the user has not allowed it.
        EditError: if it cannot be started.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, name: str, shipped: Path | None = None
    ) -> None:
        check_program(command, folder)
        if shipped is not None:
            command = [command[0], str(shipped), *command[2:]]
        self._name = name
        self._complaints: deque[str] = deque(maxlen=_REMEMBERED)
        self._lines: queue.Queue[str | None] = queue.Queue()
        try:
            self._process = subprocess.Popen(
                list(command),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=os.name == "posix",
            )
        except OSError as error:
            reason = error.strerror or str(error)
            raise EditError(
                f"the program cannot be started ({reason})", command[0], "check the path"
            ) from error
        self._end = weakref.finalize(self, _stop, self._process)
        assert self._process.stdout and self._process.stderr
        lines = self._lines
        # What the threads hold must not be this object, or it would never go.
        _listen(self._process.stdout, lines.put, lambda: lines.put(None))
        self._errors = _listen(self._process.stderr, self._complaints.append, lambda: None)

    @property
    def running(self) -> bool:
        """Whether it can be asked for more."""
        return self._end.alive and self._process.poll() is None

    def wait_ready(self, limit_s: float, check: Callable[[], None]) -> None:
        """Waits until the program can work.

        Args:
            limit_s: how long at most, in seconds.
            check: called ten times a second; what it raises ends the program.

        Raises:
            EditError: if it ends, takes too long or speaks another version of the contract.
        """
        answer = self._answer(("ready",), limit_s, check)
        if answer.contract != CONTRACT:
            self.stop()
            raise EditError(
                f"the program speaks version {answer.contract} of the contract, not {CONTRACT}",
                self._name,
                "update the program",
            )

    def ask(self, message: Mapping[str, Any], limit_s: float, check: Callable[[], None]) -> None:
        """Sends a message and waits for its "done".

        Raises:
            EditError: if the program fails, ends or takes too long; it is ended in the latter case.
        """
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            raise self._ended() from None
        answer = self._answer(("done", "failed"), limit_s, check)
        if answer.type == "failed":
            reason = " ".join(str(answer.message).split())
            raise EditError(f"the program failed: {reason}", self._name, "see its own manual")

    def stop(self) -> None:
        """Ends the program and what it has started."""
        self._end()

    def _answer(self, types: Sequence[str], limit_s: float, check: Callable[[], None]) -> _Answer:
        """The next message of one of the types; whatever goes wrong meanwhile ends the program."""
        until = time.monotonic() + limit_s
        try:
            while True:
                check()
                if time.monotonic() > until:
                    raise EditError(
                        f"the program gave no answer in {limit_s:g} seconds",
                        self._name,
                        "give it a longer limit, or see why it hangs",
                    )
                try:
                    line = self._lines.get(timeout=_TICK_S)
                except queue.Empty:
                    continue
                if line is None:
                    raise self._ended()
                message = _message(line)
                if message and message.type in types:
                    return message
        except BaseException:
            self.stop()
            raise

    def _ended(self) -> EditError:
        """The program is gone: with which status, and its last words."""
        try:
            status = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self.stop()
            return EditError("the program closed its output", self._name, "see its own manual")
        self._errors.join(_GRACE_S)
        words = next((line for line in reversed(self._complaints) if line.strip()), "")
        last = f" ({words.strip()[:300]})" if words else ""
        return EditError(
            f"the program ended with status {status}{last}", self._name, "see its own manual"
        )


def _listen(
    stream: IO[str], take: Callable[[str], object], end: Callable[[], object]
) -> threading.Thread:
    def read() -> None:
        with stream:
            while line := stream.readline(_LONGEST):
                take(line)
        end()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def _message(line: str) -> _Answer | None:
    """A line as a message; None if it is something else that was printed."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        return _Answer.parse(json.loads(line))
    except ValueError:
        return None


def _stop(process: "subprocess.Popen[str]") -> None:
    """Closes the program's stdin, and ends it and its children if it does not end by itself."""
    if process.stdin:
        try:
            process.stdin.close()
        except OSError:
            process.poll()
    if process.poll() is None:
        _signal(process, force=False)
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        _signal(process, force=True)
        process.wait()


def _signal(process: "subprocess.Popen[str]", force: bool) -> None:
    if os.name != "posix":
        if force:
            process.kill()
        else:
            process.terminate()
        return
    try:
        os.killpg(process.pid, signal.SIGKILL if force else signal.SIGTERM)
    except ProcessLookupError:
        process.poll()
