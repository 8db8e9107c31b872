# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoding in processes of their own: a plate that crashes a library costs one sentence.

Files come from strangers, and the libraries that read them are written in C. A decoder process is
asked by one line of JSON and answers with one, and the pixels after it; nothing is unpickled. It is
kept for the next plate when it is no longer needed, and every wait for it ends.
"""

import atexit
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from ..errors import FootageError
from ..schema import Data, Misfit
from .decoder_messages import Answered, AnswerT, Asked, Close, FrameFacts, Question, ReadFrame, Slot
from .shared_frames import SharedFrames, shared_frames
from .source_frame import DamagedFrame, SourceFrame

PATIENCE = 180.0
"""Seconds after which a decoder that says nothing is given up."""

_IDLE = 2
_AHEAD = 4
_MAIN = "portraitgen.footage.decoder_main"
_PACKAGES = Path(__file__).resolve().parents[2]

_Kind = TypeVar("_Kind", bound=Data)
_Said = tuple[Answered, list[np.ndarray]]


class _Process:
    """One decoder process; for one user at a time."""

    def __init__(self) -> None:
        paths = [str(_PACKAGES), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "PYTHONIOENCODING": "utf-8",
        }
        self.frames = shared_frames() if sys.platform == "linux" else None
        inherited = [self.frames.file] if self.frames else []
        self._process = subprocess.Popen(
            # Without the folder where it runs among its modules: that may be a stranger's shot.
            [sys.executable, "-P", "-m", _MAIN, *map(str, inherited)],
            pass_fds=inherited,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            bufsize=0,
        )
        _widen(self._process.stdout)
        self._answers: queue.Queue[_Said | None] = queue.Queue()
        self._reading = threading.Thread(
            target=_receive,
            args=(self._process.stdout, self._answers, self.frames),
            daemon=True,
        )
        self._reading.start()
        self.waiting = 0

    def send(self, question: Question[Data], slot: Slot | None = None) -> None:
        """Asks; the answers come in the order of the questions.

        Args:
            slot: of the shared memory, where the answer's first array may go.
        """
        assert self._process.stdin is not None
        self.waiting += 1
        line = json.dumps(Asked(question.DO, question.to_json(), slot).to_json())
        with contextlib.suppress(OSError):  # A dead process is noticed when it should answer.
            self._process.stdin.write(line.encode() + b"\n")

    def receive(self, place: object, patience: float = PATIENCE) -> _Said:
        """The next answer.

        Raises:
            FootageError: what the decoder says is wrong, or that it died or hangs.
        """
        try:
            answer = self._answers.get(timeout=patience)
        except queue.Empty:
            self.kill()
            raise FootageError(
                f"the decoder said nothing for {patience:.0f} s and was stopped",
                place,
                "copy the plate to a faster disk, or export it again",
            ) from None
        if answer is None:
            self.kill()
            raise FootageError(
                f"the decoder crashed while it read this ({_ending(self._process.returncode)})",
                place,
                "the file is damaged or made to do harm; export it again from its source",
            )
        self.waiting -= 1
        fault = answer[0].fault
        if fault is not None:
            words = fault.message, fault.place or place, fault.remedy
            if fault.damaged is not None:
                raise DamagedFrame(*words, position=fault.damaged, runs=list(fault.runs))
            raise FootageError(*words)
        return answer

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        if self.frames:
            self.frames.close()

    def usable(self) -> bool:
        """Alive, with no question open; answers nobody waits for any more are taken first."""
        while self.waiting and self._process.poll() is None:
            try:
                if self._answers.get(timeout=10.0) is None:
                    break
            except queue.Empty:
                break
            self.waiting -= 1
        return not self.waiting and self._process.poll() is None


def _widen(pipe: Any) -> None:
    """A pipe that takes a megabyte at once, where the system lets it: frames are large."""
    try:
        import fcntl

        fcntl.fcntl(pipe.fileno(), 1031, 1 << 20)  # F_SETPIPE_SZ of Linux
    except (ImportError, OSError, ValueError):
        return


def _ending(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _receive(
    stream: Any, answers: "queue.Queue[_Said | None]", frames: "SharedFrames | None"
) -> None:
    """Takes answers off the pipe until it closes; the last one is None, whatever happens."""
    try:
        while line := stream.readline():
            said = Answered.parse(json.loads(line))
            arrays = []
            for index, (kind, shape) in enumerate(said.arrays):
                if index == 0 and said.slot is not None and frames is not None:
                    arrays.append(frames.array(said.slot, kind, shape))
                    continue
                array = np.empty(shape, np.dtype(kind))
                left = memoryview(array.reshape(-1).view(np.uint8).data)
                while len(left):
                    count = stream.readinto(left)
                    if not count:
                        return
                    left = left[count:]
                arrays.append(array)
            answers.put((said, arrays))
    except (OSError, ValueError, TypeError, LookupError, MemoryError):
        return  # What is not an answer of ours is told as a crash.
    finally:
        answers.put(None)


class _Pool:
    """Decoder processes that wait for work."""

    def __init__(self) -> None:
        self._idle: list[_Process] = []
        self._lock = threading.Lock()
        self._owner = os.getpid()

    def take(self) -> _Process:
        """One for the caller alone."""
        with self._lock:
            if self._owner != os.getpid():  # A fork's copies of the pipes are not its own.
                self._idle, self._owner = [], os.getpid()
            while self._idle:
                process = self._idle.pop()
                if process.usable():
                    return process
                process.kill()
        return _Process()

    def give(self, process: _Process) -> None:
        """Back; ended if it is dead, busy or one too many."""
        if process.usable():
            process.send(Close())
            with contextlib.suppress(FootageError):
                process.receive("", 10.0)
        with self._lock:
            if len(self._idle) < _IDLE and process.usable():
                if process.frames:
                    process.frames.rest()
                self._idle.append(process)
                return
        process.kill()

    def end(self) -> None:
        """Ends all that wait."""
        with self._lock:
            while self._idle:
                self._idle.pop().kill()


_POOL = _Pool()
atexit.register(_POOL.end)


@contextlib.contextmanager
def _taken() -> Iterator[_Process]:
    process = _POOL.take()
    try:
        yield process
    finally:
        _POOL.give(process)


def ask(
    question: Question[AnswerT], place: object, patience: float = PATIENCE
) -> tuple[AnswerT, list[np.ndarray]]:
    """One question to a decoder process.

    Args:
        place: the file it is about, for the sentence on a crash.
        patience: seconds until it is given up.

    Returns:
        The answer, and the arrays that came with it.

    Raises:
        FootageError: what is wrong with the file; that the decoder died or hangs.
    """
    with _taken() as process:
        process.send(question)
        said, arrays = process.receive(place, patience)
    return cast(AnswerT, _parsed(question.ANSWER, said, place)), arrays


def _parsed(kind: type[_Kind], said: Answered, place: object) -> _Kind:
    try:
        return kind.parse(said.answer)
    except Misfit as misfit:
        raise FootageError(
            f"the decoder gave no answer that makes sense ({misfit})",
            place,
            "report it with the file, or export the file again",
        ) from None


class RemoteReader:
    """Reads a plate's frames in a process of its own; for one thread.

    Args:
        opening: the question that opens the plate.
        place: the plate, for sentences.
    """

    def __init__(self, opening: Question[Data], place: object) -> None:
        self._opening = opening
        self._place = place
        self._process: _Process | None = None
        self._closing: Any = None
        self._bytes = 0

    def read(self, position: int) -> SourceFrame:
        """The frame at a position counted from 0.

        Raises:
            FootageError: if it cannot be decoded.
        """
        return next(self.sequence([position]))

    def sequence(self, positions: Iterable[int]) -> Iterator[SourceFrame]:
        """Frames in the order asked, the next ones decoded while one is looked at."""
        process = self._opened()
        coming = iter(positions)
        slots: deque[Slot | None] = deque()
        asked = 0
        done = False
        while not done or asked:
            while not done and asked < _AHEAD:
                position = next(coming, None)
                if position is None:
                    done = True
                else:
                    slots.append(self._ask(process, position))
                    asked += 1
            if asked:
                said, arrays = process.receive(self._place)
                asked -= 1
                slot = slots.popleft()
                if slot is not None and said.slot is None and process.frames:
                    process.frames.give(slot)
                self._bytes = arrays[0].nbytes
                facts = _parsed(FrameFacts, said, self._place)
                yield SourceFrame.received(facts, arrays)

    def _ask(self, process: _Process, position: int) -> Slot | None:
        """Asks for a frame, in a slot of the shared memory where there is one."""
        slot = process.frames.take(self._bytes) if process.frames and self._bytes else None
        process.send(ReadFrame(position), slot)
        return slot

    def close(self) -> None:
        """Gives the process back; reading takes one again."""
        if self._closing is not None:
            self._closing()
        self._process = self._closing = None

    def _opened(self) -> _Process:
        if self._process is None or not self._process.usable():
            self.close()
            self._process = _POOL.take()
            # A plate that nobody closed gives its process back with its last reference.
            self._closing = weakref.finalize(self, _POOL.give, self._process)
            self._process.send(self._opening)
            self._process.receive(self._place)
        return self._process
