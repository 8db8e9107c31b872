# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks: learning one, wearing one, and seeing it as one scrubs."""

import os
from typing import Any

import bpy
from bpy.props import FloatProperty, StringProperty

from portraitgen.schema import Value

from ..portraitgen_addon import backend_properties, look_library, properties
from ..portraitgen_addon.look_library import Library, Live
from . import base


class PORTRAITGEN_OT_list_looks(bpy.types.Operator):
    """List the looks of your library with their pictures"""

    bl_idname = "portraitgen.list_looks"
    bl_label = "List Looks"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs the backend."""
        return base.allowed(cls, base.no_backend(context))

    def execute(self, context: Any) -> set[str]:
        """Asks for them."""
        return base.attempt(self, look_library.refresh)


class PORTRAITGEN_OT_learn_look(bpy.types.Operator):
    """Learn a look from the take's key frames or from a folder of pictures; stop when it is good"""

    bl_idname = "portraitgen.learn_look"
    bl_label = "Learn Look"
    bl_options = {"REGISTER"}

    name: StringProperty(name="Name", description="The look's name in your library")
    pairs: StringProperty(
        name="Pairs",
        description="A folder with subfolders before and after; empty for the take's key frames",
        subtype="DIR_PATH",
    )
    colour_space: StringProperty(
        name="Colour Space",
        description="The colour space of the pairs' pictures, such as LogC3; empty for what they"
        " say",
    )
    seconds: FloatProperty(
        name="Time",
        description="How long it learns in all; more goes on with what was learned",
        default=120.0,
        min=1.0,
        max=86400.0,
        subtype="TIME_ABSOLUTE",
    )
    licence: StringProperty(
        name="Licence", description="What the look may be used for, in your words"
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a shot, a take and a free backend."""
        return base.job_allowed(cls, context, base.no_take)

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks for name and time."""
        self.name = properties.active_shot(context).take.folder_name
        return context.window_manager.invoke_props_dialog(self, confirm_text="Learn")

    def execute(self, context: Any) -> set[str]:
        """Starts the job."""
        take = properties.active_shot(context).take
        if os.path.basename(self.name) != self.name:
            self.report({"ERROR"}, "Give the look a name, not a path")
            return {"CANCELLED"}
        options: dict[str, Value] = {
            "out": self.name.removesuffix(".safetensors") or take.folder_name,
            "seconds": backend_properties.rounded(self.seconds),
            "licence": self.licence,
        }
        if self.pairs:
            pairs = bpy.path.abspath(self.pairs)
            options |= {"pairs": pairs, "colour_space": self.colour_space}
        else:
            options["take"] = take.folder_name
        return base.attempt(self, lambda: base.run_job(context, "look", options, take.folder_name))


class PORTRAITGEN_OT_wear_look(bpy.types.Operator):
    """Let the take wear this look"""

    bl_idname = "portraitgen.wear_look"
    bl_label = "Wear Look"
    bl_options = {"REGISTER", "UNDO"}

    path: StringProperty(options={"HIDDEN"})

    @classmethod
    def description(cls, context: Any, properties_: Any) -> str:
        """What made the look, and what it may be used for."""
        row = next((each for each in Library.rows if each.path == properties_.path), None)
        if row is None:
            return "Let the take wear this look"
        terms = row.licence or "no licence told"
        use = "" if row.commercial else "; not for commercial work"
        return f"{row.name}: {row.pairs} pairs, {row.made_of}; {terms}{use}"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a take, and that the backend has told of the editor."""
        shot = properties.active_shot(context)
        slot = backend_properties.slot_of_editor("look")
        untold = base.not_described(shot.take, slot) if shot and shot.take else ""
        return base.allowed(cls, base.no_shot(context), base.no_take(context), untold)

    def execute(self, context: Any) -> set[str]:
        """Sets it."""
        take = properties.active_shot(context).take
        take.editor = "look"
        getattr(take, backend_properties.slot_of_editor("look")).look = self.path
        return {"FINISHED"}


def _is_live(shot: Any) -> bool:
    """Whether it is the active shot, or none is, whose look is shown live."""
    return Live.on() and (shot is None or Live.shot_id == shot.shot_id)


class PORTRAITGEN_OT_live_look(bpy.types.Operator):
    """Show the current frame with the take's look as you scrub; no take is edited for it"""

    bl_idname = "portraitgen.live_look"
    bl_label = "Live Look"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a track, and a take that wears a look."""
        shot = properties.active_shot(context)
        if _is_live(shot):
            return True
        wears = bool(shot and shot.take and shot.take.editor == "look")
        return base.allowed(
            cls,
            base.no_shot(context),
            base.no_track(context),
            base.no_take(context),
            base.no_backend(context),
            "" if wears else "Choose the editor Look first",
        )

    def execute(self, context: Any) -> set[str]:
        """Switches it on or off; another shot's gives way to this one's."""
        shot = properties.active_shot(context)
        if _is_live(shot):
            Live.stop()
            return {"FINISHED"}
        shot_id = shot.shot_id
        return base.attempt(self, lambda: Live.start(shot_id))


CLASSES = (
    PORTRAITGEN_OT_list_looks,
    PORTRAITGEN_OT_learn_look,
    PORTRAITGEN_OT_wear_look,
    PORTRAITGEN_OT_live_look,
)
