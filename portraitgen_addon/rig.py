# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A track as an editable rig: armature, mesh with shape keys, keys on every frame; and back.

The armature hangs under the plate's camera with OpenCV's axes, so that its root bone carries the
camera-space pose. A joint's rotation R becomes the bone's by its rest rotation B: B^T R B. The
facial units are custom properties of the bone "face" that drive the shape keys, since only
properties of pose bones combine rightly with the artist's layer.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bmesh
import bpy
import numpy as np
from mathutils import Matrix, Quaternion, Vector

from portraitgen.bounded_json import parse_json
from portraitgen.errors import ShotError
from portraitgen.records import CameraRecord, RigFacts

from . import compat, rotations, tensors
from .camera import FLIP
from .rig_shapes import bone_frames, dress

FACE = "face"
TRACKED = "Tracked"
ERROR = "tracking_error"
# What an armature tells of its keys: the footage frame of the first, and the offset they lie at.
FIRST, OFFSET = "portraitgen_first", "portraitgen_offset"
COLOUR = (0.1, 0.8, 1.0, 0.22)
# Bones that slide or stretch have no counterpart in the body model.
_LOOSE = 1e-4


@dataclass(frozen=True)
class RigData:
    """What the backend exported of a track; arrays as `rig.export` documents them."""

    arrays: dict[str, np.ndarray]
    version: int
    joints: list[str]
    units: list[str]
    camera: CameraRecord
    parts: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: Path) -> "RigData":
        """Reads the file.

        Raises:
            ShotError: if it is missing or damaged.
        """
        arrays, metadata = tensors.load(path)
        try:
            facts = RigFacts.parse(parse_json(metadata["rig"]))
        except (KeyError, ValueError) as error:
            raise ShotError(
                f"the rig's facts are damaged ({error})", path, "build the rig again"
            ) from error
        return cls(
            arrays=arrays,
            version=facts.version,
            joints=list(facts.joints),
            units=list(facts.units),
            camera=facts.camera,
            parts=facts.parts,
            guessed=facts.guessed,
        )


@dataclass(frozen=True)
class Rig:
    """The objects of a rig."""

    camera: Any
    armature: Any
    mesh: Any


def build(name: str, bundle: RigData, camera: Any, collection: Any, offset: int) -> Rig:
    """Builds a rig under a camera.

    Args:
        name: of the shot, for the data-blocks.
        bundle: the track.
        camera: the plate's camera object.
        collection: where the objects go.
        offset: scene frame minus footage frame.
    """
    armature = _armature(name, bundle, collection)
    armature.parent = camera
    armature.matrix_parent_inverse = Matrix.Identity(4)
    armature.matrix_basis = FLIP
    mesh = _mesh(name, bundle, collection)
    mesh.parent = armature
    modifier = mesh.modifiers.new("Armature", "ARMATURE")
    modifier.object = armature
    # Dual quaternions would bulge where the backend's linear blending does not.
    modifier.use_deform_preserve_volume = False
    rig = Rig(camera, armature, mesh)
    _drive(rig, bundle)
    data = armature.animation_data_create()
    action, slot = _tracked(name, bundle, armature, offset)
    track = data.nla_tracks.new()
    track.name = TRACKED
    strip = track.strips.new(TRACKED, int(bundle.arrays["frames"][0]) + offset, action)
    compat.point_nla_strip(strip, action, slot)
    start_corrections(rig, name)
    return rig


def show_track(rig: Rig, name: str, bundle: RigData, offset: int) -> None:
    """Lets a rig show another version of the track; the artist's layer stays above it."""
    _set_bones(rig.armature, bundle)
    _set_vertices(rig.mesh, bundle)
    action, slot = _tracked(name, bundle, rig.armature, offset)
    data = rig.armature.animation_data_create()
    track = data.nla_tracks.get(TRACKED)
    if track is None or not track.strips:
        raise ShotError(
            f"the rig has lost its NLA track '{TRACKED}'",
            rig.armature.name,
            "delete the rig and build it again",
        )
    old = track.strips[0].action
    compat.point_nla_strip(track.strips[0], action, slot)
    if old is not None and not old.users:
        bpy.data.actions.remove(old)


