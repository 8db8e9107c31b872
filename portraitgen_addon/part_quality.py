# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How good each part of a track is: curves, colours on the body, and arms that nobody saw hidden.

Curves are custom properties of the body object with an action of its own, which the Graph Editor
shows. Colours are a colour attribute, of the frame that is shown. Hidden parts shrink to a point
of what stays, so that faces and vertices keep their numbers: pins and splats count on them.
"""

from typing import Any

import bpy
import numpy as np

from . import compat, rig

PREFIX = "quality "
ATTRIBUTE = "PortraitGen Quality"
MODIFIER = "PortraitGen Unseen"
_HIDDEN, _ANCHOR = "portraitgen_hidden", "portraitgen_anchor"
LABELS = {
    "face": "Face",
    "left_ear": "Left Ear",
    "right_ear": "Right Ear",
    "shoulders": "Torso",
    "left_arm": "Left Arm",
    "right_arm": "Right Arm",
    "left_forearm": "Left Forearm",
    "right_forearm": "Right Forearm",
    "left_hand": "Left Hand",
    "right_hand": "Right Hand",
}
GOOD = {"face": 1.5, "left_ear": 35.0, "right_ear": 35.0, "left_hand": 30.0, "right_hand": 30.0}
"""Up to which residual a part is good, % of the eye distance (9 cm)."""
GOOD_BODY = 20.0
"""The same of other parts: landmarks name joints under cloth to two centimetres or so, ears and
knuckles to three."""
_POOR = 2.5  # Times the good one a residual is poor.
_GREEN, _YELLOW, _RED = (0.1, 0.75, 0.25), (0.95, 0.75, 0.1), (0.9, 0.15, 0.1)
_GUESSED, _OTHER = (0.35, 0.35, 0.4), (0.55, 0.6, 0.65)

# The joints whose vertices belong to a part, by name.
_CARRIES = {
    "face": ("head", "jaw", "left_eye_smplhf", "right_eye_smplhf"),
    "shoulders": ("spine1", "spine2", "spine3", "left_collar", "right_collar", "neck"),
    "left_arm": ("left_shoulder",),
    "right_arm": ("right_shoulder",),
    "left_forearm": ("left_elbow",),
    "right_forearm": ("right_elbow",),
}
_FINGERS = ("wrist", "index", "middle", "pinky", "ring", "thumb")
# What is hidden with a part that nobody saw, and the joint at which it ends.
_WITH = {
    "left_arm": (("left_arm", "left_forearm", "left_hand"), "left_shoulder"),
    "right_arm": (("right_arm", "right_forearm", "right_hand"), "right_shoulder"),
    "left_forearm": (("left_forearm", "left_hand"), "left_elbow"),
    "right_forearm": (("right_forearm", "right_hand"), "right_elbow"),
}
_EAR = 0.035


def good(part: str) -> float:
    """Up to which residual a part is as good as its landmarks can tell, % of the eye distance."""
    return GOOD.get(part, GOOD_BODY)


def seems_right(part: str, residual: float) -> bool:
    """Whether a part looks right on the plate. The landmarks of ears and hands lie as far off as
    half an ear is wide: a residual that only they explain is no fault, and no good mark either."""
    return residual <= min(good(part), GOOD_BODY)


def parts_of(bundle: rig.RigData) -> dict[str, np.ndarray]:
    """The residual of each part, (T,), NaN where it was not seen; of tracks of earlier versions
    nothing is known."""
    values = bundle.arrays.get("part_residual")
    if values is None:
        return {}
    return {part: values[row] for row, part in enumerate(bundle.parts) if part in LABELS}


def show(built: rig.Rig, name: str, bundle: rig.RigData, offset: int, hide: bool) -> None:
    """Gives a rig the curves and the colours of its track, and hides what nobody saw.

    Args:
        name: of the shot.
        offset: scene frame minus footage frame.
        hide: whether guessed arms are hidden.
    """
    _curves(built.mesh, name, bundle, offset)
    _hide(built.mesh, bundle, hide)
    data = built.mesh.data
    if ATTRIBUTE not in data.color_attributes:
        data.color_attributes.new(ATTRIBUTE, "FLOAT_COLOR", "POINT")
    data.color_attributes.active_color = data.color_attributes[ATTRIBUTE]
    paint(built.mesh, bundle, int(bundle.arrays["frames"][0]))


def _curves(mesh: Any, name: str, bundle: rig.RigData, offset: int) -> None:
    channels = []
    for part, values in parts_of(bundle).items():
        key = PREFIX + LABELS[part]
        if not np.isfinite(values).any():
            if key in mesh:
                del mesh[key]
            continue
        mesh[key] = 0.0
        mesh.id_properties_ui(key).update(
            min=0.0,
            soft_max=_POOR * good(part),
            description="How far the part lies from where the plate shows it, % of the eye"
            " distance",
        )
        channels.append((f'["{key}"]', 0, _bridged(values)))
    data = mesh.animation_data_create()
    before = data.action
    if channels:
        action, slot = compat.keyed_action(
            f"{name} quality", mesh, channels, bundle.arrays["frames"] + offset
        )
        data.action, data.action_slot = action, slot
    else:
        data.action = None
    if before is not None and not before.users:
        bpy.data.actions.remove(before)


def _bridged(values: np.ndarray) -> np.ndarray:
    """Values with the frames that have none between those that have."""
    known = np.isfinite(values)
    rows = np.arange(len(values))
    found: np.ndarray = np.interp(rows, rows[known], values[known])
    return found


def vertex_parts(bundle: rig.RigData) -> np.ndarray:
    """The part of each vertex as an index into `LABELS`, -1 for none, int (V,)."""
    arrays = bundle.arrays
    names = list(LABELS)
    of_joint = np.full(len(bundle.joints), -1)
    for joint, title in enumerate(bundle.joints):
        for part, joints in _CARRIES.items():
            if title in joints:
                of_joint[joint] = names.index(part)
        side, _, what = title.partition("_")
        if side in ("left", "right") and what.startswith(_FINGERS):
            of_joint[joint] = names.index(f"{side}_hand")
    main = np.zeros(len(arrays["vertices"]), int)
    order = np.argsort(arrays["weight_values"], kind="stable")
    main[arrays["weight_vertices"][order]] = arrays["weight_joints"][order]
    found: np.ndarray = of_joint[main]
    vertices = arrays["vertices"]
    head = np.flatnonzero(found == names.index("face"))
    for ear, way in (("left_ear", 1.0), ("right_ear", -1.0)):
        # The ear stands out of the head, to a side.
        tip = vertices[head[(way * vertices[head, 0]).argmax()]]
        near = head[np.linalg.norm(vertices[head] - tip, axis=1) < _EAR]
        found[near] = names.index(ear)
    return found


def paint(mesh: Any, bundle: rig.RigData, frame: int) -> None:
    """Colours the body by the quality of its parts in a frame of the plate: green is good, red
    poor, dark what is guessed."""
    attribute = mesh.data.color_attributes.get(ATTRIBUTE)
    if attribute is None:
        return
    frames = bundle.arrays["frames"]
    row = int(np.clip(np.searchsorted(frames, frame), 0, len(frames) - 1))
    colours = np.empty((len(LABELS) + 1, 4), np.float32)
    colours[:] = (*_OTHER, 1.0)
    for part, values in parts_of(bundle).items():
        colours[list(LABELS).index(part), :3] = colour(part, float(values[row]))
    attribute.data.foreach_set("color", colours[vertex_parts(bundle)].ravel())
    mesh.data.update()


def colour(part: str, residual: float) -> tuple[float, float, float]:
    """What a part looks like with a residual, % of the eye distance; NaN where it is guessed."""
    if not np.isfinite(residual):
        return _GUESSED
    share = residual / good(part)
    low, high, between = _GREEN, _YELLOW, share
    if share > 1:
        low, high, between = _YELLOW, _RED, min((share - 1) / (_POOR - 1), 1.0)
    mixed = [a + between * (b - a) for a, b in zip(low, high, strict=True)]
    return mixed[0], mixed[1], mixed[2]


def _hide(mesh: Any, bundle: rig.RigData, hide: bool) -> None:
    labels, names = vertex_parts(bundle), list(LABELS)
    hidden = np.zeros(len(labels), bool)
    anchor = np.arange(len(labels), dtype=np.int32)
    vertices, joints = bundle.arrays["vertices"], bundle.arrays["joints"]
    for part, (gone, joint) in _WITH.items():
        if part not in bundle.guessed:
            continue
        rows = np.isin(labels, [names.index(each) for each in gone]) & ~hidden
        kept = np.flatnonzero(~np.isin(labels, [names.index(each) for each in gone]) & ~hidden)
        root = joints[bundle.joints.index(joint)]
        anchor[rows] = kept[np.linalg.norm(vertices[kept] - root, axis=1).argmin()]
        hidden |= rows
    attributes = mesh.data.attributes
    for title, kind, values in ((_HIDDEN, "BOOLEAN", hidden), (_ANCHOR, "INT", anchor)):
        made = attributes.get(title) or attributes.new(title, kind, "POINT")
        made.data.foreach_set("value", values)
    modifier = mesh.modifiers.get(MODIFIER)
    if not hidden.any():
        if modifier is not None:
            mesh.modifiers.remove(modifier)
        return
    if modifier is None:
        modifier = mesh.modifiers.new(MODIFIER, "NODES")
    modifier.node_group = _tree()
    modifier.show_viewport, modifier.show_render = hide, False
    mesh.data.update()


def hide_unseen(mesh: Any, hide: bool) -> None:
    """Hides the arms that nobody saw, or shows them as they are guessed."""
    modifier = mesh.modifiers.get(MODIFIER)
    if modifier is not None:
        modifier.show_viewport = hide


def hides(mesh: Any) -> bool:
    """Whether there is something of a body that nobody saw."""
    return MODIFIER in mesh.modifiers


def _tree() -> Any:
    """The nodes that shrink hidden vertices to a point of what stays."""
    tree = bpy.data.node_groups.get(MODIFIER)
    if tree is not None:
        return tree
    tree = bpy.data.node_groups.new(MODIFIER, "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    nodes, links = tree.nodes, tree.links
    start, end = nodes.new("NodeGroupInput"), nodes.new("NodeGroupOutput")
    hidden, anchor = (nodes.new("GeometryNodeInputNamedAttribute") for _ in range(2))
    hidden.data_type, anchor.data_type = "BOOLEAN", "INT"
    hidden.inputs["Name"].default_value = _HIDDEN
    anchor.inputs["Name"].default_value = _ANCHOR
    place, sample = nodes.new("GeometryNodeInputPosition"), nodes.new("GeometryNodeSampleIndex")
    sample.data_type, sample.domain = "FLOAT_VECTOR", "POINT"
    moved = nodes.new("GeometryNodeSetPosition")
    links.new(start.outputs[0], sample.inputs["Geometry"])
    links.new(place.outputs[0], _enabled(sample.inputs, "Value"))
    links.new(_enabled(anchor.outputs, "Attribute"), sample.inputs["Index"])
    links.new(start.outputs[0], moved.inputs["Geometry"])
    links.new(_enabled(hidden.outputs, "Attribute"), moved.inputs["Selection"])
    links.new(_enabled(sample.outputs, "Value"), moved.inputs["Position"])
    links.new(moved.outputs[0], end.inputs[0])
    for index, node in enumerate((start, hidden, anchor, place, sample, moved, end)):
        node.location.x = 180 * index
    return tree


def _enabled(sockets: Any, name: str) -> Any:
    """The socket of a name that the node's data type has switched on."""
    return next(each for each in sockets if each.name == name and each.enabled)
