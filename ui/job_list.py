# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the queue looks in the Jobs panel."""

from typing import Any

from portraitgen.errors import PortraitError
from portraitgen.job_queue import QueuedJob, blocked
from portraitgen.plain_text import printable

from ..portraitgen_addon import farm, queue_runner
from .progress import draw_text

_MOST = 12
_ICONS = {"waiting": "DOT", "running": "PLAY", "done": "CHECKMARK", "failed": "ERROR"}
_QUEUED = ("track", "reconstruct", "edit", "render")


def queue_button(row: Any, kind: str) -> None:
    """Puts a job of a kind into the queue, beside the button that runs it at once."""
    if kind in _QUEUED:
        row.operator("portraitgen.queue_add", text="", icon="ADD").kind = kind


def draw_queue(layout: Any) -> None:
    """The list of jobs, and what can be done with it."""
    header, body = layout.panel("portraitgen_queue", default_closed=True)
    try:
        record = queue_runner.record()
    except PortraitError as error:
        header.label(text="Queue")
        if body:
            draw_text(body, printable(str(error)))
        return
    left = [each for each in record.jobs if each.state != "done"]
    header.label(text=f"Queue: {len(left)} of {len(record.jobs)} left" if record.jobs else "Queue")
    running = queue_runner.runs() and not record.paused
    if running:
        header.operator("portraitgen.queue_pause", text="", icon="PAUSE", emboss=False)
    elif left:
        header.operator("portraitgen.queue_start", text="", icon="PLAY", emboss=False)
    if not body:
        return
    _draw_adding(body)
    if queue_runner.interrupted():
        draw_text(body, "The queue was interrupted; it goes on where it stood")
    waiting = {each.id for each in blocked(record)}
    # What is done goes first where not all can be shown.
    done = len(record.jobs) - len(left)
    shown = record.jobs if len(record.jobs) <= _MOST else left[:_MOST]
    for job in shown:
        _draw_job(body, job, job.id in waiting)
    if len(shown) < len(record.jobs):
        body.label(text=f"and {len(left) - len(shown)} more; {done} are done")
    if stopped := queue_runner.error():
        draw_text(body, printable(str(stopped)))
    row = body.row(align=True)
    if running:
        row.operator("portraitgen.queue_pause", icon="PAUSE")
    elif left:
        row.operator("portraitgen.queue_start", icon="PLAY")
    if any(each.state == "failed" for each in record.jobs):
        row.operator("portraitgen.queue_retry", icon="FILE_REFRESH")
    if done:
        row.operator("portraitgen.queue_clear", icon="TRASH")


def _draw_adding(layout: Any) -> None:
    column = layout.column(align=True)
    for kind, text in (
        ("take", "Add What the Take Needs"),
        ("takes", "Add All Takes"),
        ("sequence", "Add This Take of Every Shot"),
    ):
        column.operator("portraitgen.queue_add", text=text, icon="ADD").kind = kind


def _draw_job(layout: Any, job: QueuedJob, waits: bool) -> None:
    row = layout.row(align=True)
    row.alert = job.state == "failed"
    state = "waiting" if queue_runner.interrupted() and job.state == "running" else job.state
    icon = "PAUSE" if waits else _ICONS[state]
    row.label(text=printable(str(job)), icon=icon, translate=False)
    if state == "waiting":
        for by, arrow in ((-1, "TRIA_UP"), (1, "TRIA_DOWN")):
            button = row.operator("portraitgen.queue_move", text="", icon=arrow, emboss=False)
            button.job, button.by = job.id, by
    if state != "running":
        button = row.operator("portraitgen.queue_remove", text="", icon="X", emboss=False)
        button.job = job.id
    if job.error:
        column = layout.column(align=True)
        column.alert = True
        draw_text(column, printable(str(job.error)))


def draw_farm(layout: Any, shot: Any) -> None:
    """Sending to a farm, and how what was sent stands."""
    row = layout.row(align=True)
    row.operator("portraitgen.send_to_farm", icon="NETWORK_DRIVE")
    if shot.take is not None:
        watched = shot.take.watched
        row.operator("portraitgen.watch_frames", text="", icon="HIDE_OFF", depress=watched)
    if farm.farm.sending and not farm.farm.jobs:
        layout.label(text="Sending...", icon="SORTTIME")
    for job in farm.farm.jobs:
        icon = "CHECKMARK" if job.status == "completed" else "ERROR" if job.over else "SORTTIME"
        layout.label(text=str(job), icon=icon, translate=False)
        if job.error:
            draw_text(layout, job.error)
    if farm.farm.error is not None:
        column = layout.column(align=True)
        column.alert = True
        draw_text(column, str(farm.farm.error))
