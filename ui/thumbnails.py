# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of the backend as icons that panels can show."""

from typing import Any

import bpy.utils.previews

from ..portraitgen_addon import file_marks

_collection: Any = None


def icon(path: str) -> int:
    """The icon of an image file, 0 while there is none; a file that changed is read again."""
    mark = file_marks.mark(path)
    if mark is None:
        return 0
    key = f"{path} {mark[0]}"
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
