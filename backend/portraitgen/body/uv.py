# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texels of the neural Gaussian texture: where on the body the Gaussians sit."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .model import BodyModel

DENSITY = {
    "eyes": 7.0,
    "lips": 6.0,
    "teeth": 5.0,
    "face": 4.0,
    "mouth": 2.0,
    "tongue": 2.0,
    "scalp": 3.0,
    "head": 2.5,
    "neck": 1.6,
    "torso": 1.0,
    "arms": 0.8,
    "hands": 1.5,
    "legs": 0.5,
}
"""Texels an area, relative to each other: what a portrait shows most gets most."""

# The plastic number's powers fill the unit square more evenly than any other pair (Roberts 2018).
_R2 = (0.7548776662466927, 0.5698402909980532)


@dataclass(frozen=True)
class Texels:
    """Places on the body's surface.

    Attributes:
        face: int64 (N,), the face each texel lies on.
        barycentric: float32 (N, 3), within it.
        uv: float32 (N, 2), texture coordinates.
        area: float32 (N,), the rest surface a texel stands for, square metres.
    """

    face: Tensor
    barycentric: Tensor
    uv: Tensor
    area: Tensor


def gaussian_texels(body: BodyModel, budget: int, seen: np.ndarray | None = None) -> Texels:
    """Spreads a budget of texels over the body, densest where a portrait is looked at.

    Faces take their share in the order of their place in the texture, so that neighbours share
    what rounding leaves over and no clumps form.

    Args:
        body: the body model.
        budget: how many texels.
        seen: (F,), how much each face is seen in the shot, 0 to leave it bare; all if None.
    """
    faces = body.faces.numpy()
    corners = body.template.numpy()[faces].astype(np.float64)
    area = 0.5 * np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    density = np.ones(len(faces))
    for part, share in DENSITY.items():
        if part in body.parts:
            density[body.parts[part].numpy()] = share
    wanted = area * density * (1.0 if seen is None else np.asarray(seen, np.float64))
    uv = body.uv.numpy()[body.uv_faces.numpy()]
    order = np.argsort(_curve(uv.mean(1)), kind="stable")
    ends = np.cumsum(wanted[order]) / wanted.sum() * budget
    places = np.searchsorted(ends, np.arange(budget) + 0.5)
    face = order[np.clip(places, 0, len(order) - 1)]
    index = np.arange(budget)
    first, second = (0.5 + index * _R2[0]) % 1, (0.5 + index * _R2[1]) % 1
    root = np.sqrt(first)
    barycentric = np.stack([1 - root, root * (1 - second), root * second], axis=1)
    share = np.maximum(wanted[face] / wanted.sum() * budget, 1e-9)
    each = area[face] / np.maximum(share, 0.05)
    return Texels(
        torch.from_numpy(face.astype(np.int64)),
        torch.from_numpy(barycentric.astype(np.float32)),
        torch.from_numpy((uv[face] * barycentric[..., None]).sum(1).astype(np.float32)),
        torch.from_numpy(each.astype(np.float32)),
    )


def _curve(uv: np.ndarray) -> np.ndarray:
    """The place of texture coordinates along a Z-order curve."""
    cells = np.clip((uv * 1023).astype(np.int64), 0, 1023)
    code = np.zeros(len(cells), np.int64)
    for bit in range(10):
        code |= ((cells[:, 0] >> bit) & 1) << (2 * bit)
        code |= ((cells[:, 1] >> bit) & 1) << (2 * bit + 1)
    return code
