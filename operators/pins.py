# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pin tool: click the body over the plate and drag it to where it belongs."""

from typing import Any

import bpy
from bpy_extras import view3d_utils
from mathutils import Vector

from portraitgen.errors import PortraitError
from portraitgen.messages.tracks import PinsSolved

from ..portraitgen_addon import pins, properties, rig, scene_updates
from ..portraitgen_addon.session import session
from . import base

TOOL = "portraitgen.pin_tool"
_NEAR = 14
_HINTS = "Drag the point to where it belongs   |   Right click, Esc: cancel"


def _not_over_plate(context: Any) -> str:
    """Why pins cannot be set here."""
    shot = properties.active_shot(context)
    space = context.space_data
    if space is None or space.type != "VIEW_3D" or context.region_data is None:
        return "Pins are set in a 3D viewport"
    if context.region_data.view_perspective != "CAMERA" or context.scene.camera != shot.camera:
        return "Press Pose over Plate first: pins are set through the plate's camera"
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

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a rig."""
        return base.allowed(
            cls, base.no_shot(context), base.no_rig(context), base.no_backend(context)
        )

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Grabs the pin under the mouse, or sets one there."""
        reason = _not_over_plate(context)
        if reason:
            self.report({"WARNING"}, reason)
            return {"CANCELLED"}
        if base.attempt(self, lambda: self._grab(context, event)) == {"CANCELLED"}:
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
        at = Vector((event.mouse_region_x, event.mouse_region_y))
        index = _nearest(context, shot, self._frame, at)
        self._new = index is None
        if index is None:
            origin, direction = self._ray(context, event)
            face, weights = pins.hit(shot.mesh, origin, direction)
            target = pins.plate_pixel(shot, self._bundle.camera, direction)
            index = pins.add(shot, self._frame, face, weights, target)
        self._index, self._before = index, tuple(shot.pins[index].target)
        self._start = self._shown = rig.read_now(pins.parts_of(shot), self._bundle, shot.offset)
        self._moved = self._asked = self._released = False
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
            return self._end(context, {"CANCELLED"})
        if event.type in ("ESC", "RIGHTMOUSE") and event.value == "PRESS":
            return self._cancel(context, shot)
        if event.type == "MOUSEMOVE" and not self._released:
            _, direction = self._ray(context, event)
            shot.pins[self._index].target = pins.plate_pixel(shot, self._bundle.camera, direction)
            self._moved = True
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE":
            self._released = True
        elif event.type == "TIMER":
            session.tick()
            if self._moved and not self._asked:
                self._ask(shot)
        context.area.tag_redraw()
        if self._released and not self._moved and not self._asked:
            parts = pins.parts_of(shot)
            rig.insert_keys(parts, self._bundle, self._shown, self._start, self._scene_frame)
            return self._end(context, {"FINISHED"})
        return {"RUNNING_MODAL"}

    def _ask(self, shot: Any) -> None:
        self._moved, self._asked = False, True
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

    def _on_error(self, error: PortraitError) -> None:
        self._asked = False
        session.error = error

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
            return {"PASS_THROUGH"}
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
