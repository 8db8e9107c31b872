# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the synthetic performer: a z-buffer, shells of hair, shaded by a few soft lights."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from portraitgen.body.camera import Box, Camera
from portraitgen.body.geometry import rasterize_mesh, vertex_normals
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion

from .appearance import Materials, Palette, room

Paint = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

_SUPERSAMPLING = 2
_HAIR_SHELLS = 7
_HAIR_LENGTH = 0.020


@dataclass(frozen=True)
class Light:
    """A light far away: direction towards it in camera space, linear colour."""

    direction: tuple[float, float, float]
    colour: tuple[float, float, float]


LIGHTS = {
    "studio": (
        Light((-0.6, -0.5, -0.8), (2.1, 2.0, 1.9)),
        Light((0.9, -0.1, -0.5), (0.5, 0.55, 0.65)),
    ),
    "left": (Light((-1.0, -0.15, -0.25), (3.2, 2.8, 2.3)),),
    "right": (Light((1.0, -0.2, -0.3), (2.4, 2.7, 3.2)),),
}
_AMBIENT = np.array([0.30, 0.31, 0.34])


@dataclass(frozen=True)
class Rendering:
    """One frame of the performer: display-referred sRGB, and its truth.

    Attributes:
        rgb: float32 (H, W, 3), 0..1, over the room.
        alpha: float32 (H, W, 1), the performer's coverage.
        normals: float32 (H, W, 3), camera space, zero outside.
        vertices: float32 (V, 3), camera space, metres.
    """

    rgb: np.ndarray
    alpha: np.ndarray
    normals: np.ndarray
    vertices: np.ndarray


