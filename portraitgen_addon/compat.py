# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that knows Blender 4.5, 5.0, 5.2 and 5.3 apart."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import bpy
import numpy as np

# Since 5.0 the sequencer shows a scene of its own choice.
_OWN_SEQUENCER_SCENE = bpy.app.version >= (5, 0, 0)
# Since 5.2 strips' times have these names; the former ones warn and go in 6.0.
_HANDLES = ("left_handle", "right_handle")
_NAMED_HANDLES = _HANDLES[0] in bpy.types.Strip.bl_rna.properties
# Since 5.0 the compositing tree is a node group like others.
_COMPOSITING_GROUP = "compositing_node_group" in bpy.types.Scene.bl_rna.properties
# Since 5.3 a scene has a stack of compositing effects instead of one tree.
_EFFECT_STACK = "compositor_effects" in bpy.types.Scene.bl_rna.properties


def version_text() -> str:
    """This Blender's version, as it calls itself."""
    return str(bpy.app.version_string)


def plain_path(path: Path) -> str:
    """A path as what Blender renders is named by: it reads braces as templates."""
    return str(path).replace("{", "{{").replace("}", "}}")


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
    if _NAMED_HANDLES:
        return int(strip.left_handle), int(strip.right_handle)
    return int(strip.frame_final_start), int(strip.frame_final_end)


def _forget_drawn(strip: Any) -> None:
    """Has Blender draw anew where a strip lies, before it is moved away: what it has drawn there
    would go on being shown. Any setting of its look does it."""
    strip.blend_alpha = strip.blend_alpha


def trim(strip: Any, first: int, end: int) -> None:
    """Moves a strip's handles: it shows from scene frame `first` up to, not including, `end`."""
    _forget_drawn(strip)
    names = _HANDLES if _NAMED_HANDLES else ("frame_final_start", "frame_final_end")
    # Neither handle can pass the other.
    order = names if first < strip_range(strip)[1] else reversed(names)
    for name in order:
        setattr(strip, name, first if name == names[0] else end)


def content_start(strip: Any) -> int:
    """The scene frame on which a strip's first, perhaps trimmed, frame of content lies."""
    return round(strip.content_start if _NAMED_HANDLES else strip.frame_start)


def content_length(strip: Any) -> int:
    """How many frames of content a strip has, trimmed ones included."""
    return int(strip.content_duration if _NAMED_HANDLES else strip.frame_duration)


def content_trim(strip: Any) -> int:
    """How many frames of its file a movie or image strip leaves out before its content begins."""
    return int(strip.content_trim_start if _NAMED_HANDLES else strip.animation_offset_start)


def file_start(strip: Any) -> int:
    """The scene frame on which the first frame of a strip's file, or its first element, lies,
    whether it is shown or was cut off, as by Blender's Hold Split."""
    return content_start(strip) - content_trim(strip)


def played_range(strip: Any) -> tuple[int, int]:
    """The scene frames of a strip's range on which its content plays, the end excluded; before and
    after it, the strip holds its first or its last frame. They are none where end <= begin."""
    begin, end = strip_range(strip)
    if strip.type == "IMAGE" and len(strip.elements) == 1:
        return begin, end
    start = content_start(strip)
    return max(begin, start), min(end, start + content_length(strip))


def held_frame(strip: Any, frame: int) -> int | None:
    """The scene frame on which the frame plays that a strip holds on another; None if it plays."""
    start, length = content_start(strip), content_length(strip)
    if strip.type == "IMAGE" and len(strip.elements) == 1:
        return None
    held = min(max(frame, start), start + length - 1)
    return None if held == frame else held


def set_content_trim(strip: Any, first: int, last: int) -> None:
    """Has an image strip leave out frames of its file as Hold Split does; what it shows of the rest
    stays where it is.

    Args:
        first, last: how many are left out before and behind its content.
    """
    start, (begin, end) = file_start(strip), strip_range(strip)
    names = ("content_trim_start", "content_trim_end")
    if not _NAMED_HANDLES:
        names = ("animation_offset_start", "animation_offset_end")
    wanted = (first, last)
    while True:
        before = (content_trim(strip), content_trim_end(strip))
        for name, frames in zip(names, wanted, strict=True):
            setattr(strip, name, frames)
        # Setting them moves the content, in each Blender otherwise.
        move_content(strip, start + content_trim(strip))
        trim(strip, begin, end)
        # Since 5.3 a frame stays between the handles, which are elsewhere while it is set.
        if (content_trim(strip), content_trim_end(strip)) in (wanted, before):
            return


def content_trim_end(strip: Any) -> int:
    """How many frames of its file a movie or image strip leaves out behind its content."""
    return int(strip.content_trim_end if _NAMED_HANDLES else strip.animation_offset_end)


