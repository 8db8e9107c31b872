# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a job, a message and a curve look in a panel and in the status bar."""

from typing import Any

import bpy

from ..portraitgen_addon.job_labels import job_label
from ..portraitgen_addon.session import Job, session
from .text import BOX, BUTTON, draw_text

_BARS = "▁▂▃▄▅▆▇█"
_COLUMNS = 24


def draw_awaited(layout: Any) -> None:
    """What a person waits for besides a job."""
    if session.doing:
        layout.label(text=f"{session.doing}...", icon="SORTTIME")


def draw_message(layout: Any) -> None:
    """What went wrong last."""
    if session.message:
        box = layout.box()
        row = box.row()
        column = row.column(align=True)
        column.alert = True
        draw_text(column, session.message, "ERROR", inset=BOX + BUTTON)
        row.operator("portraitgen.dismiss", text="", icon="X", emboss=False)


def draw_job(layout: Any, job: Job) -> None:
    """A job: how far all of it is and how long it takes still, its stage, and how it ended."""
    name = job_label(job.kind)
    if job.active:
        row = layout.row(align=True)
        row.progress(factor=job.share, type="BAR", text=describe(job))
        row.operator("portraitgen.cancel", text="", icon="CANCEL")
        if job.stage and job.state == "running":
            text = f"{job.stage.capitalize()}, {job.step} of {job.steps}"
            layout.label(text=text, icon="BLANK1", translate=False)
        return
    symbols = {"done": "CHECKMARK", "cancelled": "CANCEL", "failed": "ERROR"}
    if job.state == "failed":
        column = layout.column(align=True)
        column.alert = True
        draw_text(column, f"{name} failed: {job.message}", "ERROR")
    else:
        layout.label(text=f"{name}: {job.state}", icon=symbols[job.state])
    for note in job.notes[-3:]:
        draw_text(layout, note, "INFO")


def describe(job: Job) -> str:
    """One line about a running job as a whole."""
    name = job_label(job.kind)
    if job.state == "cancelling":
        return f"{name}: stopping"
    if not job.stage:
        return f"{name}: starting"
    left = f", {clock(job.left_s)} left" if job.left_s is not None else ""
    return f"{name}: {job.share:.0%}{left}"


def clock(seconds: float) -> str:
    """A time as 1:05, or 2:01:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


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
    else:
        # The panels may be scrolled, or hidden.
        draw_awaited(header.layout)


def register() -> None:
    """Adds the running job, and what is awaited, to the status bar."""
    bpy.types.STATUSBAR_HT_header.append(_status)


def unregister() -> None:
    """Takes it out."""
    bpy.types.STATUSBAR_HT_header.remove(_status)
