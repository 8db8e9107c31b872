# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes that carry splats on a surface and colour them, and those that let Blender light them.

They repeat the backend's texture (`avatar/texture.py`) node by node: place, turn and size from the
triangle under each splat, its colour from what is done and from where it is seen.
"""

from typing import Any

import bpy

SURFACE, CAMERA, SOFTNESS = "Surface", "Camera", "Softness"
FIELDS, HARMONICS = 20, 8
NORMAL, ALBEDO, ROUGHNESS, INSIDE = "pg_normal", "pg_albedo", "pg_roughness", "pg_inside"
SHIFT = "pg_shift"
_DEGREE_0 = 0.28209479177387814
# Metres that the shadow's surface lies inside of the performer's.
_INSIDE = 0.008
# How often each of its corners is averaged with its neighbours.
_SMOOTHED = 8
_LEAST_STRETCH, _MOST_STRETCH = 0.3, 3.0
# Which nodes groups and materials hold, kept with them: grows whenever these do something else.
_MADE_AS = "portraitgen_nodes"
VERSION = 3
_LIT = "PortraitGen Lit by Scene"


def weight_input(index: int) -> str:
    """The name of a modifier's input that says how far a personal field counts."""
    return f"Personal {index + 1:02d}"


class _Tree:
    """Short words for making geometry nodes."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree

    def node(self, kind: str, **settings: Any) -> Any:
        node = self.tree.nodes.new(kind)
        for name, value in settings.items():
            setattr(node, name, value)
        return node

    def link(self, source: Any, target: Any) -> None:
        self.tree.links.new(source, target)

    def named(self, name: str, kind: str) -> Any:
        node = self.node("GeometryNodeInputNamedAttribute", data_type=kind)
        node.inputs["Name"].default_value = name
        return node.outputs["Attribute"]

    def vector(self, operation: str, *values: Any, scale: Any = None) -> Any:
        node = self.node("ShaderNodeVectorMath", operation=operation)
        for socket, value in zip(node.inputs, values, strict=False):
            self._give(socket, value)
        if scale is not None:
            self._give(node.inputs["Scale"], scale)
        return node.outputs["Value" if operation in ("LENGTH", "DOT_PRODUCT") else "Vector"]

    def number(self, operation: str, *values: Any) -> Any:
        node = self.node("ShaderNodeMath", operation=operation)
        for socket, value in zip(node.inputs, values, strict=False):
            self._give(socket, value)
        return node.outputs[0]

    def _give(self, socket: Any, value: Any) -> None:
        if hasattr(value, "is_output"):
            self.link(value, socket)
        else:
            socket.default_value = value

    def parts(self, vector: Any) -> tuple[Any, Any, Any]:
        node = self.node("ShaderNodeSeparateXYZ")
        self.link(vector, node.inputs[0])
        return node.outputs[0], node.outputs[1], node.outputs[2]

    def rotated(self, vector: Any, rotation: Any) -> Any:
        node = self.node("FunctionNodeRotateVector")
        self.link(vector, node.inputs[0])
        self.link(rotation, node.inputs[1])
        return node.outputs[0]

    def store(self, geometry: Any, name: str, kind: str, value: Any) -> Any:
        node = self.node("GeometryNodeStoreNamedAttribute", data_type=kind, domain="POINT")
        node.inputs["Name"].default_value = name
        self.link(geometry, node.inputs["Geometry"])
        self.link(value, node.inputs["Value"])
        return node.outputs[0]

    def object_info(self, source: Any, space: str) -> Any:
        """An object as it is by itself (ORIGINAL), so that whoever shows it may be moved, scaled
        and copied, or as it stands to it (RELATIVE)."""
        node = self.node("GeometryNodeObjectInfo", transform_space=space)
        self.link(source, node.inputs["Object"])
        return node

    def sampled(self, geometry: Any, value: Any, index: Any) -> Any:
        node = self.node("GeometryNodeSampleIndex", data_type="FLOAT_VECTOR", domain="POINT")
        self.link(geometry, node.inputs["Geometry"])
        self.link(value, node.inputs["Value"])
        self.link(index, node.inputs["Index"])
        return node.outputs["Value"]


def is_current(made: Any) -> bool:
    """Whether a node group or material holds the nodes that would be made now."""
    return bool(made.get(_MADE_AS) == VERSION)


def is_lit_material(material: Any) -> bool:
    """Whether a material is ours, from this or an earlier version."""
    return _MADE_AS in material or material.name.startswith(_LIT)


def is_own(group: Any, name: str) -> bool:
    """Whether a node group is one of ours, from this or an earlier version, that takes an input."""
    ours = _MADE_AS in group or group.name.startswith("PortraitGen ") or name == weight_input(0)
    return ours and name in group.interface.items_tree


def _shared(name: str) -> tuple[Any, bool]:
    """This file's own node group of a name, and whether it is current; another file's would go with
    it."""
    group = bpy.data.node_groups.get((name, None))
    if group is None:
        group = bpy.data.node_groups.new(name, "GeometryNodeTree")
    return group, is_current(group)


def _emptied(group: Any, **inputs: str) -> _Tree:
    """A group without nodes, with a geometry in and out and inputs by kind; those that it has stay
    the same, and whatever is set or drives them."""
    group.nodes.clear()
    known = {(each.name, each.in_out) for each in group.interface.items_tree}
    ways = [("Geometry", "INPUT", "Geometry"), ("Geometry", "OUTPUT", "Geometry")]
    for name, way, kind in [*ways, *((name, "INPUT", kind) for name, kind in inputs.items())]:
        if (name, way) not in known:
            group.interface.new_socket(name, in_out=way, socket_type=f"NodeSocket{kind}")
    group[_MADE_AS] = VERSION
    return _Tree(group)


def carrying_tree(name: str, group: Any = None) -> Any:
    """A node group that sets splats on a surface; its inputs are the surface, the camera from which
    they are seen, and the weights of the personal fields.

    Args:
        group: one from an earlier version, to be made anew.
    """
    group = group or bpy.data.node_groups.new(name, "GeometryNodeTree")
    weights = {weight_input(index): "Float" for index in range(FIELDS)}
    make = _emptied(group, **{SURFACE: "Object", CAMERA: "Object"}, **weights)
    entry, exit_ = make.node("NodeGroupInput"), make.node("NodeGroupOutput")

    surface = make.object_info(entry.outputs[SURFACE], "ORIGINAL").outputs["Geometry"]
    position = make.node("GeometryNodeInputPosition").outputs[0]
    normal = make.node("GeometryNodeInputNormal").outputs[0]
    corners = [make.named(f"pg_corner_{index}", "INT") for index in range(3)]
    shares = make.parts(make.named("pg_barycentric", "FLOAT_VECTOR"))

    def across(values: list[Any]) -> Any:
        """A value of the corners at the splat's place on their triangle."""
        scaled = [
            make.vector("SCALE", value, scale=share)
            for value, share in zip(values, shares, strict=True)
        ]
        return make.vector("ADD", make.vector("ADD", scaled[0], scaled[1]), scaled[2])

    places = [make.sampled(surface, position, corner) for corner in corners]
    edge = make.vector("SUBTRACT", places[1], places[0])
    other = make.vector("SUBTRACT", places[2], places[0])
    cross = make.vector("CROSS_PRODUCT", edge, other)
    axes = make.node("FunctionNodeAxesToRotation", primary_axis="Z", secondary_axis="X")
    make.link(cross, axes.inputs[0])
    make.link(edge, axes.inputs[1])
    frame = axes.outputs[0]
    size = make.number("SQRT", make.vector("LENGTH", cross))
    stretch = make.number("DIVIDE", size, make.named("pg_rest", "FLOAT"))
    stretch = make.number("MINIMUM", make.number("MAXIMUM", stretch, _LEAST_STRETCH), _MOST_STRETCH)
    offset = make.vector("SCALE", make.named("pg_offset", "FLOAT_VECTOR"), scale=stretch)
    place = make.vector("ADD", across(places), make.rotated(offset, frame))
    turn = make.node("FunctionNodeRotateRotation", rotation_space="LOCAL")
    make.link(frame, turn.inputs[0])
    make.link(make.named("pg_rotation", "QUATERNION"), turn.inputs[1])
    scale = make.vector("SCALE", make.named("pg_scale", "FLOAT_VECTOR"), scale=stretch)
    smooth = across([make.sampled(surface, normal, corner) for corner in corners])
    smooth = make.vector("NORMALIZE", smooth)
    camera = make.object_info(entry.outputs[CAMERA], "RELATIVE").outputs["Location"]
    towards = make.vector("SUBTRACT", camera, place)
    base = _radiance(make, entry, make.vector("NORMALIZE", towards), frame)

    # The points move last: the surface is sampled by index, whatever their place.
    geometry = entry.outputs["Geometry"]
    geometry = make.store(geometry, "rotation", "QUATERNION", turn.outputs[0])
    geometry = make.store(geometry, "scale", "FLOAT_VECTOR", scale)
    geometry = make.store(geometry, "radiance:base", "FLOAT_COLOR", base)
    geometry = make.store(geometry, NORMAL, "FLOAT_VECTOR", smooth)
    moved = make.node("GeometryNodeSetPosition")
    make.link(geometry, moved.inputs["Geometry"])
    make.link(place, moved.inputs["Position"])
    make.link(moved.outputs[0], exit_.inputs["Geometry"])
    return group


