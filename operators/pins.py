# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pin tool: click the body over the plate and drag it to where it belongs."""

import time
from typing import Any

import bpy
import numpy as np
from bpy_extras import view3d_utils
from mathutils import Vector

from portraitgen.errors import PortraitError
from portraitgen.messages.tracks import PinsSolved

from ..portraitgen_addon import pins, properties, rig, rotations, scene_updates
from ..portraitgen_addon.session import session
from . import base

TOOL = "portraitgen.pin_tool"
_NEAR = 14
_HINTS = "Drag the point to where it belongs   |   Right click, Esc: cancel"
_WAITS = "The backend is busy: the body follows once it answers   |   Right click, Esc: cancel"
# How long an answer may take before that is said, seconds; and how far the body may end from its
# pin, plate pixels, and the rig from what was keyed, metres and radians.
_PATIENCE, _OFF_PIXELS, _OFF_POSE = 0.5, 3.0, 0.01


def _not_over_plate(context: Any) -> str:
    """Why pins cannot be set here."""
    shot = properties.active_shot(context)
    space = context.space_data
    if space is None or space.type != "VIEW_3D" or context.region_data is None:
        return "Pins are set in a 3D viewport"
    if context.region_data.view_perspective != "CAMERA" or context.scene.camera != shot.camera:
        return "Press Pose over Plate first: pins are set through the plate's camera"
    return ""


def _not_now(context: Any) -> str:
    """Why no pin can be dragged: what a press of a tool does not find, nothing else would say."""
    reason = base.no_shot(context) or base.no_rig(context) or base.no_backend(context)
    if reason or (reason := _not_over_plate(context)):
        return reason
    if session.doing:
        # The backend answers one question after the other, and some change the rig.
        return f"{session.doing} is not done yet: drag once it is"
    data = properties.active_shot(context).armature.animation_data
    if data is None or data.action is None or data.use_tweak_mode:
        return "The rig plays no layer of yours: leave Tweak Mode in the NLA Editor (Tab)"
    return ""


def _nearest(context: Any, shot: Any, frame: int, at: Vector) -> int | None:
    """The pin of a frame whose target lies under the mouse, by its place in the list."""
    lens = pins.bundle_of(shot).camera
    best, chosen = float(_NEAR), None
    for index, pin in enumerate(shot.pins):
        if pin.frame != frame:
            continue
        place = view3d_utils.location_3d_to_region_2d(
            context.region, context.region_data, pins.world_of(shot, lens, pin.target)
        )
        if place is not None and (place - at).length < best:
            best, chosen = (place - at).length, index
    return chosen


