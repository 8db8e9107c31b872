# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edited frames into the sequencer and the compositor."""

import json
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty

from portraitgen.errors import PortraitError
from portraitgen.renders import Render, render_of, renders_of
from portraitgen.schema import Value
from portraitgen.shot import Shot
from portraitgen.storage import write_json

from ..portraitgen_addon import (
    acting_layer,
    camera,
    compat,
    compositor,
    edit_watch,
    properties,
    queue_runner,
    scene_updates,
    sequencer,
    shot_time,
)
from ..portraitgen_addon.take_settings import restore_settings
from . import base


class PORTRAITGEN_OT_render_to_strip(bpy.types.Operator):
    """Render the take into an image strip above the plate, which grows while frames arrive"""

    bl_idname = "portraitgen.render_to_strip"
    bl_label = "Render to Strip"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs an edited take, its scene and a free backend."""
        shot = properties.active_shot(context)
        home = properties.home_scene(shot) if shot else None
        return base.job_allowed(
            cls,
            context,
            base.no_avatar,
            base.not_edited,
            "" if home else "The scene of the shot's plate is gone",
        )

    def execute(self, context: Any) -> set[str]:
        """Starts the job; its scene is fixed now, its channel when the strip is made."""
        shot = properties.active_shot(context)
        options = base.strip_options(shot)
        name = shot.take.folder_name
        if said := _left_out(shot):
            self.report({"WARNING"}, said)
        return base.attempt(self, lambda: base.run_job(context, "render", options, name))


def _left_out(shot: Any) -> str:
    """What the rig shows and a render does not, empty for nothing."""
    if not shot.has_rig:
        return ""
    name = shot.take.folder_name
    path = shot.path / "takes" / name / acting_layer.FILE
    if acting_layer.not_sent(shot.armature, name, path):
        return "The acting has changed since it was sent; press Send Acting to have it rendered"
    if acting_layer.has_corrections(shot.armature):
        return "Corrections are rendered once they are sent; press Send to Shot"
    return ""


class PORTRAITGEN_OT_render_through_camera(bpy.types.Operator):
    """Render the take's performer alone, with alpha, through the scene's animated camera"""

    bl_idname = "portraitgen.render_through_camera"
    bl_label = "Render through Scene Camera"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs an edited take, a rig and a camera."""
        shot = properties.active_shot(context)
        rigged = shot is not None and shot.has_rig
        camera_there = rigged and shot.armature.users_scene[0].camera
        return base.job_allowed(
            cls,
            context,
            base.no_rig,
            base.not_edited,
            "" if camera_there else "The rig's scene has no camera",
        )

    def execute(self, context: Any) -> set[str]:
        """Writes the camera of every frame, and starts the job."""
        return base.attempt(self, lambda: self._start(context))

    def _start(self, context: Any) -> None:
        shot = properties.active_shot(context)
        scene = shot.armature.users_scene[0]
        render = scene.render
        share = render.resolution_percentage / 100
        size = (round(render.resolution_x * share), round(render.resolution_y * share))
        frames = {}
        for frame, graph in camera.every_frame(shot):
            through, plate = scene.camera.evaluated_get(graph), shot.camera.evaluated_get(graph)
            frames[str(frame)] = camera.as_seen(through, plate, size, graph)
        path = shot.path / "rigs" / "scene_camera.json"
        write_json(path, {"width": size[0], "height": size[1], "frames": frames})
        name = shot.take.folder_name
        base.run_job(context, "render", {"take": name, "camera": str(path), "movie": False}, name)


class PORTRAITGEN_OT_drive_from_shot(bpy.types.Operator):
    """Render the take's performer alone, acting what another shot's performer does"""

    bl_idname = "portraitgen.drive_from_shot"
    bl_label = "Drive from Shot"
    bl_options = {"REGISTER"}

    directory: StringProperty(subtype="DIR_PATH")

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs an edited take."""
        return base.job_allowed(cls, context, base.no_avatar, base.not_edited)

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks for the other shot's folder."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> set[str]:
        """Starts the job."""
        return base.attempt(self, lambda: self._start(context))

    def _start(self, context: Any) -> None:
        name = properties.active_shot(context).take.folder_name
        other = Shot.open(Path(bpy.path.abspath(self.directory)))
        base.run_job(
            context, "render", {"take": name, "drive": str(other.path), "movie": False}, name
        )


class PORTRAITGEN_OT_show_frames(bpy.types.Operator):
    """Show the frames of the take that are rendered already, by a terminal or another file"""

    bl_idname = "portraitgen.show_frames"
    bl_label = "Show Rendered Frames"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs rendered plates."""
        shot = properties.active_shot(context)
        home = properties.home_scene(shot) if shot else None
        return base.allowed(
            cls,
            base.no_shot(context),
            base.not_rendered(context),
            "" if home else "The scene of the shot's plate is gone",
        )

    def execute(self, context: Any) -> set[str]:
        """Puts them into the take's strip."""
        return base.attempt(self, lambda: self._show(context))

    def _show(self, context: Any) -> None:
        shot = properties.active_shot(context)
        name = shot.take.folder_name
        render = render_of(shot.path / "takes" / name)
        said = scene_updates.show_render(shot, properties.home_scene(shot), name, render)
        if said:
            self.report({"WARNING"}, said)


