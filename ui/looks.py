# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The look library and Live Look in the Edit panel."""

from typing import Any

from portraitgen.plain_text import printable

from ..portraitgen_addon.look_library import Library, Live
from ..portraitgen_addon.session import session
from . import thumbnails
from .progress import draw_job
from .text import draw_text

_COLUMNS = 2


def draw_looks(layout: Any, shot: Any, take: Any) -> None:
    """The looks to choose from, learning one, and the frame at hand with the take's look."""
    wears = take.editor == "look"
    if wears:
        row = layout.row()
        row.scale_y = 1.2
        here = Live.on() and Live.shot_id == shot.shot_id
        row.operator("portraitgen.live_look", icon="HIDE_OFF", depress=here)
        if here:
            _live(layout)
    header, body = layout.panel("portraitgen_looks", default_closed=not wears)
    header.label(text="Looks")
    if body is None:
        return
    if session.busy and session.job and session.job.kind == "look":
        if session.job.preview and (icon := thumbnails.icon(session.job.preview)):
            body.template_icon(icon_value=icon, scale=8)
        draw_job(body, session.job)
    else:
        body.operator("portraitgen.learn_look", icon="BRUSHES_ALL")
    body.operator("portraitgen.list_looks", icon="FILE_REFRESH")
    if Library.listed and not Library.rows:
        draw_text(body.column(), f"No looks yet in {printable(Library.folder)}")
    grid = body.grid_flow(columns=_COLUMNS, even_columns=True, align=True)
    for each in Library.rows:
        if each.error:
            continue
        cell = grid.column(align=True)
        if icon := thumbnails.icon(each.thumbnail):
            cell.template_icon(icon_value=icon, scale=4)
        cell.operator(
            "portraitgen.wear_look", text=printable(each.name), translate=False
        ).path = each.path
    for each in Library.rows:
        if each.error:
            column = body.column()
            column.alert = True
            draw_text(column, f"{each.name}: {each.error}", "ERROR")


def _live(layout: Any) -> None:
    if Live.error:
        column = layout.column(align=True)
        column.alert = True
        draw_text(column, Live.error)
    elif Live.path and (icon := thumbnails.icon(Live.path)):
        layout.template_icon(icon_value=icon, scale=9)
        layout.label(text=f"Image 'Live Look', {Live.milliseconds:.0f} ms")
