# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A take's multilayer EXR frames as a node group: the beauty over the plate, passes as outputs."""

from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path
from typing import Any

import bpy

from . import compat, sequencer

_PASSES = {
    "Alpha": ("Alpha", "NodeSocketFloat"),
    "Depth": ("Depth", "NodeSocketFloat"),
    "Normal": ("Normal", "NodeSocketVector"),
    "Reconstruction": ("Reconstruction", "NodeSocketColor"),
}


@dataclass(frozen=True)
class Frames:
    """Where a take's EXR frames lie and how they sit in the plate.

    Attributes:
        path: the first frame's file.
        first, last: footage frames.
        offset: scene frame minus footage frame.
        boxes: the window of each frame as (x, y, side) in plate pixels; one entry if it stays.
        width, height: of the plate.
    """

    path: Path
    first: int
    last: int
    offset: int
    boxes: dict[int, tuple[float, float, float]]
    width: int
    height: int


def to_compositor(scene: Any, name: str, frames: Frames, plate: Any | None) -> Any:
    """Makes or renews a take's node group and puts it into the scene's compositing tree.

    Args:
        name: of the group.
        plate: an image data-block for the Plate input, None to leave it open.

    Returns:
        The group's node.
    """
    group = _group(name, frames)
    tree = compat.compositor_tree(scene)
    for node in tree.nodes:
        if node.type == "GROUP" and node.node_tree == group:
            return node
    node = tree.nodes.new("CompositorNodeGroup")
    node.node_tree = group
    node.label = name
    node.location = (0, 0)
    if plate is not None:
        source = tree.nodes.new("CompositorNodeImage")
        source.image = plate
        source.location = (-260, 0)
        _time(source, frames)
        tree.links.new(source.outputs["Image"], node.inputs["Plate"])
    for output in tree.nodes:
        # What the artist has wired into the output stays.
        if output.type in ("COMPOSITE", "GROUP_OUTPUT") and not output.inputs[0].is_linked:
            tree.links.new(node.outputs["Image"], output.inputs[0])
            output.location = (260, 0)
    return node


def _group(name: str, frames: Frames) -> Any:
    group = bpy.data.node_groups.get(name) or bpy.data.node_groups.new(name, "CompositorNodeTree")
    group.nodes.clear()
    group.interface.clear()
    if group.animation_data:
        group.animation_data_clear()
    group.interface.new_socket("Plate", in_out="INPUT", socket_type="NodeSocketColor")
    group.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    for title, kind in _PASSES.values():
        group.interface.new_socket(title, in_out="OUTPUT", socket_type=kind)
    nodes, links = group.nodes, group.links
    entry, exit_ = nodes.new("NodeGroupInput"), nodes.new("NodeGroupOutput")
    source = nodes.new("CompositorNodeImage")
    image = bpy.data.images.load(str(frames.path), check_existing=False)
    image.name = f"{name} frames"
    image.filepath = sequencer.directory_of(frames.path.parent) + frames.path.name
    image.source = "SEQUENCE"
    source.image = image
    _time(source, frames)
    entry.location, source.location, exit_.location = (-500, 200), (-500, 0), (300, 0)
    over = nodes.new("CompositorNodeAlphaOver")
    over.location = (60, 200)
    background, foreground = compat.alpha_over_sockets(over)
    links.new(entry.outputs["Plate"], background)
    links.new(_placed(group, source.outputs["Combined"], frames, 0), foreground)
    links.new(over.outputs[0], exit_.inputs["Image"])
    for index, (layer, (title, _)) in enumerate(_PASSES.items(), 1):
        if layer in source.outputs:
            placed = _placed(group, source.outputs[layer], frames, index)
            links.new(placed, exit_.inputs[title])
    return group


def _placed(group: Any, socket: Any, frames: Frames, row: int) -> Any:
    """A pass moved to where its window lies in the plate, whose pixels it has."""
    node = group.nodes.new("CompositorNodeTranslate")
    node.location = (-200, 200 - 190 * row)
    group.links.new(socket, node.inputs["Image"])
    for first, (x, y, side) in sorted(frames.boxes.items()):
        left, right = max(floor(x), 0), min(ceil(x + side), frames.width)
        top, bottom = max(floor(y), 0), min(ceil(y + side), frames.height)
        # The compositor counts from the middle of the frame, upwards.
        values = {
            "X": (left + right - frames.width) / 2,
            "Y": (frames.height - top - bottom) / 2,
        }
        for name, value in values.items():
            node.inputs[name].default_value = value
            if len(frames.boxes) > 1:
                node.inputs[name].keyframe_insert("default_value", frame=first + frames.offset)
    return node.outputs[0]


def _time(node: Any, frames: Frames) -> None:
    node.frame_start = frames.first + frames.offset
    node.frame_offset = frames.first - 1
    node.frame_duration = frames.last - frames.first + 1
    node.use_auto_refresh = True
    node.use_cyclic = False
