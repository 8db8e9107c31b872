# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist sees, one file a place in Blender."""

import bpy

from . import lists, menus, panels, pin_tool, preferences, progress, thumbnails

_CLASSES = (*lists.CLASSES, *panels.CLASSES)


def register() -> None:
    """Adds panels, lists and menus."""
    thumbnails.register()
    for each in _CLASSES:
        bpy.utils.register_class(each)
    menus.register()
    progress.register()
    pin_tool.register()
    preferences.register()


def unregister() -> None:
    """Takes them out."""
    preferences.unregister()
    pin_tool.unregister()
    progress.unregister()
    menus.unregister()
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
    thumbnails.unregister()
