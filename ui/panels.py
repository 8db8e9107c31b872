# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels, in the order of the work, in the sequencer's and the 3D viewport's sidebar alike."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import bpy

from portraitgen.messages.setup import EditorDescription
from portraitgen.messages.takes import TryFrame
from portraitgen.records import TrackRecord, TrackSummary
from portraitgen.settings import OptionDescription

from ..operators.paint import mask_folder
from ..operators.performer import points_of
from ..portraitgen_addon import (
    acting_layer,
    backend_properties,
    camera,
    compat,
    edit_watch,
    file_marks,
    part_quality,
    plate_strip,
    properties,
    sculpt,
    sequencer,
    shot_summary,
)
from ..portraitgen_addon.job_labels import job_label
from ..portraitgen_addon.session import session
from . import frame_marks, thumbnails
from .job_list import draw_farm, draw_queue, queue_button
from .lists import base_label
from .looks import draw_looks
from .notices import draw_notices
from .progress import draw_awaited, draw_job, draw_message, sparkline
from .text import draw_text


class _Panel:
    bl_region_type = "UI"
    bl_category = "PortraitGen"

    def draw(self, context: Any) -> None:
        """Draws the panel for the active shot."""
        layout = self.layout  # type: ignore[attr-defined]
        layout.use_property_split = True
        layout.use_property_decorate = False
        self.content(layout, context, properties.active_shot(context))

    def content(self, layout: Any, context: Any, shot: Any) -> None:
        """What the panel holds; `shot` is the active shot or None."""
        raise NotImplementedError


class _NeedsShot(_Panel):
    @classmethod
    def poll(cls, context: Any) -> bool:
        """Shown once there is a shot that can be read."""
        shot = properties.active_shot(context)
        return shot is not None and not shot_summary.summary_of(shot.path).error


class _Awaits(_Panel):
    """Says in its header what is awaited: a row would come and go, and move every button below it
    to where the mouse is about to press another."""

    def draw_header_preset(self, context: Any) -> None:
        """At the header's right end."""
        draw_awaited(self.layout)  # type: ignore[attr-defined]


class _Shot(_Awaits):
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


class _Camera(_NeedsShot):
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


class _Track(_NeedsShot):
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
            body = _folded(layout, settings, shown, "track")
            if body:
                matte = body.operator("portraitgen.mask_to_matte", icon="MOD_MASK")
                matte.purpose = "GARBAGE"
        _run(layout, "portraitgen.track", "Re-track" if known.tracks else "Track", "track")
        if known.track is None:
            return
        # What is not aligned yet offers it; what is can be, after corrections.
        again = "Refine Track Again" if known.track.aligned else "Refine Track"
        _run(layout, "portraitgen.refine_track", again, "refine")
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


class _Rig(_NeedsShot):
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


class _Avatar(_NeedsShot):
    bl_label = "Avatar"
    bl_order = 4

    def content(self, layout: Any, context: Any, shot: Any) -> None:
        """Its settings, its progress, how good it is."""
        known = shot_summary.summary_of(shot.path)
        settings = getattr(shot, backend_properties.slot_of_job("reconstruct"), None)
        if settings is not None:
            _folded(layout, settings, backend_properties.job_options("reconstruct"), "reconstruct")
        title = "Reconstruct Again" if known.avatars else "Reconstruct"
        _run(layout, "portraitgen.reconstruct", title, "reconstruct")
        job = session.job
        if job and job.kind == "reconstruct" and job.shot_id == shot.shot_id:
            if job.preview and (icon := thumbnails.icon(job.preview)):
                layout.template_icon(icon_value=icon, scale=9)
            if job.curve:
                values = [value for _, value in job.curve]
                layout.label(text=f"{sparkline(values)}  {values[-1]:.1f} dB")
        if known.avatar and known.metrics:
            psnr = known.metrics.psnr
            if psnr is not None:
                layout.label(
                    text=f"{psnr:.1f} dB on frames kept out", icon="OUTLINER_OB_POINTCLOUD"
                )
            if known.avatar.track not in known.tracks[-1:]:
                row = layout.row()
                row.alert = True
                row.label(text="The track has changed since", icon="ERROR")


