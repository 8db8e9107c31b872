# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether files have changed, for what is drawn: the timer looks at them, drawing does not.

Panels are drawn many times a second, and a file may lie on a server that answers late.
"""

import os
from pathlib import Path

import bpy

watched = not bpy.app.background
"""Whether a timer looks for changes, so that what was seen last holds; without a window none
does, and whoever asks looks."""

_MOST = 200
_seen: dict[str, tuple[int, int] | None] = {}


def mark(path: Path | str) -> tuple[int, int] | None:
    """When a file was changed, ns, and its size, as the timer saw it last; None without one."""
    key = str(path)
    if not watched or key not in _seen:
        if len(_seen) > _MOST:
            _seen.clear()
        _seen[key] = _look_at(key)
    return _seen[key]


def forget(path: Path | str) -> None:
    """Has a file looked at when it is asked for next, since it was or will be changed just now."""
    _seen.pop(str(path), None)


def look() -> bool:
    """Looks at all files that were asked for.

    Returns:
        Whether one of them is another now.
    """
    before = dict(_seen)
    _seen.update({key: _look_at(key) for key in before})
    return before != _seen


def _look_at(path: str) -> tuple[int, int] | None:
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size
