# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tracked performance on an artist's own character: its face shapes, and its bones.

Shapes are found by ARKit's names as studios spell them. Bones are mapped by presets; each turns as
the performer's joint does, counted from where limbs lie at rest in either rig.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Quaternion, Vector

from portraitgen.errors import ShotError

from . import camera, compat
from .rig import FACE, Rig, RigData

EYE_SIDEWAYS, EYE_UP = 0.5236, 0.4363
"""How far an eye is turned where a look's weight is 1, radians; as in ARKit tables."""
# How far the open body's unit opens the jaw, radians.
_JAW_OPEN = 0.35
# Body space (y up, facing z) to Blender's (z up, facing -y).
_TO_BLENDER = Matrix(((1, 0, 0), (0, 0, -1), (0, 1, 0)))
_TO_UPRIGHT = Matrix(((1, 0, 0), (0, -1, 0), (0, 0, -1)))
_SIDES = (("left", "L", "l"), ("right", "R", "r"))
_FINGERS = ("index", "middle", "pinky", "ring", "thumb")


def _preset(body: Mapping[str, str], sided: Mapping[str, str], finger: str) -> dict[str, str]:
    """Joint names to bone names: {S} and {s} are the side as a letter, {side} as a word."""
    found = dict(body)
    for side, upper, lower in _SIDES:
        words = {"S": upper, "s": lower, "Side": side.title()}
        found |= {f"{side}_{joint}": bone.format(**words) for joint, bone in sided.items()}
        for name in _FINGERS if finger else ():
            for bone in (1, 2, 3):
                prefix = "" if name == "thumb" else "f_"
                found[f"{side}_{name}{bone}"] = finger.format(
                    f=name, F=name.title(), n=bone, f_=prefix, **words
                )
    return found


PRESETS: dict[str, dict[str, str]] = {
    "RIGIFY": _preset(
        {
            "pelvis": "torso",
            "spine1": "spine_fk.001",
            "spine2": "spine_fk.002",
            "spine3": "spine_fk.003",
            "neck": "neck",
            "head": "head",
            "jaw": "jaw_master",
        },
        {
            "collar": "shoulder.{S}",
            "shoulder": "upper_arm_fk.{S}",
            "elbow": "forearm_fk.{S}",
            "wrist": "hand_fk.{S}",
            "eye_smplhf": "eye.{S}",
        },
        "{f_}{f}.0{n}.{S}",
    ),
    "METARIG": _preset(
        {
            "pelvis": "spine",
            "spine1": "spine.001",
            "spine2": "spine.002",
            "spine3": "spine.003",
            "neck": "spine.004",
            "head": "spine.006",
            "jaw": "jaw",
        },
        {
            "collar": "shoulder.{S}",
            "shoulder": "upper_arm.{S}",
            "elbow": "forearm.{S}",
            "wrist": "hand.{S}",
            "eye_smplhf": "eye.{S}",
        },
        "{f_}{f}.0{n}.{S}",
    ),
    "UNREAL": _preset(
        {
            "pelvis": "pelvis",
            "spine1": "spine_01",
            "spine2": "spine_02",
            "spine3": "spine_03",
            "neck": "neck_01",
            "head": "head",
        },
        {
            "collar": "clavicle_{s}",
            "shoulder": "upperarm_{s}",
            "elbow": "lowerarm_{s}",
            "wrist": "hand_{s}",
        },
        "{f}_0{n}_{s}",
    ),
    "MIXAMO": _preset(
        {
            "pelvis": "mixamorig:Hips",
            "spine1": "mixamorig:Spine",
            "spine2": "mixamorig:Spine1",
            "spine3": "mixamorig:Spine2",
            "neck": "mixamorig:Neck",
            "head": "mixamorig:Head",
        },
        {
            "collar": "mixamorig:{Side}Shoulder",
            "shoulder": "mixamorig:{Side}Arm",
            "elbow": "mixamorig:{Side}ForeArm",
            "wrist": "mixamorig:{Side}Hand",
        },
        "mixamorig:{Side}Hand{F}{n}",
    ),
}
"""Bone maps of rigs that artists have: our joint -> their bone."""

_TRUNK = ("pelvis", "spine1", "spine2", "spine3", "neck", "head")
_LIMBS = ("collar", "shoulder", "elbow", "wrist", *_FINGERS)


@dataclass(frozen=True)
class Transferred:
    """What was done.

    Attributes:
        found: names of the target's shapes or bones that follow.
        missing: names that it has not got.
    """

    found: list[str]
    missing: list[str]


