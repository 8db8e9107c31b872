# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A light of the scene as the key light of a take."""

from typing import Any

import bpy

from portraitgen.storage import write_json

from ..portraitgen_addon import backend_properties, light, properties
from . import base

EDITOR = "relight"
"""The editor that takes a light."""
# The editor's option for where its key comes from, its value for this, and the light's file.
_KEY, _SCENE, _FILE = "key", "scene", "light.json"


class PORTRAITGEN_OT_light_from_scene(bpy.types.Operator):
    """Light the performer by the active light: its place, colour and brightness in every frame.
    Press again after you changed the light"""

    bl_idname = "portraitgen.light_from_scene"
    bl_label = "Light from Scene"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a rig, a take that relights, and a light as the active object."""
        shot, source = properties.active_shot(context), context.active_object
        take = shot.take if shot else None
        relights = take is not None and take.editor == EDITOR
        reason = ""
        if source is None or source.type != "LIGHT":
            reason = "Select a light in the 3D viewport first"
        elif shot and shot.has_rig and source.name not in shot.armature.users_scene[0].objects:
            reason = f"The light is not in the rig's scene, '{shot.armature.users_scene[0].name}'"
        return base.allowed(
            cls,
            base.no_shot(context),
            base.no_rig(context),
            "" if relights else "Choose the editor Relight first",
            base.not_described(take, backend_properties.slot_of_editor(EDITOR)),
            reason,
        )

    def execute(self, context: Any) -> set[str]:
        """Writes the light into the take's folder, and sets the key to it."""
        return base.attempt(self, lambda: self._take(context))

    def _take(self, context: Any) -> None:
        shot = properties.active_shot(context)
        take = shot.take
        facts = light.over_frames(context.active_object, shot)
        write_json(shot.path / "takes" / take.folder_name / _FILE, facts)
        setattr(getattr(take, backend_properties.slot_of_editor(EDITOR)), _KEY, _SCENE)


CLASSES = (PORTRAITGEN_OT_light_from_scene,)
