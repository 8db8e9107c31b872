# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the rig's bones lie, what they look like and in which collections they are found."""

from typing import Any

import bpy
import numpy as np

# The child a bone points to where it has several, by SMPL-X's order of joints.
_TOWARDS = {0: 3, 9: 12, 12: 15, 20: 28, 21: 43}
_HEAD, _JAW, _EYES = 15, 22, (23, 24)
_LENGTHS = {_HEAD: 0.15, _JAW: 0.09, _EYES[0]: 0.04, _EYES[1]: 0.04}
_COLLECTIONS = {
    "Head": ("neck", "head"),
    "Face": ("face", "jaw", "left_eye_smplhf", "right_eye_smplhf"),
}
_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
# They have to be seen over skin, hair and any plate.
_COLOURS = {
    "Body": (0.75, 0.85, 1.0),
    "Head": (1.0, 0.75, 0.1),
    "Face": (0.3, 1.0, 0.4),
    "Hands": (1.0, 0.5, 0.2),
}


def bone_frames(joints: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How bones lie at rest: along the limb, the head upwards, the jaw and the eyes forwards.

    Args:
        joints: (55, 3), parents: (55,).

    Returns:
        Rotations (55, 3, 3) whose second column runs along the bone, and lengths (55,), metres.
    """
    count = len(joints)
    frames, lengths = np.empty((count, 3, 3)), np.empty(count)
    for joint in range(count):
        children = np.flatnonzero(parents == joint)
        child = _TOWARDS.get(joint, int(children[0]) if len(children) else None)
        reach = joints[child] - joints[joint] if child is not None else np.zeros(3)
        lengths[joint] = _LENGTHS.get(joint, max(float(np.linalg.norm(reach)), 0.02))
        if joint == _HEAD:
            along = np.array([0.0, 1, 0])
        elif joint == _JAW:
            along = np.array([0.0, -0.5, 1])
        elif joint in _EYES:
            along = np.array([0.0, 0, 1])
        elif child is not None:
            along = reach
        else:
            along = joints[joint] - joints[parents[joint]]
        y = along / np.linalg.norm(along)
        forwards = np.array([0.0, 0, 1]) if abs(y[2]) < 0.8 else np.array([0.0, 1, 0])
        x = np.cross(y, forwards)
        x /= np.linalg.norm(x)
        frames[joint] = np.stack([x, y, np.cross(x, y)], axis=1)
    return frames, lengths


def collection_of(bone: str) -> str:
    """The bone collection in which an artist looks for a bone."""
    for name, bones in _COLLECTIONS.items():
        if bone in bones:
            return name
    return "Hands" if any(finger in bone for finger in _FINGERS) else "Body"


def dress(armature: Any) -> None:
    """Sorts the bones into collections and gives them shapes that can be clicked."""
    data = armature.data
    collections = {name: data.collections.new(name) for name in _COLOURS}
    ring, ball, square = (
        _shape("ring", _ring()),
        _shape("ball", _ball()),
        _shape("square", _square()),
    )
    for bone in armature.pose.bones:
        group = collection_of(bone.name)
        collections[group].assign(data.bones[bone.name])
        bone.color.palette = "CUSTOM"
        bone.color.custom.normal = _COLOURS[group]
        bone.color.custom.select = (1.0, 1.0, 1.0)
        bone.color.custom.active = (0.1, 0.9, 1.0)
        bone.use_custom_shape_bone_size = False
        if bone.name == "face":
            bone.custom_shape, size = square, 0.035
        elif bone.name in _COLLECTIONS["Face"]:
            bone.custom_shape, size = ball, 0.012
            bone.custom_shape_translation = (0, bone.length, 0)
        elif group == "Hands":
            bone.custom_shape, size = ball, 0.008
        elif bone.name == "head":
            bone.custom_shape, size = ring, 0.13
            bone.custom_shape_translation = (0, 0.1, 0)
        else:
            bone.custom_shape = ring
            size = 0.07 if bone.name in ("neck", "left_wrist", "right_wrist") else 0.11
        bone.custom_shape_scale_xyz = (size, size, size)
    armature.show_in_front = True
    data.show_bone_custom_shapes = True


def _ring() -> list[np.ndarray]:
    turn = np.linspace(0, 2 * np.pi, 33)
    return [np.stack([np.cos(turn), np.zeros(33), np.sin(turn)], axis=1)]


def _ball() -> list[np.ndarray]:
    flat = _ring()[0]
    return [flat, flat[:, [0, 2, 1]], flat[:, [1, 0, 2]]]


def _square() -> list[np.ndarray]:
    return [np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1], [-1, 0, -1]], np.float64)]


def _shape(name: str, lines: list[np.ndarray]) -> Any:
    """An object of wires for bones to look like, shared by all rigs of the file."""
    name = f"PortraitGen {name}"
    if (known := bpy.data.objects.get(name)) is not None:
        return known
    points: list[list[float]] = []
    edges: list[tuple[int, int]] = []
    for line in lines:
        start = len(points)
        points += line.tolist()
        edges += [(start + index, start + index + 1) for index in range(len(line) - 1)]
    data = bpy.data.meshes.new(name)
    data.from_pydata(points, edges, [])
    return bpy.data.objects.new(name, data)
