# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Presets: a take's settings under a name, kept for every file of this user."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from portraitgen.schema import Values
from portraitgen.storage import read_json, write_json

from ..portraitgen_addon import file_marks, preferences, properties, take_names
from ..portraitgen_addon.take_settings import restore_settings, settings_of
from . import base


def folder() -> Path:
    """Where presets are kept; made with the first one."""
    return preferences.user_folder() / "presets"


def names() -> list[str]:
    """The presets there are."""
    return list(_names(file_marks.mark(folder())))


@lru_cache(maxsize=1)
def _names(mark: tuple[int, int] | None) -> list[str]:
    """Read once for each state of the folder: menus that are open are drawn all the time."""
    return sorted(path.stem for path in folder().glob("*.json"))


class _OnTake(bpy.types.Operator):
    bl_options = {"REGISTER", "UNDO"}

    name: StringProperty(name="Name", default="Preset")

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a take."""
        return base.allowed(cls, base.no_shot(context), base.no_take(context))


class PORTRAITGEN_OT_preset_save(_OnTake):
    """Keep the take's editor and its settings under a name, for other takes and shots"""

    bl_idname = "portraitgen.preset_save"
    bl_label = "Save Preset"

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks for the name."""
        self.name = properties.active_shot(context).take.name
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, context: Any) -> set[str]:
        """Writes it."""
        name = re.sub(r"[^\w .-]+", "_", self.name).strip(" .")
        if not name:
            self.report({"ERROR"}, "A preset needs a name.")
            return {"CANCELLED"}
        take = properties.active_shot(context).take
        # Which take it builds on is this shot's own.
        settings = {key: value for key, value in settings_of(take).items() if key != "base"}
        return base.attempt(self, lambda: self._write(name, settings))

    def _write(self, name: str, settings: Values) -> None:
        folder().mkdir(exist_ok=True)
        file_marks.forget(folder())
        write_json(folder() / f"{name}.json", settings)


class PORTRAITGEN_OT_preset_apply(_OnTake):
    """Set the take to this preset"""

    bl_idname = "portraitgen.preset_apply"
    bl_label = "Apply Preset"

    def execute(self, context: Any) -> set[str]:
        """Reads it."""
        return base.attempt(self, lambda: self._apply(properties.active_shot(context)))

    def _apply(self, shot: Any) -> None:
        settings = read_json(folder() / f"{self.name}.json")
        with take_names.following(shot, shot.take):
            restore_settings(shot.take, settings)


class PORTRAITGEN_OT_preset_delete(_OnTake):
    """Delete this preset"""

    bl_idname = "portraitgen.preset_delete"
    bl_label = "Delete Preset"

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks first."""
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: Any) -> set[str]:
        """Deletes its file."""
        (folder() / f"{self.name}.json").unlink(missing_ok=True)
        file_marks.forget(folder())
        return {"FINISHED"}


CLASSES = (PORTRAITGEN_OT_preset_save, PORTRAITGEN_OT_preset_apply, PORTRAITGEN_OT_preset_delete)
