# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a picture shows of the posed body, and carrying pictures over the body between frames."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from .camera import Camera
from .geometry import rasterize_mesh, vertex_normals
from .model import BodyModel

_TOUCHING = 0.004


@dataclass(frozen=True)
class Surface:
    """The posed body in one picture.

    Attributes:
        face: int32 (H, W), the face at each pixel, -1 where there is none.
        barycentric: float32 (H, W, 3), within it.
        depth: float32 (H, W), metres, infinite where there is none.
        vertices: float32 (V, 3), camera space, metres.
        rest: float32 (V, 3), of the body model's mean person at rest: names a point of the surface.
        faces: int64 (F, 3).
        camera: of the picture.
    """

    face: np.ndarray
    barycentric: np.ndarray
    depth: np.ndarray
    vertices: np.ndarray
    rest: np.ndarray
    faces: np.ndarray
    camera: Camera

    @classmethod
    def of(cls, body: BodyModel, vertices: np.ndarray, camera: Camera) -> "Surface":
        """Rasterises a posed body."""
        rest, faces = body.template.numpy(), body.faces.numpy()
        return cls(*rasterize_mesh(vertices, faces, camera), vertices, rest, faces, camera)

    @property
    def pixels_per_metre(self) -> float:
        """How large the body is drawn, at the middle depth of what is seen of it."""
        seen = self.depth[np.isfinite(self.depth)]
        depth = np.median(seen) if len(seen) else np.median(self.vertices[:, 2])
        return float(self.camera.fx / max(float(depth), 1e-6))

    def seen_by(self, camera: Camera) -> "Surface":
        """The same body in another picture."""
        drawn = rasterize_mesh(self.vertices, self.faces, camera)
        return Surface(*drawn, self.vertices, self.rest, self.faces, camera)

    def normals(self) -> np.ndarray:
        """Smooth unit normals in camera space, 0 where there is no body, float32 (H, W, 3)."""
        seen = self.face >= 0
        smooth = vertex_normals(torch.from_numpy(self.vertices), torch.from_numpy(self.faces))
        corners = smooth.numpy()[self.faces[self.face[seen]]]
        normal = (corners * self.barycentric[seen][..., None]).sum(1)
        result = np.zeros((*self.face.shape, 3), np.float32)
        result[seen] = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        return result

    def facing(self) -> np.ndarray:
        """How squarely the surface at each pixel faces the camera, 0..1, float32 (H, W)."""
        seen = self.face >= 0
        corners = self.vertices[self.faces[self.face[seen]]]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        middle = corners.mean(1)
        length = np.linalg.norm(normal, axis=1) * np.linalg.norm(middle, axis=1)
        result = np.zeros(self.face.shape, np.float32)
        result[seen] = np.clip(-(normal * middle).sum(1) / np.maximum(length, 1e-12), 0, 1)
        return result


def carry(image: np.ndarray, source: Surface, target: Surface) -> tuple[np.ndarray, np.ndarray]:
    """A picture of one frame, seen as it lies on the body in another.

    Args:
        image: float32 (H, W, C), of the source's picture.
        source, target: the body in both pictures.

    Returns:
        float32 (H', W', C) of the target's picture, and how surely each pixel was seen in the
        source, float32 (H', W'): 0 where it was hidden or there is no body.
    """
    where, surety = places_in(source, target)
    seen = target.face >= 0
    carried = np.zeros((*target.face.shape, image.shape[2]), np.float32)
    carried[seen] = _sample(image, where[seen])
    return carried, surety


def places_in(source: Surface, target: Surface) -> tuple[np.ndarray, np.ndarray]:
    """Where what one picture shows of the body lies in another.

    Args:
        source, target: the body in both pictures.

    Returns:
        For each pixel of the target its place in the source, float32 (H', W', 2), x and y with
        pixel centres at whole numbers, far outside where there is no body; and how surely it was
        seen there, float32 (H', W'), 0 where it was hidden.
    """
    seen = target.face >= 0
    corners = target.faces[target.face[seen]]
    weights = target.barycentric[seen][..., None]
    points = (source.vertices[corners] * weights).sum(1)
    in_front = points[:, 2] > 1e-3
    pixels = np.full((len(points), 2), -1e6)
    pixels[in_front] = source.camera.project(points[in_front].astype(np.float64)) - 0.5
    where = pixels.astype(np.float32)
    facing = source.facing()
    near = np.where(np.isfinite(source.depth), source.depth, 1e6).astype(np.float32)
    column = np.clip(np.rint(where[:, 0]), 0, near.shape[1] - 1).astype(int)
    row = np.clip(np.rint(where[:, 1]), 0, near.shape[0] - 1).astype(int)
    inside = (
        (where[:, 0] > -0.5)
        & (where[:, 1] > -0.5)
        & (where[:, 0] < near.shape[1] - 0.5)
        & (where[:, 1] < near.shape[0] - 0.5)
    )
    # A slanted surface changes its depth within a pixel.
    slack = _TOUCHING / np.maximum(facing[row, column], 0.2)
    visible = inside & (np.abs(points[:, 2] - near[row, column]) < slack)
    places = np.full((*target.face.shape, 2), -1e6, np.float32)
    surety = np.zeros(target.face.shape, np.float32)
    places[seen] = where
    surety[seen] = np.where(visible, facing[row, column] ** 2, 0)
    return places, surety


def _sample(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Bilinear samples (N, C) at pixel positions (N, 2)."""
    count = len(where)
    width = 4096  # remap's pictures may have no more than 32767 columns.
    rows = max(1, -(-count // width))
    grid: np.ndarray = np.full((rows * width, 2), -1, np.float32)
    grid[:count] = np.clip(where, -1e4, 1e4)
    grid = grid.reshape(rows, width, 2)
    planes = [
        cv2.remap(
            np.ascontiguousarray(image[..., channel], np.float32),
            grid[..., 0],
            grid[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ).ravel()[:count]
        for channel in range(image.shape[2])
    ]
    return np.stack(planes, axis=1)
