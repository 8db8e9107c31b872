# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a job's progress looks in a terminal, or reads to a machine."""

import sys
from pathlib import Path
from typing import Any, Literal

from ..job_results import JobResult
from ..pipeline.run.progress import OverallProgress, Reporter
from ..plain_text import printable
from .output import print_json_line, words

Style = Literal["person", "events", "openjd"]


class TerminalReporter(Reporter):
    """One line of progress for a person, JSON lines for a machine, or what OpenJD reads.

    OpenJD reads lines that begin with `openjd_progress` (0 to 100, of the whole job),
    `openjd_status` and `openjd_fail`; others go to the task's log.

    Args:
        style: who reads it.
        kind: the job's kind, for its progress as a whole.
    """

    def __init__(self, style: Style = "person", kind: str = "") -> None:
        super().__init__()
        self._events = style == "events"
        self._openjd = style == "openjd"
        self._overall = OverallProgress(kind)
        self._open_line = False
        self._told = ("", 0)

    def _emit(self, event: str, **facts: Any) -> None:
        print_json_line({"event": event} | facts)

    def progress(
        self, stage: str, step: int, steps: int, eta_s: float | None, metrics: dict[str, float]
    ) -> None:
        """Rewrites the line of the stage; without a terminal each tenth is told."""
        if self._events:
            self._emit(
                "progress", stage=stage, step=step, steps=steps, eta_s=eta_s, metrics=metrics
            )
            return
        if self._openjd:
            share = self._overall.share(stage, step, steps)
            if stage != self._told[0]:
                print(f"openjd_status: {stage}", flush=True)
            self._told = (stage, 0)
            print(f"openjd_progress: {100 * share:.1f}", flush=True)
            return
        live = sys.stderr.isatty()
        tenth = (stage, 10 * step // max(steps, 1))
        if not live and (tenth == self._told or step == 0):
            return
        self._told = tenth
        facts = "".join(f"  {name} {value:.4g}" for name, value in metrics.items())
        left = f"  {eta_s:.0f} s left" if eta_s and step < steps else ""
        line = f"{stage}: {step} of {steps}{facts}{left}"
        sys.stderr.write(f"\r\x1b[K{line}" if live else line)
        self._open_line = live and step < steps
        sys.stderr.write("" if self._open_line else "\n")
        sys.stderr.flush()

    def frame(self, take: str, frame: int, path: Path, plate: Path | None = None) -> None:
        """Tells a machine where a frame lies."""
        if self._events:
            self._emit("frame", take=take, frame=frame, path=str(path))
        elif self._openjd:
            print(printable(f"frame {frame}: {path}"), flush=True)

    def preview(self, path: Path) -> None:
        """Tells a machine where the preview lies."""
        if self._events:
            self._emit("preview", path=str(path))

    def note(self, text: str) -> None:
        """Shows the sentence on a line of its own."""
        super().note(text)
        if self._events:
            self._emit("note", text=text)
            return
        if self._openjd:
            # A take or a file of a stranger's may be called as what OpenJD reads.
            print(f"note: {printable(text)}", flush=True)
            return
        sys.stderr.write(("\n" if self._open_line else "") + printable(text) + "\n")
        self._open_line = False

    def done(self, result: JobResult) -> None:
        """Ends the output with what the job made."""
        told = result.told()
        if self._events:
            self._emit("done", result=told)
            return
        if self._openjd:
            print("openjd_progress: 100.0", flush=True)
        for name, value in told.items():
            print(f"{name.replace('_', ' ')}: {words(value)}")