def _radiance(make: _Tree, entry: Any, towards: Any, frame: Any) -> Any:
    """Colour as the harmonic of degree 0, and opacity."""
    back = make.node("FunctionNodeInvertRotation")
    make.link(frame, back.inputs[0])
    x, y, z = make.parts(make.rotated(towards, back.outputs[0]))
    product = {
        name: make.number("MULTIPLY", *pair)
        for name, pair in {
            "xy": (x, y),
            "yz": (y, z),
            "xz": (x, z),
            "xx": (x, x),
            "yy": (y, y),
            "zz": (z, z),
        }.items()
    }
    basis = [
        make.number("MULTIPLY", y, 0.4886025),
        make.number("MULTIPLY", z, 0.4886025),
        make.number("MULTIPLY", x, 0.4886025),
        make.number("MULTIPLY", product["xy"], 1.0925484),
        make.number("MULTIPLY", product["yz"], 1.0925484),
        make.number("MULTIPLY_ADD", product["zz"], 3 * 0.3153916, -0.3153916),
        make.number("MULTIPLY", product["xz"], 1.0925484),
        make.number("MULTIPLY", make.number("SUBTRACT", product["xx"], product["yy"]), 0.5462742),
    ]
    colour = make.named("pg_colour", "FLOAT_VECTOR")
    gains = [(f"pg_harmonic_{index}", value) for index, value in enumerate(basis)]
    gains += [
        (f"pg_tint_{index:02d}", entry.outputs[weight_input(index)]) for index in range(FIELDS)
    ]
    for name, value in gains:
        gain = make.vector("SCALE", make.named(name, "FLOAT_VECTOR"), scale=value)
        colour = make.vector("ADD", colour, gain)
    level = make.vector("SUBTRACT", colour, (0.5, 0.5, 0.5))
    level = make.vector("SCALE", level, scale=1 / _DEGREE_0)
    combined = make.node("FunctionNodeCombineColor")
    for socket, value in zip(combined.inputs, make.parts(level), strict=False):
        make.link(value, socket)
    make.link(make.named("pg_opacity", "FLOAT"), combined.inputs["Alpha"])
    return combined.outputs[0]