class Performer:
    """A person made of the open body.

    Args:
        body: the open body model.
        motion: its performance; the identity comes with it.
        identity: picks the colours.
        light: a name in `LIGHTS`.
        paint: colours on the skin: rest points (N, 3) to linear RGB (N, 3) and cover (N,).
    """

    def __init__(
        self,
        body: BodyModel,
        motion: Motion,
        identity: int = 0,
        light: str = "studio",
        paint: Paint | None = None,
    ) -> None:
        self._paint = paint
        self._body = body
        self._motion = motion
        self._lights = LIGHTS[light]
        self._view = np.eye(4, dtype=np.float32)
        self._palette = Palette.of(identity)
        self._faces = body.faces.numpy()
        rest = body.forward(
            torch.from_numpy(motion.betas)[None],
            torch.zeros(1, 55, 3),
            torch.zeros(1, body.n_expression),
            torch.zeros(1, 3),
        )
        self._rest = rest.vertices[0].numpy()
        self._materials = Materials(body, self._rest, self._palette)
        parts = {name: faces.numpy() for name, faces in body.parts.items()}
        self._eyes = parts["eyes"]
        self._mouth = parts["mouth"] | parts["tongue"] | parts["teeth"]
        self._teeth = parts["teeth"]
        self._scalp = np.flatnonzero(parts["scalp"])

    def seen_from(self, view: np.ndarray) -> "Performer":
        """The same performer under the same lights for another camera.

        Args:
            view: (4, 4), the plate camera's space to the other camera's.
        """
        turned = copy.copy(self)
        turned._view = view.astype(np.float32)
        turned._lights = tuple(
            replace(each, direction=tuple(view[:3, :3] @ each.direction)) for each in self._lights
        )
        return turned

    def render(self, frame: int, camera: Camera) -> Rendering:
        """Renders one frame of the motion through a camera with a square picture."""
        row = self._motion.index(frame)
        reshaped = self._motion.offsets(frame)
        output = self._body.forward(
            torch.from_numpy(self._motion.betas)[None],
            torch.from_numpy(self._motion.pose[row : row + 1]),
            torch.from_numpy(self._motion.expression[row : row + 1]),
            torch.from_numpy(self._motion.transl[row : row + 1]),
            vertex_offsets=None if reshaped is None else torch.from_numpy(reshaped),
        )
        vertices = output.vertices[0].numpy() @ self._view[:3, :3].T + self._view[:3, 3]
        fine = camera.window(Box(0, 0, camera.width), camera.width * _SUPERSAMPLING)
        normals = vertex_normals(torch.from_numpy(vertices), self._body.faces).numpy()
        colour, alpha, depth, shown = self._surface(vertices, normals, fine)
        colour, alpha = self._hair(vertices, normals, fine, colour, alpha, depth)
        background = room(fine.width, fine.height, self._palette)
        linear = colour + (1 - alpha) * background
        size = (camera.width, camera.height)
        linear = cv2.resize(linear, size, interpolation=cv2.INTER_AREA)
        coverage = cv2.resize(alpha[..., 0], size, interpolation=cv2.INTER_AREA)[..., None]
        normal = cv2.resize(shown, size, interpolation=cv2.INTER_AREA)
        length = np.linalg.norm(normal, axis=-1, keepdims=True)
        normal = np.where(length > 0.3, normal / np.maximum(length, 1e-6), 0)
        return Rendering(
            _display(linear), coverage.astype(np.float32), normal.astype(np.float32), vertices
        )

    def _surface(
        self, vertices: np.ndarray, normals: np.ndarray, camera: Camera
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        face_id, barycentric, depth = rasterize_mesh(vertices, self._faces, camera)
        covered = face_id >= 0
        faces = face_id[covered]
        weights = barycentric[covered][..., None]
        corners = self._faces[faces]
        rest = (self._rest[corners] * weights).sum(1)
        point = (vertices[corners] * weights).sum(1)
        normal = (normals[corners] * weights).sum(1)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        albedo, gloss = self._materials.skin(rest)
        if self._paint is not None:
            painted, cover = self._paint(rest)
            albedo = albedo + cover[:, None] * (painted - albedo)
        for chosen, paint in (
            (self._eyes[faces], self._materials.eyes),
            (
                self._mouth[faces],
                lambda at: self._materials.mouth(at, self._teeth[faces[self._mouth[faces]]]),
            ),
        ):
            if chosen.any():
                albedo[chosen], gloss[chosen] = paint(rest[chosen])
        shaded = self._shade(albedo, gloss, normal, point)
        colour = np.zeros((camera.height, camera.width, 3))
        shown = np.zeros((camera.height, camera.width, 3), np.float32)
        colour[covered], shown[covered] = shaded, normal
        far = np.where(covered, depth, np.inf)
        return colour, covered[..., None].astype(float), far, shown

    def _hair(
        self,
        vertices: np.ndarray,
        normals: np.ndarray,
        camera: Camera,
        colour: np.ndarray,
        alpha: np.ndarray,
        depth: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        faces = self._faces[self._scalp]
        for layer in range(1, _HAIR_SHELLS + 1):
            shell = layer / _HAIR_SHELLS
            lifted = vertices + normals * (_HAIR_LENGTH * shell)
            face_id, barycentric, near = rasterize_mesh(lifted, faces, camera)
            seen = (face_id >= 0) & (near < depth + 0.004)
            if not seen.any():
                continue
            corners = faces[face_id[seen]]
            weights = barycentric[seen][..., None]
            rest = (self._rest[corners] * weights).sum(1)
            normal = (normals[corners] * weights).sum(1)
            normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
            albedo, coverage = self._materials.hair(rest, shell)
            gloss = np.full(len(albedo), 0.12)
            shaded = self._shade(albedo, gloss, normal, (lifted[corners] * weights).sum(1))
            over = coverage[:, None]
            colour[seen] = colour[seen] * (1 - over) + shaded * over
            alpha[seen] = alpha[seen] * (1 - over) + over
        return colour, alpha

    def _shade(
        self, albedo: np.ndarray, gloss: np.ndarray, normal: np.ndarray, point: np.ndarray
    ) -> np.ndarray:
        """Wrapped diffuse light and a small highlight from every light, plus the room's."""
        view = -point / np.linalg.norm(point, axis=1, keepdims=True)
        # More light from above than from below; y points down.
        shaded = albedo * _AMBIENT * (1 - 0.35 * normal[:, 1:2])
        for light in self._lights:
            towards = np.array(light.direction) / np.linalg.norm(light.direction)
            facing = np.clip((normal @ towards + 0.15) / 1.15, 0, 1)[:, None]
            half = view + towards
            half /= np.linalg.norm(half, axis=1, keepdims=True)
            shine = np.clip((normal * half).sum(1), 0, 1) ** 40 * gloss
            colour = np.array(light.colour)
            shaded = shaded + colour * (albedo * facing / 2 + 0.12 * (shine[:, None] * facing))
        return shaded


def _display(linear: np.ndarray) -> np.ndarray:
    """Linear light to sRGB, float32 0..1."""
    linear = np.clip(linear, 0, 1)
    low, high = linear * 12.92, 1.055 * np.power(linear, 1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, low, high).astype(np.float32)
