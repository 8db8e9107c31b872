# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a job tells what it does, whoever listens: a terminal, a farm or Blender."""

import logging
import threading
import time
from pathlib import Path

from ...errors import Cancelled

_log = logging.getLogger(__name__)


class Reporter:
    """Receives a job's news and carries the wish to cancel; this one keeps silent.

    Subclasses override the three methods that show something.

    Attributes:
        wait_s: how long a job waits for a part of the shot that a living process holds, in seconds.
        author: whose handiwork the job takes over, empty for nobody named.
    """

    wait_s = 0.0
    author = ""

    def __init__(self) -> None:
        self._cancelled = threading.Event()

    def progress(
        self, stage: str, step: int, steps: int, eta_s: float | None, metrics: dict[str, float]
    ) -> None:
        """A stage has done `step` of `steps`; `eta_s` is the time left in the stage."""

    def frame(self, take: str, frame: int, path: Path, plate: Path | None = None) -> None:
        """A frame of a take is on disk; `plate` is its full plate, if one was asked for."""

    def preview(self, path: Path) -> None:
        """A picture of the work so far."""

    def note(self, text: str) -> None:
        """Something the user should know, as one sentence; it goes to the job's log too."""
        _log.info("note: %s", text)

    def cancel(self) -> None:
        """Asks the job to stop at the next step; may be called from any thread."""
        self._cancelled.set()

    def check(self) -> None:
        """Called between steps.

        Raises:
            Cancelled: once the user has asked to stop.
        """
        if self._cancelled.is_set():
            raise Cancelled


class Stage:
    """One stage of a job: counts steps, estimates the time left, and notices a cancel."""

    def __init__(self, reporter: Reporter, name: str, steps: int, done: int = 0) -> None:
        self._reporter = reporter
        self._name = name
        self._steps = steps
        self._first = done
        self._started = time.monotonic()
        self._shown = 0.0
        self._metrics: dict[str, float] = {}
        _log.info("%s: %d of %d", name, done, steps)
        self.step(done)

    def step(self, done: int, **metrics: float) -> None:
        """Tells that `done` steps are finished; passes on at most ten messages a second.

        Figures that come between two messages go with the later one.

        Raises:
            Cancelled: once the user has asked to stop.
        """
        self._reporter.check()
        self._metrics |= metrics
        present = time.monotonic()
        if present - self._shown < 0.1 and done < self._steps:
            return
        self._shown = present
        made = done - self._first
        eta = (present - self._started) / made * (self._steps - done) if made > 0 else None
        self._reporter.progress(self._name, done, self._steps, eta, self._metrics)
        self._metrics = {}


_SHARES = {
    "track": {"landmarks": 50, "solve": 10, "mattes": 40},
    "refine": {"read plate": 15, "align": 85},
    "reconstruct": {
        "read plate": 8,
        "align": 12,
        "foreground": 5,
        "train": 67,
        "place": 5,
        "finish": 3,
    },
    "edit": {"read plate": 10, "watch plate": 10, "edit": 20, "train": 60},
    "look": {"read plate": 3, "learn": 97},
    "render": {"read plate": 2, "render": 90, "movie": 8},
    "movie": {"movie": 100},
    "deliver": {"deliver": 100},
    "qc": {"quality": 100},
}
"""About how much of a job's time each of its stages takes, in the order in which they come."""


_TELLING = 0.02  # What must be done of a job before its pace says when it ends.


class OverallProgress:
    """How far a whole job is, from what its stages tell; it never falls.

    Args:
        kind: the job's kind; one that is not known counts its latest stage alone.
    """

    def __init__(self, kind: str) -> None:
        self._shares = _SHARES.get(kind, {})
        self._reached = 0.0
        self._began: tuple[float, float] | None = None

    def share(self, stage: str, step: int, steps: int) -> float:
        """The share of the job that is done, 0..1."""
        own = step / max(steps, 1)
        if stage in self._shares:
            names = list(self._shares)
            before = sum(self._shares[name] for name in names[: names.index(stage)])
            own = (before + own * self._shares[stage]) / sum(self._shares.values())
        elif self._shares:
            own = self._reached
        self._reached = max(self._reached, min(own, 1.0))
        if self._began is None:
            # A job that is resumed has done a part of it in no time.
            self._began = (time.monotonic(), self._reached)
        return self._reached

    @property
    def left_s(self) -> float | None:
        """The time that is left of the whole job, in seconds; None while too little is done."""
        if self._began is None:
            return None
        begun, first = self._began
        passed, done = time.monotonic() - begun, self._reached - first
        if done < _TELLING or passed < 2:
            return None
        return passed / done * (1 - self._reached)
