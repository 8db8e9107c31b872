# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a process ends: on SIGINT and SIGTERM, with its parent, and within seconds whatever hangs.

Standard library only. The first signal becomes a KeyboardInterrupt in the main thread, from which
every block cleans up after itself; later ones change nothing. If the process still runs after
`GRACE` seconds, or hangs in a library that lets no signal through, a thread marks what runs as
stopped, gives its locks back and ends the process.

Signals are taken even where a shell has told its background processes to pass them over. A process
started with nohup outlives its parent, as it was told to; any other one ends with it.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from .locks import release_all

GRACE = 7.0
"""For how long a process that was asked to end may clean up, in seconds."""
_LAST_WORDS = 2.0
_POLL = 0.5
_on_end: list[Callable[[], None]] = []


def at_hard_end(action: Callable[[], None]) -> Callable[[], None]:
    """Has something done if the process must be ended while it hangs.

    Returns:
        What takes that back.
    """
    _on_end.append(action)

    def forget() -> None:
        with suppress(ValueError):
            _on_end.remove(action)

    return forget


def end_soon(status: int, seconds: float = GRACE) -> None:
    """Ends the process after some seconds, if it has not ended by itself; comes back at once."""
    threading.Thread(target=_end, args=(status, seconds), daemon=True, name="last end").start()


def _end(status: int, seconds: float) -> None:
    time.sleep(seconds)
    # Even what is done last may hang, on a share that is gone.
    timer = threading.Timer(_LAST_WORDS, os._exit, (status,))
    timer.daemon = True
    timer.start()
    for action in [*_on_end, release_all]:
        with suppress(Exception):
            action()
    with suppress(Exception):
        sys.stderr.write("Ended, since something did not stop when it was asked to.\n")
        sys.stderr.flush()
    os._exit(status)


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end.

    Attributes:
        status: the process's exit status, 128 and the signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


@contextmanager
def graceful_stop() -> Iterator[None]:
    """Ends this process in good order while the block runs; for the main thread of a program."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = ["SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"]
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    kept_by_nohup = hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    if kept_by_nohup:
        numbers.remove(signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    done = threading.Event()
    asked = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not asked:
            asked = True
            raise Stopped(number)

    # The system writes a signal here even while Python's main thread hangs in a library.
    reader, writer = os.pipe()
    # Windows wants no pipe that never waits, and before Python 3.12 could not make one.
    if hasattr(os, "set_blocking"):
        os.set_blocking(writer, False)
    for number in numbers:
        signal.signal(number, stop)
    old = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watched = set(numbers)
    threading.Thread(
        target=_watch_signals, args=(reader, watched, done), daemon=True, name="signals"
    ).start()
    if os.name == "posix" and not kept_by_nohup and os.getppid() > 1:
        threading.Thread(
            target=_watch_parent, args=(os.getppid(), done), daemon=True, name="parent"
        ).start()
    try:
        yield
    finally:
        done.set()
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        os.close(writer)


def _watch_signals(reader: int, watched: set[int], done: threading.Event) -> None:
    with os.fdopen(reader, "rb", buffering=0) as told:
        while data := told.read(1):
            if data[0] in watched:
                time.sleep(GRACE)
                if not done.is_set():
                    _end(128 + data[0], 0)


def _watch_parent(parent: int, done: threading.Event) -> None:
    """Asks the process to end once its parent has: whoever waited for it is gone."""
    while not done.wait(_POLL):
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
            return
