# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lamp of the scene as the key light of a take."""

from typing import Any

import bpy

from portraitgen.shot import write_json

from ..portraitgen_addon import described, lamp, properties
from . import base

EDITOR = "relight"
"""The editor that takes a lamp."""
# The editor's option for where its key comes from, its value for this, and the lamp's file.
_KEY, _SCENE, _FILE = "key", "scene", "light.json"


class PORTRAITGEN_OT_light_from_scene(bpy.types.Operator):
    """Light the performer by the active lamp, with its place, colour and brightness in every frame.
    Press again after you changed the lamp"""

    bl_idname = "portraitgen.light_from_scene"
    bl_label = "Light from Scene"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a rig, a take that relights, and a lamp as the active object."""
        found, source = properties.active_shot(context), context.active_object
        take = found.take if found else None
        relights = take is not None and take.editor == EDITOR
        reason = ""
        if source is None or source.type != "LIGHT":
            reason = "Select a lamp in the 3D viewport first"
        elif found and found.has_rig and source.name not in found.armature.users_scene[0].objects:
            reason = f"The lamp is not in the rig's scene, '{found.armature.users_scene[0].name}'"
        return base.allowed(
            cls,
            base.no_shot(context),
            base.no_rig(context),
            "" if relights else "Choose the editor Relight first",
            base.not_described(take, described.slot_of_editor(EDITOR)),
            reason,
        )

    def execute(self, context: Any) -> set[str]:
        """Writes the lamp into the take's folder, and sets the key to it."""
        return base.attempt(self, lambda: self._take(context))

    def _take(self, context: Any) -> None:
        found = properties.active_shot(context)
        take = found.take
        facts = lamp.over_frames(context.active_object, found)
        write_json(found.path / "takes" / take.folder_name / _FILE, facts)
        setattr(getattr(take, described.slot_of_editor(EDITOR)), _KEY, _SCENE)


CLASSES = (PORTRAITGEN_OT_light_from_scene,)
