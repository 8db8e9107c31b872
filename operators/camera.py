# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plate's camera: its lens, and a solve that it follows."""

from typing import Any

import bpy

from portraitgen.shot import Shot

from ..portraitgen_addon import backend_properties, camera, properties
from . import base


class PORTRAITGEN_OT_take_focal(bpy.types.Operator):
    """Track with the focal length of the scene's camera instead of estimating one"""

    bl_idname = "portraitgen.take_focal"
    bl_label = "Focal Length from Scene Camera"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a camera that is not the rig's own, and the backend's description."""
        shot = properties.active_shot(context)
        source = context.scene.camera
        reason = "" if source else "The scene has no camera"
        if shot and source is not None and source == shot.camera:
            reason = "The scene's camera is the track's own"
        if shot:
            reason = base.not_described(shot, backend_properties.slot_of_job("track")) or reason
        return base.allowed(cls, base.no_shot(context), reason)

    def execute(self, context: Any) -> set[str]:
        """Writes it into the track's settings."""
        shot = properties.active_shot(context)
        settings = getattr(shot, backend_properties.slot_of_job("track"))
        settings.use_focal = True
        width = Shot.open(shot.path).record.footage.width
        settings.focal = camera.focal_px(context.scene.camera, width)
        return {"FINISHED"}


class PORTRAITGEN_OT_follow_camera(bpy.types.Operator):
    """Let the tracked camera move, and the body with it, as the active camera does: a solve"""

    bl_idname = "portraitgen.follow_camera"
    bl_label = "Follow Solved Camera"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a rig, and another camera as the active object."""
        shot, solved = properties.active_shot(context), context.active_object
        reason = ""
        if solved is None or solved.type != "CAMERA" or (shot and solved == shot.camera):
            reason = "Select the solved camera first"
        return base.allowed(cls, base.no_shot(context), base.no_rig(context), reason)

    def execute(self, context: Any) -> set[str]:
        """Constrains it."""
        shot, solved = properties.active_shot(context), context.active_object
        above = solved
        while above is not None:
            if above == shot.camera or camera.followed(above) == shot.camera:
                self.report({"ERROR"}, f"'{solved.name}' itself hangs on the tracked camera")
                return {"CANCELLED"}
            above = above.parent
        camera.follow(shot.camera, solved)
        return {"FINISHED"}


class PORTRAITGEN_OT_leave_camera(bpy.types.Operator):
    """Let the tracked camera stand still again"""

    bl_idname = "portraitgen.leave_camera"
    bl_label = "Leave Solved Camera"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a camera that follows."""
        shot = properties.active_shot(context)
        still = not shot or not shot.camera or camera.followed(shot.camera) is None
        reason = "The tracked camera follows no other" if still else ""
        return base.allowed(cls, base.no_shot(context), base.no_rig(context), reason)

    def execute(self, context: Any) -> set[str]:
        """Takes the constraints off."""
        camera.stand_still(properties.active_shot(context).camera)
        return {"FINISHED"}


CLASSES = (
    PORTRAITGEN_OT_take_focal,
    PORTRAITGEN_OT_follow_camera,
    PORTRAITGEN_OT_leave_camera,
)