class PORTRAITGEN_OT_pin(bpy.types.Operator):
    """Pin a point of the body and drag it: the body follows, and the pose is keyed"""

    bl_idname = "portraitgen.pin"
    bl_label = "Pin Body"
    bl_options = {"REGISTER", "UNDO"}

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Grabs the pin under the mouse, or sets one there."""
        reason = _not_now(context)
        if reason:
            self.report({"WARNING"}, reason)
            return {"CANCELLED"}
        # An error's popup would open under the mouse and take the next press.
        if base.attempt(self, lambda: self._grab(context, event), "WARNING") == {"CANCELLED"}:
            return {"CANCELLED"}
        self._timer = context.window_manager.event_timer_add(0.015, window=context.window)
        context.window_manager.modal_handler_add(self)
        context.workspace.status_text_set(_HINTS)
        return {"RUNNING_MODAL"}

    def _grab(self, context: Any, event: Any) -> None:
        shot = properties.active_shot(context)
        self._shot_id = shot.shot_id
        self._scene_frame = context.scene.frame_current
        self._frame = self._scene_frame - shot.offset
        self._bundle = pins.bundle_of(shot)
        if self._frame not in self._bundle.arrays["frames"]:
            raise PortraitError(
                f"frame {self._frame} is not tracked", shot.name, "go to a tracked frame"
            )
        self._at = (event.mouse_region_x, event.mouse_region_y)
        index = _nearest(context, shot, self._frame, Vector(self._at))
        self._new = index is None
        if index is None:
            origin, direction = self._ray(context, event)
            face, weights = pins.hit(shot.mesh, origin, direction)
            target = pins.plate_pixel(shot, self._bundle.camera, direction)
            index = pins.add(shot, self._frame, face, weights, target)
        self._index, self._before = index, tuple(shot.pins[index].target)
        self._start = self._shown = rig.read_now(pins.parts_of(shot), self._bundle, shot.offset)
        self._moved = self._asked = self._released = self._dragged = self._late = False
        self._since = self._off = 0.0
        self._error: PortraitError | None = None
        # Answers may come after the drag has ended, when the operator itself is gone.
        self._living = [True]
        scene_updates.start()

    def _ray(self, context: Any, event: Any) -> tuple[Vector, Vector]:
        at = (event.mouse_region_x, event.mouse_region_y)
        region, data = context.region, context.region_data
        return (
            view3d_utils.region_2d_to_origin_3d(region, data, at),
            view3d_utils.region_2d_to_vector_3d(region, data, at),
        )

    def modal(self, context: Any, event: Any) -> set[str]:
        """Follows the mouse; the backend's answers come in between."""
        shot = properties.find_shot(self._shot_id)
        if shot is None or not shot.has_rig or self._index >= len(shot.pins):
            self.report({"ERROR"}, "The pin or its rig is gone, so the drag has ended")
            return self._end(context, {"CANCELLED"})
        if event.type in ("ESC", "RIGHTMOUSE") and event.value == "PRESS":
            return self._cancel(context, shot)
        at = (event.mouse_region_x, event.mouse_region_y)
        # A mouse that has not moved drags nothing, though Blender tells where it is.
        if event.type == "MOUSEMOVE" and at != self._at and not self._released:
            self._at = at
            _, direction = self._ray(context, event)
            shot.pins[self._index].target = pins.plate_pixel(shot, self._bundle.camera, direction)
            self._moved = self._dragged = True
            context.area.tag_redraw()
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE":
            self._released = True
        elif event.type == "TIMER":
            session.tick()
            if self._moved and not self._asked:
                self._ask(shot)
            self._say_late(context)
        if self._error is not None:
            self.report({"ERROR"}, base.reported(str(self._error), True))
            return self._cancel(context, shot)
        if self._released and not self._moved and not self._asked:
            if base.attempt(self, lambda: self._key(shot)) == {"CANCELLED"}:
                return self._cancel(context, shot)
            return self._end(context, {"FINISHED"})
        return {"RUNNING_MODAL"}

    def _say_late(self, context: Any) -> None:
        """Says what is waited for, instead of standing still without a word."""
        late = self._asked and time.monotonic() - self._since > _PATIENCE
        if late != self._late:
            self._late = late
            context.workspace.status_text_set(_WAITS if late else _HINTS)

    def _key(self, shot: Any) -> None:
        """Keys what the drag has come to, and says where that is not what was asked for."""
        parts = pins.parts_of(shot)
        rig.insert_keys(parts, self._bundle, self._shown, self._start, self._scene_frame)
        if not self._dragged:
            self.report({"INFO"}, "The pin holds this point of the body; drag it to move the body")
            return
        if self._off > _OFF_PIXELS:
            text = f"The body stays {self._off:.0f} pixels from the pin: other pins, locked bones"
            self.report({"WARNING"}, f"{text} or Pin Resistance hold it")
        put = rig.read_now(parts, self._bundle, shot.offset)
        moved = np.abs(put.transl - self._shown.transl).max()
        if max(moved, rotations.turned(put.pose, self._shown.pose).max()) > _OFF_POSE:
            text = "The rig does not show the pose that was keyed: a constraint, a driver or an NLA"
            self.report({"WARNING"}, f"{text} track holds it")

    def _ask(self, shot: Any) -> None:
        self._moved, self._asked, self._since = False, True, time.monotonic()
        call = pins.call_of(shot, self._frame, self._start)
        living = self._living

        def on_result(answer: PinsSolved) -> None:
            if living:
                self._on_result(answer)

        def on_error(error: PortraitError) -> None:
            if living:
                self._on_error(error)

        session.ask(call, on_result, on_error)

    def _on_result(self, answer: PinsSolved) -> None:
        self._asked = False
        shot = properties.find_shot(self._shot_id)
        if shot is None or not shot.has_rig:
            return
        wanted = pins.answer_of(answer, self._frame)
        rig.set_pose(pins.parts_of(shot), self._bundle, wanted)
        self._shown = wanted
        # The backend tells of the frame's pins, in their order.
        place = sum(pin.frame == self._frame for pin in shot.pins[: self._index])
        self._off = answer.error_px[place]

    def _on_error(self, error: PortraitError) -> None:
        self._asked, self._error = False, error

    def _cancel(self, context: Any, shot: Any) -> set[str]:
        rig.set_pose(pins.parts_of(shot), self._bundle, self._start)
        if self._new:
            shot.pins.remove(self._index)
        else:
            shot.pins[self._index].target = self._before
        return self._end(context, {"CANCELLED"})

    def _end(self, context: Any, result: set[str]) -> set[str]:
        self._living.clear()
        context.window_manager.event_timer_remove(self._timer)
        context.workspace.status_text_set(None)
        return result


