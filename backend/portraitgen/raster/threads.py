# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small pool that runs kernels which release the GIL.

numba's own ``prange`` is not used: its threading layer in the pip wheels is not safe to call from
several threads, and a worker renders while it trains.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")

_pool: ThreadPoolExecutor | None = None


def _shared_pool() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="portraitgen-raster")
    return _pool


def _forget_pool() -> None:
    """A forked child has the pool's object but none of its threads."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def run_pieces(function: Callable[[Piece], None], pieces: Iterable[Piece]) -> None:
    """Calls ``function`` once for each piece on as many threads as torch uses.

    The calling thread works too; whoever is free takes the next piece. Returns when all are done
    and raises the first error met.
    """
    waiting = deque(pieces)

    def work() -> None:
        while True:
            try:
                piece = waiting.popleft()
            except IndexError:
                return
            function(piece)

    helpers = min(torch.get_num_threads(), len(waiting)) - 1
    futures = [_shared_pool().submit(work) for _ in range(helpers)]
    try:
        work()
    finally:
        waiting.clear()
        for future in futures:
            future.result()


def ranges(count: int, pieces: int) -> list[tuple[int, int]]:
    """Splits ``range(count)`` into at most ``pieces`` (start, stop) pairs of like length."""
    edges = [count * i // pieces for i in range(pieces + 1)]
    return [(a, b) for a, b in zip(edges, edges[1:], strict=False) if b > a]
