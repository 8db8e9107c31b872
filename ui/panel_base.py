# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all panels share."""

from collections.abc import Sequence
from typing import Any

from portraitgen.settings import OptionDescription

from ..portraitgen_addon import (
    backend_properties,
    properties,
    shot_summary,
)
from ..portraitgen_addon.session import session
from .job_list import queue_button
from .progress import draw_awaited, draw_job


class Panel:
    """A panel of the sidebar, for the active shot."""

    bl_region_type = "UI"
    bl_category = "PortraitGen"

    def draw(self, context: Any) -> None:
        """Draws the panel for the active shot."""
        layout = self.layout  # type: ignore[attr-defined]
        layout.use_property_split = True
        layout.use_property_decorate = False
        self.content(layout, context, properties.active_shot(context))

    def content(self, layout: Any, context: Any, shot: Any) -> None:
        """What the panel holds; `shot` is the active shot or None."""
        raise NotImplementedError


class NeedsShot(Panel):
    """A panel that there is once there is a shot."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Shown once there is a shot that can be read."""
        shot = properties.active_shot(context)
        return shot is not None and not shot_summary.summary_of(shot.path).error


class Awaits(Panel):
    """Says in its header what is awaited: a row would come and go, and move every button below it
    to where the mouse is about to press another."""

    def draw_header_preset(self, context: Any) -> None:
        """At the header's right end."""
        draw_awaited(self.layout)  # type: ignore[attr-defined]


def folded(
    layout: Any,
    settings: Any,
    options: Sequence[OptionDescription],
    kind: str,
    title: str = "Settings",
) -> Any | None:
    """A job's options, out of the way of its button until they are asked for; gives where they
    are drawn, None while they are not."""
    header, body = layout.panel(f"portraitgen_{kind}_settings", default_closed=True)
    header.label(text=title)
    if body:
        backend_properties.draw(body, settings, options)
    return body


def run_button(layout: Any, operator: str, text: str, kind: str) -> None:
    """The button that starts a job, or the job itself while it runs."""
    if session.busy and session.job and session.job.kind == kind:
        draw_job(layout, session.job)
        return
    row = layout.row(align=True)
    row.scale_y = 1.3
    row.operator(operator, text=text)
    queue_button(row, kind)
    memory = backend_properties.memory_gb(kind)
    if memory:
        layout.label(text=f"Takes about {memory:g} GB of memory", icon="MEMORY")
