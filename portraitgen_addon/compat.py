# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that knows Blender 4.5, 5.0 and 5.2 apart."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import bpy
import numpy as np

# Since 5.0 the sequencer shows a scene of its own choice.
_OWN_SEQUENCER_SCENE = bpy.app.version >= (5, 0, 0)


def sequencer_scene(context: Any) -> Any:
    """The scene whose strips the sequencer shows; None where a workspace has not chosen one."""
    workspace = getattr(context, "workspace", None)
    if _OWN_SEQUENCER_SCENE and workspace is not None and workspace.sequencer_scene:
        return workspace.sequencer_scene
    return context.scene


def strips(scene: Any, create: bool = False) -> Any:
    """A scene's strips, an empty tuple where it has no sequencer and none is to be made."""
    if scene.sequence_editor is None:
        if not create:
            return ()
        scene.sequence_editor_create()
    return scene.sequence_editor.strips


def strip_range(strip: Any) -> tuple[int, int]:
    """The first scene frame that shows a strip and the one after its last."""
    if hasattr(strip, "left_handle"):
        return int(strip.left_handle), int(strip.right_handle)
    return int(strip.frame_final_start), int(strip.frame_final_end)


def content_start(strip: Any) -> int:
    """The scene frame on which a strip's first, perhaps trimmed, frame of content lies."""
    if hasattr(strip, "content_start"):
        return round(strip.content_start)
    return round(strip.frame_start)


def set_length(strip: Any, length: int) -> None:
    """Lets a strip show its first `length` frames."""
    if hasattr(strip, "right_handle"):
        strip.right_handle = strip.left_handle + length
    else:
        strip.frame_final_duration = length


def select_alone(scene: Any, strip: Any) -> None:
    """Makes a strip the only selected and the active one."""
    for other in strips(scene):
        other.select = other == strip
    scene.sequence_editor.active_strip = strip


def keyed_action(
    name: str, owner: Any, channels: Iterable[tuple[str, int, np.ndarray]], frames: np.ndarray
) -> tuple[Any, Any]:
    """An action with one linear key a frame on every channel.

    Args:
        name: of the action.
        owner: the data-block it animates.
        channels: data path, array index and float (T,) values.
        frames: float (T,) scene frames, ascending.

    Returns:
        The action and its slot.
    """
    action = bpy.data.actions.new(name)
    slot, bag = _bag(action, owner)
    count = len(frames)
    coordinates = np.empty((count, 2), np.float32)
    coordinates[:, 0] = frames
    linear = np.ones(count, np.int32)
    for path, index, values in channels:
        curve = bag.fcurves.new(path, index=index)
        curve.keyframe_points.add(count)
        coordinates[:, 1] = values
        curve.keyframe_points.foreach_set("co", coordinates.ravel())
        curve.keyframe_points.foreach_set("interpolation", linear)
        curve.update()
    return action, slot


def empty_action(name: str, owner: Any) -> tuple[Any, Any]:
    """An action without keys, and its slot for `owner`."""
    action = bpy.data.actions.new(name)
    slot, _ = _bag(action, owner)
    return action, slot


def _bag(action: Any, owner: Any) -> tuple[Any, Any]:
    slot = action.slots.new(id_type=owner.id_type, name=owner.name)
    strip = action.layers.new("Layer").strips.new(type="KEYFRAME")
    return slot, strip.channelbag(slot, ensure=True)


def curves(action: Any, slot: Any) -> Any:
    """The F-curves of a slot, an empty tuple where it has none."""
    if not action.layers or not action.layers[0].strips:
        return ()
    bag = action.layers[0].strips[0].channelbag(slot)
    return bag.fcurves if bag else ()


def curve_value(data: Any, path: str, index: int, frame: float) -> float | None:
    """What a channel of the action that a data-block plays holds, None without such a curve."""
    curve = _curve(data, path, index)
    return None if curve is None else float(curve.evaluate(frame))


def insert_key(data: Any, path: str, index: int, frame: float, value: float) -> None:
    """Puts a key into the action that a data-block plays, making its curve if there is none."""
    curve = _curve(data, path, index)
    if curve is None:
        bag = data.action.layers[0].strips[0].channelbag(data.action_slot, ensure=True)
        curve = bag.fcurves.new(path, index=index)
    curve.keyframe_points.insert(frame, value)
    curve.update()


def _curve(data: Any, path: str, index: int) -> Any | None:
    for curve in curves(data.action, data.action_slot):
        if curve.data_path == path and curve.array_index == index:
            return curve
    return None


def own_curves(owner: Any) -> Any:
    """The F-curves of the action that a data-block plays, an empty tuple if it plays none."""
    data = owner.animation_data
    if data is None or data.action is None or data.action_slot is None:
        return ()
    return curves(data.action, data.action_slot)


def point_nla_strip(strip: Any, action: Any, slot: Any) -> None:
    """Lets an NLA strip play an action so that scene frame f shows the action's frame f."""
    strip.use_sync_length = False
    strip.action = action
    strip.action_slot = slot
    first, last = action.frame_range
    last = max(last, first + 1)
    strip.scale = strip.repeat = 1.0
    # Either end may only move while it stays before or behind the other.
    ends = [("action_frame_start", "action_frame_end"), ("frame_start_raw", "frame_end_raw")]
    for start, end in ends:
        if first < getattr(strip, start):
            setattr(strip, start, first)
            setattr(strip, end, last)
        else:
            setattr(strip, end, last)
            setattr(strip, start, first)
    strip.scale = 1.0
    strip.blend_type = "REPLACE"
    strip.extrapolation = "HOLD"


def compositor_tree(scene: Any) -> Any:
    """The scene's compositing tree, made with a plain output if there is none."""
    if hasattr(scene, "compositing_node_group"):
        tree = scene.compositing_node_group
        if tree is None:
            tree = bpy.data.node_groups.new(f"{scene.name} Compositing", "CompositorNodeTree")
            tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
            tree.nodes.new("NodeGroupOutput")
            scene.compositing_node_group = tree
        return tree
    fresh = scene.node_tree is None
    scene.use_nodes = True
    if fresh:
        # Blender's default: the 3D view of a scene whose picture is in the sequencer.
        scene.node_tree.nodes.clear()
    if not any(node.type == "COMPOSITE" for node in scene.node_tree.nodes):
        scene.node_tree.nodes.new("CompositorNodeComposite")
    return scene.node_tree


def alpha_over_sockets(node: Any) -> tuple[Any, Any]:
    """The background and the foreground of an Alpha Over node."""
    if "Background" in node.inputs:
        return node.inputs["Background"], node.inputs["Foreground"]
    return node.inputs[1], node.inputs[2]


def with_window(context: Any) -> AbstractContextManager[Any]:
    """A context in which mode changes pass their poll when a timer asks for them."""
    manager = context.window_manager
    if context.window is None and manager is not None and manager.windows:
        override: AbstractContextManager[Any] = context.temp_override(window=manager.windows[0])
        return override
    return nullcontext()


def colour_space_names(datablock: Any) -> Sequence[str]:
    """The colour spaces this Blender's configuration has."""
    item = datablock.colorspace_settings.bl_rna.properties["name"]
    return [each.identifier for each in item.enum_items]
