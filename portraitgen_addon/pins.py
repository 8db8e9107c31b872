# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins: points of the body that belong to points of the plate, frame by frame."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector
from mathutils.geometry import barycentric_transform

from portraitgen.errors import PortraitError
from portraitgen.messages.tracks import FramePose, PinnedPoint, PinsSolved, SolvePins
from portraitgen.records import CameraRecord

from . import file_marks, rig
from .camera import FLIP


def parts_of(shot: Any) -> rig.Rig:
    """The objects of a shot's rig."""
    return rig.Rig(shot.camera, shot.armature, shot.mesh)


def bundle_of(shot: Any) -> rig.RigData:
    """What the rig was built from.

    Raises:
        ShotError: if it cannot be read.
    """
    path = shot.path / "rigs" / f"{shot.track_version:04d}.safetensors"
    return _read(path, file_marks.mark(path))


@lru_cache(maxsize=2)
def _read(path: Path, mark: tuple[int, int] | None) -> rig.RigData:
    """Read once: pins are drawn with every turn of the viewport, and a rig has all its frames."""
    return rig.RigData.load(path)


def on_frame(shot: Any, frame: int) -> list[Any]:
    """The pins of a footage frame."""
    frames = np.empty(len(shot.pins), np.int32)
    # At once: panels ask with every drawing, and a shot may have a pin in each of its frames.
    shot.pins.foreach_get("frame", frames)
    return [shot.pins[int(at)] for at in np.flatnonzero(frames == frame)]


def add(
    shot: Any,
    frame: int,
    face: int,
    weights: tuple[float, float, float],
    target: tuple[float, float],
) -> int:
    """Adds a pin.

    Returns:
        Its place in the list.
    """
    pin = shot.pins.add()
    pin.frame, pin.face, pin.weights, pin.target = frame, face, weights, target
    return len(shot.pins) - 1


def _locked(armature: Any) -> list[str]:
    """What pins may not move: joints whose rotation is locked, and the place of a locked root."""
    bones = armature.pose.bones
    locked = [bone.name for bone in bones if all(bone.lock_rotation)]
    return locked + ["transl"] * all(bones["pelvis"].lock_location)


def call_of(shot: Any, frame: int, start: rig.PoseSamples) -> SolvePins:
    """What the backend is asked; joints that the artist has locked stay as they are."""
    return SolvePins(
        shot=str(shot.path),
        version=shot.track_version,
        frame=frame,
        pins=tuple(
            PinnedPoint(pin.face, tuple(pin.weights), tuple(pin.target))
            for pin in on_frame(shot, frame)
        ),
        start=FramePose(
            transl=start.transl[0].tolist(),
            pose=start.pose[0].tolist(),
            expression=start.expression[0].tolist(),
        ),
        fixed=tuple(_locked(shot.armature)),
        resistance=shot.pin_resistance,
    )


def answer_of(answer: PinsSolved, frame: int) -> rig.PoseSamples:
    """A solution as the rig takes it."""
    transl, pose, expression = (
        np.array([each], np.float32) for each in (answer.transl, answer.pose, answer.expression)
    )
    return rig.PoseSamples(np.array([frame]), transl, pose, expression, joint_offset=0.0)


def hit(mesh: Any, origin: Vector, direction: Vector) -> tuple[int, tuple[float, float, float]]:
    """The face of the body that a ray in world space meets first, and where on it.

    Raises:
        PortraitError: if it meets none.
    """
    shown = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
    into = shown.matrix_world.inverted_safe()
    start = into @ origin
    along = (into.to_3x3() @ direction).normalized()
    met, place, _, face = shown.ray_cast(start, along)
    if not met:
        raise PortraitError("there is no body under the pin", mesh.name, "click on the body")
    corners = [shown.data.vertices[index].co for index in shown.data.polygons[face].vertices]
    unit = (Vector((1, 0, 0)), Vector((0, 1, 0)), Vector((0, 0, 1)))
    weights = barycentric_transform(place, *corners, *unit)
    return face, (weights[0], weights[1], weights[2])


def plate_pixel(shot: Any, lens: CameraRecord, direction: Vector) -> tuple[float, float]:
    """Where a ray from the plate's camera, in world space, passes the plate."""
    x, y, z = FLIP.to_3x3() @ (shot.camera.matrix_world.to_3x3().inverted_safe() @ direction)
    return lens.fx * x / z + lens.cx, lens.fy * y / z + lens.cy


def world_of(shot: Any, lens: CameraRecord, pixel: tuple[float, float]) -> Vector:
    """A point in world space, a metre before the camera, that covers a plate pixel."""
    x = (pixel[0] - lens.cx) / lens.fx
    y = (pixel[1] - lens.cy) / lens.fy
    return shot.camera.matrix_world @ (FLIP @ Vector((x, y, 1.0)))


def surface_of(shot: Any, pin: Any) -> Vector:
    """Where a pin's point of the body is now, in world space."""
    shown = shot.mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
    corners = shown.data.polygons[pin.face].vertices
    place = Vector((0, 0, 0))
    for index, weight in zip(corners, pin.weights, strict=True):
        place += weight * shown.data.vertices[index].co
    return shown.matrix_world @ place
