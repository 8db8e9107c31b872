# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries in the sequencer's own menus."""

from typing import Any

import bpy


def _add(menu: Any, context: Any) -> None:
    menu.layout.separator()
    menu.layout.operator("portraitgen.open_shot", text="PortraitGen Shot", icon="FILE_FOLDER")


def _strip(menu: Any, context: Any) -> None:
    menu.layout.separator()
    menu.layout.operator("portraitgen.new_shot", text="New PortraitGen Shot")
    menu.layout.operator("portraitgen.split_at_cuts")
    menu.layout.operator("portraitgen.render_to_strip", text="Render PortraitGen Take to Strip")


def register() -> None:
    """Adds them."""
    bpy.types.SEQUENCER_MT_add.append(_add)
    bpy.types.SEQUENCER_MT_strip.append(_strip)


def unregister() -> None:
    """Takes them out."""
    bpy.types.SEQUENCER_MT_strip.remove(_strip)
    bpy.types.SEQUENCER_MT_add.remove(_add)
