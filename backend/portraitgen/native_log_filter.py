# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps what native libraries log about themselves away from the user's terminal."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

# LiteRT says so of every network it starts; no setting of its own stops it.
_NOISE = re.compile(
    rb"[WI]\d{4} [\d:.]+ +\d+ \S+\.cc:\d+\]"
    rb"|INFO: Created TensorFlow Lite"
    rb"|WARNING: All log messages before absl::InitializeLog"
)


def is_noise(line: bytes) -> bool:
    """Whether a line of standard error is a native library's about itself."""
    return _NOISE.match(line) is not None


@contextmanager
def filter_native_logs() -> Iterator[None]:
    """Standard error without those lines, for the block; all else goes through."""
    true, (read, write) = os.dup(2), os.pipe()
    # What Python itself says does not pass through the pipe: progress is written without newlines.
    python, mine = sys.stderr, None
    if python is sys.__stderr__ and python is not None:
        python.flush()
        mine = sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    os.dup2(write, 2)
    os.close(write)
    passing = Thread(target=_pass_on, args=(read, true), daemon=True)
    passing.start()
    try:
        yield
    finally:
        os.dup2(true, 2)
        sys.stderr = python
        if mine:
            mine.close()
        # A child that still runs may hold the pipe open.
        passing.join(timeout=1)


def _pass_on(read: int, true: int) -> None:
    with os.fdopen(read, "rb") as lines:
        for line in lines:
            if not is_noise(line):
                os.write(true, line)
