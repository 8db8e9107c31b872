# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything of a shot that lies on frames of the scene, moved in time as one.

Rig, layers of keys, the plate behind the camera, markers, keys of takes, splats and compositor
lie on scene frames: footage frame plus the shot's offset. Where the plate goes, all of it goes.
"""

from collections.abc import Iterable
from typing import Any

import bpy

from . import acting_layer, compat, properties, rig, splats

SHOT = "portraitgen_shot"
"""The property by which a node group is known as a shot's."""
MARKERS = "PortraitGen"


def scene_at_hand(context: Any) -> Any:
    """The scene whose frame an artist looks at where a button is pressed: the sequencer shows one
    of its own, however the window's stands."""
    space = context.space_data
    in_edit = space is not None and space.type == "SEQUENCE_EDITOR"
    return compat.sequencer_scene(context) if in_edit else context.scene


def frame_at_hand(context: Any, shot: Any) -> int:
    """The footage frame that an artist looks at, or the shot's nearest."""
    return nearest_frame(shot, scene_at_hand(context))


def nearest_frame(shot: Any, scene: Any) -> int:
    """The footage frame that a scene shows, or the shot's nearest."""
    return int(min(max(scene.frame_current - shot.offset, shot.first), shot.last))


def rig_offset(shot: Any) -> int:
    """Scene frame minus footage frame of a rig's keys; the shot's own where the rig does not say.

    Rigs of earlier versions do not.
    """
    return int(shot.armature.get(rig.OFFSET, shot.offset))


def move(shot: Any, offset: int) -> None:
    """Moves all of a shot but its takes' strips to another offset."""
    before = rig_offset(shot) if shot.has_rig else shot.offset
    if shot.has_rig:
        by = offset - before
        if by:
            _move_rig(shot, by)
        shot.armature[rig.OFFSET] = offset
    by = offset - shot.offset
    if by:
        _move_keys_of_settings(shot, by)
        _move_splats(shot, by)
        _move_compositor(shot, by)
    shot.offset = offset


def _move_rig(shot: Any, by: int) -> None:
    data = shot.armature.animation_data
    ours = _own_actions(shot.armature)
    moved = list(ours)
    if data is not None:
        if data.action is not None and data.action not in moved:
            moved.append(data.action)
        for action in moved:
            compat.shift_keys(action, by)
        for track in data.nla_tracks:
            for strip in _in_moving_order(track.strips, by):
                _move_nla_strip(strip, by, strip.action in moved)
    for owner in (shot.camera, shot.camera.data):
        animation = owner.animation_data
        if animation is not None and animation.action is not None:
            compat.shift_keys(animation.action, by)
    for background in shot.camera.data.background_images:
        background.image_user.frame_start += by
    for scene in shot.armature.users_scene:
        for marker in scene.timeline_markers:
            if marker.name.startswith(MARKERS):
                marker.frame += by
        if scene != properties.home_scene(shot):
            # Shot after shot: a scene of the rig's own shows the shot and nothing else.
            _move_range(scene, shot, by)
    shot.armature.update_tag()


def _move_range(scene: Any, shot: Any, by: int) -> None:
    """Moves a scene's range with its shot, of which Blender cuts off what lies before frame 0."""
    whole = (shot.first + rig_offset(shot), shot.last + rig_offset(shot))
    was = (scene.frame_start, scene.frame_end)
    if was == tuple(max(each, 0) for each in whole):
        was = whole
    # In Blender neither end passes the other.
    scene.frame_start, scene.frame_end = (max(each + by, 0) for each in was)
    scene.frame_start = max(was[0] + by, 0)


def _own_actions(armature: Any) -> list[Any]:
    """The track, the corrections and the acting of all takes."""
    data = armature.animation_data
    found = acting_layer.actions_of(armature)
    for track in data.nla_tracks if data is not None else ():
        if track.name in (rig.TRACKED, acting_layer.CORRECTIONS):
            found += [strip.action for strip in track.strips]
    unique: list[Any] = []
    for action in found:
        if action is not None and action not in unique:
            unique.append(action)
    return unique


def _in_moving_order(strips: Iterable[Any], by: int) -> list[Any]:
    """NLA strips in the order in which none meets its neighbour."""
    return sorted(strips, key=lambda strip: strip.frame_start, reverse=by > 0)


def _move_nla_strip(strip: Any, by: int, with_action: bool) -> None:
    if with_action:
        blend = strip.blend_type
        compat.point_nla_strip(strip, strip.action, strip.action_slot)
        strip.blend_type = blend
        return
    # Neither end can pass the other.
    names = ("frame_start_raw", "frame_end_raw") if by < 0 else ("frame_end_raw", "frame_start_raw")
    for name in names:
        setattr(strip, name, getattr(strip, name) + by)


def _move_keys_of_settings(shot: Any, by: int) -> None:
    """Keys of the shot's settings and its takes', such as their mix."""
    path = shot.path_from_id()
    for curve in compat.own_curves(shot.id_data):
        if curve.data_path.startswith(f"{path}."):
            compat.shift_curve(curve, by)


def _move_splats(shot: Any, by: int) -> None:
    actions: list[Any] = []
    for cloud in splats.performers(shot.shot_id):
        if not splats.is_own(cloud):
            continue
        cloud[splats.OFFSET] += by
        animation = cloud[splats.SURFACE].animation_data
        if animation is not None and animation.action not in (None, *actions):
            # Copies hang on one surface.
            actions.append(animation.action)
            compat.shift_keys(animation.action, by)


def _move_compositor(shot: Any, by: int) -> None:
    for group in bpy.data.node_groups:
        if group.get(SHOT) != shot.shot_id:
            continue
        _move_images(group.nodes, by)
        animation = group.animation_data
        if animation is not None and animation.action is not None:
            compat.shift_keys(animation.action, by)
        for scene in bpy.data.scenes:
            for tree in compat.compositor_trees(scene):
                for node in tree.nodes:
                    if node.type == "GROUP" and node.node_tree == group:
                        _move_images([link.from_node for link in node.inputs["Plate"].links], by)


def _move_images(nodes: Any, by: int) -> None:
    for node in nodes:
        if node.type == "IMAGE":
            node.frame_start += by


def disagreements(shot: Any) -> list[str]:
    """What of a rig does not lie where the shot says, read from keys and images themselves."""
    if not shot.has_rig:
        return []
    data = shot.armature.animation_data
    track = data.nla_tracks.get(rig.TRACKED) if data is not None else None
    if track is None or not track.strips:
        return ["the rig has lost its tracked motion"]
    strip = track.strips[0]
    if strip.action is None or round(strip.frame_start) != round(strip.action_frame_start):
        return ["the tracked motion was moved in the NLA editor"]
    first = shot.armature.get(rig.FIRST)
    lies = rig_offset(shot) if first is None else round(strip.action.frame_range[0]) - int(first)
    return [] if lies == shot.offset else ["the rig's keys lie on other frames than the shot"]