class PORTRAITGEN_OT_pin_delete(bpy.types.Operator):
    """Delete the pin under the mouse; the pose stays as it is keyed"""

    bl_idname = "portraitgen.pin_delete"
    bl_label = "Delete Pin"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a rig."""
        return base.allowed(cls, base.no_shot(context), base.no_rig(context))

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Looks under the mouse."""
        if _not_over_plate(context):
            return {"PASS_THROUGH"}
        shot = properties.active_shot(context)
        at = Vector((event.mouse_region_x, event.mouse_region_y))
        index = _nearest(context, shot, context.scene.frame_current - shot.offset, at)
        if index is None:
            self.report({"WARNING"}, "There is no pin of this frame under the mouse")
            return {"CANCELLED"}
        shot.pins.remove(index)
        context.area.tag_redraw()
        return {"FINISHED"}


class PORTRAITGEN_OT_pins_clear(bpy.types.Operator):
    """Delete all pins of this frame; the pose stays as it is keyed"""

    bl_idname = "portraitgen.pins_clear"
    bl_label = "Clear Pins"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs pins on this frame."""
        shot = properties.active_shot(context)
        frame = context.scene.frame_current - shot.offset if shot else 0
        held = shot and pins.on_frame(shot, frame)
        return base.allowed(
            cls, base.no_shot(context), "" if held else "There are no pins on this frame"
        )

    def execute(self, context: Any) -> set[str]:
        """Deletes them."""
        shot = properties.active_shot(context)
        frame = context.scene.frame_current - shot.offset
        for index in reversed(range(len(shot.pins))):
            if shot.pins[index].frame == frame:
                shot.pins.remove(index)
        return {"FINISHED"}


class PORTRAITGEN_OT_use_pin_tool(bpy.types.Operator):
    """Look through the plate's camera and drag the body by pins on its surface"""

    bl_idname = "portraitgen.use_pin_tool"
    bl_label = "Pin Tool"
    # A step of its own: undoing the first pin must not leave pose mode and the camera.
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs what posing needs."""
        return bool(bpy.ops.portraitgen.view_rig.poll())

    def execute(self, context: Any) -> set[str]:
        """Turns the viewport to the plate and takes the tool."""
        bpy.ops.portraitgen.view_rig()
        areas = [area for area in context.window.screen.areas if area.type == "VIEW_3D"]
        area = max(areas, key=lambda each: each.width * each.height)
        region = next(each for each in area.regions if each.type == "WINDOW")
        with context.temp_override(window=context.window, area=area, region=region):
            bpy.ops.wm.tool_set_by_id(name=TOOL)
        return {"FINISHED"}


CLASSES = (
    PORTRAITGEN_OT_pin,
    PORTRAITGEN_OT_pin_delete,
    PORTRAITGEN_OT_pins_clear,
    PORTRAITGEN_OT_use_pin_tool,
)
