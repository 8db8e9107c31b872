# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting the tracked performance on the artist's own character."""

from typing import Any

import bpy
from bpy.props import EnumProperty

from ..portraitgen_addon import performance_transfer, pins, properties
from . import base


def _no_face(context: Any) -> str:
    target = context.object
    if target is None or target.type != "MESH" or target.data.shape_keys is None:
        return "Make the character's face mesh active; it needs shape keys"
    shot = properties.active_shot(context)
    return "This is the shot's own body" if shot and target == shot.mesh else ""


def _no_armature(context: Any) -> str:
    target = context.object
    if target is None or target.type != "ARMATURE":
        return "Make the character's armature active"
    shot = properties.active_shot(context)
    return "This is the shot's own rig" if shot and target == shot.armature else ""


def _told(operator: Any, done: performance_transfer.Transferred, what: str) -> None:
    text = f"{len(done.found)} {what} follow the performer"
    if done.missing:
        some = ", ".join(done.missing[:6])
        more = f" and {len(done.missing) - 6} more" if len(done.missing) > 6 else ""
        operator.report({"WARNING"}, f"{text}; there is no {some}{more}")
    else:
        operator.report({"INFO"}, text)


class PORTRAITGEN_OT_face_to_character(bpy.types.Operator):
    """Let the active mesh's shape keys, named as ARKit's, act what the performer's face does"""

    bl_idname = "portraitgen.face_to_character"
    bl_label = "Face to Character"
    bl_options = {"REGISTER", "UNDO"}

    way: EnumProperty(
        name="As",
        items=(
            ("DRIVERS", "Drivers", "Follow the rig, so that corrections and acting show at once"),
            ("KEYS", "Keys", "Key the tracked performance, independent of the rig"),
        ),
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a rig and a mesh with shape keys."""
        return base.allowed(cls, base.no_shot(context), base.no_rig(context), _no_face(context))

    def execute(self, context: Any) -> set[str]:
        """Makes drivers or keys."""
        return base.attempt(self, lambda: self._transfer(context))

    def _transfer(self, context: Any) -> None:
        shot = properties.active_shot(context)
        parts, data = pins.parts_of(shot), pins.bundle_of(shot)
        if self.way == "DRIVERS":
            done = performance_transfer.drive_shapes(parts, data, context.object)
        else:
            done = performance_transfer.key_shapes(parts, data, context.object, shot.offset)
        _told(self, done, "shape keys")


class PORTRAITGEN_OT_pose_to_character(bpy.types.Operator):
    """Key the active armature's bones with what the performer's body does"""

    bl_idname = "portraitgen.pose_to_character"
    bl_label = "Pose to Character"
    bl_options = {"REGISTER", "UNDO"}

    preset: EnumProperty(
        name="Bones",
        items=(
            ("AUTO", "By Their Names", "The preset most of whose bones the armature has"),
            ("RIGIFY", "Rigify", "Controls of a rig that Rigify generated; arms turn to FK"),
            ("METARIG", "Rigify Metarig", "Bones of Rigify's human metarig"),
            ("UNREAL", "Unreal", "Bones of Unreal's mannequin"),
            ("MIXAMO", "Mixamo", "Bones of Mixamo's characters"),
        ),
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a rig and another armature."""
        return base.allowed(cls, base.no_shot(context), base.no_rig(context), _no_armature(context))

    def execute(self, context: Any) -> set[str]:
        """Keys the bones."""
        return base.attempt(self, lambda: self._transfer(context))

    def _transfer(self, context: Any) -> None:
        shot, target = properties.active_shot(context), context.object
        preset = self.preset
        if preset == "AUTO":
            preset = performance_transfer.best_preset(target) or "RIGIFY"
        data = pins.bundle_of(shot)
        done = performance_transfer.transfer_bones(data, target, preset, shot.offset)
        _told(self, done, "bones")


CLASSES = (PORTRAITGEN_OT_face_to_character, PORTRAITGEN_OT_pose_to_character)