def plain(name: str) -> str:
    """A shape's name as all spellings have it: `blendShape1.EyeBlink_L` -> `eyeblinkleft`."""
    last = re.split(r"[.:|]", name)[-1] if not re.search(r"[._][LR]$", name) else name
    match = re.fullmatch(r"(.*?)[._ ]?(?:(?<=[._ ])|(?<=[a-z]))(L|R|l|r|Left|Right)", last)
    side = ""
    if match and (match[2] in ("Left", "Right") or last[-2:-1] in "._ " or match[2] in "LR"):
        last, side = match[1], {"l": "left", "r": "right"}[match[2][0].lower()]
    last = re.split(r"[.:|]", last.rstrip("._ "))[-1]
    return re.sub(r"[^a-z0-9]", "", last.lower()) + side


def match_shapes(units: list[str], keys: list[str]) -> dict[str, str]:
    """Unit -> shape key of the same meaning."""
    spelled: dict[str, str] = {}
    for key in keys:
        spelled.setdefault(plain(key), key)
    found = {}
    for unit in units:
        wanted = plain(unit)
        fits = [key for name, key in spelled.items() if name == wanted or name.endswith(wanted)]
        exact = spelled.get(wanted)
        if exact or len(fits) == 1:
            found[unit] = exact or fits[0]
    return found


def drive_shapes(rig: Rig, data: RigData, target: Any) -> Transferred:
    """Drives a mesh's shape keys by the rig's face: whatever the artist changes there follows.

    Args:
        target: a mesh object with shape keys of ARKit's names.

    Raises:
        ShotError: if it has none, or the track's units have no such names.
    """
    keys, matched = _matched(data, target)
    for unit, key in matched.items():
        block = keys[key]
        block.driver_remove("value")
        driver = block.driver_add("value").driver
        look = _look(unit)
        if look is None:
            driver.type = "SUM"
            variable = driver.variables.new()
            variable.targets[0].id = rig.armature
            variable.targets[0].data_path = f'pose.bones["{FACE}"]["{unit}"]'
            continue
        bone, channel, sign, reach = look
        driver.type = "SCRIPTED"
        variable = driver.variables.new()
        variable.name, variable.type = "turn", "TRANSFORMS"
        aim = variable.targets[0]
        aim.id, aim.bone_target = rig.armature, bone
        aim.transform_type, aim.transform_space = channel, "LOCAL_SPACE"
        aim.rotation_mode = "AUTO"
        driver.expression = f"max(0, {sign / reach:.4f} * turn)"
    return Transferred(sorted(matched.values()), _without(data, matched))


def key_shapes(rig: Rig, data: RigData, target: Any, offset: int) -> Transferred:
    """Keys a mesh's shape keys with the tracked performance, as a new action of theirs.

    Raises:
        ShotError: as `drive_shapes`.
    """
    keys, matched = _matched(data, target)
    arrays = data.arrays
    channels = []
    for unit, key in matched.items():
        keys[key].driver_remove("value")
        values = arrays["expression"][:, data.units.index(unit)]
        look = _look(unit)
        if look is not None:
            bone, channel, sign, reach = look
            turn = arrays["pose"][:, data.joints.index(bone)]
            # About the body's axes: up for ROT_Z, the left for ROT_X, as the bone's local ones lie.
            axis = turn[:, 1] if channel == "ROT_Z" else -turn[:, 0]
            values = np.maximum(0, sign / reach * axis)
        name = bpy.utils.escape_identifier(keys[key].name)
        channels.append((f'key_blocks["{name}"].value', 0, values))
    owner = target.data.shape_keys
    action, slot = compat.keyed_action(
        f"{target.name} performance", owner, channels, arrays["frames"] + offset
    )
    animation = owner.animation_data_create()
    animation.action, animation.action_slot = action, slot
    return Transferred(sorted(matched.values()), _without(data, matched))


def _matched(data: RigData, target: Any) -> tuple[Any, dict[str, str]]:
    if target is None or target.type != "MESH" or target.data.shape_keys is None:
        raise ShotError(
            "it has no shape keys",
            target.name if target else "the active object",
            "select the character's face mesh, with shapes of ARKit's names",
        )
    if data.units[0].startswith("expr_"):
        raise ShotError(
            "the shot's face has principal directions, not ARKit's shapes",
            target.name,
            "export weights with `portraitgen export-track SHOT face.csv`, or track the shot on"
            " the open body",
        )
    keys = target.data.shape_keys.key_blocks
    matched = match_shapes(data.units, [key.name for key in keys[1:]])
    if not matched:
        raise ShotError(
            "none of its shape keys has a name of ARKit's 52 shapes",
            target.name,
            "name them as ARKit does, such as jawOpen and eyeBlinkLeft",
        )
    return keys, matched