def start_corrections(rig: Rig, name: str) -> Any | None:
    """Gives the rig a new, empty layer for the artist's keys above the tracked motion.

    Returns:
        The action that was there before, kept with the file; None if there was none with keys.
    """
    data = rig.armature.animation_data_create()
    before, slot = data.action, data.action_slot
    keyed = before is not None and len(compat.curves(before, slot)) > 0
    if before is not None and keyed:
        before.use_fake_user = True
    action, slot = compat.empty_action(f"{name} corrections", rig.armature)
    data.action = action
    data.action_slot = slot
    data.action_blend_type = "COMBINE"
    data.action_extrapolation = "HOLD"
    if before is not None and not keyed and not before.users:
        bpy.data.actions.remove(before)
    return before if keyed else None


# Building


def _mesh(name: str, bundle: RigData, collection: Any) -> Any:
    arrays = bundle.arrays
    faces, uv = arrays["faces"], arrays["uv"][arrays["uv_faces"].ravel()]
    data = bpy.data.meshes.new(f"{name} body")
    data.vertices.add(len(arrays["vertices"]))
    data.vertices.foreach_set("co", arrays["vertices"].ravel())
    data.loops.add(faces.size)
    data.loops.foreach_set("vertex_index", faces.ravel())
    data.polygons.add(len(faces))
    data.polygons.foreach_set("loop_start", np.arange(0, faces.size, 3, dtype=np.int32))
    data.polygons.foreach_set("use_smooth", np.ones(len(faces), bool))
    data.uv_layers.new(name="UVMap").data.foreach_set("uv", uv.ravel())
    data.update()
    data.validate()
    mesh = bpy.data.objects.new(f"{name} body", data)
    collection.objects.link(mesh)
    _weights(mesh, bundle)
    mesh.shape_key_add(name="Basis", from_mix=False)
    for unit in bundle.units:
        key = mesh.shape_key_add(name=unit, from_mix=False)
        # A new key's value is 1 in some versions, and values clamp to the sliders.
        key.slider_min, key.slider_max, key.value = -10, 10, 0
    _set_vertices(mesh, bundle)
    for part in ("body", "inside"):
        data.materials.append(bpy.data.materials.new(f"{name} {part}"))
    # Rigs exported by earlier versions do not tell what is inside.
    if "inside" in arrays:
        data.polygons.foreach_set("material_index", arrays["inside"])
    tint(mesh, COLOUR)
    mesh.show_wire = mesh.show_all_edges = True
    mesh.hide_select = True
    mesh.hide_render = True
    return mesh


def tint(mesh: Any, colour: Any) -> None:
    """Colours the body over its plate; mouth and eyeballs would only cloud the face."""
    mesh.color = colour
    materials = mesh.data.materials
    if not materials:
        materials.append(bpy.data.materials.new(mesh.name))
    for material, opacity in zip(materials, (colour[3], 0.0), strict=False):
        material.diffuse_color = (*colour[:3], opacity)


def _weights(mesh: Any, bundle: RigData) -> None:
    for joint in bundle.joints:
        mesh.vertex_groups.new(name=joint)
    arrays = bundle.arrays
    made = bmesh.new()
    made.from_mesh(mesh.data)
    layer = made.verts.layers.deform.verify()
    made.verts.ensure_lookup_table()
    triples = zip(
        arrays["weight_vertices"].tolist(),
        arrays["weight_joints"].tolist(),
        arrays["weight_values"].tolist(),
        strict=True,
    )
    vertices = made.verts
    for vertex, joint, weight in triples:
        vertices[vertex][layer][joint] = weight
    made.to_mesh(mesh.data)
    made.free()


def _set_vertices(mesh: Any, bundle: RigData) -> None:
    vertices, units = bundle.arrays["vertices"], bundle.arrays["units"]
    keys = mesh.data.shape_keys.key_blocks
    # What an artist sculpted stays what it is above the new identity.
    own = {key: key_points(key) for key in keys[1:] if key.name not in bundle.units}
    before = key_points(keys[0]) if own else vertices
    mesh.data.vertices.foreach_set("co", vertices.ravel())
    keys[0].points.foreach_set("co", vertices.ravel())
    for key, points in own.items():
        key.points.foreach_set("co", (points - before + vertices).ravel())
    for unit, direction in zip(bundle.units, units, strict=True):
        keys[unit].points.foreach_set("co", (vertices + direction).ravel())
    mesh.data.update()


def key_points(key: Any) -> np.ndarray:
    """Where a shape key puts the vertices, (V, 3)."""
    points = np.empty(len(key.points) * 3, np.float32)
    key.points.foreach_get("co", points)
    return points.reshape(-1, 3)


