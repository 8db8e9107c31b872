# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames worth a look: their list in the panel, their track at the foot of timelines."""

from typing import Any

import bpy
import gpu
from gpu_extras.batch import batch_for_shader

from ..portraitgen_addon import frame_marks, shot_time

_HEIGHT, _HALF = 9, 4
_SPACES = (bpy.types.SpaceDopeSheetEditor, bpy.types.SpaceSequenceEditor)
_ICONS = {"lost": "CANCEL", "bridged": "HIDE_ON", "weak": "ERROR", frame_marks.PIVOT: "KEYFRAME"}
_handlers: list[tuple[Any, Any]] = []


class PORTRAITGEN_UL_marks(bpy.types.UIList):
    """Frames worth a look; a click goes there."""

    def draw_item(
        self,
        context: Any,
        layout: Any,
        data: Any,
        item: Any,
        icon: int,
        active_data: Any,
        active_property: str,
    ) -> None:
        """The frame as the scene counts it, and why."""
        row = layout.row()
        row.label(text=str(item.frame + data.offset), icon=_ICONS.get(item.kind, "DOT"))
        row.label(text=item.name)


def draw(layout: Any, shot: Any) -> None:
    """The list, and the switch of the track in the timelines."""
    weak = sum(mark.kind != frame_marks.PIVOT for mark in shot.marks)
    header, body = layout.panel("portraitgen_marks", default_closed=True)
    header.label(text=f"{weak} Weak Frames" if weak != 1 else "1 Weak Frame")
    symbol = "HIDE_OFF" if shot.show_marks else "HIDE_ON"
    header.prop(shot, "show_marks", text="", icon=symbol, emboss=False)
    if body:
        body.template_list("PORTRAITGEN_UL_marks", "", shot, "marks", shot, "active_mark", rows=3)
    row = layout.row(align=True)
    row.enabled = weak > 0
    back = row.operator("portraitgen.next_weak_frame", text="", icon="PREV_KEYFRAME")
    back.backwards = True
    row.operator("portraitgen.next_weak_frame", text="Next Weak Frame", icon="NEXT_KEYFRAME")


def _draw() -> None:
    context = bpy.context
    scene = shot_time.scene_at_hand(context)
    shots = [
        shot
        for each in bpy.data.scenes
        for shot in each.portraitgen.shots
        if each == scene or (shot.has_rig and scene in shot.armature.users_scene)
    ]
    view = context.region.view2d

    def to_x(frame: int) -> float:
        return float(view.view_to_region(frame, 0, clip=False)[0])

    points: dict[str, list[tuple[float, float]]] = {}
    for x, kind in frame_marks.shown(shots, to_x):
        if -_HALF < x < context.region.width + _HALF:
            corners = ((x - _HALF, 1), (x + _HALF, 1), (x, 1 + _HEIGHT))
            points.setdefault(kind, []).extend(corners)
    if not points:
        return
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    gpu.state.blend_set("ALPHA")
    for kind, drawn in points.items():
        shader.uniform_float("color", frame_marks.COLOURS.get(kind, (1, 1, 1, 1)))
        batch_for_shader(shader, "TRIS", {"pos": drawn}).draw(shader)
    gpu.state.blend_set("NONE")


def register() -> None:
    """Adds the list and the track."""
    bpy.utils.register_class(PORTRAITGEN_UL_marks)
    for space in _SPACES:
        _handlers.append((space, space.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")))


def unregister() -> None:
    """Takes them out."""
    while _handlers:
        space, handler = _handlers.pop()
        space.draw_handler_remove(handler, "WINDOW")
    bpy.utils.unregister_class(PORTRAITGEN_UL_marks)
