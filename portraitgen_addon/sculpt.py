# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A take's sculpt: a shape key on the rig's mesh, above the body at rest, so it holds in all poses.

The key of the take that acts is called PG Sculpt; those of other takes bear the take's name, muted.
"""

import hashlib
from typing import Any

import bpy
import numpy as np

from portraitgen.errors import ShotError

from . import compat
from .rig import Rig, key_points

NAME = "PG Sculpt"
_OWNER = "portraitgen_sculpt_take"
_LEAST = 1e-6
_NAME_BYTES = 63


def key_of(mesh: Any, take: str) -> Any | None:
    """The key of a take's sculpt, None if it has none."""
    keys = _keys(mesh)
    return keys.get(NAME if mesh.get(_OWNER) == take else _kept_name(take))


def show(mesh: Any, take: str) -> None:
    """Shows one take's sculpt and no other one's.

    Args:
        take: the one that acts, empty while the track is corrected.
    """
    keys = _keys(mesh)
    owner = mesh.get(_OWNER, "")
    shown = keys.get(NAME)
    if take and owner != take:
        if shown is not None:
            shown.name, shown.mute = _kept_name(owner), True
        mesh[_OWNER] = take
        shown = keys.get(_kept_name(take))
        if shown is not None:
            shown.name = NAME
    if shown is not None:
        shown.mute = not take


def ensure(mesh: Any, take: str) -> Any:
    """The key of a take's sculpt, made if there is none, and shown."""
    show(mesh, take)
    key = key_of(mesh, take)
    if key is None:
        key = mesh.shape_key_add(name=NAME, from_mix=False)
        key.slider_min, key.slider_max, key.value = -2.0, 2.0, 1.0
    return key


def offsets(mesh: Any, take: str) -> np.ndarray | None:
    """What is sculpted, float32 (V, 3), metres above the body at rest; None if nothing is there."""
    key = key_of(mesh, take)
    if key is None:
        return None
    return key_points(key) - key_points(_keys(mesh)[0])


def amounts(rig: Rig, take: str, frames: np.ndarray, offset: int) -> np.ndarray:
    """How much of a take's sculpt shows, float32 (T,), keys, layers and drivers included.

    Args:
        frames: footage frames (T,).
        offset: scene frame minus footage frame.
    """
    key, shapes = key_of(rig.mesh, take), rig.mesh.data.shape_keys
    if key is None:
        return np.zeros(len(frames), np.float32)
    if not _is_animated(shapes, key):
        return np.full(len(frames), key.value, np.float32)
    values = np.empty(len(frames), np.float32)
    scene = bpy.data.scenes.new("PortraitGen reading")
    try:
        for each in rig.camera, rig.armature, rig.mesh:
            scene.collection.objects.link(each)
        layer = scene.view_layers[0]
        for row, frame in enumerate(frames.tolist()):
            scene.frame_set(frame + offset)
            graph = layer.depsgraph
            values[row] = shapes.evaluated_get(graph).key_blocks[key.name].value
    finally:
        bpy.data.scenes.remove(scene)
    return values


def take_over(
    rig: Rig, take: str, sculpt: np.ndarray, shown: np.ndarray, frames: np.ndarray, offset: int
) -> None:
    """Shows a sculpt that a take's file holds; one that the rig shows alike keeps its keys.

    Args:
        sculpt: (V, 3), metres above the body at rest.
        shown: (T,), how much of it shows in footage frames (T,).

    Raises:
        ShotError: if the mesh is not the one that the rig brought.
    """
    mesh = rig.mesh
    if key_of(mesh, take) is None and not (sculpt.any() and shown.any()):
        show(mesh, take)
        return
    key = ensure(mesh, take)
    rest = key_points(_keys(mesh)[0])
    if rest.shape != sculpt.shape:
        raise ShotError(
            f"the rig's mesh has {len(rest)} vertices, its body {len(sculpt)}",
            mesh.name,
            "delete the rig and build it again",
        )
    if np.abs(key_points(key) - rest - sculpt).max() > _LEAST:
        key.points.foreach_set("co", (rest + sculpt).astype(np.float32).ravel())
    if np.abs(amounts(rig, take, frames, offset) - shown).max(initial=0) > _LEAST:
        path = f'key_blocks["{NAME}"].value'
        data = mesh.data.shape_keys.animation_data_create()
        name = f"Sculpt {take}"
        if np.ptp(shown) <= _LEAST:
            data.action = None
            key.value = float(shown[0])
        else:
            channels = [(path, 0, shown)]
            action, slot = compat.keyed_action(
                name, mesh.data.shape_keys, channels, frames + offset
            )
            data.action, data.action_slot = action, slot
    mesh.data.update()


def _keys(mesh: Any) -> Any:
    return mesh.data.shape_keys.key_blocks


def _is_animated(shapes: Any, key: Any) -> bool:
    data = shapes.animation_data
    if data is None:
        return False
    driven = any(key.name in curve.data_path for curve in data.drivers)
    return driven or data.action is not None or len(data.nla_tracks) > 0


def _kept_name(take: str) -> str:
    name = f"{NAME} {take}"
    if len(name.encode()) <= _NAME_BYTES:
        return name
    short = name.encode()[:50].decode(errors="ignore")
    return f"{short} {hashlib.sha256(take.encode()).hexdigest()[:8]}"