def _armature(name: str, bundle: RigData, collection: Any) -> Any:
    data = bpy.data.armatures.new(f"{name} rig")
    armature = bpy.data.objects.new(f"{name} rig", data)
    collection.objects.link(armature)
    _set_bones(armature, bundle)
    for bone in armature.pose.bones:
        bone.rotation_mode = "QUATERNION"
        bone.lock_scale = (True, True, True)
        if bone.parent:
            bone.lock_location = (True, True, True)
    dress(armature)
    return armature


def _set_bones(armature: Any, bundle: RigData) -> None:
    """Makes the bones, or moves those there are to another identity's joints."""
    joints = bundle.arrays["joints"].astype(np.float64)
    parents = bundle.arrays["parents"]
    axes, lengths = bone_frames(joints, parents)
    view_layer = bpy.context.view_layer
    before, mode = view_layer.objects.active, armature.mode
    # Edit mode needs the armature in the view layer; a scratch scene holds it where it is not.
    with _edited(armature) as bones:
        for index, joint in enumerate(bundle.joints):
            bone = bones.get(joint) or bones.new(joint)
            bone.head = joints[index]
            bone.tail = joints[index] + axes[index][:, 1] * lengths[index]
            bone.align_roll(Vector(axes[index][:, 2]))
            if parents[index] >= 0:
                bone.parent = bones[bundle.joints[parents[index]]]
                bone.use_connect = False
        head = joints[bundle.joints.index("head")]
        face = bones.get(FACE) or bones.new(FACE)
        face.head = head + (0, 0.03, 0.13)
        face.tail = face.head + Vector((0, 0, 0.05))
        face.parent = bones["head"]
        face.use_deform = False
    if before is not None and before != armature:
        view_layer.objects.active = before
    elif before == armature and mode == "POSE":
        with compat.with_window(bpy.context):
            bpy.ops.object.mode_set(mode="POSE")


class _edited:
    """An armature's edit bones while a `with` block runs."""

    def __init__(self, armature: Any) -> None:
        self._armature = armature
        self._scratch: Any = None

    def __enter__(self) -> Any:
        view_layer = bpy.context.view_layer
        active = view_layer.objects.active
        with compat.with_window(bpy.context):
            if active is not None and active.mode != "OBJECT":
                bpy.ops.object.mode_set(mode="OBJECT")
            if view_layer.objects.get(self._armature.name) != self._armature:
                bpy.context.scene.collection.objects.link(self._armature)
                self._scratch = bpy.context.scene.collection
                view_layer.update()
            self._hidden = self._armature.hide_get()
            self._armature.hide_set(False)
            view_layer.objects.active = self._armature
            bpy.ops.object.mode_set(mode="EDIT")
        return self._armature.data.edit_bones

    def __exit__(self, *error: object) -> None:
        with compat.with_window(bpy.context):
            bpy.ops.object.mode_set(mode="OBJECT")
        self._armature.hide_set(self._hidden)
        if self._scratch is not None:
            self._scratch.objects.unlink(self._armature)


def _drive(rig: Rig, bundle: RigData) -> None:
    face = rig.armature.pose.bones[FACE]
    keys = rig.mesh.data.shape_keys.key_blocks
    named = not bundle.units[0].startswith("expr_")
    low, high = (0.0, 1.0) if named else (-3.0, 3.0)
    for unit in bundle.units:
        face[unit] = 0.0
        face.id_properties_ui(unit).update(
            min=-10.0, max=10.0, soft_min=low, soft_max=high, default=0.0, description=unit
        )
        face.property_overridable_library_set(f'["{unit}"]', True)
        driver = keys[unit].driver_add("value").driver
        driver.type = "SUM"
        target = driver.variables.new().targets[0]
        target.id = rig.armature
        target.data_path = f'pose.bones["{FACE}"]["{unit}"]'
    rig.armature[ERROR] = 0.0
    rig.armature.id_properties_ui(ERROR).update(
        description="How far the solved face lies from the seen one, % of the eye distance"
    )


def _tracked(name: str, bundle: RigData, armature: Any, offset: int) -> tuple[Any, Any]:
    """The tracked motion as an action."""
    arrays = bundle.arrays
    rest = _rest(armature, bundle)[:, :3, :3]
    turns = rotations.quaternions(arrays["pose"])
    turns[..., 1:] = np.einsum("jba,tjb->tja", rest, turns[..., 1:])
    turns = rotations.continuous(turns)
    root = arrays["transl"].astype(np.float64) @ rest[0]
    bones = [f'pose.bones["{joint}"]' for joint in bundle.joints]
    channels = [(f"{bones[0]}.location", axis, root[:, axis]) for axis in range(3)]
    channels += [
        (f"{bone}.rotation_quaternion", part, turns[:, joint, part])
        for joint, bone in enumerate(bones)
        for part in range(4)
    ]
    channels += [
        (f'pose.bones["{FACE}"]["{unit}"]', 0, arrays["expression"][:, index])
        for index, unit in enumerate(bundle.units)
    ]
    channels.append((f'["{ERROR}"]', 0, np.nan_to_num(arrays["residual"])))
    frames = arrays["frames"] + offset
    armature[FIRST], armature[OFFSET] = int(arrays["frames"][0]), offset
    return compat.keyed_action(f"{name} track {bundle.version:04d}", armature, channels, frames)


