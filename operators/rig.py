# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Correcting the rig by hand, and sending it back to the shot."""

from typing import Any

import bpy
import numpy as np
from bpy.props import IntProperty

from portraitgen.errors import PortraitError
from portraitgen.messages.tracks import PublishTrack, TrackPublished

from ..portraitgen_addon import (
    acting_layer,
    compat,
    pins,
    preferences,
    properties,
    rig,
    scene_updates,
    shot_summary,
    strip_sync,
)
from ..portraitgen_addon.session import session
from . import base


class PORTRAITGEN_OT_view_rig(bpy.types.Operator):
    """Look through the plate's camera, with the body over the plate and its bones ready to pose"""

    bl_idname = "portraitgen.view_rig"
    bl_label = "Pose over Plate"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a rig and a 3D viewport."""
        screen = context.window.screen if context.window else None
        areas = [area for area in screen.areas if area.type == "VIEW_3D"] if screen else []
        return base.allowed(
            cls,
            base.no_shot(context),
            base.no_rig(context),
            "" if areas else "The window shows no 3D viewport",
        )

    def execute(self, context: Any) -> set[str]:
        """Turns the largest viewport of the window to the rig."""
        shot = properties.active_shot(context)
        scene = shot.armature.users_scene[0]
        # Whoever looks at the rig already has chosen the frame there.
        arrives = context.window.scene != scene
        if arrives and (frame := self._frame_of(shot, scene)) is not None:
            scene.frame_set(frame)
        context.window.scene = scene
        scene.camera = shot.camera
        areas = [area for area in context.window.screen.areas if area.type == "VIEW_3D"]
        area = max(areas, key=lambda each: each.width * each.height)
        settings = preferences.get()
        rig.tint(shot.mesh, settings.overlay_colour)
        _look(area.spaces.active, settings.wire_opacity)
        region = next(each for each in area.regions if each.type == "WINDOW")
        layer = scene.view_layers[0]
        with context.temp_override(window=context.window, area=area, region=region):
            if layer.objects.active is not None and layer.objects.active.mode != "OBJECT":
                bpy.ops.object.mode_set(mode="OBJECT")
            for each in layer.objects:
                each.select_set(each == shot.armature)
            layer.objects.active = shot.armature
            bpy.ops.object.mode_set(mode="POSE")
            bpy.ops.view3d.view_center_camera()
        return {"FINISHED"}

    @staticmethod
    def _frame_of(shot: Any, scene: Any) -> int | None:
        """The shot's frame that the edit shows, where the rig has a scene of its own."""
        home: Any = properties.home_scene(shot)
        frame = int(home.frame_current)
        within = shot.first <= frame - shot.offset <= shot.last
        return frame if scene != home and within else None


def _look(space: Any, wires: float) -> None:
    """Solid shading in which a transparent body reads well over a plate."""
    space.region_3d.view_perspective = "CAMERA"
    shading, overlay = space.shading, space.overlay
    shading.type, shading.color_type, shading.light = "SOLID", "MATERIAL", "STUDIO"
    shading.wireframe_color_type = "OBJECT"
    shading.show_backface_culling = True
    shading.show_xray = shading.show_cavity = shading.show_object_outline = False
    overlay.wireframe_opacity, overlay.wireframe_threshold = wires, 1.0
    overlay.show_floor = overlay.show_axis_x = overlay.show_axis_y = False
    overlay.show_relationship_lines = overlay.show_extras = overlay.show_cursor = False


