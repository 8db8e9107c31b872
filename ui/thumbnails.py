# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of the backend as icons that panels can show."""

import time
from dataclasses import dataclass
from typing import Any

import bpy.utils.previews

from ..portraitgen_addon import file_marks

# Beyond so many, pictures are freed that no panel has shown for so many seconds.
_MANY, _UNSEEN = 50, 60.0


@dataclass
class _Shown:
    """Under which key a picture was loaded, and when a panel last showed it."""

    key: str
    at: float


_collection: Any = None
_shown: dict[str, _Shown] = {}


def icon(path: str) -> int:
    """The icon of an image file, 0 while there is none; a file that changed is read again."""
    mark = file_marks.mark(path)
    if mark is None:
        return 0
    key, present = f"{path} {mark[0]}", time.monotonic()
    if key not in _collection:
        _free(path, present)
        _collection.load(key, path, "IMAGE")
    _shown[path] = _Shown(key, present)
    found: int = _collection[key].icon_id
    return found


def _free(path: str, present: float) -> None:
    """Frees what a file's picture was before, and what has not been shown for a while: never what
    the panel that is being drawn shows, however much that is."""
    gone = [path] if path in _shown else []
    if len(_shown) >= _MANY:
        gone += [each for each in _shown if present - _shown[each].at > _UNSEEN and each != path]
    for each in gone:
        del _collection[_shown.pop(each).key]


def register() -> None:
    """Makes the collection."""
    global _collection
    _collection = bpy.utils.previews.new()


def unregister() -> None:
    """Frees it."""
    global _collection
    bpy.utils.previews.remove(_collection)
    _collection = None
    _shown.clear()
