# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing the performer among several people, by a click on the plate."""

from typing import Any

import bpy
from bpy.props import FloatProperty, IntProperty

from portraitgen.errors import PortraitError
from portraitgen.messages.shots import FacesFound, FindFaces

from ..portraitgen_addon import (
    backend_properties,
    plate_point,
    properties,
    scene_updates,
    shot_summary,
    strip_sync,
)
from . import base

_SLOT = backend_properties.slot_of_job("track")
_HINTS = (
    "Click the performer's face in the preview, an image editor or through the plate's camera"
    "   |   Right click, Esc: cancel"
)


def points_of(text: str) -> dict[int, str]:
    """The points of the Performer setting by their frames, "12:640,300;90:200,310"."""
    pieces = [each.strip() for each in text.split(";") if ":" in each]
    return {int(each.split(":")[0]): each.split(":", 1)[1] for each in pieces}


def _text(points: dict[int, str]) -> str:
    return ";".join(f"{frame}:{points[frame]}" for frame in sorted(points))


class PORTRAITGEN_OT_pick_performer(bpy.types.Operator):
    """Choose whom to track by a click on the face, in this frame of the plate"""

    bl_idname = "portraitgen.pick_performer"
    bl_label = "Pick Performer"
    bl_options = {"REGISTER", "UNDO"}

    frame: IntProperty(name="Frame", description="The footage frame", options={"SKIP_SAVE"})
    x: FloatProperty(name="X", description="Plate pixels from the left", options={"SKIP_SAVE"})
    y: FloatProperty(name="Y", description="Plate pixels from the top", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a shot, and the backend's settings."""
        shot = properties.active_shot(context)
        return base.allowed(
            cls,
            base.no_shot(context),
            base.no_backend(context),
            base.not_described(shot, _SLOT),
        )

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Waits for the click."""
        context.window_manager.modal_handler_add(self)
        context.window.cursor_modal_set("CROSSHAIR")
        context.workspace.status_text_set(_HINTS)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> set[str]:
        """Takes the first click on the plate; the playhead can be moved before it."""
        if event.type in ("ESC", "RIGHTMOUSE") and event.value == "PRESS":
            self._end(context)
            return {"CANCELLED"}
        if event.type != "LEFTMOUSE" or event.value != "PRESS":
            return {"PASS_THROUGH"}
        shot = properties.active_shot(context)
        strip = _strip_of(shot) if shot else None
        point = plate_point.under_mouse(context, event, strip, _sizes(shot)) if shot else None
        if point is None:
            # Such as a click on the timeline, to another frame.
            return {"PASS_THROUGH"}
        self._end(context)
        home = properties.home_scene(shot) or context.scene
        shown = context.scene if context.scene == home else home
        self.frame = shown.frame_current - shot.offset
        self.x, self.y = point
        return self.execute(context)

    def _end(self, context: Any) -> None:
        context.window.cursor_modal_restore()
        context.workspace.status_text_set(None)

    def execute(self, context: Any) -> set[str]:
        """Sets the point, and has the backend look whether a face is there."""
        return base.attempt(self, lambda: self._choose(context))

    def _choose(self, context: Any) -> None:
        shot = properties.active_shot(context)
        if not shot.first <= self.frame <= shot.last:
            raise PortraitError(
                f"frame {self.frame} is not of the shot", shot.name, f"use {shot.frames}"
            )
        settings = getattr(shot, _SLOT)
        before = settings.performer
        chosen = points_of(before) | {self.frame: f"{self.x:.0f},{self.y:.0f}"}
        settings.performer = _text(chosen)
        shot_id, point = shot.shot_id, (self.x, self.y)
        call = FindFaces(str(shot.path), self.frame)
        scene_updates.ask(
            "Looking for the face", call, lambda found: _checked(shot_id, before, point, found)
        )


def _checked(shot_id: str, before: str, point: tuple[float, float], found: FacesFound) -> None:
    """Takes a point back on which there is no face."""
    shot = properties.find_shot(shot_id)
    if shot is None:
        return
    shot.people = max(shot.people, len(found.faces))
    x, y = point
    for left, top, width, height in found.faces:
        if abs(left + width / 2 - x) <= width and abs(top + height / 2 - y) <= height:
            scene_updates.redraw()
            return
    getattr(shot, _SLOT).performer = before
    centres = [f"{left + w / 2:.0f},{top + h / 2:.0f}" for left, top, w, h in found.faces]
    raise PortraitError(
        f"there is no face at {x:.0f},{y:.0f} (faces are at {'; '.join(centres) or 'nowhere'})",
        f"frame {found.frame}",
        "click the performer's face in a frame that shows it",
    )


def _strip_of(shot: Any) -> Any | None:
    plate = strip_sync.plate_of(shot)
    return plate.strip if plate is not None else None


def _sizes(shot: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """Width and height of a shot's plate with square pixels, and as stored."""
    plate = shot_summary.summary_of(shot.path).footage
    assert plate, "the poll has read it"
    aspect = float(plate.pixel_aspect)
    size = plate.width, plate.height
    stored = size
    if aspect > 1:
        stored = (round(size[0] / aspect), size[1])
    elif aspect < 1:
        stored = (size[0], round(size[1] * aspect))
    return size, stored


class PORTRAITGEN_OT_forget_performer(bpy.types.Operator):
    """Let the track choose the performer: the largest face, and the most central one"""

    bl_idname = "portraitgen.forget_performer"
    bl_label = "Forget Performer"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a shot, and the backend's settings."""
        shot = properties.active_shot(context)
        return base.allowed(cls, base.no_shot(context), base.not_described(shot, _SLOT))

    def execute(self, context: Any) -> set[str]:
        """Empties the setting."""
        getattr(properties.active_shot(context), _SLOT).performer = ""
        return {"FINISHED"}


CLASSES = (PORTRAITGEN_OT_pick_performer, PORTRAITGEN_OT_forget_performer)
