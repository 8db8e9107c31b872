# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames that other machines render appear in the strips of the takes that watch for them."""

from typing import Any

import bpy

from portraitgen.errors import PortraitError
from portraitgen.renders import Render, render_of, renders_of

from . import properties, scene_updates, sequencer, shot_summary
from .session import session

_EVERY = 2.0
# So many frames are shown at once, for the window's sake.
_AT_ONCE = 8
_Key = tuple[str, str, int]
# By shot, take and version of the render: the frames that need not be shown any more, and whether
# any came since the take began to watch.
_shown: dict[_Key, set[int]] = {}
_grown: set[_Key] = set()


def watched() -> list[tuple[Any, Any]]:
    """The shots and takes that watch."""
    return [
        (shot, take)
        for scene in bpy.data.scenes
        for shot in scene.portraitgen.shots
        for take in shot.takes
        if take.watched
    ]


def watch(shot: Any, take: Any) -> None:
    """Lets a take watch from now on; what is rendered already has its own button."""
    home = shot.path / "takes" / take.folder_name
    if renders_of(home):
        render = render_of(home)
        key = (shot.shot_id, take.folder_name, render.version)
        _shown[key] = set(render.full_plates())
        _grown.discard(key)
    take.watched = True
    start()


def start() -> None:
    """Looks every few seconds, as long as a take watches."""
    if not bpy.app.timers.is_registered(_look):
        bpy.app.timers.register(_look, first_interval=_EVERY, persistent=True)


def stop() -> None:
    """Looks no more."""
    if bpy.app.timers.is_registered(_look):
        bpy.app.timers.unregister(_look)


def look() -> int:
    """Shows what has come; says how many frames that were."""
    count = 0
    for shot, take in watched():
        # What this Blender renders itself it shows itself.
        own = session.busy and session.job and session.job.take == take.folder_name
        if not own and not bpy.app.is_job_running("RENDER"):
            count += _show_new(shot, take)
    return count


def _show_new(shot: Any, take: Any) -> int:
    home, scene = shot.path / "takes" / take.folder_name, properties.home_scene(shot)
    if scene is None or not renders_of(home):
        return 0
    render: Render = render_of(home)
    key = (shot.shot_id, take.folder_name, render.version)
    if key not in _shown:
        _shown[key] = _in_strips(shot, scene, take.folder_name, render)
    known = _shown[key]
    # A frame's EXR is written last, and vouches for its plate.
    whole = render.exr_frames().keys()
    coming = {
        frame: path
        for frame, path in render.full_plates().items()
        if frame in whole and frame not in known
    }
    count = 0
    for frame in list(coming)[:_AT_ONCE]:
        try:
            scene_updates.show_frame(shot, scene, take.folder_name, frame, coming[frame])
        except PortraitError as error:
            session.error = error
            take.watched = False
            break
        known.add(frame)
        count += 1
    if count:
        _grown.add(key)
        shot_summary.forget_summaries()
        scene_updates.redraw()
    # One that was whole before is not the one that is waited for.
    if key in _grown and set(range(shot.first, shot.last + 1)) <= known:
        take.watched = False
    return count


def _in_strips(shot: Any, scene: Any, take: str, render: Render) -> set[int]:
    """The frames of a version that the take's strips show."""
    found: set[int] = set()
    for strip in sequencer.take_strips(scene, shot.shot_id, take):
        if strip.get(sequencer.VERSION, 0) == render.version:
            first, others = sequencer.first_frame(strip, shot.offset), sequencer.shows_others(strip)
            found |= {first + at for at in range(len(strip.elements)) if at not in others}
    return found


def _look() -> float | None:
    look()
    return _EVERY if watched() else None


@bpy.app.handlers.persistent
def _on_load(*unused: Any) -> None:
    _shown.clear()
    _grown.clear()
    if watched():
        start()


def register() -> None:
    """Goes on watching for what a file watched for."""
    bpy.app.handlers.load_post.append(_on_load)


def unregister() -> None:
    """Looks no more."""
    bpy.app.handlers.load_post.remove(_on_load)
    stop()
