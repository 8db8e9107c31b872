# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sending a take to a render farm, and its frames back into the strip."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from portraitgen.errors import PortraitError
from portraitgen.messages.farm import BundleWritten, FarmShot, WriteBundle

from ..portraitgen_addon import (
    farm,
    frame_watch,
    preferences,
    properties,
    scene_updates,
    sequence,
)
from . import base

_TARGETS = (
    (
        "FOLDER",
        "Folder",
        "Write the job's files, as Open Job Description has them",
    ),
    ("DEADLINE", "Deadline Cloud", "Open Deadline Cloud's own dialog with the job"),
    ("FLAMENCO", "Flamenco", "Send the job to Flamenco's Manager, and follow it"),
)


class PORTRAITGEN_OT_send_to_farm(bpy.types.Operator):
    """Let a render farm do what the take still needs; its frames appear in the strip"""

    bl_idname = "portraitgen.send_to_farm"
    bl_label = "Send to Farm"
    bl_options = {"REGISTER"}

    target: EnumProperty(name="To", description="Who takes the job", items=_TARGETS)
    folder: StringProperty(
        name="Job Folder",
        description="Where the job's files go",
        subtype="DIR_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    shots: EnumProperty(
        name="Shots",
        description="Which shots are sent",
        items=(
            ("SHOT", "This Shot", "The active shot"),
            ("SEQUENCE", "Every Shot", "This take of every shot of the edit"),
        ),
    )
    chunk: IntProperty(
        name="Frames a Task", description="Frames that one task renders", default=16, min=1
    )
    quality: BoolProperty(
        name="QC Sheet",
        description="Measure each take at the end, by the limits of the panel; the job fails where"
        " they are strict and one is exceeded",
    )
    gpus: IntProperty(name="GPUs", description="Cards that a worker must have", default=0, min=0)

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a take and the backend."""
        return base.allowed(
            cls,
            base.no_shot(context),
            base.no_take(context),
            base.no_backend(context),
            "The last job is being sent" if farm.farm.sending else "",
        )

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Proposes a folder beside the shot, and the farm that is there."""
        shot = properties.active_shot(context)
        self.folder = str(shot.path.parent / f"farm-{shot.take.folder_name}")
        if preferences.get().flamenco_manager and not base.offline():
            self.target = "FLAMENCO"
        elif farm.deadline() and not base.offline():
            self.target = "DEADLINE"
        return context.window_manager.invoke_props_dialog(self, width=420)

    def draw(self, context: Any) -> None:
        """The questions."""
        layout = self.layout
        layout.use_property_split = True
        for name in ("target", "folder", "shots", "chunk", "quality"):
            layout.prop(self, name)
        if self.target != "FLAMENCO":
            layout.prop(self, "gpus")
        if self.target == "FLAMENCO":
            layout.prop(preferences.get(), "flamenco_manager")
        layout.prop(preferences.get(), "farm_command")
        if self.target != "FOLDER" and (reason := base.offline()):
            layout.label(text=reason, icon="ERROR")

    def execute(self, context: Any) -> set[str]:
        """Has the files written, and gives them to whoever takes them."""
        return base.attempt(self, lambda: self._write(context))

    def _write(self, context: Any) -> None:
        if self.target != "FOLDER" and (reason := base.offline()):
            raise PortraitError(reason)
        if self.target == "FLAMENCO":
            farm.address_of(preferences.get().flamenco_manager)
        shot = properties.active_shot(context)
        folder = self.folder or str(shot.path.parent / f"farm-{shot.take.folder_name}")
        out = Path(bpy.path.abspath(folder))
        chosen = sequence.with_take(shot) if self.shots == "SEQUENCE" else [shot]
        call = WriteBundle(
            shots=tuple(FarmShot(str(each.path), sequence.farm_options(each)) for each in chosen),
            take=shot.take.folder_name,
            out=str(out),
            flamenco=self.target == "FLAMENCO",
            chunk=self.chunk,
            # Flamenco's workers have the cards that they have.
            gpus=0 if self.target == "FLAMENCO" else self.gpus,
            quality=self.quality,
            command=preferences.get().farm_command or "portraitgen",
        )
        farm.farm.error = None
        target, manager = self.target, preferences.get().flamenco_manager
        ids = [(each.shot_id, each.take.folder_name) for each in chosen]
        scene_updates.ask(
            "Writing the farm's job", call, lambda told: _sent(target, manager, out, ids, told)
        )
        self.report({"INFO"}, f"The job's files go to {out}")


def _sent(
    target: str, manager: str, out: Path, ids: list[tuple[str, str]], told: BundleWritten
) -> None:
    """Gives the files to whoever takes them; the takes watch for their frames from now on."""
    if target == "DEADLINE":
        farm.open_deadline(out)
    elif target == "FLAMENCO":
        files = [Path(each) for each in told.files if each.endswith(".json")]
        farm.send_to_flamenco(manager, files)
    for shot_id, name in ids:
        shot = properties.find_shot(shot_id)
        for take in shot.takes if shot else ():
            if take.folder_name == name:
                frame_watch.watch(shot, take)


class PORTRAITGEN_OT_watch_frames(bpy.types.Operator):
    """Let frames that other machines render appear in the take's strip as they arrive, or stop"""

    bl_idname = "portraitgen.watch_frames"
    bl_label = "Watch for Frames"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a take."""
        return base.allowed(cls, base.no_shot(context), base.no_take(context))

    def execute(self, context: Any) -> set[str]:
        """Watches, or stops."""
        shot = properties.active_shot(context)
        if shot.take.watched:
            shot.take.watched = False
        else:
            frame_watch.watch(shot, shot.take)
        return {"FINISHED"}


CLASSES = (PORTRAITGEN_OT_send_to_farm, PORTRAITGEN_OT_watch_frames)