class PORTRAITGEN_OT_send_to_shot(bpy.types.Operator):
    """Write what the rig evaluates to as a new track version, constraints and layers included"""

    bl_idname = "portraitgen.send_to_shot"
    bl_label = "Send to Shot"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a rig that may show something new, and a free backend."""
        return base.job_allowed(cls, context, base.no_rig, _as_tracked)

    def execute(self, context: Any) -> set[str]:
        """Reads the rig and sends it; the rig then shows the new version."""
        return base.attempt(self, lambda: self._send(context))

    def _send(self, context: Any) -> None:
        shot = properties.active_shot(context)
        _publish(self, shot, _read(shot))


def _read(shot: Any) -> rig.PoseSamples:
    """The rig as it was tracked and corrected: what a take acts is no part of the track.

    Raises:
        ShotError: if rig and shot do not agree on which frame is which.
    """
    strip_sync.check_in_line(shot)
    parts = pins.parts_of(shot)
    with acting_layer.without_acting(parts, shot.name):
        return rig.read(parts, pins.bundle_of(shot), shot.offset)


def _publish(
    operator: Any, shot: Any, reading: rig.PoseSamples, span: tuple[int, int] | None = None
) -> None:
    """Sends a reading; `span` is the range of footage frames in which the others follow."""
    if reading.joint_offset:
        text = f"Bones slid off their joints by up to {reading.joint_offset * 1000:.1f} mm"
        operator.report({"WARNING"}, f"{text}, which the body cannot follow")
    path = shot.path / "rigs" / "sent.safetensors"
    reading.save(path)
    author = preferences.get().author
    call = PublishTrack(str(shot.path), shot.track_version, str(path), span, author)
    shot_id, keys = shot.shot_id, acting_layer.corrections_digest(shot.armature)
    scene_updates.ask("Sending the rig", call, lambda answer: _sent(shot_id, keys, answer))


def _sent(shot_id: str, keys: str, answer: TrackPublished) -> None:
    """Shows the version that was made.

    Args:
        keys: what `corrections_digest` said when the rig was sent.
    """
    shot = properties.find_shot(shot_id)
    if shot is None:
        return
    if answer.version is None:
        raise PortraitError(
            "nothing was corrected, so there is nothing to send",
            shot.name,
            "key, pin or pose the rig on a frame first",
        )
    # The new version holds the corrections; above it they would count twice.
    since = acting_layer.corrections_digest(shot.armature) != keys
    kept = acting_layer.start_corrections(pins.parts_of(shot), shot.name)
    if kept is not None:
        kept.name = f"{shot.name} corrections sent as {answer.version:04d}"
    shot_summary.forget_summaries()
    scene_updates.fetch_rig(shot_id, answer.version)
    if since and kept is not None:
        session.told = (
            f"What was keyed while the rig was being sent is not in version {answer.version}: it "
            f"is kept in the action '{kept.name}' with what was sent. Key it again",
        )


_NOTHING = "Key or pin something above the tracked motion first"


def _as_tracked(context: Any) -> str:
    """Why there is nothing to send."""
    shot = properties.active_shot(context)
    differs = shot and shot.has_rig and acting_layer.may_differ(shot.armature)
    return "" if differs else _NOTHING


def _no_corrections(context: Any) -> str:
    shot = properties.active_shot(context)
    keyed = shot and shot.has_rig and acting_layer.has_corrections(shot.armature)
    return "" if keyed else _NOTHING


class _Resolve(bpy.types.Operator):
    """Writes a track version in which the frames between the keyed ones follow them."""

    bl_options = {"REGISTER"}
    from_here = False

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs corrections and a free backend."""
        return base.job_allowed(cls, context, base.no_rig, _no_corrections)

    def execute(self, context: Any) -> set[str]:
        """Reads the keyed frames and sends them; the rig then shows the new version."""
        return base.attempt(self, lambda: self._resolve(context))

    def _resolve(self, context: Any) -> None:
        shot = properties.active_shot(context)
        scene = shot.armature.users_scene[0]
        first, last = shot.first + shot.offset, shot.last + shot.offset
        if scene.use_preview_range:
            first, last = scene.frame_preview_start, scene.frame_preview_end
        keyed = acting_layer.corrected_frames(shot.armature)
        if self.from_here:
            first = scene.frame_current
            keyed = sorted({first, *keyed})
        outside = [frame for frame in keyed if not first <= frame <= last]
        if outside:
            raise PortraitError(
                f"there are corrections outside frames {first} to {last}, as on {outside[0]}",
                shot.name,
                "widen the preview range, or press Send to Shot first",
            )
        chosen = _read(shot).only([frame - shot.offset for frame in keyed])
        if not len(chosen.frames):
            raise PortraitError(
                "no tracked frame is keyed", shot.name, "key the rig on a tracked frame"
            )
        _publish(self, shot, chosen, (first - shot.offset, last - shot.offset))