def move_content(strip: Any, frame: int) -> None:
    """Moves a strip as a whole: its first, perhaps trimmed, frame comes to lie on a frame."""
    _forget_drawn(strip)
    if _NAMED_HANDLES:
        strip.content_start = frame
    else:
        strip.frame_start = frame


def every_strip(scene: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """All strips of a scene, each with the meta strips it lies in, the outermost first."""

    def within(found: Any, metas: tuple[Any, ...]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
        for strip in found:
            yield strip, metas
            if strip.type == "META":
                yield from within(strip.strips, (*metas, strip))

    yield from within(strips(scene), ())


EFFECTS_HIDE = bpy.app.version >= (5, 2, 0)
"""Whether an effect strip of full opacity is taken to hide what lies below it, as it is since 5.2,
even where its own picture is transparent."""


MAKES_MODIFIERS = not (5, 0, 0) <= bpy.app.version < (5, 2, 0)
"""Whether Python can give a strip modifiers; Blender 5.0 ends with a fault when it tries."""


def new_effect(
    among: Any, name: str, kind: str, channel: int, first: int, end: int, *inputs: Any
) -> Any:
    """An effect strip over two others of the same scene or meta strip.

    Args:
        among: the strips that it joins.
        first, end: the scene frame on which it begins, and the one after its last.
    """
    if bpy.app.version >= (5, 0, 0):
        length = {"length": end - first}
    else:
        length = {"frame_end": end}
    effect = among.new_effect(
        name=name,
        type=kind,
        channel=channel,
        frame_start=first,
        input1=inputs[0],
        input2=inputs[1],
        **length,
    )
    return effect


def set_length(strip: Any, length: int) -> None:
    """Lets a strip show its first `length` frames."""
    _forget_drawn(strip)
    if _NAMED_HANDLES:
        strip.right_handle = strip.left_handle + length
    else:
        strip.frame_final_duration = length


def select_alone(scene: Any, strip: Any) -> None:
    """Makes a strip the only selected and the active one."""
    for other in strips(scene):
        other.select = other == strip
    scene.sequence_editor.active_strip = strip


def selected_bones(armature: Any) -> np.ndarray:
    """Which bones of an armature are selected, bool (B,), in the order of its pose."""
    # Since 5.0 it is the pose's bones that are selected.
    bones = armature.pose.bones
    if "select" not in bpy.types.PoseBone.bl_rna.properties:
        return np.array([bone.bone.select for bone in bones], bool)
    chosen = np.empty(len(bones), bool)
    bones.foreach_get("select", chosen)
    return chosen


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


def shift_keys(action: Any, frames: float) -> None:
    """Moves all keys of an action, of every slot, by some frames."""
    for layer in action.layers:
        for strip in layer.strips:
            for bag in strip.channelbags:
                for curve in bag.fcurves:
                    shift_curve(curve, frames)


def shift_curve(curve: Any, frames: float) -> None:
    """Moves the keys of an F-curve by some frames."""
    points = curve.keyframe_points
    values = np.empty(2 * len(points), np.float32)
    for name in ("co", "handle_left", "handle_right"):
        points.foreach_get(name, values)
        values[::2] += frames
        points.foreach_set(name, values)
    curve.update()


def scale_curve(curve: Any, share: float) -> None:
    """Multiplies the values of an F-curve's keys."""
    points = curve.keyframe_points
    values = np.empty(2 * len(points), np.float32)
    for name in ("co", "handle_left", "handle_right"):
        points.foreach_get(name, values)
        values[1::2] *= share
        points.foreach_set(name, values)
    curve.update()


def _bag_of(curve: Any) -> Any:
    """The F-curves among which one lies."""
    for layer in curve.id_data.layers:
        for strip in layer.strips:
            for bag in strip.channelbags:
                if any(each == curve for each in bag.fcurves):
                    return bag.fcurves
    raise LookupError(curve.data_path)


def remove_curve(curve: Any) -> None:
    """Takes an F-curve away."""
    _bag_of(curve).remove(curve)


def copy_curve(curve: Any, path: str) -> Any:
    """Gives another property of the same data-block the keys of an F-curve.

    Returns:
        The copy, which takes the place of one there was.
    """
    among = _bag_of(curve)
    old = among.find(path, index=curve.array_index)
    if old is not None:
        among.remove(old)
    copy = among.new(path, index=curve.array_index)
    _copy_keys(curve, copy)
    return copy


def _copy_keys(curve: Any, copy: Any) -> None:
    count = len(curve.keyframe_points)
    copy.keyframe_points.add(count)
    for old, new in zip(curve.keyframe_points, copy.keyframe_points, strict=True):
        new.co, new.interpolation, new.easing = old.co, old.interpolation, old.easing
        new.handle_left_type, new.handle_right_type = old.handle_left_type, old.handle_right_type
        new.handle_left, new.handle_right = old.handle_left, old.handle_right
        new.amplitude, new.back, new.period = old.amplitude, old.back, old.period
    copy.extrapolation, copy.mute = curve.extrapolation, curve.mute
    copy.update()


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


def compositor_trees(scene: Any) -> list[Any]:
    """The compositing trees that a scene has: one, or since 5.3 one an effect of its stack."""
    if _EFFECT_STACK:
        return [each.node_group for each in scene.compositor_effects if each.node_group]
    if _COMPOSITING_GROUP:
        return [scene.compositing_node_group] if scene.compositing_node_group else []
    return [scene.node_tree] if scene.use_nodes and scene.node_tree else []


def compositor_tree(scene: Any, name: str) -> Any:
    """The tree in which something of ours is composited, made with an output if there is none.

    Since 5.3 it is that of a new effect of this name, the last of the stack: others belong to the
    artist. Before, a scene has one tree for everything.
    """
    if _EFFECT_STACK:
        effect = scene.compositor_effects.new(name)
        effect.node_group = _output_tree(name)
        effect.node_group.interface.new_socket(
            "Image", in_out="INPUT", socket_type="NodeSocketColor"
        )
        return effect.node_group
    if _COMPOSITING_GROUP:
        if scene.compositing_node_group is None:
            scene.compositing_node_group = _output_tree(f"{scene.name} Compositing")
        return scene.compositing_node_group
    fresh = scene.node_tree is None
    scene.use_nodes = True
    if fresh:
        # Blender's default: the 3D view of a scene whose picture is in the sequencer.
        scene.node_tree.nodes.clear()
    if not any(node.type == "COMPOSITE" for node in scene.node_tree.nodes):
        scene.node_tree.nodes.new("CompositorNodeComposite")
    return scene.node_tree


def _output_tree(name: str) -> Any:
    tree = bpy.data.node_groups.new(name, "CompositorNodeTree")
    tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    tree.nodes.new("NodeGroupOutput")
    return tree


def give_effect_input(scene: Any, tree: Any, socket: Any) -> None:
    """Makes a node's factor an input of the effect that a tree is, to be set and keyed there.

    Before 5.3 a scene's tree has no inputs: the node's own socket is set and keyed.
    """
    if not _EFFECT_STACK:
        return
    made = tree.interface.new_socket(socket.name, in_out="INPUT", socket_type="NodeSocketFloat")
    made.subtype, made.min_value, made.max_value = "FACTOR", 0.0, 1.0
    made.default_value = socket.default_value
    entry = tree.nodes.new("NodeGroupInput")
    entry.location = (-260, -260)
    tree.links.new(entry.outputs[socket.name], socket)
    # An effect does not take the default of a socket that its tree was given later.
    holder, name = factor_input(scene, socket.node, socket.name)
    setattr(holder, name, socket.default_value)


def factor_input(scene: Any, node: Any, name: str) -> tuple[Any, str]:
    """Where the artist sets and keys a factor of a node that `give_effect_input` was told of.

    Returns:
        What holds it, and the property's name.
    """
    if _EFFECT_STACK:
        for effect in scene.compositor_effects:
            if effect.node_group == node.id_data:
                items = effect.node_group.interface.items_tree
                made = next(each for each in items if each.name == name)
                return getattr(effect.properties.inputs, made.identifier), "value"
    return node.inputs[name], "default_value"


def working_space(target: Any) -> str:
    """The name under which a colour conversion node knows the scene's working space.

    Args:
        target: a Convert Colorspace node.
    """
    names = [each.identifier for each in target.bl_rna.properties["to_color_space"].enum_items]
    # In 4.5 it cannot be chosen.
    return "scene_linear" if "scene_linear" in names else "Linear Rec.709"


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


def splats_missing() -> str:
    """Why this Blender has no Gaussian splats, empty if it has."""
    if "GAUSSIAN_SPLAT" in _point_cloud_types():
        return ""
    return "This needs Blender 5.3, which has Gaussian splats; export PLY instead"


def _point_cloud_types() -> list[str]:
    kinds = bpy.types.PointCloud.bl_rna.properties.get("type")
    return [each.identifier for each in kinds.enum_items] if kinds is not None else []


def modifier_inputs(modifier: Any) -> dict[str, Any]:
    """The inputs of a Geometry Nodes modifier by name; each has a value. Blender 5.3 or later."""
    found = {}
    for item in modifier.node_group.interface.items_tree:
        if item.item_type == "SOCKET" and item.in_out == "INPUT":
            holder = getattr(modifier.properties.inputs, item.identifier, None)
            if holder is not None:
                found[item.name] = holder
    return found
