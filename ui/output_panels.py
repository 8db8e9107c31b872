# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels of what is delivered, and of jobs."""

from typing import Any

from ..portraitgen_addon import (
    backend_properties,
    edit_watch,
    shot_summary,
)
from ..portraitgen_addon.job_labels import job_label
from ..portraitgen_addon.session import session
from .job_list import draw_farm, draw_queue
from .panel_base import Awaits, NeedsShot, Panel, folded, run_button
from .progress import draw_job
from .text import draw_text


class OutputPanel(Awaits, NeedsShot):
    """Where edited frames go."""

    bl_label = "Output"
    bl_order = 6

    def content(self, layout: Any, context: Any, shot: Any) -> None:
        """Where edited frames go."""
        settings = getattr(shot, backend_properties.slot_of_job("render"), None)
        if settings is not None:
            options = backend_properties.job_options("render")
            body = folded(layout, settings, options, "render")
            if body:
                mask = "portraitgen.mask_to_matte"
                held = body.operator(mask, text="Mask as Hold-Out", icon="MOD_MASK")
                held.purpose = "HOLD_OUT"
        if shot.take is not None:
            row = layout.row()
            row.use_property_decorate = True
            row.prop(shot.take, "mix")
        run_button(layout, "portraitgen.render_to_strip", "Render to Strip", "render")
        draw_farm(layout, shot)
        column = layout.column(align=True)
        column.operator("portraitgen.render_through_camera", icon="VIEW_CAMERA")
        column.operator("portraitgen.drive_from_shot", icon="COMMUNITY")
        layout.operator("portraitgen.show_frames", icon="SEQUENCE")
        _versions(layout, shot)
        layout.operator("portraitgen.to_compositor", icon="NODE_COMPOSITING")
        run_button(layout, "portraitgen.quality", "QC Sheet", "qc")
        if (settings := getattr(shot, backend_properties.slot_of_job("qc"), None)) is not None:
            options = backend_properties.job_options("qc")
            folded(layout, settings, options, "qc", "QC Settings")
        header, body = layout.panel("portraitgen_delivery", default_closed=True)
        header.label(text="Delivery")
        if body:
            project = shot.id_data.portraitgen
            body.prop(project, "credentials")
            if project.credentials:
                body.prop(project, "certificate")
                body.prop(project, "certificate_key")
            run_button(body, "portraitgen.deliver", "Deliver", "deliver")
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


class JobsPanel(Panel):
    """Jobs, what can be resumed, and the backend."""

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