class _Edit(_Awaits, _NeedsShot):
    bl_label = "Edit"
    bl_order = 5

    def content(self, layout: Any, context: Any, shot: Any) -> None:
        """Takes, and the settings of the active one."""
        row = layout.row()
        row.template_list("PORTRAITGEN_UL_takes", "", shot, "takes", shot, "active_take", rows=3)
        column = row.column(align=True)
        column.operator("portraitgen.take_add", text="", icon="ADD")
        column.operator("portraitgen.take_delete", text="", icon="REMOVE")
        column.operator("portraitgen.take_duplicate", text="", icon="DUPLICATE")
        take = shot.take
        if take is None:
            layout.operator("portraitgen.take_add")
            row = layout.row()
            row.scale_y = 1.3
            _try(row)
            return
        layout.menu("PORTRAITGEN_MT_presets", icon="PRESET")
        known = backend_properties.editor(take.editor)
        split = layout.split(factor=0.4)
        split.alignment = "RIGHT"
        split.label(text="Editor")
        split.menu("PORTRAITGEN_MT_editor", text=known.label if known else take.editor)
        if known is None:
            layout.label(text="The backend has not told of this editor yet", icon="INFO")
        else:
            self._editor(layout, take, known)
        draw_looks(layout, shot, take)
        layout.prop(take, "strength")
        layout.prop(take, "seed")
        settings = getattr(take, backend_properties.slot_of_job("edit"), None)
        if settings is not None:
            options = [
                each for each in backend_properties.job_options("edit") if each.name != "base"
            ]
            if hasattr(settings, "base") and len(shot.takes) > 1:
                split = layout.split(factor=0.4)
                split.alignment = "RIGHT"
                split.label(text="Builds On")
                split.menu("PORTRAITGEN_MT_base", text=base_label(shot, settings.base))
            _folded(layout, settings, options, "edit")
        row = layout.row(align=True)
        masking = row.operator("portraitgen.paint_frame", text="Paint Mask", icon="MOD_MASK")
        masking.mask = True
        masked = file_marks.mark(mask_folder(shot)) is not None
        if masked:
            row.operator("portraitgen.remove_mask", text="", icon="X")
            layout.label(text="Edits only where the mask is painted", icon="BLANK1")
        _try(layout)
        for note in session.tried:
            draw_text(layout, note, "INFO")
        self._preview(layout, take)
        _run(layout, "portraitgen.edit", "Edit Shot", "edit")
        layout.operator("portraitgen.keep_key", icon="PINNED")
        layout.operator("portraitgen.copy_take", icon="COPYDOWN")

    def _editor(self, layout: Any, take: Any, known: EditorDescription) -> None:
        if not known.commercial:
            draw_text(layout, f"{known.licence}: not for commercial work", "ERROR")
        for need in known.needs:
            draw_text(layout, f"Needs {need}", "INFO")
        if known.memory_gb:
            layout.label(text=f"About {known.memory_gb:g} GB of GPU memory", icon="MEMORY")
        settings = getattr(take, backend_properties.slot_of_editor(take.editor), None)
        if settings is not None:
            column = layout.column()
            # The second look's share can be keyed.
            column.use_property_decorate = known.id == "look"
            backend_properties.draw(column, settings, known.options)
        if known.id == "relight":
            layout.operator("portraitgen.light_from_scene", icon="LIGHT")
        if known.id == "paint":
            layout.operator("portraitgen.paint_frame", icon="BRUSH_DATA")

    def _preview(self, layout: Any, take: Any) -> None:
        image = bpy.data.images.get(take.preview) if take.preview else None
        if image is not None and (icon := thumbnails.icon(bpy.path.abspath(image.filepath))):
            layout.template_icon(icon_value=icon, scale=9)
            layout.prop(image, "portraitgen_wipe", slider=True)
            layout.operator("portraitgen.show_preview", icon="WINDOW")


class _Output(_Awaits, _NeedsShot):
    bl_label = "Output"
    bl_order = 6

    def content(self, layout: Any, context: Any, shot: Any) -> None:
        """Where edited frames go."""
        settings = getattr(shot, backend_properties.slot_of_job("render"), None)
        if settings is not None:
            options = backend_properties.job_options("render")
            body = _folded(layout, settings, options, "render")
            if body:
                mask = "portraitgen.mask_to_matte"
                held = body.operator(mask, text="Mask as Hold-Out", icon="MOD_MASK")
                held.purpose = "HOLD_OUT"
        if shot.take is not None:
            row = layout.row()
            row.use_property_decorate = True
            row.prop(shot.take, "mix")
        _run(layout, "portraitgen.render_to_strip", "Render to Strip", "render")
        draw_farm(layout, shot)
        column = layout.column(align=True)
        column.operator("portraitgen.render_through_camera", icon="VIEW_CAMERA")
        column.operator("portraitgen.drive_from_shot", icon="COMMUNITY")
        layout.operator("portraitgen.show_frames", icon="SEQUENCE")
        _versions(layout, shot)
        layout.operator("portraitgen.to_compositor", icon="NODE_COMPOSITING")
        _run(layout, "portraitgen.quality", "QC Sheet", "qc")
        if (settings := getattr(shot, backend_properties.slot_of_job("qc"), None)) is not None:
            options = backend_properties.job_options("qc")
            _folded(layout, settings, options, "qc", "QC Settings")
        header, body = layout.panel("portraitgen_delivery", default_closed=True)
        header.label(text="Delivery")
        if body:
            project = shot.id_data.portraitgen
            body.prop(project, "credentials")
            if project.credentials:
                body.prop(project, "certificate")
                body.prop(project, "certificate_key")
            _run(body, "portraitgen.deliver", "Deliver", "deliver")
        layout.operator("portraitgen.restore_settings", icon="LOOP_BACK")
        header, body = layout.panel("portraitgen_splats", default_closed=True)
        header.label(text="3D")
        if body:
            row = body.row(align=True)
            row.operator("portraitgen.to_3d", icon="OUTLINER_OB_POINTCLOUD")
            row.operator("portraitgen.lit_by_scene", icon="LIGHT_SUN")
            row.operator("portraitgen.pack_splats", text="", icon="PACKAGE")
            row = body.row(align=True)
            row.operator("portraitgen.render_lit_take", icon="RENDER_ANIMATION").frames = "ALL"
            row.operator(
                "portraitgen.render_lit_take", text="", icon="RENDER_STILL"
            ).frames = "CURRENT"
            row = body.row(align=True)
            row.operator("portraitgen.export_splats", icon="EXPORT")
            row.operator("portraitgen.take_retouched_splats", text="Take Retouched", icon="IMPORT")
            for note in session.told_of_splats:
                draw_text(body, note)


