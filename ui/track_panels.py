# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels of the track and its rig."""

from typing import Any

from portraitgen.records import TrackRecord, TrackSummary

from ..operators.performer import points_of
from ..portraitgen_addon import (
    acting_layer,
    backend_properties,
    part_quality,
    sculpt,
    shot_summary,
)
from ..portraitgen_addon.session import session
from . import frame_marks
from .lists import base_label
from .panel_base import NeedsShot, folded, run_button
from .text import draw_text


class TrackPanel(NeedsShot):
    """The track: its settings, how good it is, where to look."""

    bl_label = "Track"
    bl_order = 2

    def content(self, layout: Any, context: Any, shot: Any) -> None:
        """Its settings, how good it is, where to look."""
        known = shot_summary.summary_of(shot.path)
        settings = getattr(shot, backend_properties.slot_of_job("track"), None)
        if settings is not None:
            shown = [
                each
                for each in backend_properties.job_options("track")
                if each.name not in ("focal", "frames", "performer")
            ]
            _performer(layout, shot, settings)
            body = folded(layout, settings, shown, "track")
            if body:
                matte = body.operator("portraitgen.mask_to_matte", icon="MOD_MASK")
                matte.purpose = "GARBAGE"
        run_button(layout, "portraitgen.track", "Re-track" if known.tracks else "Track", "track")
        if known.track is None:
            return
        # What is not aligned yet offers it; what is can be, after corrections.
        again = "Refine Track Again" if known.track.aligned else "Refine Track"
        run_button(layout, "portraitgen.refine_track", again, "refine")
        _residual(layout.column(align=True), known.track, shot)
        _parts(layout, known.track.summary, shot)
        if shot.has_rig:
            frame_marks.draw(layout, shot)
        row = layout.row(align=True)
        row.operator("portraitgen.import_track", icon="IMPORT")
        row.operator("portraitgen.export_track", icon="EXPORT")
        layout.operator("portraitgen.export_performance", icon="EXPORT")
        for note in session.told:
            draw_text(layout, note)


def _performer(layout: Any, shot: Any, settings: Any) -> None:
    """Who is tracked, where there are several people."""
    if shot.people > 1 and not settings.performer:
        text = f"{shot.people} people: pick the one to track"
        layout.label(text=text, icon="COMMUNITY")
    row = layout.row(align=True)
    row.operator("portraitgen.pick_performer", icon="EYEDROPPER")
    if settings.performer:
        row.operator("portraitgen.forget_performer", text="", icon="X")
        picked = sorted(frame + shot.offset for frame in points_of(settings.performer))
        frames = ", ".join(str(frame) for frame in picked)
        draw_text(layout, f"Picked on frame {frames}", "CHECKMARK")


def _residual(column: Any, track: TrackRecord, shot: Any) -> None:
    """How well the face is tracked, and in how many frames."""
    summary, residual = track.summary, track.summary.landmark_residual_percent
    if residual is not None:
        text = f"Residual {residual:.2f} % of the eye distance{_measured(track, shot)}"
        draw_text(column, text, "CON_TRACKTO")
    elif track.source == "artist":
        draw_text(column, "Corrected in every frame: no residual", "CON_TRACKTO")
    row = column.row()
    row.alert = summary.lost_frames > 0
    text = f"{summary.tracked_frames} of {summary.frames} frames tracked"
    text += f", {summary.weak_frames} weakly" if summary.weak_frames else ""
    draw_text(row, f"{text}, {summary.lost_frames} without a face")


def _measured(track: TrackRecord, shot: Any) -> str:
    """Of what the residual was measured, where that is not all that the rig shows."""
    if track.source in ("align", "refine"):
        return ", before it was refined"
    if shot.has_rig and acting_layer.has_corrections(shot.armature):
        return ", as tracked"
    return ", corrected frames apart" if track.source == "artist" else ""


