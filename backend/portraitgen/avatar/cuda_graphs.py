# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""CUDA graphs: what is drawn by hundreds of small kernels is recorded once and launched as one.

A GPU is done with most of an avatar's kernels sooner than the CPU has launched the next. Follows
PyTorch's recipe (CUDA semantics, "CUDA Graphs"): inputs that stay where they are, a warm-up on the
side stream that records.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor

Given = Tensor | int | None
Function = Callable[..., tuple[Tensor, ...]]

_WARM_UPS = 3
# A process may record one graph at a time; the worker draws previews beside its job.
_recording = threading.Lock()
_log = logging.getLogger(__name__)
_warned = False
_here = threading.local()


class Graphs:
    """The graphs of one function of tensors, one for each of the shapes it was given.

    The function must not wait for the GPU, and everything it reads that moves or is made anew
    between calls is given to it or counts as a weight.
    """

    def __init__(self) -> None:
        self._graphs: dict[tuple[object, ...], _Graph | None] = {}
        self._places: list[int] = []

    def __call__(
        self, function: Function, weights: Iterable[Tensor], *given: Given
    ) -> tuple[Tensor, ...]:
        """What the function makes of what it is given; recorded on CUDA without gradients.

        Args:
            function: always the same.
            weights: what it reads besides. Their values may change between calls; when one lies
                elsewhere the graphs are made anew.
            given: tensors, and constants.
        """
        if not _can_record(given):
            return function(*given)
        places = [weight.data_ptr() for weight in weights]
        if places != self._places:
            self._graphs, self._places = {}, places
        key = tuple(each.shape if isinstance(each, Tensor) else each for each in given)
        if key not in self._graphs:
            self._graphs[key] = _recorded(function, given)
        graph = self._graphs[key]
        return function(*given) if graph is None else graph.replay(given)

    @property
    def recorded(self) -> int:
        """How many graphs there are."""
        return sum(each is not None for each in self._graphs.values())


@contextmanager
def without_graphs() -> Iterator[None]:
    """Functions run as they are within this block, on this thread."""
    before = getattr(_here, "plain", False)
    _here.plain = True
    try:
        yield
    finally:
        _here.plain = before


class _Graph:
    """A function recorded for tensors of some shapes."""

    def __init__(self, function: Function, given: tuple[Given, ...]) -> None:
        self._given = [each.clone() if isinstance(each, Tensor) else each for each in given]
        self._graph = torch.cuda.CUDAGraph()
        side = _side_stream()
        # A recording that fails may leave its stream the current one.
        with torch.cuda.stream(torch.cuda.current_stream()):
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UPS):
                    function(*self._given)
            torch.cuda.current_stream().wait_stream(side)
            # Other threads may go on allocating meanwhile.
            with torch.cuda.graph(self._graph, stream=side, capture_error_mode="thread_local"):
                self._made = function(*self._given)

    def replay(self, given: tuple[Given, ...]) -> tuple[Tensor, ...]:
        """What the function makes of these; its own tensors are overwritten by the next replay."""
        for kept, each in zip(self._given, given, strict=True):
            if isinstance(kept, Tensor) and isinstance(each, Tensor):
                kept.copy_(each)
        self._graph.replay()
        return tuple(each.clone() for each in self._made)


def _can_record(given: tuple[Given, ...]) -> bool:
    on_cuda = any(isinstance(each, Tensor) and each.is_cuda for each in given)
    return on_cuda and not torch.is_grad_enabled() and not getattr(_here, "plain", False)


def _recorded(function: Function, given: tuple[Given, ...]) -> _Graph | None:
    """The graph, None if there can be none."""
    global _warned
    with _recording:
        try:
            return _Graph(function, given)
        except RuntimeError as error:
            if not _warned:
                _warned = True
                reason = str(error).strip().partition("\n")[0]
                _log.warning("No CUDA graph can be recorded (%s); frames take longer.", reason)
            return None


@cache
def _side_stream() -> torch.cuda.Stream:
    """One for all graphs: libraries keep memory for every stream that they have worked on."""
    return torch.cuda.Stream()
