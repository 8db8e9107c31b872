# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A take's multilayer EXR frames as a node group: the beauty over the plate, passes as outputs.

Blender takes a multilayer EXR's values as they are, whatever its primaries, but for ACES2065-1: the
group converts the colours of all to the scene's working space.
"""

from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path
from typing import Any

import bpy

from portraitgen.errors import PortraitError, ShotError

from . import compat, exr_header, sequencer

STRENGTH = "Strength"
_SPACE = "portraitgen:colour_space"
# Where Blender calls a space otherwise than the files do.
_BLENDERS = {"Linear P3-D65": "Linear DCI-P3 D65"}
_COLOURS = ("Combined", "Reconstruction", "Edges")
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
        colour_space: of the files' colours, scene-linear, as Blender names it.
    """

    path: Path
    first: int
    last: int
    offset: int
    boxes: dict[int, tuple[float, float, float]]
    width: int
    height: int
    colour_space: str


def colour_space_of(path: Path) -> str:
    """The scene-linear space of a rendered frame's colours, as Blender names it.

    Raises:
        ShotError: if the file is missing, damaged or does not tell.
    """
    told = exr_header.text_attributes(path).get(_SPACE)
    if told is None:
        raise ShotError("the frame does not tell its colour space", path, "render the take again")
    return _BLENDERS.get(told, told)


def to_compositor(scene: Any, name: str, frames: Frames, plate: Any | None) -> Any:
    """Makes or renews a take's node group and puts it into the scene's compositor.

    Args:
        name: of the group, and since Blender 5.3 of the compositor's effect.
        plate: an image data-block for the Plate input, None to leave it open.

    Returns:
        The group's node.

    Raises:
        PortraitError: if Blender's colour management does not know the frames' space.
    """
    group = _group(name, frames)
    for tree in compat.compositor_trees(scene):
        for node in tree.nodes:
            if node.type == "GROUP" and node.node_tree == group:
                for source in (link.from_node for link in node.inputs["Plate"].links):
                    if plate is not None and source.type == "IMAGE" and source.image == plate:
                        _time(source, frames)
                return node
    tree = compat.compositor_tree(scene, name)
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
    compat.give_effect_input(scene, tree, node.inputs[STRENGTH])
    for output in tree.nodes:
        # What the artist has wired into the output stays.
        if output.type in ("COMPOSITE", "GROUP_OUTPUT") and not output.inputs[0].is_linked:
            tree.links.new(node.outputs["Image"], output.inputs[0])
            output.location = (260, 0)
    return node


def _group(name: str, frames: Frames) -> Any:
    group = bpy.data.node_groups.get(name) or bpy.data.node_groups.new(name, "CompositorNodeTree")
    group.nodes.clear()
    if group.animation_data:
        group.animation_data_clear()
    _give_sockets(group)
    nodes, links = group.nodes, group.links
    entry, exit_ = nodes.new("NodeGroupInput"), nodes.new("NodeGroupOutput")
    source = nodes.new("CompositorNodeImage")
    image = bpy.data.images.load(str(frames.path), check_existing=False)
    image.name = f"{name} frames"
    image.filepath = sequencer.directory_of(frames.path.parent) + frames.path.name
    image.source = "SEQUENCE"
    # Left to itself, Blender would convert some primaries and take others as they are.
    image.colorspace_settings.name = "Non-Color"
    source.image = image
    _time(source, frames)
    entry.location, source.location, exit_.location = (-700, 200), (-700, 0), (560, 0)
    placed = {
        layer: _placed(group, _converted(group, source.outputs[layer], layer, frames), frames, row)
        for row, layer in enumerate(("Combined", "Edges", *_PASSES))
        if layer in source.outputs
    }
    over = nodes.new("CompositorNodeAlphaOver")
    over.location = (60, 200)
    background, foreground = compat.alpha_over_sockets(over)
    links.new(entry.outputs["Plate"], background)
    links.new(placed["Combined"], foreground)
    shown = over.outputs[0]
    # Frames of earlier versions have no such pass.
    if "Edges" in placed:
        shown = _mixed(group, "ADD", 1.0, shown, placed["Edges"], 220)
    shown = _mixed(group, "MIX", entry.outputs[STRENGTH], entry.outputs["Plate"], shown, 380)
    links.new(shown, exit_.inputs["Image"])
    links.new(placed["Combined"], exit_.inputs["Beauty"])
    for layer, (title, _) in _PASSES.items():
        if layer in placed:
            links.new(placed[layer], exit_.inputs[title])
    return group


def _give_sockets(group: Any) -> None:
    """Gives a group its inputs and outputs. One that has them keeps them, and with them what the
    artist has linked to them, set and keyed."""

    def give(name: str, way: str, kind: str) -> Any | None:
        for each in group.interface.items_tree:
            if (each.name, each.in_out, each.socket_type) == (name, way, kind):
                return None
        return group.interface.new_socket(name, in_out=way, socket_type=kind)

    give("Plate", "INPUT", "NodeSocketColor")
    strength = give(STRENGTH, "INPUT", "NodeSocketFloat")
    if strength is not None:
        strength.description = "0 shows the plate"
        strength.subtype, strength.min_value, strength.max_value = "FACTOR", 0.0, 1.0
        strength.default_value = 1.0
    for title, kind in (
        ("Image", "NodeSocketColor"),
        ("Beauty", "NodeSocketColor"),
        *_PASSES.values(),
    ):
        give(title, "OUTPUT", kind)


def _converted(group: Any, socket: Any, layer: str, frames: Frames) -> Any:
    """A pass in the scene's working space, if it is one of colour."""
    if layer not in _COLOURS:
        return socket
    node = group.nodes.new("CompositorNodeConvertColorSpace")
    node.location = (-450, socket.node.location.y)
    try:
        node.from_color_space = frames.colour_space
    except TypeError:
        raise PortraitError(
            f"Blender's colour management has no space '{frames.colour_space}'",
            frames.path,
            "start Blender with its own OpenColorIO configuration, or add that space to yours",
        ) from None
    node.to_color_space = compat.working_space(node)
    group.links.new(socket, node.inputs["Image"])
    return node.outputs["Image"]


def _mixed(group: Any, how: str, factor: Any, below: Any, above: Any, x: float) -> Any:
    node = group.nodes.new("ShaderNodeMix")
    node.data_type, node.blend_type = "RGBA", how
    node.clamp_factor, node.clamp_result = True, False
    node.location = (x, 200)
    amount, first, second = (
        next(each for each in node.inputs if each.enabled and each.name == name)
        for name in ("Factor", "A", "B")
    )
    if isinstance(factor, float):
        amount.default_value = factor
    else:
        group.links.new(factor, amount)
    group.links.new(below, first)
    group.links.new(above, second)
    return next(each for each in node.outputs if each.enabled)


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
