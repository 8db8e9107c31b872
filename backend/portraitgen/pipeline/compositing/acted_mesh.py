# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the surface of the performer moves between what was tracked and what is acted."""

from dataclasses import dataclass

import numpy as np
import torch

from ...body.camera import Camera
from ...body.geometry import rasterize_mesh, vertex_normals

STILL = 0.03
"""Smaller motions than this would change nothing but the plate's bits, pixels."""

LOOSE = 3
"""The label of faces that hair and clothes lie on."""

# A point is the one that is seen if it lies no farther behind, metres.
_TOUCHING = 0.006
# A surface that turns by so much in the light changes, radians.
_TURNED = 0.05


@dataclass(frozen=True)
class MeshMotion:
    """What the acted mesh tells of each pixel of a window.

    Attributes:
        face: int32 (S, S), the face that is seen, -1 where there is no mesh.
        covered: bool (S, S), where there is.
        motion: float32 (S, S, 2), how far away the tracked mesh has the same point, pixels.
        seen: float32 (S, S), 1 where the tracked mesh shows the same point.
        inside: float32 (S, S, 2), 1 for eyes, and for the mouth's inside.
        firm: bool (S, S), where the mesh is the performer's surface.
        moved: float32 (S, S, 2), how far it moved, before or after, and how far hair and clothes
            did, pixels.
        normals: float32 (2, S, S, 3), unit, of that point as tracked and as acted, camera space; 0
            where there is no mesh.
    """

    face: np.ndarray
    covered: np.ndarray
    motion: np.ndarray
    seen: np.ndarray
    inside: np.ndarray
    firm: np.ndarray
    moved: np.ndarray
    normals: np.ndarray

    @classmethod
    def of(
        cls,
        old: np.ndarray,
        new: np.ndarray,
        faces: np.ndarray,
        kinds: np.ndarray,
        camera: Camera,
    ) -> "MeshMotion":
        """Compares a mesh as tracked with the same as acted.

        Args:
            old, new: float32 (V, 3), camera space, metres.
            faces: int64 (F, 3).
            kinds: (F,), 0 for skin, 1 for eyes, 2 for the mouth's inside, and `LOOSE`.
        """
        face, weights, _ = rasterize_mesh(new, faces, camera)
        front, _, near = rasterize_mesh(old, faces, camera)
        covered = face >= 0
        corners = faces[face[covered]]
        inner = weights[covered][..., None]
        points = (old[corners] * inner).sum(1)
        places = camera.project(points.astype(np.float64)) - 0.5
        motion = np.zeros((*face.shape, 2), np.float32)
        motion[covered] = places - pixel_grid(face.shape)[covered]
        labels = np.where(covered, kinds[face], -1)
        # What lies under a lid or a lip is not seen, however near it is.
        before = np.where(front >= 0, kinds[front], -1).astype(np.float32)
        nearest = np.clip(np.rint(places), 0, len(face) - 1).astype(int)
        columns, rows = nearest.T
        same = before[rows, columns] == labels[covered]
        close = np.abs(points[:, 2] - near[rows, columns]) < _TOUCHING
        seen = np.zeros(face.shape, np.float32)
        seen[covered] = same & close
        firm = covered & (labels < LOOSE)
        inside = np.stack([labels == 1, labels == 2], axis=-1).astype(np.float32)
        facing = [
            vertex_normals(torch.from_numpy(each), torch.from_numpy(faces)).numpy()
            for each in (old, new)
        ]
        apart = np.linalg.norm(camera.project(new) - camera.project(old), axis=1)
        # What comes straight at the camera does not move in the picture, but turns in the light.
        turned = np.linalg.norm(facing[1] - facing[0], axis=1) > _TURNED
        way = np.maximum(apart, turned * 2 * STILL)[faces].max(1)
        way = np.where(way > STILL, way, 0)
        loose = np.where(kinds == LOOSE, way, 0)
        moved = np.zeros((*face.shape, 2), np.float32)
        for shown in (face, front):
            for kind, far in enumerate((way, loose)):
                moved[..., kind] = np.maximum(moved[..., kind], np.where(shown >= 0, far[shown], 0))
        normals = np.zeros((2, *face.shape, 3), np.float32)
        for row, each in enumerate(facing):
            normal = (each[corners] * inner).sum(1)
            length = np.linalg.norm(normal, axis=1, keepdims=True)
            normals[row][covered] = normal / np.maximum(length, 1e-9)
        return cls(face, covered, motion, seen, inside, firm, moved, normals)


def pixel_grid(shape: tuple[int, ...]) -> np.ndarray:
    """The x and y of each pixel, float32 (H, W, 2)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return np.stack([columns, rows], axis=-1)