def softening_tree() -> Any:
    """A node group that makes splats look as the backend draws them: as broad, whose pixels blur
    them for the plate's camera, and of colours that are blended as light to what is blended there
    as it is displayed. Its input is that blur as a share of the depth."""
    group, current = _shared("PortraitGen Softness")
    if current:
        return group
    make = _emptied(group, **{SOFTNESS: "Float"})
    share = group.interface.items_tree[SOFTNESS]
    share.description = "Share of the depth"
    share.min_value, share.max_value = 0.0, 0.1
    entry, exit_ = make.node("NodeGroupInput"), make.node("NodeGroupOutput")
    depth = make.parts(make.node("GeometryNodeInputPosition").outputs[0])[2]
    blur = make.number("MULTIPLY", depth, entry.outputs[SOFTNESS])
    blur = make.number("MULTIPLY", blur, blur)
    broader = make.node("ShaderNodeCombineXYZ")
    for socket, side in zip(
        broader.inputs, make.parts(make.named("scale", "FLOAT_VECTOR")), strict=True
    ):
        make.link(make.number("SQRT", make.number("MULTIPLY_ADD", side, side, blur)), socket)
    shown = make.node("FunctionNodeSeparateColor")
    make.link(make.named("radiance:base", "FLOAT_COLOR"), shown.inputs[0])
    blended = make.node("FunctionNodeCombineColor")
    shifts = make.parts(make.named(SHIFT, "FLOAT_VECTOR"))
    for index, shift in enumerate(shifts):
        make.link(make.number("ADD", shown.outputs[index], shift), blended.inputs[index])
    make.link(shown.outputs["Alpha"], blended.inputs["Alpha"])
    geometry = make.store(entry.outputs["Geometry"], "scale", "FLOAT_VECTOR", broader.outputs[0])
    geometry = make.store(geometry, "radiance:base", "FLOAT_COLOR", blended.outputs[0])
    make.link(geometry, exit_.inputs["Geometry"])
    return group