class PORTRAITGEN_OT_resolve_range(_Resolve):
    """New track version: keyed frames stay as posed, corrections blend from one to the next and
    fade out towards the ends of the preview range (the whole shot without one)"""

    bl_idname = "portraitgen.resolve_range"
    bl_label = "Re-solve Range"


class PORTRAITGEN_OT_refine_from_here(_Resolve):
    """New track version: this frame stays as posed and its correction goes on to the frames after
    it, up to the next keyed frame or the end; the frames before stay as they were tracked"""

    bl_idname = "portraitgen.refine_from_here"
    bl_label = "Refine from Here"
    from_here = True


class PORTRAITGEN_OT_discard_corrections(bpy.types.Operator):
    """Go back to the tracked motion; the corrections stay in the file as an action of their own"""

    bl_idname = "portraitgen.discard_corrections"
    bl_label = "Revert"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs corrections."""
        return base.allowed(
            cls, base.no_shot(context), base.no_rig(context), _no_corrections(context)
        )

    def execute(self, context: Any) -> set[str]:
        """Starts an empty layer."""
        shot = properties.active_shot(context)
        kept = acting_layer.start_corrections(pins.parts_of(shot), shot.name)
        if kept is not None:
            kept.name = f"{shot.name} corrections reverted"
            self.report({"INFO"}, f"The corrections are kept as the action '{kept.name}'")
        return {"FINISHED"}


def _selected(shot: Any) -> list[Any]:
    """The selected bones of a rig."""
    bones = shot.armature.pose.bones
    return [bones[int(at)] for at in np.flatnonzero(compat.selected_bones(shot.armature))]


def _no_selection(context: Any) -> str:
    shot = properties.active_shot(context)
    if not shot or not shot.has_rig:
        return base.no_rig(context)
    chosen = compat.selected_bones(shot.armature).any()
    return "" if chosen else "Select bones of the rig first"


class PORTRAITGEN_OT_reset_to_track(bpy.types.Operator):
    """Key the selected bones back to the tracked motion on this frame"""

    bl_idname = "portraitgen.reset_to_track"
    bl_label = "Reset to Track"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs selected bones."""
        return base.allowed(cls, base.no_shot(context), _no_selection(context))

    def execute(self, context: Any) -> set[str]:
        """Keys the layer's identity."""
        shot = properties.active_shot(context)
        _key_identity(shot, [context.scene.frame_current])
        return {"FINISHED"}


class PORTRAITGEN_OT_blend_corrections(bpy.types.Operator):
    """Confine the selected bones' corrections: key the tracked motion before and after"""

    bl_idname = "portraitgen.blend_corrections"
    bl_label = "Blend In / Out"
    bl_options = {"REGISTER", "UNDO"}

    reach: IntProperty(
        name="Reach",
        description="How many frames before and after this one the correction lasts",
        default=8,
        min=1,
        subtype="TIME",
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs selected bones."""
        return base.allowed(cls, base.no_shot(context), _no_selection(context))

    def execute(self, context: Any) -> set[str]:
        """Keys the layer's identity `reach` frames before and after."""
        shot = properties.active_shot(context)
        current = context.scene.frame_current
        _key_identity(shot, [current - self.reach, current + self.reach])
        return {"FINISHED"}


def _key_identity(shot: Any, frames: list[int]) -> None:
    """Keys "nothing changed" in the artist's layer, on channels the artist has keyed there."""
    data = shot.armature.animation_data
    starts = tuple(f'pose.bones["{bone.name}"]' for bone in _selected(shot))
    for curve in compat.curves(data.action, data.action_slot):
        if not curve.data_path.startswith(starts):
            continue
        turned = curve.data_path.endswith("rotation_quaternion") and curve.array_index == 0
        for frame in frames:
            curve.keyframe_points.insert(frame, 1.0 if turned else 0.0)
        curve.update()
    shot.armature.update_tag()
    scene = shot.armature.users_scene[0]
    scene.frame_set(scene.frame_current)


CLASSES = (
    PORTRAITGEN_OT_view_rig,
    PORTRAITGEN_OT_send_to_shot,
    PORTRAITGEN_OT_resolve_range,
    PORTRAITGEN_OT_refine_from_here,
    PORTRAITGEN_OT_discard_corrections,
    PORTRAITGEN_OT_reset_to_track,
    PORTRAITGEN_OT_blend_corrections,
)
