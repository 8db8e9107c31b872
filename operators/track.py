# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracking a shot, and looking at what came of it."""

import json
from typing import Any

import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty

from portraitgen import trust
from portraitgen.bounded_json import parse_json
from portraitgen.errors import PortraitError
from portraitgen.records import JobRecord
from portraitgen.schema import Values
from portraitgen.trust import Program

from ..portraitgen_addon import (
    backend_properties,
    compat,
    frame_marks,
    picture_view,
    properties,
    scene_updates,
    shot_summary,
    shot_time,
)
from ..portraitgen_addon.job_labels import job_label
from ..portraitgen_addon.part_quality import PREFIX
from ..portraitgen_addon.session import session
from . import base
from .edit import draw_program, draw_whole, program_of


class PORTRAITGEN_OT_track(bpy.types.Operator):
    """Track the performer over the shot's range; the rig appears when it is done"""

    bl_idname = "portraitgen.track"
    bl_label = "Track"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a shot and a free backend."""
        return base.job_allowed(cls, context)

    def execute(self, context: Any) -> set[str]:
        """Starts the job."""
        shot = properties.active_shot(context)
        options = {"frames": shot.frames}
        settings = getattr(shot, backend_properties.slot_of_job("track"), None)
        if settings is not None:
            options |= backend_properties.values(settings, backend_properties.job_options("track"))
            options["frames"] = options["frames"] or shot.frames
        return base.attempt(self, lambda: base.run_job(context, "track", options))


class PORTRAITGEN_OT_refine_track(bpy.types.Operator):
    """Align face and torso of the track with the plate's own pixels, as a new version"""

    bl_idname = "portraitgen.refine_track"
    bl_label = "Refine Track"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a track and a free backend."""
        return base.job_allowed(cls, context, base.no_track)

    def execute(self, context: Any) -> set[str]:
        """Starts the job."""
        return base.attempt(self, lambda: base.run_job(context, "refine", {}))


class PORTRAITGEN_OT_show_version(bpy.types.Operator):
    """Let the rig show this version of the track; corrections stay above it"""

    bl_idname = "portraitgen.show_version"
    bl_label = "Show Track Version"
    bl_options = {"REGISTER"}

    version: IntProperty(name="Version", description="The track version to show", default=0, min=0)

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a track."""
        return base.allowed(
            cls, base.no_shot(context), base.no_track(context), base.no_backend(context)
        )

    def execute(self, context: Any) -> set[str]:
        """Asks for the version, the latest for 0."""
        shot = properties.active_shot(context)
        return base.attempt(
            self, lambda: scene_updates.fetch_rig(shot.shot_id, self.version or None)
        )


class PORTRAITGEN_OT_next_weak_frame(bpy.types.Operator):
    """Jump to the next frame where the track wants a look"""

    bl_idname = "portraitgen.next_weak_frame"
    bl_label = "Next Weak Frame"
    bl_options = {"REGISTER"}

    backwards: BoolProperty(name="Backwards", description="Jump to the one before")

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a rig."""
        return base.allowed(cls, base.no_shot(context), base.no_rig(context))

    def execute(self, context: Any) -> set[str]:
        """Jumps, around the ends too."""
        shot = properties.active_shot(context)
        current = shot_time.scene_at_hand(context).frame_current
        frame = frame_marks.step(shot, current - shot.offset, self.backwards)
        if frame is None:
            self.report({"INFO"}, "The track has no weak frames")
            return {"CANCELLED"}
        frame_marks.go_to(shot, frame, context)
        return {"FINISHED"}


class PORTRAITGEN_OT_quality_curves(bpy.types.Operator):
    """Show how good each part of the track is, frame by frame, as curves in the Graph Editor"""

    bl_idname = "portraitgen.quality_curves"
    bl_label = "Quality Curves"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a rig whose track tells its parts."""
        shot = properties.active_shot(context)
        known = bool(shot and shot.has_rig and compat.own_curves(shot.mesh))
        reason = "" if known else "This version of the track tells no parts: track the shot again"
        return base.allowed(cls, base.no_shot(context), base.no_rig(context), reason)

    def execute(self, context: Any) -> set[str]:
        """Finds a Graph Editor, or opens one in a window of its own."""
        shot = properties.active_shot(context)
        return base.attempt(self, lambda: picture_view.show_curves(shot.mesh, PREFIX))


class PORTRAITGEN_OT_cancel(bpy.types.Operator):
    """Stop the running job; it can be resumed. Pressed again, it ends the backend at once"""

    bl_idname = "portraitgen.cancel"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a running job."""
        return base.allowed(cls, "" if session.busy else "No job is running")

    def execute(self, context: Any) -> set[str]:
        """Cancels."""
        session.cancel()
        return {"FINISHED"}


class PORTRAITGEN_OT_resume(bpy.types.Operator):
    """Go on with the job that was cancelled, failed or cut off, from where it stood; says first
    what it will do"""

    bl_idname = "portraitgen.resume"
    bl_label = "Resume"
    bl_options = {"REGISTER"}

    allow: BoolProperty(options={"HIDDEN", "SKIP_SAVE"})
    shown: StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs an unfinished job in the shot's folder."""
        shot = properties.active_shot(context)
        unfinished = shot and shot_summary.summary_of(shot.path).unfinished
        reason = "" if unfinished else "The shot has no unfinished job"
        return base.job_allowed(cls, context, reason)

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Shows what the job will do: its settings come from the shot's folder."""
        self.allow, self.shown = True, _identity(self._record(context))
        return context.window_manager.invoke_props_dialog(
            self, width=500, title="Resume This Job?", confirm_text="Resume"
        )

    def draw(self, context: Any) -> None:
        """The job, its settings, the files that it reads elsewhere, the program that it runs."""
        record = self._record(context)
        layout = self.layout
        layout.label(text=job_label(record.kind), icon="RECOVER_LAST")
        box = layout.box()
        for name, value in record.options.items():
            if value not in ("", "{}", None):
                draw_whole(box, f"{name.replace('_', ' ')}: {value}")
        program = _program_of(record.options)
        if program is not None and not trust.is_allowed(program):
            draw_program(layout, program)

    def _record(self, context: Any) -> JobRecord:
        return shot_summary.summary_of(properties.active_shot(context).path).unfinished[0]

    def execute(self, context: Any) -> set[str]:
        """Goes on with the latest unfinished job, with its own options."""
        record = self._record(context)

        def start() -> None:
            if self.shown and self.shown != _identity(record):
                raise PortraitError(
                    "the shot has another unfinished job by now, or its settings have changed",
                    record.id,
                    "press Resume again and look at it",
                )
            program = _program_of(record.options) if self.allow else None
            if program is not None:
                trust.allow(program)
            take = str(record.options.get("take") or "")
            base.run_job(context, record.kind, record.options, take, record.id)

        return base.attempt(self, start)


def _identity(record: JobRecord) -> str:
    """What was agreed to."""
    return json.dumps([record.id, record.kind, record.options], sort_keys=True)


def _program_of(options: Values) -> Program | None:
    """The program that an edit's settings name."""
    try:
        given = parse_json(str(options.get("editor_options") or "{}"))
    except ValueError:
        return None
    return program_of(str(options.get("editor", "")), given if isinstance(given, dict) else {})


CLASSES = (
    PORTRAITGEN_OT_track,
    PORTRAITGEN_OT_refine_track,
    PORTRAITGEN_OT_show_version,
    PORTRAITGEN_OT_next_weak_frame,
    PORTRAITGEN_OT_quality_curves,
    PORTRAITGEN_OT_cancel,
    PORTRAITGEN_OT_resume,
)