class PORTRAITGEN_OT_next_version(bpy.types.Operator):
    """Let the take's strip show the next version of its render"""

    bl_idname = "portraitgen.next_version"
    bl_label = "Next Version"
    bl_options = {"REGISTER", "UNDO"}

    backwards: BoolProperty(name="Backwards", options={"SKIP_SAVE"})

    @classmethod
    def description(cls, context: Any, properties: Any) -> str:
        """Says which way."""
        way = "previous" if properties.backwards else "next"
        return f"Let the take's strip show the {way} version of its render"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a strip of the take."""
        shot = properties.active_shot(context)
        home = properties.home_scene(shot) if shot else None
        return base.allowed(
            cls,
            base.no_shot(context),
            base.no_take(context),
            "" if home else "The scene of the shot's plate is gone",
            "" if home and edit_watch.shown_render(shot, shot.take) else "Render the take first",
        )

    def execute(self, context: Any) -> set[str]:
        """Shows it."""
        return base.attempt(self, lambda: self._show(context))

    def _show(self, context: Any) -> None:
        shot = properties.active_shot(context)
        scene = properties.home_scene(shot)
        name = shot.take.folder_name
        shown = int(_strips(shot, scene)[0].get(sequencer.VERSION, 0))
        found = [each for each in renders_of(shot.path / "takes" / name) if each.full_plates()]
        others = [
            each
            for each in found
            if (each.version < shown if self.backwards else each.version > shown)
        ]
        if not others:
            way = "earlier" if self.backwards else "later"
            self.report({"INFO"}, f"There is no {way} version")
            return
        chosen = others[-1] if self.backwards else others[0]
        if said := scene_updates.show_render(shot, scene, name, chosen):
            self.report({"WARNING"}, said)


def _strips(shot: Any, scene: Any) -> list[Any]:
    """The strips of the active take."""
    return sequencer.take_strips(scene, shot.shot_id, shot.take.folder_name)


def _shown_render(shot: Any, take: str) -> Render | None:
    """The render that a take's strip shows, else the one rendered last; None if there is none."""
    home = shot.path / "takes" / take
    versions = renders_of(home)
    if not versions:
        return None
    scene = properties.home_scene(shot)
    strips = sequencer.take_strips(scene, shot.shot_id, take) if scene else []
    number = strips[0].get(sequencer.VERSION) if strips else None
    return next((each for each in versions if each.version == number), render_of(home))


class PORTRAITGEN_OT_to_compositor(bpy.types.Operator):
    """Make a node group of the take's EXR frames: beauty over plate, passes as outputs"""

    bl_idname = "portraitgen.to_compositor"
    bl_label = "To Compositor"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs rendered frames."""
        return base.allowed(cls, base.no_shot(context), base.not_rendered(context))

    def execute(self, context: Any) -> set[str]:
        """Builds or renews the group in the scene of the shot's plate."""
        return base.attempt(self, lambda: self._build(context))

    def _build(self, context: Any) -> None:
        shot = properties.active_shot(context)
        scene = properties.home_scene(shot) or context.scene
        frames = _frames(shot, shot.take.folder_name)
        plate = None
        if shot.camera and shot.camera.data.background_images:
            plate = shot.camera.data.background_images[0].image
        title = f"{shot.name} {shot.take.folder_name}"
        node = compositor.to_compositor(scene, title, frames, plate)
        node.node_tree[shot_time.SHOT] = shot.shot_id
        self.report({"INFO"}, f"The group '{title}' is in the compositor of '{scene.name}'")


