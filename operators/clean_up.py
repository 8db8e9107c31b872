# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cleaning up a shot's folder."""

from typing import Any

import bpy
from bpy.props import BoolProperty

from portraitgen import clean_up
from portraitgen.plain_text import as_size
from portraitgen.shot import Shot

from ..portraitgen_addon import properties, shot_summary
from . import base

_KINDS = ("trash", "work", "halves", "previews")


class PORTRAITGEN_OT_clean_up(bpy.types.Operator):
    """Show what the shot's folder keeps without need, with its size, and remove it"""

    bl_idname = "portraitgen.clean_up"
    bl_label = "Clean Up"
    bl_options = {"REGISTER"}

    trash: BoolProperty(
        name="Deleted Takes", description="Takes that were deleted, with their frames", default=True
    )
    work: BoolProperty(
        name="Work of Stopped Jobs",
        description="What stopped jobs would go on from; Resume begins anew without it",
        default=False,
    )
    halves: BoolProperty(
        name="Halves of Files",
        description="What processes that were killed had begun to write",
        default=True,
    )
    previews: BoolProperty(
        name="Previews", description="Pictures that jobs and Try have shown", default=True
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a shot that no job works on."""
        return base.allowed(cls, base.no_shot(context), base.busy(context))

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Looks, and asks."""
        # Sizes of folders: found once, for a dialog is drawn with every move of the mouse.
        self._shown = self._found(context)
        if not self._shown:
            self.report({"INFO"}, "There is nothing to remove.")
            return {"CANCELLED"}
        return context.window_manager.invoke_props_dialog(
            self, width=500, title="Remove This?", confirm_text="Remove"
        )

    def draw(self, context: Any) -> None:
        """A line a kind."""
        for each in self._shown:
            self.layout.prop(self, each.name, text=str(each))

    def _found(self, context: Any) -> list[clean_up.Leftover]:
        return clean_up.leftovers(Shot.open(properties.active_shot(context).path))

    def execute(self, context: Any) -> set[str]:
        """Removes what is chosen."""

        def work() -> None:
            found = self._found(context)
            freed = clean_up.remove([each for each in found if getattr(self, each.name)])
            self.report({"INFO"}, f"{as_size(freed)} are free again")
            shot_summary.forget_summaries()

        return base.attempt(self, work)


CLASSES = (PORTRAITGEN_OT_clean_up,)
