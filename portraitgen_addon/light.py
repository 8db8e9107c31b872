# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A light of the scene, as the performer in the plate would be lit by it."""

from typing import Any

import numpy as np
from mathutils import Vector

from . import camera

_HEAD = "head"
_NEAREST = 0.05


def over_frames(light: Any, shot: Any) -> dict[str, object]:
    """A light over a shot's frames, as the backend's editor reads it.

    Args:
        light: the object.
        shot: with its rig.

    Returns:
        frames (of the footage), directions towards the light in the plate camera's space (x right,
        y down, z forward), and colours, linear, 1 the brightest.
    """
    frames, directions, colours = [], [], []
    for frame, graph in camera.every_frame(shot):
        lit, plate, rig = (
            each.evaluated_get(graph) for each in (light, shot.camera, shot.armature)
        )
        head = rig.matrix_world @ rig.pose.bones[_HEAD].head
        towards, colour = _seen_from(lit, head)
        turned = plate.matrix_world.to_3x3().normalized().transposed() @ towards
        frames.append(frame)
        directions.append(list(camera.FLIP.to_3x3() @ turned))
        colours.append(colour)
    brightest = max(float(np.max(colours)), 1e-9)
    return {
        "frames": frames,
        "directions": directions,
        "colours": (np.array(colours) / brightest).tolist(),
    }


def _seen_from(light: Any, place: Vector) -> tuple[Vector, list[float]]:
    """The direction from a place towards a light, of length 1, and the light it gives there."""
    data = light.data
    colour = np.array(data.color, np.float64) * data.energy
    # Blender gained these with 4.4 and 4.5.
    if getattr(data, "use_temperature", False):
        colour *= np.array(data.temperature_color, np.float64)
    colour *= 2.0 ** getattr(data, "exposure", 0.0)
    if data.type == "SUN":
        return (light.matrix_world.to_3x3() @ Vector((0, 0, 1))).normalized(), colour.tolist()
    apart = light.matrix_world.translation - place
    distance = max(apart.length, _NEAREST)
    return apart.normalized(), (colour / distance**2).tolist()