def _parts(layout: Any, summary: TrackSummary, shot: Any) -> None:
    """The quality of each part: a number, or that it is a guess."""
    told, guessed = summary.part_residual_percent, summary.guessed_parts
    if not told and not guessed:
        return
    header, body = layout.panel("portraitgen_parts", default_closed=False)
    poor = [part for part, value in told.items() if value > part_quality.good(part)]
    header.alert = bool(poor)
    header.label(text="Quality by Part")
    if not body:
        return
    column = body.column(align=True)
    for part, label in part_quality.LABELS.items():
        row = column.row()
        if part in guessed:
            row.active = False
            row.label(text=label, icon="HIDE_ON")
            row.label(text="guessed")
        elif part in told:
            row.alert = part in poor
            right = part_quality.seems_right(part, told[part])
            icon = "ERROR" if part in poor else "CHECKMARK" if right else "DOT"
            row.label(text=label, icon=icon)
            row.label(text=f"{told[part]:.1f} %")
    if not shot.has_rig:
        return
    row = body.row(align=True)
    row.use_property_split = False
    row.prop(shot, "show_quality", toggle=True, icon="COLOR")
    row.operator("portraitgen.quality_curves", text="Curves", icon="GRAPH")
    if part_quality.hides(shot.mesh):
        body.prop(shot, "hide_unseen")


class RigPanel(NeedsShot):
    """Posing over the plate, and the way back into the shot."""

    bl_label = "Rig"
    bl_order = 3

    def content(self, layout: Any, context: Any, shot: Any) -> None:
        """Posing over the plate, and the way back into the shot."""
        layout.operator("portraitgen.view_rig", icon="POSE_HLT")
        if not shot.has_rig:
            if shot_summary.summary_of(shot.path).tracks:
                layout.operator("portraitgen.show_version", text="Build Rig").version = 0
            return
        layout.menu("PORTRAITGEN_MT_versions", text=f"Track Version {shot.track_version}")
        row = layout.row(align=True)
        row.operator("portraitgen.use_pin_tool", icon="PINNED")
        row.operator("portraitgen.pins_clear")
        layout.prop(shot, "pin_resistance", text="Pin Resistance", slider=True)
        row = layout.row(align=True)
        row.operator("portraitgen.reset_to_track", icon="LOOP_BACK")
        row.operator("portraitgen.blend_corrections")
        if acting_layer.has_corrections(shot.armature):
            layout.label(text="Corrections above the tracked motion", icon="NLA")
            row = layout.row(align=True)
            row.operator("portraitgen.resolve_range", icon="SMOOTHCURVE")
            row.operator("portraitgen.refine_from_here", icon="TRACKING_REFINE_FORWARDS")
        row = layout.row(align=True)
        row.operator("portraitgen.send_to_shot", icon="EXPORT")
        row.operator("portraitgen.discard_corrections")
        # One below the other: side by side their names are cut in a sidebar of usual width.
        column = layout.column(align=True)
        column.operator_menu_enum("portraitgen.face_to_character", "way", icon="SHAPEKEY_DATA")
        column.operator_menu_enum("portraitgen.pose_to_character", "preset", icon="ARMATURE_DATA")
        _acting(layout, shot)


def _acting(layout: Any, shot: Any) -> None:
    """Where keys go, and ready-made acting of the active take."""
    acts = acting_layer.acting_take(shot.armature)
    row = layout.row(align=True)
    for layer, label in (("CORRECT", "Correct"), ("ACT", "Act")):
        button = row.operator(
            "portraitgen.act_layer", text=label, depress=bool(acts) == (layer == "ACT")
        )
        button.layer = layer
    if not acts:
        return
    draw_text(layout, f"Keys act in the take {base_label(shot, acts)}", "NLA")
    layout.operator("portraitgen.eyeline", icon="HIDE_OFF")
    grid = layout.grid_flow(columns=2, align=True)
    for kind, label in _READY_MADE:
        grid.operator("portraitgen.ready_made_acting", text=label).kind = kind
    row = layout.row(align=True)
    row.operator("portraitgen.reshape", icon="MOD_SIMPLEDEFORM")
    sculpting = shot.mesh is not None and shot.mesh.mode == "SCULPT"
    row.operator("portraitgen.sculpt", icon="SCULPTMODE_HLT", depress=sculpting)
    if (key := sculpt.key_of(shot.mesh, acts)) is not None:
        layout.prop(key, "value", text="Sculpt", slider=True)
    row = layout.row(align=True)
    row.operator("portraitgen.send_acting", icon="EXPORT")
    row.operator("portraitgen.copy_acting", icon="PASTEDOWN")


_READY_MADE = (
    ("open_eyes", "Open Eyes"),
    ("hold", "Hold"),
    ("retime", "Retime"),
    ("exaggerate", "Exaggerate"),
    ("steady_head", "Steady Head"),
    ("mouth_from", "Mouth from Shot"),
)
