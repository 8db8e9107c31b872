# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job wrote down, to read and to send on."""

from pathlib import Path
from typing import Any

import bpy

from portraitgen.errors import PortraitError

from ..portraitgen_addon import (
    file_marks,
    job_report,
    picture_view,
    properties,
    scene_updates,
    shot_summary,
)
from . import base


def _no_log(context: Any) -> str:
    """Why there is nothing to read."""
    shot = properties.active_shot(context)
    logged = shot is not None and shot_summary.summary_of(shot.path).logged
    own = file_marks.mark(scene_updates.worker_log())
    return "" if logged or own is not None else "No job has run yet"


class PORTRAITGEN_OT_open_log(bpy.types.Operator):
    """Show what the latest job wrote down, in the text editor"""

    bl_idname = "portraitgen.open_log"
    bl_label = "Open Log"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a job's log, or the backend's own."""
        return base.allowed(cls, _no_log(context))

    def execute(self, context: Any) -> set[str]:
        """Loads it anew, and shows it in a text editor."""
        return base.attempt(self, lambda: picture_view.show_text(self._read(context)))

    def _read(self, context: Any) -> Any:
        path = job_report.latest_log(properties.active_shot(context))
        if path is None:
            raise PortraitError("the log is no longer there")
        return _text(path)


def _text(path: Path) -> Any:
    """A text of the file that shows the end of a log."""
    name = f"{path.parent.name} {path.name}"
    text = bpy.data.texts.get(name) or bpy.data.texts.new(name)
    text.clear()
    text.write(job_report.tail(path, 2000))
    return text


class PORTRAITGEN_OT_copy_report(bpy.types.Operator):
    """Copy versions, the set-up, what went wrong and the end of the logs, to send on"""

    bl_idname = "portraitgen.copy_report"
    bl_label = "Copy Report"
    bl_options = {"REGISTER"}

    def execute(self, context: Any) -> set[str]:
        """Puts it on the clipboard."""
        report = job_report.report(properties.active_shot(context))
        context.window_manager.clipboard = report
        self.report({"INFO"}, f"{len(report.splitlines())} lines are on the clipboard")
        return {"FINISHED"}


CLASSES = (PORTRAITGEN_OT_open_log, PORTRAITGEN_OT_copy_report)
