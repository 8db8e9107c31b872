# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The surface of a performer in 3D: the body's units and the personal fields deform it as the
backend does, the rig's armature carries it, and splats hang on it."""

import hashlib
from typing import Any

import bmesh
import bpy
import numpy as np

from . import compat, sculpt, splat_nodes
from .rig import FACE, key_points
from .splat_data import SplatData

# Marks what hangs on a performer.
PART = "portraitgen_part"
# What a surface's weights were keyed from.
KEYED = "portraitgen_keyed"
PERSONAL = "personal {:02d}"
# Each vertex's number on the rig's mesh.
_BODY = "pg_body"
_UNMOVED = 1e-6


def fill(surface: Any, data: SplatData, armature: Any) -> None:
    """Makes the mesh of an empty surface, its weights, its keys and what drives them."""
    arrays, mesh = data.arrays, surface.data
    vertices, faces = arrays["vertices"], arrays["faces"]
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", vertices.ravel())
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", faces.ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, 3, dtype=np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(faces), bool))
    inside = mesh.attributes.new(splat_nodes.INSIDE, "INT", "FACE")
    inside.data.foreach_set("value", arrays["inside"])
    body = mesh.attributes.new(_BODY, "INT", "POINT")
    body.data.foreach_set("value", arrays["body"])
    mesh.update()
    for joint in data.joints:
        if joint not in surface.vertex_groups:
            surface.vertex_groups.new(name=joint)
    made = bmesh.new()
    made.from_mesh(mesh)
    layer = made.verts.layers.deform.verify()
    made.verts.ensure_lookup_table()
    columns = ("weight_vertices", "weight_joints", "weight_values")
    for vertex, joint, weight in zip(*(arrays[name].tolist() for name in columns), strict=True):
        made.verts[vertex][layer][joint] = weight
    made.to_mesh(mesh)
    made.free()
    surface.shape_key_add(name="Basis", from_mix=False)
    moves = [(unit, arrays["units"][index]) for index, unit in enumerate(data.units)]
    moves += [(PERSONAL.format(index), each) for index, each in enumerate(arrays["fields"])]
    for name, move in moves:
        key = surface.shape_key_add(name=name, from_mix=False)
        # A new key's value is 1 in some versions, and values clamp to the sliders.
        key.slider_min, key.slider_max, key.value = -10, 10, 0
        key.points.foreach_set("co", (vertices + move).ravel())
    keys = mesh.shape_keys.key_blocks
    for unit in data.units:
        follow(keys[unit].driver_add("value").driver, armature, f'pose.bones["{FACE}"]["{unit}"]')
    for index in range(splat_nodes.FIELDS):
        name = PERSONAL.format(index)
        follow(keys[name].driver_add("value").driver, surface, f'["{name}"]')


def follow(driver: Any, owner: Any, path: str) -> None:
    """Lets a driver take a value over."""
    driver.type = "SUM"
    variable = driver.variables.new()
    if isinstance(owner, bpy.types.Key):
        variable.targets[0].id_type = "KEY"
    variable.targets[0].id, variable.targets[0].data_path = owner, path


def follow_sculpt(surface: Any) -> None:
    """Lets a performer's surface show what is sculpted on the rig's mesh, as far as it shows."""
    keys, numbers = surface.data.shape_keys, surface.data.attributes.get(_BODY)
    if keys is None or numbers is None:
        return  # It is empty.
    body = _body_of(surface)
    if body is None:
        return
    shown = body.data.shape_keys.key_blocks.get(sculpt.NAME)
    own = keys.key_blocks.get(sculpt.NAME)
    if shown is None or shown.mute:
        if own is not None:
            own.driver_remove("value")
            surface.shape_key_remove(own)
        return
    used = np.empty(len(numbers.data), np.int32)
    numbers.data.foreach_get("value", used)
    rest = key_points(body.data.shape_keys.key_blocks[0])
    if used.max() >= len(rest):
        return
    points = key_points(keys.key_blocks[0]) + (key_points(shown) - rest)[used]
    if own is None:
        own = surface.shape_key_add(name=sculpt.NAME, from_mix=False)
        own.slider_min, own.slider_max = -10, 10
        path = f'key_blocks["{sculpt.NAME}"].value'
        follow(own.driver_add("value").driver, body.data.shape_keys, path)
    elif np.abs(key_points(own) - points).max() < _UNMOVED:
        return
    own.points.foreach_set("co", points.astype(np.float32).ravel())
    surface.data.update()


def _body_of(surface: Any) -> Any | None:
    """The rig's mesh beside a performer's surface, None where only the performer was appended."""
    own = surface.data.shape_keys.key_blocks.keys()
    units = {name for name in own if not name.startswith(PERSONAL[:8])} - {sculpt.NAME}
    for each in surface.parent.children if surface.parent else ():
        if each.type == "MESH" and each.data.shape_keys and PART not in each:
            # Hats and hair may hang there, too.
            if units <= set(each.data.shape_keys.key_blocks.keys()):
                return each
    return None


def key_weights(surface: Any, data: SplatData, offset: int) -> None:
    """Keys how far the personal fields count as properties of the surface."""
    channels = []
    for index in range(splat_nodes.FIELDS):
        name = PERSONAL.format(index)
        surface[name] = 0.0
        channels.append((f'["{name}"]', 0, data.arrays["weights"][:, index]))
    frames = data.arrays["frames"] + offset
    animation = surface.animation_data_create()
    before = animation.action
    action, slot = compat.keyed_action(f"{surface.name} personal", surface, channels, frames)
    animation.action, animation.action_slot = action, slot
    surface[KEYED] = weights_digest(data)
    if before is not None and not before.users:
        bpy.data.actions.remove(before)


def weights_digest(data: SplatData) -> str:
    """What tells the keys of personal fields from those of other splats."""
    arrays = [data.arrays[name] for name in ("frames", "weights")]
    return hashlib.sha256(b"".join(each.tobytes() for each in arrays)).hexdigest()
