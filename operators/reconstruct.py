# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rebuilding the performer as an avatar."""

from typing import Any

import bpy

from ..portraitgen_addon import backend_properties, properties
from . import base


class PORTRAITGEN_OT_reconstruct(bpy.types.Operator):
    """Rebuild the performer as 3D Gaussians on the tracked body"""

    bl_idname = "portraitgen.reconstruct"
    bl_label = "Reconstruct"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a track and a free backend."""
        return base.job_allowed(cls, context, base.no_track)

    def execute(self, context: Any) -> set[str]:
        """Starts the job."""
        shot = properties.active_shot(context)
        settings = getattr(shot, backend_properties.slot_of_job("reconstruct"), None)
        options = (
            backend_properties.values(settings, backend_properties.job_options("reconstruct"))
            if settings
            else {}
        )
        return base.attempt(self, lambda: base.run_job(context, "reconstruct", options))


CLASSES = (PORTRAITGEN_OT_reconstruct,)
