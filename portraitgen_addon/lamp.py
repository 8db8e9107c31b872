# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lamp of the scene, as the performer in the plate would be lit by it."""

from typing import Any

import numpy as np
from mathutils import Vector

from . import camera

_HEAD = "head"
_NEAREST = 0.05


def over_frames(lamp: Any, found: Any) -> dict[str, Any]:
    """A lamp over a shot's frames, as the backend's editor reads it.

    Args:
        lamp: the object.
        found: the shot, with its rig.

    Returns:
        frames (of the footage), directions towards the lamp in the plate camera's space (x right,
        y down, z forward), and colours, linear, 1 the brightest.
    """
    frames, directions, colours = [], [], []
    for frame, graph in camera.every_frame(found):
        lit, plate, rig = (
            each.evaluated_get(graph) for each in (lamp, found.camera, found.armature)
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


def _seen_from(lamp: Any, place: Vector) -> tuple[Vector, list[float]]:
    """The direction from a place towards a lamp, of length 1, and the light it gives there."""
    data = lamp.data
    colour = np.array(data.color, np.float64) * data.energy
    # Blender gained these with 4.4 and 4.5.
    if getattr(data, "use_temperature", False):
        colour *= np.array(data.temperature_color, np.float64)
    colour *= 2.0 ** getattr(data, "exposure", 0.0)
    if data.type == "SUN":
        return (lamp.matrix_world.to_3x3() @ Vector((0, 0, 1))).normalized(), colour.tolist()
    apart = lamp.matrix_world.translation - place
    distance = max(apart.length, _NEAREST)
    return apart.normalized(), (colour / distance**2).tolist()
