# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist sees, one file a place in Blender."""

import bpy

from . import frame_marks, lists, menus, panels, pin_tool, preferences, progress, thumbnails, wipe

_CLASSES = (*lists.CLASSES, *panels.CLASSES)


def register() -> None:
    """Adds panels, lists and menus."""
    thumbnails.register()
    for each in _CLASSES:
        bpy.utils.register_class(each)
    frame_marks.register()
    menus.register()
    progress.register()
    pin_tool.register()
    wipe.register()
    preferences.register()


def unregister() -> None:
    """Takes them out."""
    preferences.unregister()
    wipe.unregister()
    pin_tool.unregister()
    progress.unregister()
    menus.unregister()
    frame_marks.unregister()
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
    thumbnails.unregister()