def _without(data: RigData, matched: Mapping[str, str]) -> list[str]:
    return [unit for unit in data.units if unit not in matched]


def _look(unit: str) -> tuple[str, str, float, float] | None:
    """For a shape of looking: the eye's bone, its channel, sign and reach; None for the others."""
    match = re.fullmatch(r"eyeLook(In|Out|Up|Down)(Left|Right)", unit)
    if match is None:
        return None
    bone = f"{match[2].lower()}_eye_smplhf"
    if match[1] in ("In", "Out"):
        sign = 1.0 if (match[1] == "Out") == (match[2] == "Left") else -1.0
        return bone, "ROT_Z", sign, EYE_SIDEWAYS
    return bone, "ROT_X", -1.0 if match[1] == "Down" else 1.0, EYE_UP


# Bones


def best_preset(target: Any) -> str:
    """The preset most of whose bones an armature has; empty if none fits."""
    names = set(target.data.bones.keys())
    share = {key: len(names & set(bones.values())) for key, bones in PRESETS.items()}
    best = max(share, key=lambda key: share[key])
    return best if share[best] >= 4 else ""


def transfer_bones(data: RigData, target: Any, preset: str, offset: int) -> Transferred:
    """Keys an armature's bones with the tracked performance, as a new action.

    The character turns as the performer does before an upright camera; where it stands is left to
    the artist. Constraints and follow settings of the rig stay in force: bones are set one depth
    after the other, each with what those above it evaluate to.

    Args:
        target: an armature object in the view layer.
        preset: of `PRESETS`.
        offset: scene frame minus footage frame.

    Raises:
        ShotError: if it has no bones of the preset.
    """
    mapping = PRESETS[preset]
    bones = target.pose.bones
    pairs = [(joint, bones[name]) for joint, name in mapping.items() if name in bones]
    if len(pairs) < 3:
        raise ShotError(
            f"it has only {len(pairs)} bones of this preset",
            target.name,
            "choose the preset that its bones are named by",
        )
    for limb in bones:
        if "IK_FK" in limb.keys():
            limb["IK_FK"] = 1.0
    axes = _axes(pairs)
    levels = _levels(data)
    pairs.sort(key=lambda pair: levels[pair[0]])
    depths = [levels[joint] for joint, _ in pairs]
    turns = _turns(data)
    rest = {bone.name: bone.bone.matrix_local.to_3x3() for _, bone in pairs}
    aligned = {
        bone.name: _aligned(data, joint, bone, axes) @ rest[bone.name] for joint, bone in pairs
    }
    frames = data.arrays["frames"] + offset
    names = [bone.name for _, bone in pairs]
    kept: dict[str, list[Quaternion]] = {name: [] for name in names}
    scene, layer = bpy.context.scene, bpy.context.view_layer
    before = scene.frame_current
    animation = target.animation_data_create()
    held, animation.action = animation.action, None
    with _hidden_meshes(scene), camera.unstretched(scene):
        for row in range(len(frames)):
            scene.frame_set(int(frames[row]))
            for index, (joint, bone) in enumerate(pairs):
                turn = axes @ turns[joint][row] @ axes.transposed()
                matrix = (turn @ aligned[bone.name]).to_4x4()
                matrix.translation = bone.matrix.translation
                bone.matrix = matrix
                if index + 1 < len(pairs) and depths[index + 1] > depths[index]:
                    layer.update()
            for _, bone in pairs:
                kept[bone.name].append(bone.matrix_basis.to_quaternion())
    channels = [channel for name in names for channel in _channels(bones[name], kept[name])]
    # Where bones were moved to hold their matrices they go back to: only turns are keyed.
    for _, bone in pairs:
        bone.location = (0, 0, 0)
    action, slot = compat.keyed_action(f"{target.name} performance", target, channels, frames)
    animation.action, animation.action_slot = action, slot
    if held is not None:
        held.use_fake_user = True
    scene.frame_set(before)
    present = set(names)
    return Transferred(names, [name for name in mapping.values() if name not in present])


