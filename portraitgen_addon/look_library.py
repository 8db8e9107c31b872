# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artist's looks as the backend lists them, and one frame with a look as it is scrubbed."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy

from portraitgen.errors import PortraitError
from portraitgen.messages.takes import ListLooks, LookList, LookRow, LookShown, ShowLook

from . import properties, scene_updates, shot_time
from .session import session
from .take_settings import editor_options

IMAGE = "Live Look"
# Seconds: how long what is shown stands still before it is asked for while it goes on changing, and
# after how long a change is the first again, which is asked for at once.
_SETTLED, _RESTED = 0.06, 0.3
_WATCH = 0.03
# How often files are looked at that may have changed under what is shown, seconds.
_LOOK_AT_FILES = 1.0


class Library:
    """What the panel shows of the looks.

    Attributes:
        rows: as the backend lists them.
        folder: where they are kept.
        listed: whether the backend was asked.
    """

    rows: Sequence[LookRow] = ()
    folder = ""
    listed = False


def refresh() -> None:
    """Asks for the looks."""
    scene_updates.ask("Listing looks", ListLooks(), _listed)


def _learned() -> None:
    """Lists a new look beside what is under way."""
    session.ask(ListLooks(), _listed, lambda error: None)


def _listed(answer: LookList) -> None:
    Library.rows, Library.folder, Library.listed = answer.rows, answer.folder, True
    scene_updates.redraw()


class Live:
    """The frame that is shown with a look while the artist scrubs.

    One request is under way at a time; what has changed meanwhile is asked for once it is answered.

    Attributes:
        shot_id: the shot, empty while it is off.
        path: the picture that came last.
        milliseconds: from the change of the frame to the picture.
        error: why there is none.
    """

    shot_id = ""
    path = ""
    milliseconds = 0.0
    error = ""
    _asked: object = None
    _waiting = False
    _since = 0.0
    _latest: object = None
    _stamp: object = None
    _stamped = 0.0

    @classmethod
    def on(cls) -> bool:
        """Whether it shows frames."""
        return bool(cls.shot_id)

    @classmethod
    def start(cls, shot_id: str) -> None:
        """Begins to show frames of a shot.

        Raises:
            WorkerError: if the backend cannot be started.
        """
        scene_updates.start()
        cls.shot_id, cls._asked, cls._latest, cls.error = shot_id, None, None, ""
        cls._waiting = False
        if not bpy.app.timers.is_registered(_watch):
            bpy.app.timers.register(_watch, first_interval=0.0)
        cls.look_again()

    @classmethod
    def stop(cls) -> None:
        """Shows no more."""
        cls.shot_id = ""
        if bpy.app.timers.is_registered(_watch):
            bpy.app.timers.unregister(_watch)

    @classmethod
    def _wanted(cls) -> ShowLook | None:
        shot = properties.find_shot(cls.shot_id)
        if shot is None:
            cls.stop()
            return None
        take = shot.take
        if take is None or take.editor != "look":
            return None
        scene = properties.home_scene(shot) or bpy.context.scene
        frame = shot_time.nearest_frame(shot, scene)
        return ShowLook(str(shot.path), frame, editor_options(take), take.strength)

    @classmethod
    def look_again(cls) -> None:
        """Asks for the frame if something has changed: at once after a rest, else when it stands
        still for a moment."""
        wanted = cls._wanted()
        present = time.monotonic()
        if wanted is not None and present - cls._stamped > _LOOK_AT_FILES:
            cls._stamped = present
            # Another track, a look learned anew, or what went wrong may be right by now.
            if not cls._waiting and (_stamp_of(wanted) != cls._stamp or cls.error):
                cls._asked = None
        if wanted is None or cls._waiting or wanted == cls._asked:
            return
        waits_for = 0.0 if cls._asked is None else _SETTLED
        if wanted != cls._latest:
            if present - cls._since > _RESTED:
                waits_for = 0.0
            cls._latest, cls._since = wanted, present
        if present - cls._since < waits_for:
            return
        cls._stamp = _stamp_of(wanted)
        cls._asked, cls._waiting = wanted, True
        session.ask(wanted, cls._came, cls._refused)

    @classmethod
    def _came(cls, answer: LookShown) -> None:
        cls._waiting, cls.error, cls.path = False, "", answer.path
        cls.milliseconds = 1e3 * (time.monotonic() - cls._since)
        session.later(_show)

    @classmethod
    def _refused(cls, error: PortraitError) -> None:
        cls._waiting, cls.error = False, str(error)
        scene_updates.redraw()


def _stamp_of(wanted: ShowLook) -> object:
    """What the answer depends on beside what is asked: the tracks, and the looks' files."""
    tracks = Path(wanted.shot) / "track"
    named = [str(wanted.options.get(name) or "") for name in ("look", "other")]
    looks = [Path(each) for each in named if each]
    looks += [Path(Library.folder) / f"{each.name}.safetensors" for each in looks]
    return [_changed(each) for each in (tracks, *looks)]


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _watch() -> float | None:
    if not Live.on():
        return None
    Live.look_again()
    session.tick()
    return _WATCH


def _show() -> None:
    """Shows the picture in the file's image, and so in every Image Editor that has it."""
    if not Live.path:
        return
    image = bpy.data.images.get(IMAGE)
    if image is None:
        image = bpy.data.images.load(Live.path)
        image.name = IMAGE
    image.filepath = Live.path
    image.reload()
    manager = bpy.context.window_manager
    for window in manager.windows if manager else ():
        for area in window.screen.areas:
            if area.type == "IMAGE_EDITOR":
                space: Any = area.spaces.active
                if space.image is None or space.image == image:
                    space.image = image
                area.tag_redraw()
    scene_updates.redraw()


def register() -> None:
    """Has the library listed again when a look was learned."""
    session.on_look = _learned


def unregister() -> None:
    """Ends what runs beside Blender."""
    session.on_look = lambda: None
    Live.stop()
