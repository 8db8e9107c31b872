# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue: jobs over takes and shots, one after the other, that survive a restart."""

from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from portraitgen.errors import PortraitError

from ..portraitgen_addon import properties, queue_runner, scene_updates, sequence, shot_summary
from ..portraitgen_addon.job_labels import job_label
from . import base

_KINDS = (
    ("track", job_label("track"), "Track the shot"),
    ("reconstruct", job_label("reconstruct"), "Rebuild the performer"),
    ("edit", job_label("edit"), "Edit the shot with the take's settings"),
    ("render", job_label("render"), "Render the take"),
    ("take", "What the Take Needs", "All that is missing until the take is rendered"),
    ("takes", "All Takes", "All that is missing until every take of the shot is rendered"),
    ("sequence", "Every Shot", "This take of every shot of the edit, all that is missing"),
)


class PORTRAITGEN_OT_queue_add(bpy.types.Operator):
    """Put jobs at the end of the queue, with the settings they have now"""

    bl_idname = "portraitgen.queue_add"
    bl_label = "Add to Queue"
    bl_options = {"REGISTER"}

    kind: EnumProperty(name="What", description="What is to be done", items=_KINDS, default="take")

    @classmethod
    def description(cls, context: Any, properties: Any) -> str:
        """What is put there."""
        text = next(each[2] for each in _KINDS if each[0] == properties.kind)
        return f"Add to the queue: {text[0].lower()}{text[1:]}"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a shot."""
        return base.allowed(cls, base.no_shot(context))

    def execute(self, context: Any) -> set[str]:
        """Adds them."""
        return base.attempt(self, lambda: self._add(context))

    def _add(self, context: Any) -> None:
        shot = properties.active_shot(context)
        shot_summary.forget_summaries()
        if self.kind in ("track", "reconstruct"):
            jobs = [queue_runner.job_of(shot, self.kind)]
        elif shot.take is None:
            raise PortraitError("the shot has no take", shot.name, "add one first")
        elif self.kind in ("edit", "render"):
            jobs = [queue_runner.job_of(shot, self.kind)]
        elif self.kind == "take":
            jobs = queue_runner.missing_of(shot)
        elif self.kind == "takes":
            jobs = sequence.jobs_of_takes(shot)
        else:
            jobs = sequence.jobs_of_sequence(shot)
        queue_runner.add(jobs)
        self.report({"INFO"}, f"{len(jobs)} jobs are in the queue")
        scene_updates.redraw()


class PORTRAITGEN_OT_queue_start(bpy.types.Operator):
    """Run the jobs of the queue, one after the other; after a restart it goes on where it stood"""

    bl_idname = "portraitgen.queue_start"
    bl_label = "Run Queue"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a backend."""
        return base.allowed(cls, base.no_backend(context))

    def execute(self, context: Any) -> set[str]:
        """Starts; without a window it waits until nothing is left to run."""
        return base.attempt(self, scene_updates.run_queue)


class PORTRAITGEN_OT_queue_pause(bpy.types.Operator):
    """Let no further job begin; the one that runs goes on to its end"""

    bl_idname = "portraitgen.queue_pause"
    bl_label = "Pause Queue"
    bl_options = {"REGISTER"}

    def execute(self, context: Any) -> set[str]:
        """Pauses."""
        return base.attempt(self, queue_runner.stop)


class PORTRAITGEN_OT_queue_retry(bpy.types.Operator):
    """Let the jobs that failed run again"""

    bl_idname = "portraitgen.queue_retry"
    bl_label = "Retry Failed"
    bl_options = {"REGISTER"}

    def execute(self, context: Any) -> set[str]:
        """Lets them wait again."""

        def retry() -> None:
            self.report({"INFO"}, f"{queue_runner.queue().retry()} jobs run again")

        return base.attempt(self, retry)


class PORTRAITGEN_OT_queue_clear(bpy.types.Operator):
    """Take the jobs off the queue that are done"""

    bl_idname = "portraitgen.queue_clear"
    bl_label = "Clear Done"
    bl_options = {"REGISTER"}

    def execute(self, context: Any) -> set[str]:
        """Takes them off."""
        return base.attempt(self, lambda: queue_runner.queue().clear())


class PORTRAITGEN_OT_queue_remove(bpy.types.Operator):
    """Take the job off the queue; what it made stays"""

    bl_idname = "portraitgen.queue_remove"
    bl_label = "Remove from Queue"
    bl_options = {"REGISTER"}

    job: StringProperty(options={"HIDDEN"})

    def execute(self, context: Any) -> set[str]:
        """Takes it off."""
        return base.attempt(self, lambda: queue_runner.queue().remove(self.job))


class PORTRAITGEN_OT_queue_move(bpy.types.Operator):
    """Let the job run sooner, or later"""

    bl_idname = "portraitgen.queue_move"
    bl_label = "Move in Queue"
    bl_options = {"REGISTER"}

    job: StringProperty(options={"HIDDEN"})
    by: IntProperty(default=-1, options={"HIDDEN"})

    def execute(self, context: Any) -> set[str]:
        """Moves it."""
        return base.attempt(self, lambda: queue_runner.queue().move(self.job, self.by))


CLASSES = (
    PORTRAITGEN_OT_queue_add,
    PORTRAITGEN_OT_queue_start,
    PORTRAITGEN_OT_queue_pause,
    PORTRAITGEN_OT_queue_retry,
    PORTRAITGEN_OT_queue_clear,
    PORTRAITGEN_OT_queue_remove,
    PORTRAITGEN_OT_queue_move,
)
