# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Geometry of triangle meshes: normals, frames that carry Gaussians, and a z-buffer."""

import math

import numpy as np
import torch
from torch import Tensor

from ..jit_cache import prepare_jit_cache
from .camera import Camera

prepare_jit_cache()

from numba import njit  # noqa: E402


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Unit normals of the vertices, weighted by the area of the faces around them.

    Args:
        vertices: (..., V, 3).
        faces: int64 (F, 3), counter-clockwise seen from outside.

    Returns:
        (..., V, 3).
    """
    corners = vertices[..., faces, :]
    face = torch.linalg.cross(
        corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :]
    )
    summed = torch.zeros_like(vertices)
    for corner in range(3):
        summed = summed.index_add(-2, faces[:, corner], face)
    return torch.nn.functional.normalize(summed, dim=-1)


def triangle_frames(corners: Tensor) -> Tensor:
    """A right-handed frame on every triangle.

    Args:
        corners: (..., 3, 3), the triangles' corners.

    Returns:
        Rotations (..., 3, 3) whose columns are tangent, bitangent and outward normal.
    """
    edge = corners[..., 1, :] - corners[..., 0, :]
    other = corners[..., 2, :] - corners[..., 0, :]
    tangent = torch.nn.functional.normalize(edge, dim=-1)
    normal = torch.nn.functional.normalize(torch.linalg.cross(edge, other), dim=-1)
    bitangent = torch.linalg.cross(normal, tangent)
    return torch.stack([tangent, bitangent, normal], dim=-1)


def rasterize_mesh(
    vertices: np.ndarray, faces: np.ndarray, camera: Camera
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a camera sees of a mesh, one sample at every pixel's centre.

    Faces with a corner nearer than a millimetre are left out.

    Args:
        vertices: (V, 3), camera space, metres.
        faces: (F, 3).
        camera: the camera.

    Returns:
        The face at each pixel, int32 (H, W), -1 where there is none; its barycentric
        coordinates, perspective-correct, float32 (H, W, 3); and its depth z, float32 (H, W),
        infinite where there is none.
    """
    shape = (camera.height, camera.width)
    face_id = np.full(shape, -1, np.int32)
    barycentric = np.zeros((*shape, 3), np.float32)
    depth = np.full(shape, np.inf, np.float32)
    points = np.ascontiguousarray(vertices, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        screen = camera.project(points)
    _fill(
        np.ascontiguousarray(screen),
        np.ascontiguousarray(points[:, 2]),
        np.ascontiguousarray(faces, np.int64),
        face_id,
        barycentric,
        depth,
    )
    return face_id, barycentric, depth


@njit(cache=True, nogil=True)
def _fill(
    screen: np.ndarray,
    z: np.ndarray,
    faces: np.ndarray,
    face_id: np.ndarray,
    barycentric: np.ndarray,
    depth: np.ndarray,
) -> None:
    height, width = face_id.shape
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        if z[a] < 1e-3 or z[b] < 1e-3 or z[c] < 1e-3:
            continue
        ax, ay = screen[a, 0], screen[a, 1]
        bx, by = screen[b, 0], screen[b, 1]
        cx, cy = screen[c, 0], screen[c, 1]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-12:
            continue
        left = max(0, math.ceil(min(ax, bx, cx) - 0.5))
        right = min(width - 1, math.floor(max(ax, bx, cx) - 0.5))
        top = max(0, math.ceil(min(ay, by, cy) - 0.5))
        bottom = min(height - 1, math.floor(max(ay, by, cy) - 0.5))
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                wa = ((bx - x) * (cy - y) - (cx - x) * (by - y)) / area
                wb = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) / area
                wc = 1.0 - wa - wb
                if wa < 0 or wb < 0 or wc < 0:
                    continue
                # Linear on screen is 1/z; that makes the weights perspective-correct.
                inverse = wa / z[a] + wb / z[b] + wc / z[c]
                near = 1.0 / inverse
                if near < depth[row, column]:
                    depth[row, column] = near
                    face_id[row, column] = face
                    barycentric[row, column, 0] = wa / z[a] * near
                    barycentric[row, column, 1] = wb / z[b] * near
                    barycentric[row, column, 2] = wc / z[c] * near
