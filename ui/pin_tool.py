# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pin tool in the 3D viewport's toolbar, and how pins look over the plate."""

from typing import Any

import bpy
import gpu
from bpy_extras import view3d_utils
from gpu_extras.batch import batch_for_shader

from portraitgen.errors import PortraitError

from ..operators.pins import TOOL
from ..portraitgen_addon import pins, properties

_HELD, _OFF = (0.2, 1.0, 0.3, 1.0), (1.0, 0.25, 0.15, 1.0)
_OFF_PIXELS = 3.0
_handle: Any = None


class PORTRAITGEN_WT_pin(bpy.types.WorkSpaceTool):
    """Click the body over the plate and drag it to where it belongs."""

    bl_space_type = "VIEW_3D"
    bl_context_mode = "POSE"
    bl_idname = TOOL
    bl_label = "Pin Body"
    bl_description = (
        "Click the body over the plate and drag: the body follows and is keyed. X over a pin"
        " deletes it"
    )
    bl_icon = "ops.generic.cursor"
    bl_keymap = (
        ("portraitgen.pin", {"type": "LEFTMOUSE", "value": "PRESS"}, None),
        ("portraitgen.pin_delete", {"type": "X", "value": "PRESS"}, None),
    )

    def draw_settings(context: Any, layout: Any, tool: Any) -> None:  # noqa: N805
        """How firmly the face resists."""
        shot = properties.active_shot(context)
        if shot is not None:
            layout.prop(shot, "pin_resistance", slider=True)


def _draw() -> None:
    """Each pin as a dot on its target, with a line from the point of the body it holds."""
    context = bpy.context
    shot = properties.active_shot(context)
    if context.mode != "POSE" or shot is None or not shot.has_rig or not len(shot.pins):
        return
    data = context.region_data
    if data is None or data.view_perspective != "CAMERA" or context.scene.camera != shot.camera:
        return
    try:
        lens = pins.bundle_of(shot).camera
    except PortraitError:
        return  # The panel says what is wrong with the shot.
    held, lines, off = [], [], []
    for pin in pins.on_frame(shot, context.scene.frame_current - shot.offset):
        world = (pins.world_of(shot, lens, pin.target), pins.surface_of(shot, pin))
        target, point = (
            view3d_utils.location_3d_to_region_2d(context.region, data, each) for each in world
        )
        if target is None or point is None:
            continue
        if (target - point).length > _OFF_PIXELS:
            off.append(target)
            lines += [target, point]
        else:
            held.append(target)
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    gpu.state.blend_set("ALPHA")
    for points, kind, colour in (
        (held, "POINTS", _HELD),
        (off, "POINTS", _OFF),
        (lines, "LINES", _OFF),
    ):
        if points:
            gpu.state.point_size_set(9.0)
            batch = batch_for_shader(shader, kind, {"pos": [(x, y, 0.0) for x, y in points]})
            shader.uniform_float("color", colour)
            batch.draw(shader)
    gpu.state.point_size_set(1.0)
    gpu.state.blend_set("NONE")


def register() -> None:
    """Adds the tool; without a window there are neither tools nor anything to draw on."""
    global _handle
    if bpy.app.background:
        return
    bpy.utils.register_tool(PORTRAITGEN_WT_pin, separator=True)
    _handle = bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")


def unregister() -> None:
    """Takes it out."""
    global _handle
    if _handle is None:
        return
    bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
    _handle = None
    bpy.utils.unregister_tool(PORTRAITGEN_WT_pin)
