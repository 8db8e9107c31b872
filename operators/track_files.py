# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracks of other programs in, and the shot's track out for them."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from portraitgen.messages.tracks import ExportTrack, ImportTrack, TrackExported, TrackPublished

from ..portraitgen_addon import (
    acting_layer,
    performance_export,
    pins,
    properties,
    scene_updates,
    shot_summary,
)
from ..portraitgen_addon.session import session
from . import base

_MODEL = "Your own SMPL-X file (SMPLX_NEUTRAL.npz): what its numbers of identity, expression and"


class PORTRAITGEN_OT_import_track(bpy.types.Operator):
    """Take in a track of another program, such as SMPL-X, FLAME or an iPhone's face capture, as a
    new version over the latest; choose a folder's path for trackers that write a file a frame"""

    bl_idname = "portraitgen.import_track"
    bl_label = "Import Track"
    bl_options = {"REGISTER"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default="*.npz;*.npy;*.json;*.csv", options={"HIDDEN"})
    smplx_model: StringProperty(
        name="SMPL-X File", subtype="FILE_PATH", description=f"{_MODEL} hands mean"
    )
    say_first: BoolProperty(name="Say First Frame", description="If the file has no frame numbers")
    first: IntProperty(name="First Frame", description="The plate's frame of its first row")
    fps: FloatProperty(name="Rate", description="Rows a second; 0 leaves it to the file", min=0)
    focal: FloatProperty(
        name="Focal Length", description="In pixels of the plate; 0 leaves it to the file", min=0
    )
    hands: EnumProperty(
        name="Hands",
        items=(
            ("file", "As the File Says", "And as its program usually means it"),
            ("flat", "From Flat Hands", "Poses count from flat hands"),
            ("mean", "From Mean Hands", "Poses count from the mean hands of SMPL-X's file"),
        ),
    )
    head: EnumProperty(
        name="Head",
        items=(
            ("keep", "As Tracked", "A face capture leaves the head as it is tracked on the plate"),
            ("file", "From the File", "A face capture turns the head as well"),
        ),
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a track and a free backend."""
        return base.job_allowed(cls, context, base.no_track)

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks for the file."""
        self.first = properties.active_shot(context).first
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> set[str]:
        """Asks the backend; the rig then shows the new version."""
        return base.attempt(self, lambda: self._import(context))

    def _import(self, context: Any) -> None:
        shot = properties.active_shot(context)
        call = ImportTrack(
            str(shot.path),
            bpy.path.abspath(self.filepath).rstrip("/\\"),
            bpy.path.abspath(self.smplx_model) if self.smplx_model else "",
            self.fps or None,
            self.first if self.say_first else None,
            self.focal or None,
            self.hands,
            self.head,
        )
        shot_id = shot.shot_id
        scene_updates.ask("Taking the track in", call, lambda answer: _taken(shot_id, answer))


def _taken(shot_id: str, answer: TrackPublished) -> None:
    shot = properties.find_shot(shot_id)
    if shot is None or answer.version is None:
        return
    if shot.has_rig:
        kept = acting_layer.start_corrections(pins.parts_of(shot), shot.name)
        if kept is not None:
            kept.name = f"{shot.name} corrections before {answer.version:04d}"
    shot_summary.forget_summaries()
    scene_updates.fetch_rig(shot_id, answer.version)
    # Asking for the rig has cleared what was told before.
    session.told = answer.notes


class PORTRAITGEN_OT_export_track(bpy.types.Operator):
    """Write the track for other programs: SMPL-X's parameters (.npz, .json), ARKit's weights as
    Live Link Face records them (.csv), or the skeleton (.bvh)"""

    bl_idname = "portraitgen.export_track"
    bl_label = "Export Track"
    bl_options = {"REGISTER"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    check_existing: BoolProperty(default=True, options={"HIDDEN"})
    filter_glob: StringProperty(default="*.npz;*.json;*.csv;*.bvh", options={"HIDDEN"})
    kind: EnumProperty(
        name="Format",
        items=(
            (".npz", "SMPL-X (.npz)", "Parameters of the body, as arrays"),
            (".json", "SMPL-X (.json)", "The same as text"),
            (".csv", "ARKit (.csv)", "52 weights, head and eyes, with timecode"),
            (".bvh", "BVH (.bvh)", "The skeleton's turns"),
        ),
    )
    smplx_model: StringProperty(
        name="SMPL-X File", subtype="FILE_PATH", description=f"{_MODEL} hands will mean"
    )
    hands: EnumProperty(
        name="Hands",
        items=(
            ("flat", "From Flat Hands", "Poses count from flat hands"),
            ("mean", "From Mean Hands", "As SMPL-X's own code reads them unless told otherwise"),
        ),
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a track and a free backend."""
        return base.job_allowed(cls, context, base.no_track)

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks for the file."""
        self.filepath = "track"
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> set[str]:
        """Asks the backend for it."""
        return base.attempt(self, lambda: self._export(context))

    def _export(self, context: Any) -> None:
        shot = properties.active_shot(context)
        path = base.file_to_write(self.filepath)
        known = (".npz", ".json", ".csv", ".bvh")
        if path.suffix not in known or not self.properties.is_property_set("filepath"):
            path = path.with_name(path.name + self.kind)
        call = ExportTrack(
            str(shot.path),
            str(path),
            shot.track_version or None,
            bpy.path.abspath(self.smplx_model) if self.smplx_model else "",
            self.hands,
        )
        scene_updates.ask("Writing the track", call, _written)


def _written(answer: TrackExported) -> None:
    session.told = (f"{answer.frames} frames are in {Path(answer.path).name}", *answer.notes)


class PORTRAITGEN_OT_export_performance(bpy.types.Operator):
    """Write camera, skeleton, skin and shapes of the shot, corrections and acting included, as
    Alembic, USD, FBX or BVH, by Blender's own exporters"""

    bl_idname = "portraitgen.export_performance"
    bl_label = "Export Performance"
    bl_options = {"REGISTER"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    check_existing: BoolProperty(default=True, options={"HIDDEN"})
    filter_glob: StringProperty(default="*.abc;*.usdc;*.usda;*.fbx;*.bvh", options={"HIDDEN"})
    kind: EnumProperty(
        name="Format",
        items=(
            (".usdc", "USD (.usdc)", "Skeleton, skin and shapes, and the camera"),
            (".abc", "Alembic (.abc)", "The mesh frame by frame, and the camera"),
            (".fbx", "FBX (.fbx)", "Skeleton, skin and shapes, and the camera"),
            (".bvh", "BVH (.bvh)", "The skeleton"),
        ),
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a rig, outside of its modes."""
        mode = "" if context.mode == "OBJECT" else "Leave pose or edit mode first"
        return base.allowed(cls, base.no_shot(context), base.no_rig(context), mode)

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks for the file."""
        self.filepath = "performance"
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> set[str]:
        """Writes it."""
        return base.attempt(self, lambda: self._export(context))

    def _export(self, context: Any) -> None:
        shot = properties.active_shot(context)
        path = base.file_to_write(self.filepath)
        if path.suffix.lower() not in (".abc", ".usdc", ".usda", ".fbx", ".bvh"):
            path = path.with_name(path.name + self.kind)
        first, last = shot.first + shot.offset, shot.last + shot.offset
        performance_export.export(pins.parts_of(shot), path, first, last)
        session.told = (f"Frames {first} to {last} of the scene are in {path.name}",)


CLASSES = (
    PORTRAITGEN_OT_import_track,
    PORTRAITGEN_OT_export_track,
    PORTRAITGEN_OT_export_performance,
)