def _axes(pairs: list[tuple[str, Any]]) -> Matrix:
    """The turn from axes with z up, in which a character faces -y, to those of an armature.

    FBX brings characters with y up and lays them over by their object; some face elsewhere. How
    the bones rest tells it, to a quarter of a turn.
    """
    heads = {joint: bone.bone.head_local for joint, bone in pairs}
    sides = next(
        (
            heads[f"left_{joint}"] - heads[f"right_{joint}"]
            for joint in ("shoulder", "elbow", "wrist", "collar")
            if {f"left_{joint}", f"right_{joint}"} <= heads.keys()
        ),
        None,
    )
    trunk = [heads[joint] for joint in _TRUNK if joint in heads]
    if sides is None or len(trunk) < 2:
        return Matrix.Identity(3)
    left, up = _quarter(sides), _quarter(trunk[-1] - trunk[0])
    if abs(left.dot(up)) > 0:
        return Matrix.Identity(3)
    return Matrix((left, up.cross(left), up)).transposed()


def _quarter(way: Vector) -> Vector:
    """The axis that a direction lies nearest to."""
    axis = max(range(3), key=lambda each: abs(way[each]))
    found = Vector((0.0, 0.0, 0.0))
    found[axis] = 1.0 if way[axis] > 0 else -1.0
    return found


def _levels(data: RigData) -> dict[str, int]:
    """How many joints lie above each."""
    found: dict[str, int] = {}
    for joint, parent in zip(data.joints, data.arrays["parents"].tolist(), strict=True):
        found[joint] = found[data.joints[parent]] + 1 if parent >= 0 else 0
    return found


@contextmanager
def _hidden_meshes(scene: Any) -> Iterator[None]:
    """No skin is evaluated while bones are set, frame by frame."""
    shown = [each for each in scene.objects if each.type == "MESH" and not each.hide_viewport]
    for each in shown:
        each.hide_viewport = True
    try:
        yield
    finally:
        for each in shown:
            each.hide_viewport = False


def _turns(data: RigData) -> dict[str, list[Matrix]]:
    """Every joint's turn from rest in Blender's upright axes, a matrix a frame."""
    from .rotations import quaternions

    arrays = data.arrays
    pose = arrays["pose"].astype(np.float64).copy()
    if "jawOpen" in data.units:
        jaw = data.joints.index("jaw")
        pose[:, jaw, 0] += _JAW_OPEN * arrays["expression"][:, data.units.index("jawOpen")]
    local = quaternions(pose)
    parents = arrays["parents"]
    found: dict[str, list[Matrix]] = {joint: [] for joint in data.joints}
    for row in range(len(pose)):
        whole: list[Quaternion] = []
        for joint, name in enumerate(data.joints):
            own = Quaternion(local[row, joint])
            parent = int(parents[joint])
            whole.append(own if parent < 0 else whole[parent] @ own)
            upright = _TO_UPRIGHT @ whole[joint].to_matrix()
            found[name].append(_TO_BLENDER @ upright @ _TO_BLENDER.transposed())
    return found


def _aligned(data: RigData, joint: str, bone: Any, axes: Matrix) -> Matrix:
    """The turn from where a limb's bone rests to where the body's limb does."""
    if not any(part in joint for part in _LIMBS):
        return Matrix.Identity(3)
    joints, parents = data.arrays["joints"], data.arrays["parents"]
    index = data.joints.index(joint)
    children = np.flatnonzero(parents == index)
    if len(children):
        reach = joints[children].mean(0) - joints[index]
    else:
        reach = joints[index] - joints[parents[index]]
    wanted = axes @ _TO_BLENDER @ Vector(reach.astype(float))
    own = bone.bone.tail_local - bone.bone.head_local
    return own.rotation_difference(wanted).to_matrix()


def _channels(bone: Any, turns: list[Quaternion]) -> list[tuple[str, int, np.ndarray]]:
    path = f'pose.bones["{bone.name}"]'
    if bone.rotation_mode == "QUATERNION":
        for before, after in zip(turns, turns[1:], strict=False):
            after.make_compatible(before)
        values = np.array(turns)
        return [(f"{path}.rotation_quaternion", part, values[:, part]) for part in range(4)]
    if bone.rotation_mode == "AXIS_ANGLE":
        bone.rotation_mode = "XYZ"
    eulers = [turns[0].to_euler(bone.rotation_mode)]
    for turn in turns[1:]:
        eulers.append(turn.to_euler(bone.rotation_mode, eulers[-1]))
    values = np.array(eulers)
    return [(f"{path}.rotation_euler", part, values[:, part]) for part in range(3)]