def _rest(armature: Any, bundle: RigData) -> np.ndarray:
    """Rest matrices (55, 4, 4) in the model's order, as Blender has rounded them."""
    bones = armature.data.bones
    return np.array([np.array(bones[joint].matrix_local) for joint in bundle.joints])


# PoseSamples back


@dataclass(frozen=True)
class PoseSamples:
    """What a rig evaluates to.

    Attributes:
        frames: int64 (T,), footage frames.
        transl, pose, expression: float32 (T, 3), (T, 55, 3), (T, E), as the backend means them.
        joint_offset: metres, the farthest that any bone but the root was moved off its joint,
            which the body model cannot show.
    """

    frames: np.ndarray
    transl: np.ndarray
    pose: np.ndarray
    expression: np.ndarray
    joint_offset: float

    def save(self, path: Path) -> None:
        """Writes what `track.publish` takes."""
        names = ("frames", "transl", "pose", "expression")
        tensors.save(path, {name: getattr(self, name) for name in names})

    def only(self, frames: list[int]) -> "PoseSamples":
        """Some of its frames."""
        rows = np.isin(self.frames, frames)
        names = ("frames", "transl", "pose", "expression")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


def read(rig: Rig, bundle: RigData, offset: int) -> PoseSamples:
    """Reads the rig on every tracked frame, constraints and all layers included.

    Raises:
        ShotError: if the armature object was scaled, which a body cannot follow.
    """
    frames = bundle.arrays["frames"].astype(np.int64)
    armature, camera = rig.armature, rig.camera
    names = [bone.name for bone in armature.pose.bones]
    matrices = np.empty((len(frames), len(names) * 16), np.float32)
    expression = np.empty((len(frames), len(bundle.units)), np.float32)
    places = np.empty((len(frames), 4, 4))
    # Without the mesh a frame takes a sixth of the time.
    scene = bpy.data.scenes.new("PortraitGen reading")
    try:
        scene.collection.objects.link(armature)
        scene.collection.objects.link(camera)
        layer = scene.view_layers[0]
        for row, frame in enumerate(frames.tolist()):
            scene.frame_set(frame + offset)
            graph = layer.depsgraph
            shown = armature.evaluated_get(graph)
            shown.pose.bones.foreach_get("matrix", matrices[row])
            face = shown.pose.bones[FACE]
            expression[row] = [face[unit] for unit in bundle.units]
            standing = camera.evaluated_get(graph).matrix_world
            places[row] = np.array(standing.inverted_safe() @ shown.matrix_world)
    finally:
        bpy.data.scenes.remove(scene)
    order = [names.index(joint) for joint in bundle.joints]
    # Blender hands matrices over column by column.
    local = matrices.reshape(len(frames), len(names), 4, 4).swapaxes(-1, -2)[:, order]
    posed = (np.array(FLIP) @ places)[:, None] @ local.astype(np.float64)
    return _reading(frames, posed, expression, _rest(armature, bundle), bundle, armature.name)


def read_now(rig: Rig, bundle: RigData, offset: int) -> PoseSamples:
    """Reads the rig as it stands in the active scene's frame, unkeyed changes included.

    Raises:
        ShotError: if the armature object was scaled, which a body cannot follow.
    """
    graph = bpy.context.evaluated_depsgraph_get()
    shown, standing = rig.armature.evaluated_get(graph), rig.camera.evaluated_get(graph)
    bones = shown.pose.bones
    posed = np.array([np.array(bones[joint].matrix) for joint in bundle.joints], np.float64)
    place = np.array(FLIP @ standing.matrix_world.inverted_safe() @ shown.matrix_world)
    expression = np.array([[bones[FACE][unit] for unit in bundle.units]], np.float32)
    frames = np.array([bpy.context.scene.frame_current - offset], np.int64)
    rest = _rest(rig.armature, bundle)
    return _reading(frames, (place @ posed)[None], expression, rest, bundle, rig.armature.name)


