# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels of the shot and its camera."""

from fractions import Fraction
from typing import Any

from ..portraitgen_addon import (
    backend_properties,
    camera,
    compat,
    plate_strip,
    sequencer,
    shot_summary,
)
from .notices import draw_notices
from .panel_base import Awaits, NeedsShot
from .progress import draw_message
from .text import draw_text


class ShotPanel(Awaits):
    """The shots, and the plate of the active one."""

    bl_label = "Shot"
    bl_order = 0

    def content(self, layout: Any, context: Any, shot: Any) -> None:
        """The list of shots and what the plate is."""
        draw_message(layout)
        home = shot.id_data if shot else compat.sequencer_scene(context)
        row = layout.row()
        state = home.portraitgen
        row.template_list("PORTRAITGEN_UL_shots", "", state, "shots", state, "active", rows=2)
        column = row.column(align=True)
        column.operator("portraitgen.new_shot", text="", icon="ADD")
        column.operator("portraitgen.remove_shot", text="", icon="REMOVE")
        column.operator("portraitgen.open_shot", text="", icon="FILE_FOLDER")
        if shot is None or _selects_new_plate(context):
            layout.operator("portraitgen.new_shot", icon="SEQ_STRIP_META")
            layout.operator("portraitgen.split_at_cuts")
        if shot is None:
            return
        known = shot_summary.summary_of(shot.path)
        row = layout.row()
        row.alert = bool(known.error)
        row.prop(shot, "folder")
        if known.error:
            layout.label(text="No shot lies in this folder", icon="ERROR")
            return
        for problem in known.problems:
            draw_text(layout, problem, "ERROR")
        draw_notices(layout, shot)
        column = layout.column(align=True)
        if plate := known.footage:
            text = f"{plate.width} x {plate.height}, {_rate(plate.fps)} frames/s"
            column.label(text=text, icon="FILE_MOVIE")
        if shot.colour_space:
            column.label(text=shot.colour_space, icon="COLOR")
        row = layout.row(align=True)
        row.prop(shot, "first", text="Frames")
        row.prop(shot, "last", text="")


def _selects_new_plate(context: Any) -> bool:
    """Whether the sequencer's active strip could be a plate, and is no shot's yet."""
    editor = compat.sequencer_scene(context).sequence_editor
    strip = editor.active_strip if editor is not None else None
    if strip is None or not strip.select or strip.type not in ("MOVIE", "IMAGE"):
        return False
    return not (strip.get(plate_strip.MARK) or strip.get(sequencer.SHOT))


def _rate(fps: Fraction) -> str:
    return f"{float(fps):.3f}".rstrip("0").rstrip(".")


class CameraPanel(NeedsShot):
    """The lens: estimated, or given."""

    bl_label = "Camera"
    bl_order = 1
    bl_options = {"DEFAULT_CLOSED"}

    def content(self, layout: Any, context: Any, shot: Any) -> None:
        """The lens: estimated, or given."""
        if shot.camera:
            layout.prop(shot.camera.data, "lens", text="Tracked Focal Length")
            scene = shot.camera.users_scene[0]
            plate = shot_summary.summary_of(shot.path).footage
            if plate and not camera.shows_plate_exactly(scene, plate.width, plate.height):
                row = layout.row()
                row.alert = True
                render = scene.render
                size = f"{render.resolution_x} x {render.resolution_y}"
                draw_text(row, f"'{scene.name}' is {size}, the plate is not", "ERROR")
                layout.operator("portraitgen.match_scene")
            solved = camera.followed(shot.camera)
            row = layout.row(align=True)
            if solved is None:
                row.operator("portraitgen.follow_camera", icon="CON_FOLLOWTRACK")
            else:
                row.label(text=f"Follows {solved.name}", icon="CON_FOLLOWTRACK")
                row.operator("portraitgen.leave_camera", text="", icon="X")
        settings = getattr(shot, backend_properties.slot_of_job("track"), None)
        if settings is not None:
            options = [
                each for each in backend_properties.job_options("track") if each.name == "focal"
            ]
            backend_properties.draw(layout, settings, options)
        layout.operator("portraitgen.take_focal", text="Take from Scene Camera")
