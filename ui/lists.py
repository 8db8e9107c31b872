# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lists of shots and takes, and the menus that go with them."""

from typing import Any

import bpy

from ..operators import presets
from ..portraitgen_addon import backend_properties, properties, shot_summary


class PORTRAITGEN_UL_shots(bpy.types.UIList):
    """Shots of a scene."""

    def draw_item(
        self,
        context: Any,
        layout: Any,
        data: Any,
        item: Any,
        icon: int,
        active_data: Any,
        active_property: str,
    ) -> None:
        """A name, and how far the shot has come."""
        known = shot_summary.summary_of(item.path)
        row = layout.row()
        row.alert = bool(known.error)
        row.prop(item, "name", text="", emboss=False, icon="ERROR" if known.error else "SEQUENCE")
        steps = (("CON_TRACKTO", known.tracks), ("OUTLINER_OB_POINTCLOUD", known.avatars))
        for symbol, versions in steps:
            if versions:
                row.label(text="", icon=symbol)


class PORTRAITGEN_UL_takes(bpy.types.UIList):
    """Takes of a shot."""

    def draw_item(
        self,
        context: Any,
        layout: Any,
        data: Any,
        item: Any,
        icon: int,
        active_data: Any,
        active_property: str,
    ) -> None:
        """A name, its editor, and whether it is edited."""
        record = shot_summary.summary_of(data.path).takes.get(item.folder_name)
        known = backend_properties.editor(item.editor)
        row = layout.row()
        edited = record is not None and record.edit is not None
        row.prop(item, "name", text="", emboss=False, icon="CHECKMARK" if edited else "DOT")
        row.label(text=known.label if known else item.editor)


class PORTRAITGEN_MT_editor(bpy.types.Menu):
    """Editors by name."""

    bl_label = "Editor"

    def draw(self, context: Any) -> None:
        """One entry an editor; what may not be used commercially says so."""
        for each in backend_properties.editors():
            text = each.label if each.commercial else f"{each.label} (non-commercial)"
            self.layout.operator("portraitgen.take_editor", text=text).editor = each.id


def base_label(shot: Any, base: str) -> str:
    """What a take builds on, as people read it."""
    if not base:
        return "Plate"
    return next((take.name for take in shot.takes if take.folder_name == base), base)


class PORTRAITGEN_MT_base(bpy.types.Menu):
    """What a take builds on: the plate, or another take."""

    bl_label = "Builds On"

    def draw(self, context: Any) -> None:
        """The plate, and each other take."""
        shot = properties.active_shot(context)
        row = self.layout.operator("portraitgen.take_base", text="Plate", icon="FILE_MOVIE")
        row.base = ""
        active = shot.take if shot else None
        for take in shot.takes if shot else ():
            if take != active:
                row = self.layout.operator("portraitgen.take_base", text=take.name)
                row.base = take.folder_name


class PORTRAITGEN_MT_versions(bpy.types.Menu):
    """Track versions, the latest first."""

    bl_label = "Track Version"

    def draw(self, context: Any) -> None:
        """One entry a version."""
        shot = properties.active_shot(context)
        for version in reversed(shot_summary.summary_of(shot.path).tracks if shot else []):
            entry = self.layout.operator("portraitgen.show_version", text=f"Version {version}")
            entry.version = version


class PORTRAITGEN_MT_presets(bpy.types.Menu):
    """Presets by name."""

    bl_label = "Presets"

    def draw(self, context: Any) -> None:
        """One entry a preset, and saving and deleting."""
        layout = self.layout
        known = presets.names()
        for name in known:
            layout.operator("portraitgen.preset_apply", text=name, icon="PRESET").name = name
        layout.separator()
        layout.operator("portraitgen.preset_save", text="Save...", icon="ADD")
        if known:
            layout.menu("PORTRAITGEN_MT_presets_delete")


class PORTRAITGEN_MT_presets_delete(bpy.types.Menu):
    """Presets to delete."""

    bl_label = "Delete"

    def draw(self, context: Any) -> None:
        """One entry a preset."""
        for name in presets.names():
            self.layout.operator("portraitgen.preset_delete", text=name).name = name


CLASSES = (
    PORTRAITGEN_UL_shots,
    PORTRAITGEN_UL_takes,
    PORTRAITGEN_MT_editor,
    PORTRAITGEN_MT_base,
    PORTRAITGEN_MT_versions,
    PORTRAITGEN_MT_presets,
    PORTRAITGEN_MT_presets_delete,
)