def set_pose(rig: Rig, bundle: RigData, reading: PoseSamples) -> None:
    """Sets the rig to a pose of one frame without keying it."""
    bones = rig.armature.pose.bones
    rest = _rest(rig.armature, bundle)[:, :3, :3]
    bones[bundle.joints[0]].location = reading.transl[0].astype(np.float64) @ rest[0]
    for joint, turn in zip(bundle.joints, _bone_turns(reading, rest), strict=True):
        bones[joint].rotation_quaternion = turn
    for unit, value in zip(bundle.units, reading.expression[0].tolist(), strict=True):
        bones[FACE][unit] = value
    rig.armature.update_tag()


def insert_keys(
    rig: Rig, bundle: RigData, wanted: PoseSamples, shown: PoseSamples, frame: int
) -> None:
    """Keys a pose in the artist's layer, on the channels in which it differs from what was shown.

    Args:
        wanted: the pose, of one frame.
        shown: what the rig showed before, of the same frame.
        frame: the scene frame.
    """
    rest = _rest(rig.armature, bundle)[:, :3, :3]
    data = rig.armature.animation_data

    def change(bone: str, name: str, before: list[float], after: list[float]) -> None:
        path = f'pose.bones["{bone}"]{name}'
        layer = [compat.curve_value(data, path, index, frame) for index in range(len(after))]
        for index, value in enumerate(after):
            compat.insert_key(
                data, path, index, frame, (layer[index] or 0.0) + value - before[index]
            )

    # Less is rounding: a pin that was set and not dragged corrects nothing.
    if np.abs(wanted.transl - shown.transl).max() > 1e-6:
        places = [
            (each.transl[0].astype(np.float64) @ rest[0]).tolist() for each in (shown, wanted)
        ]
        change(bundle.joints[0], ".location", *places)
    turns = [_bone_turns(each, rest) for each in (shown, wanted)]
    for joint in np.flatnonzero(rotations.turned(wanted.pose[0], shown.pose[0]) > 1e-6):
        path = f'pose.bones["{bundle.joints[joint]}"].rotation_quaternion'
        layer = [compat.curve_value(data, path, index, frame) for index in range(4)]
        old = Quaternion() if None in layer else Quaternion(layer).normalized()
        turned = Quaternion(turns[0][joint]).inverted() @ Quaternion(turns[1][joint])
        if turned.w < 0:
            turned.negate()
        for index, value in enumerate(old @ turned):
            compat.insert_key(data, path, index, frame, value)
    for unit in np.flatnonzero(np.abs(wanted.expression[0] - shown.expression[0]) > 1e-5):
        values = [[float(each.expression[0, unit])] for each in (shown, wanted)]
        change(FACE, f'["{bundle.units[unit]}"]', *values)
    scene = rig.armature.users_scene[0]
    rig.armature.update_tag()
    scene.frame_set(scene.frame_current)


def _bone_turns(reading: PoseSamples, rest: np.ndarray) -> np.ndarray:
    """The bones' own quaternions (55, 4) of a reading of one frame."""
    turns = rotations.quaternions(reading.pose[0])
    turns[:, 1:] = np.einsum("jba,jb->ja", rest, turns[:, 1:])
    return turns


def _reading(
    frames: np.ndarray,
    posed: np.ndarray,
    expression: np.ndarray,
    rest: np.ndarray,
    bundle: RigData,
    name: str,
) -> PoseSamples:
    parents = bundle.arrays["parents"]
    turned = posed[..., :3, :3] @ rest[:, :3, :3].swapaxes(-1, -2)
    if np.abs(np.linalg.det(turned) - 1).max() > 1e-3:
        raise ShotError(
            "the rig is scaled, which the body model cannot follow",
            name,
            "clear the scale of the armature and its bones, then send it again",
        )
    local = turned.copy()
    joint_offset = 0.0
    for joint in range(1, len(parents)):
        parent = parents[joint]
        local[:, joint] = turned[:, parent].swapaxes(-1, -2) @ turned[:, joint]
        bone = rest[joint, :3, 3] - rest[parent, :3, 3]
        expected = posed[:, parent, :3, 3] + turned[:, parent] @ bone
        joint_offset = max(joint_offset, float(np.abs(posed[:, joint, :3, 3] - expected).max()))
    transl = posed[:, 0, :3, 3] - rest[0, :3, 3]
    return PoseSamples(
        frames,
        transl.astype(np.float32),
        rotations.axis_angles(local).astype(np.float32),
        expression,
        joint_offset if joint_offset > _LOOSE else 0.0,
    )