def _frames(shot: Any, take: str) -> compositor.Frames:
    opened = Shot.open(shot.path)
    render = _shown_render(shot, take)
    paths = render.exr_frames() if render else {}
    if render is None or not paths:
        raise PortraitError("the take has no frames", opened.take_folder(take), "render it first")
    if render.record and render.record.track:
        track = opened.track_record(render.record.track)
    else:
        avatar = opened.avatar_record(opened.edit_record(take).avatar)
        track = opened.track_record(avatar.track)
    numbers = list(paths)
    first = paths[numbers[0]]
    return compositor.Frames(
        path=first,
        first=numbers[0],
        last=numbers[-1],
        offset=shot.offset,
        boxes=dict(track.window.boxes),
        width=track.camera.width,
        height=track.camera.height,
        colour_space=compositor.colour_space_of(first),
    )


class PORTRAITGEN_OT_restore_settings(bpy.types.Operator):
    """Set the take back to the settings with which the active strip was made"""

    bl_idname = "portraitgen.restore_settings"
    bl_label = "Restore Settings from Strip"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a strip of ours."""
        scene = compat.sequencer_scene(context)
        strip = scene.sequence_editor.active_strip if scene.sequence_editor else None
        ours = strip is not None and strip.get(sequencer.SETTINGS)
        return base.allowed(cls, "" if ours else "Select a strip that PortraitGen has made")

    def execute(self, context: Any) -> set[str]:
        """Finds the strip's shot and take, and sets them."""
        strip = compat.sequencer_scene(context).sequence_editor.active_strip
        shot = properties.find_shot(strip[sequencer.SHOT])
        name = strip[sequencer.TAKE]
        takes = {take.folder_name: take for take in shot.takes} if shot else {}
        if shot is None or name not in takes:
            self.report({"ERROR"}, f"The file has no take '{name}' any more; open its shot again.")
            return {"CANCELLED"}
        restore_settings(takes[name], json.loads(strip[sequencer.SETTINGS]))
        shot.active_take = list(takes).index(name)
        return {"FINISHED"}


class PORTRAITGEN_OT_deliver(bpy.types.Operator):
    """Copy what was rendered of the take into a folder, signed where the project says so"""

    bl_idname = "portraitgen.deliver"
    bl_label = "Deliver"
    bl_options = {"REGISTER"}

    directory: StringProperty(subtype="DIR_PATH")
    gaps: BoolProperty(
        name="Allow Gaps",
        description="Deliver though frames in between, or files of some of them, are missing",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a render."""
        return base.job_allowed(cls, context, base.not_rendered)

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks for the folder."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> set[str]:
        """Starts the job."""
        return base.attempt(self, lambda: self._start(context))

    def _start(self, context: Any) -> None:
        shot = properties.active_shot(context)
        name, project = shot.take.folder_name, shot.id_data.portraitgen
        render = _shown_render(shot, name)
        options: dict[str, Value] = {"take": name, "out": bpy.path.abspath(self.directory)}
        options |= {"version": render.version if render else None, "gaps": self.gaps}
        if project.credentials:
            for key, path in (
                ("certificate", project.certificate),
                ("key", project.certificate_key),
            ):
                if not path or not Path(bpy.path.abspath(path)).is_file():
                    raise PortraitError(
                        f"the project's {key} is not there", path, "choose it, or sign nothing"
                    )
                options[key] = bpy.path.abspath(path)
        base.run_job(context, "deliver", options, name)


class PORTRAITGEN_OT_quality(bpy.types.Operator):
    """Measure the rendered take against its plate, and open the sheet that tells of it"""

    bl_idname = "portraitgen.quality"
    bl_label = "QC Sheet"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a render."""
        return base.job_allowed(cls, context, base.not_rendered)

    def execute(self, context: Any) -> set[str]:
        """Starts the job; its sheet opens in the browser."""
        shot = properties.active_shot(context)
        name = shot.take.folder_name
        render = _shown_render(shot, name)
        options = dict(queue_runner.options_of(shot, "qc"))
        options["version"] = render.version if render else None
        return base.attempt(self, lambda: base.run_job(context, "qc", options, name))


CLASSES = (
    PORTRAITGEN_OT_deliver,
    PORTRAITGEN_OT_quality,
    PORTRAITGEN_OT_render_to_strip,
    PORTRAITGEN_OT_render_through_camera,
    PORTRAITGEN_OT_drive_from_shot,
    PORTRAITGEN_OT_show_frames,
    PORTRAITGEN_OT_next_version,
    PORTRAITGEN_OT_to_compositor,
    PORTRAITGEN_OT_restore_settings,
)