def _try(layout: Any) -> None:
    """The button that tries a frame, which says so itself while one waits for it."""
    if isinstance(session.asked, TryFrame):
        layout.operator("portraitgen.try_frame", text=f"{session.doing}...", icon="SORTTIME")
    else:
        layout.operator("portraitgen.try_frame", icon="HIDE_OFF")


def _versions(layout: Any, shot: Any) -> None:
    """Which version of its render the take's strip shows."""
    shown = edit_watch.shown_render(shot, shot.take) if shot.take is not None else None
    if shown is None:
        return
    row = layout.row(align=True)
    step = row.operator("portraitgen.next_version", text="", icon="TRIA_LEFT")
    step.backwards = True
    number, known = shown.version, shot_summary.renders(shot.path, shot.take.folder_name)
    text = f"Version {number}" if number else "Rendered before there were versions"
    row.label(text=f"{text} of {max(known)}" if number and known else text)
    row.operator("portraitgen.next_version", text="", icon="TRIA_RIGHT")
    if shown.mixed:
        layout.label(text="Some frames show another version", icon="INFO")


class _Jobs(_Panel):
    bl_label = "Jobs"
    bl_order = 7

    def content(self, layout: Any, context: Any, shot: Any) -> None:
        """The running job, what can be resumed, and the backend."""
        if session.job is not None:
            draw_job(layout, session.job)
        draw_queue(layout)
        unfinished = shot_summary.summary_of(shot.path).unfinished if shot else []
        if unfinished and not session.busy:
            job = unfinished[0]
            state = "cut off" if job.state == "running" else job.state
            name = job_label(job.kind)
            layout.label(text=f"{name}: {state}", icon="RECOVER_LAST")
            layout.operator("portraitgen.resume", icon="PLAY")
        if shot is not None:
            layout.operator("portraitgen.clean_up", icon="TRASH")
        row = layout.row(align=True)
        row.operator("portraitgen.open_log", icon="TEXT")
        row.operator("portraitgen.copy_report", icon="COPYDOWN")
        row = layout.row(align=True)
        states = {"off": "not running", "starting": "starting", "failed": "failed"}
        text = states.get(session.state) or (session.hello.device if session.hello else "")
        row.label(text=f"Backend: {text}")
        row.operator("portraitgen.free_memory", text="", icon="MEMORY")


def _folded(
    layout: Any,
    settings: Any,
    options: Sequence[OptionDescription],
    kind: str,
    title: str = "Settings",
) -> Any | None:
    """A job's options, out of the way of its button until they are asked for; gives where they
    are drawn, None while they are not."""
    header, body = layout.panel(f"portraitgen_{kind}_settings", default_closed=True)
    header.label(text=title)
    if body:
        backend_properties.draw(body, settings, options)
    return body


def _run(layout: Any, operator: str, text: str, kind: str) -> None:
    """The button that starts a job, or the job itself while it runs."""
    if session.busy and session.job and session.job.kind == kind:
        draw_job(layout, session.job)
        return
    row = layout.row(align=True)
    row.scale_y = 1.3
    row.operator(operator, text=text)
    queue_button(row, kind)
    memory = backend_properties.memory_gb(kind)
    if memory:
        layout.label(text=f"Takes about {memory:g} GB of memory", icon="MEMORY")


def _rate(fps: Fraction) -> str:
    return f"{float(fps):.3f}".rstrip("0").rstrip(".")


_CONTENTS = (_Shot, _Camera, _Track, _Rig, _Avatar, _Edit, _Output, _Jobs)
_SPACES = {"SEQ": "SEQUENCE_EDITOR", "V3D": "VIEW_3D"}
CLASSES = tuple(
    type(
        f"PORTRAITGEN_PT_{content.bl_label.lower()}_{short.lower()}",
        (content, bpy.types.Panel),
        {"bl_space_type": space, "__doc__": content.__doc__},
    )
    for short, space in _SPACES.items()
    for content in _CONTENTS
)