def lit_material() -> Any:
    """The material by which Blender's lights light splats: what the shot's own light is divided
    out of, on the smooth normals of the surface, each part as rough as it is. One for all
    performers, in which an artist's own nodes stay."""
    known = bpy.data.materials.get((_LIT, None))
    if known is not None:
        renew_material(known)
        return known
    material = bpy.data.materials.new(_LIT)
    material[_MADE_AS] = VERSION
    nodes, link = material.node_tree.nodes, material.node_tree.links.new
    nodes.clear()
    albedo, normal, rough = (nodes.new("ShaderNodeAttribute") for _ in range(3))
    for node, name in ((albedo, ALBEDO), (normal, NORMAL), (rough, ROUGHNESS)):
        node.attribute_name = name
    turned = _into_the_world(material.node_tree, normal.outputs["Vector"])
    skin, output = nodes.new("ShaderNodeBsdfPrincipled"), nodes.new("ShaderNodeOutputMaterial")
    skin.inputs["Specular IOR Level"].default_value = 0.25
    link(albedo.outputs["Color"], skin.inputs["Base Color"])
    link(rough.outputs["Fac"], skin.inputs["Roughness"])
    link(turned, skin.inputs["Normal"])
    link(skin.outputs[0], output.inputs["Surface"])
    places = {albedo: (-300, 0), rough: (-300, -200), turned.node: (-300, -400), output: (400, 0)}
    places[normal] = (-600, -400)
    for node, place in places.items():
        node.location = place
    return material


def _into_the_world(tree: Any, normal: Any) -> Any:
    """A normal of an object's own space in the world's, where splats take theirs, and in that of
    each instance."""
    turned = tree.nodes.new("ShaderNodeVectorTransform")
    turned.vector_type, turned.convert_from, turned.convert_to = "NORMAL", "OBJECT", "WORLD"
    tree.links.new(normal, turned.inputs["Vector"])
    return turned.outputs["Vector"]


def renew_material(material: Any) -> None:
    """Lets a material of an earlier version, which took normals in the world, take those that are
    carried now; what an artist has made of it stays."""
    if is_current(material):
        return
    tree = material.node_tree
    for link in list(tree.links):
        node, target = link.from_node, link.to_socket
        own = node.type == "ATTRIBUTE" and node.attribute_name == NORMAL
        if own and link.to_node.type != "VECT_TRANSFORM":
            tree.links.new(_into_the_world(tree, link.from_socket), target)
    material[_MADE_AS] = VERSION


def shadow_tree() -> Any:
    """A node group that shows a surface, a little inside of it, to throw its shadow: at its own
    place it would shade the splats on it in blotches."""
    group, current = _shared("PortraitGen Shadow")
    if current:
        return group
    make = _emptied(group, **{SURFACE: "Object"})
    entry, exit_ = make.node("NodeGroupInput"), make.node("NodeGroupOutput")
    info = make.object_info(entry.outputs[SURFACE], "ORIGINAL")
    normal = make.node("GeometryNodeInputNormal").outputs[0]
    # What faces inwards would come out, in front of the lips.
    outer = make.node("GeometryNodeDeleteGeometry", domain="FACE")
    make.link(info.outputs["Geometry"], outer.inputs["Geometry"])
    make.link(make.named(INSIDE, "INT"), outer.inputs["Selection"])
    # Lids and lips fold: by its own normal the far side of a fold would move outwards.
    smooth = [make.node("GeometryNodeBlurAttribute", data_type="FLOAT_VECTOR") for _ in range(2)]
    place = make.node("GeometryNodeInputPosition").outputs[0]
    for node, values in zip(smooth, (place, normal), strict=True):
        make.link(values, node.inputs["Value"])
        node.inputs["Iterations"].default_value = _SMOOTHED
    inwards = make.vector("SCALE", make.vector("NORMALIZE", smooth[1].outputs[0]), scale=-_INSIDE)
    moved = make.node("GeometryNodeSetPosition")
    make.link(outer.outputs[0], moved.inputs["Geometry"])
    make.link(make.vector("ADD", smooth[0].outputs[0], inwards), moved.inputs["Position"])
    make.link(moved.outputs[0], exit_.inputs["Geometry"])
    return group
