# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process does first, so that it begins and ends at little cost. Standard library only."""

import atexit
import gc
import os
import sys
from collections.abc import Callable

# Most of what a start makes stays; to look through it again and again takes a tenth of the start.
_BETWEEN_COLLECTIONS = 20_000
_UNWRITTEN, _INTERRUPTED = 120, 130  # As Python itself ends.


def settle() -> None:
    """Has a process that begins waste no time; before it loads any library."""
    # Idle threads of torch's pool must not spin while the rasteriser's own work, nor those of
    # NumPy's, which are waited for so seldom that a core would spin for most of a start.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "10")
    gc.set_threshold(_BETWEEN_COLLECTIONS)


def run_to_the_end(program: Callable[[], None]) -> None:
    """Runs a program, then whatever is to be done at its end, and ends the process.

    The interpreter is not taken apart after that: with PyTorch loaded this takes a quarter of a
    second, and frees what the system frees anyway.
    """
    status = 0

    def end() -> None:
        left = status
        for stream in (sys.stdout, sys.stderr):
            try:
                if stream is not None and not stream.closed:
                    stream.flush()
            except (OSError, ValueError):
                left = left or _UNWRITTEN
        os._exit(left)

    # What is registered first is done last.
    atexit.register(end)
    try:
        program()
    except SystemExit as stop:
        status = _status(stop.code)
    except BaseException as error:
        status = _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
        raise


def _status(code: str | int | None) -> int:
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    print(code, file=sys.stderr)
    return 1
