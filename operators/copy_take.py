# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copying a take to other shots and editing it there, in one go."""

import json
from typing import Any

import bpy
from bpy.props import StringProperty

from ..portraitgen_addon import properties, shot_summary
from . import base


def _others(context: Any) -> list[Any]:
    """The file's other shots that have an avatar."""
    own = properties.active_shot(context)
    return [
        shot
        for scene in bpy.data.scenes
        for shot in scene.portraitgen.shots
        if shot.path != own.path and shot_summary.summary_of(shot.path).avatars
    ]


class PORTRAITGEN_OT_copy_take(bpy.types.Operator):
    """Copy the take with paint, masks and acting to the file's other shots and edit it there"""

    bl_idname = "portraitgen.copy_take"
    bl_label = "Copy Take to Shots"
    bl_options = {"REGISTER"}

    shots: StringProperty(
        name="Shots", description="The folders as a JSON list; empty for the file's other shots"
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs an edited take and a free backend."""
        return base.job_allowed(cls, context, base.not_edited)

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks first."""
        return context.window_manager.invoke_props_dialog(self, confirm_text="Copy and Edit")

    def draw(self, context: Any) -> None:
        """Which shots it goes to."""
        others = _others(context)
        self.layout.label(text=f"To {len(others)} shots:" if others else "No other shot is ready")
        for shot in others:
            self.layout.label(text=shot.name, icon="SEQUENCE", translate=False)

    def execute(self, context: Any) -> set[str]:
        """Starts the job."""
        take = properties.active_shot(context).take.folder_name
        shots = self.shots or json.dumps([str(shot.path) for shot in _others(context)])
        options = {"take": take, "shots": shots}
        return base.attempt(self, lambda: base.run_job(context, "apply", options, take))


CLASSES = (PORTRAITGEN_OT_copy_take,)
