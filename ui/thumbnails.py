# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of the backend as icons that panels can show."""

import os
from typing import Any

import bpy.utils.previews

_collection: Any = None


def icon(path: str) -> int:
    """The icon of an image file, 0 while there is none; a file that changed is read again."""
    try:
        key = f"{path} {os.stat(path).st_mtime_ns}"
    except OSError:
        return 0
    if key not in _collection:
        if len(_collection) > 50:
            _collection.clear()
        _collection.load(key, path, "IMAGE")
    found: int = _collection[key].icon_id
    return found


def register() -> None:
    """Makes the collection."""
    global _collection
    _collection = bpy.utils.previews.new()


def unregister() -> None:
    """Frees it."""
    global _collection
    bpy.utils.previews.remove(_collection)
    _collection = None
