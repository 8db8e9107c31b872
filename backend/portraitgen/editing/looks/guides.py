# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tracked body tells a look of each pixel."""

import numpy as np

from ...body.surface import Surface

# The texture of places goes round the body's axis and from the crown this far down, metres. A
# portrait shows no more, and every body model stands like this.
_HEIGHT = 0.42
_AXIS = 0.03
UNKNOWN = -2.0
"""The place of pixels that show no body, outside of the texture."""


def places(surface: Surface | None, shape: tuple[int, ...]) -> np.ndarray:
    """Where on the body each pixel lies, float32 (H, W, 2): round it and down it, -1..1."""
    found = np.full((*shape, 2), UNKNOWN, np.float32)
    if surface is None:
        return found
    seen = surface.face >= 0
    corners = surface.rest[surface.faces[surface.face[seen]]]
    point = (corners * surface.barycentric[seen][..., None]).sum(1)
    crown = surface.rest[:, 1].max()
    head = surface.rest[surface.rest[:, 1] > crown - 0.25]
    across, along = (
        point[:, axis] - (head[:, axis].min() + head[:, axis].max()) / 2 for axis in (0, 2)
    )
    found[seen, 0] = np.arctan2(across, along + _AXIS) / np.pi
    found[seen, 1] = 2 * (crown - point[:, 1]) / _HEIGHT - 1
    return found


def normals(surface: Surface | None, shape: tuple[int, ...]) -> np.ndarray:
    """The body's normals, float32 (H, W, 3), 0 where there is none.

    They are the body's and not the avatar's, so that a look needs a track only.
    """
    if surface is None:
        return np.zeros((*shape, 3), np.float32)
    return surface.normals()
