# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a job, a message and a curve look in a panel and in the status bar."""

import textwrap
from typing import Any

import bpy

from ..portraitgen_addon.session import Job, session

_BARS = "▁▂▃▄▅▆▇█"
_COLUMNS = 24
_WIDTH = 46


def draw_message(layout: Any) -> None:
    """What went wrong last, or what is awaited."""
    if session.doing:
        layout.label(text=f"{session.doing}...", icon="SORTTIME")
    if session.message:
        box = layout.box()
        row = box.row()
        column = row.column(align=True)
        column.alert = True
        draw_text(column, session.message)
        row.operator("portraitgen.dismiss", text="", icon="X", emboss=False)


def draw_text(layout: Any, text: str) -> None:
    """A sentence over as many lines as it needs."""
    for index, line in enumerate(textwrap.wrap(text, _WIDTH)):
        layout.label(text=line, icon="ERROR" if index == 0 else "BLANK1")


def draw_job(layout: Any, job: Job) -> None:
    """A job: its stage, how far it is, how long it takes still, and how it ended."""
    if job.active:
        row = layout.row(align=True)
        row.progress(factor=job.share, type="BAR", text=describe(job))
        row.operator("portraitgen.cancel", text="", icon="CANCEL")
        return
    symbols = {"done": "CHECKMARK", "cancelled": "CANCEL", "failed": "ERROR"}
    if job.state == "failed":
        column = layout.column(align=True)
        column.alert = True
        draw_text(column, f"{job.kind.title()} failed: {job.message}")
    else:
        layout.label(text=f"{job.kind.title()} {job.state}", icon=symbols[job.state])
    for note in job.notes[-3:]:
        for line in textwrap.wrap(note, _WIDTH):
            layout.label(text=line)


def describe(job: Job) -> str:
    """One line about a running job."""
    if job.state == "cancelling":
        return f"{job.kind.title()}: stopping"
    if not job.stage:
        return f"{job.kind.title()}: starting"
    left = f", {clock(job.eta_s)} left" if job.eta_s is not None else ""
    return f"{job.stage.title()} {job.step} of {job.steps}{left}"


def clock(seconds: float) -> str:
    """A time as 1:05."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def sparkline(values: list[float]) -> str:
    """A curve in one line of text."""
    step = max(1, -(-len(values) // _COLUMNS))
    shown = values[::step]
    low, high = min(shown), max(shown)
    span = high - low or 1
    return "".join(_BARS[min(7, int((value - low) / span * 8))] for value in shown)


def _status(header: Any, context: Any) -> None:
    job = session.job
    if job is not None and job.active:
        row = header.layout.row()
        row.ui_units_x = 14
        row.progress(factor=job.share, type="BAR", text=f"PortraitGen {describe(job)}")


def register() -> None:
    """Adds the running job to the status bar."""
    bpy.types.STATUSBAR_HT_header.append(_status)


def unregister() -> None:
    """Takes it out."""
    bpy.types.STATUSBAR_HT_header.remove(_status)
