# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist sees, one file a place in Blender."""

import bpy

from . import lists, menus, panels, pin_tool, progress, thumbnails

_CLASSES = (*lists.CLASSES, *panels.CLASSES)


def register() -> None:
    """Adds panels, lists and menus."""
    thumbnails.register()
    for each in _CLASSES:
        bpy.utils.register_class(each)
    menus.register()
    progress.register()
    pin_tool.register()


def unregister() -> None:
    """Takes them out."""
    pin_tool.unregister()
    progress.unregister()
    menus.unregister()
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
    thumbnails.unregister()
