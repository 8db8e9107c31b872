# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Relight: another key light, by the ratio of new to old shading on the tracked normals.

The shot's own light is fitted as spherical harmonics of order two to the performer's luminance
(Ramamoorthi and Hanrahan 2001); every pixel is then multiplied, in linear light, by what the new
light gives its normal over what the old one gave.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from ...settings import option
from ..colour import LUMA, shoulder, to_display, to_linear, warmth
from ..editor import Editor, EditorInfo, EditRequest

# Towards the light, in camera space: x right, y down, z away from the camera.
KEYS = {
    "left": (-1.0, -0.35, -0.45),
    "right": (1.0, -0.35, -0.45),
    "top": (0.0, -1.0, -0.45),
    "under": (0.0, 1.0, -0.5),
    "front": (0.0, -0.2, -1.0),
    "rim-left": (-1.0, -0.4, 0.55),
    "rim-right": (1.0, -0.4, 0.55),
}
# Cosine lobe of each order over pi, turning radiance into irradiance.
_LOBE = np.array([1, 2 / 3, 2 / 3, 2 / 3, 0.25, 0.25, 0.25, 0.25, 0.25])
_LOWEST, _HIGHEST = 0.18, 3.0
_DARKEST = 0.35
_SMOOTH = 0.014
_AGREEING = 0.75


@dataclass(frozen=True)
class RelightOptions:
    """The new light."""

    key: str = option("left", "Where the key light comes from", choices=tuple(KEYS))
    azimuth: float | None = option(
        None,
        "Direction of the key round the performer, 0 from the camera and 90 from the picture's"
        " right; overrides the preset",
        unit="degrees",
        minimum=-180,
        maximum=180,
    )
    elevation: float = option(
        25.0, "Height of the key, with azimuth", unit="degrees", minimum=-90, maximum=90
    )
    ratio: float = option(5.0, "Key over fill light", minimum=1, maximum=30)
    temperature: float = option(0.25, "Key light from cool to warm", minimum=-1, maximum=1)
    fill_temperature: float = option(-0.25, "Fill light from cool to warm", minimum=-1, maximum=1)
    exposure: float = option(0.0, "Brighter or darker", unit="stops", minimum=-3, maximum=3)


class Relight(Editor):
    """One new light for the whole shot."""

    info: ClassVar[EditorInfo] = EditorInfo(
        id="relight",
        label="Relight",
        description="Another key light, from the tracked normals",
    )
    Options = RelightOptions

    def __init__(self, options: RelightOptions) -> None:
        super().__init__(options)
        self._source = np.zeros(9)
        self._source[0] = 1 / 0.282095
        self._level = 1.0
        self._light = self._new_light()

    def prepare(self, samples: Sequence[EditRequest]) -> None:
        """Fits the shot's own light, and the exposure that keeps its mean brightness."""
        bases, values = [], []
        for each in samples:
            known = (np.linalg.norm(each.normals, axis=-1) > 0.5) & (each.matte > 0.9)
            bases.append(_basis(each.normals[known]) * _LOBE)
            values.append(to_linear(each.source)[known] @ LUMA)
        basis, value = np.concatenate(bases), np.concatenate(values).astype(np.float64)
        if len(value) < 100:
            return
        self._source = _robust_fit(basis, value)
        shading = np.maximum(basis @ self._source, _DARKEST * np.median(basis @ self._source))
        ratio = np.maximum(basis @ self._light, 0.02) @ LUMA / shading
        self._level = float((value * ratio).sum() / value.sum())

    def _new_light(self) -> np.ndarray:
        """Spherical harmonics (9, 3) of key and fill."""
        options = self.options
        direction = np.array(KEYS[options.key])
        if options.azimuth is not None:
            around, up = np.radians(options.azimuth), np.radians(options.elevation)
            direction = np.array(
                [np.cos(up) * np.sin(around), -np.sin(up), -np.cos(up) * np.cos(around)]
            )
        direction = direction / np.linalg.norm(direction)
        key = _basis(direction[None])[0][:, None] * warmth(options.temperature) * np.pi
        light = key * options.ratio
        light[0] += warmth(options.fill_temperature) / 0.282095
        return np.asarray(light / (1 + options.ratio))

    def _edit(self, request: EditRequest) -> np.ndarray:
        size = request.source.shape[0]
        normals = fill_normals(request.normals, request.matte, sigma=max(1.0, _SMOOTH * size))
        basis = _basis(normals.reshape(-1, 3)) * _LOBE
        old = basis @ self._source
        old = np.maximum(old, _DARKEST * np.median(old))
        new = np.maximum(basis @ self._light, 0.02)
        ratio = new / old[:, None] / self._level * 2.0**self.options.exposure
        ratio = np.clip(ratio, _LOWEST, _HIGHEST).reshape(request.source.shape)
        light = to_linear(request.source) * ratio**request.strength
        return to_display(shoulder(light))


def fill_normals(normals: np.ndarray, matte: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth unit normals everywhere: hair and clothes off the body take their surroundings'.

    Args:
        normals: (H, W, 3), zero where unknown.
        matte: (H, W); beyond the silhouette normals turn away from the camera's axis.
        sigma: of the smoothing, pixels.
    """
    known = (np.linalg.norm(normals, axis=-1) > 0.5).astype(np.float32)
    # Gums and nostrils that shine through lips face anywhere; their surroundings know better.
    around = cv2.GaussianBlur(normals * known[..., None], (0, 0), 4 * sigma)
    around /= np.maximum(np.linalg.norm(around, axis=-1, keepdims=True), 1e-6)
    known *= (normals * around).sum(-1) > _AGREEING
    filled = np.zeros_like(normals)
    weight = np.zeros(known.shape, np.float32)
    # Coarser and coarser averages fill what the finer ones do not reach.
    for scale in (1, 3, 9, 27):
        blurred = cv2.GaussianBlur(normals * known[..., None], (0, 0), sigma * scale)
        share = cv2.GaussianBlur(known, (0, 0), sigma * scale)
        room = (1 - weight) * np.clip(share * 2, 0, 1)
        filled += room[..., None] * blurred / np.maximum(share, 1e-4)[..., None]
        weight += room
    filled += (1 - weight)[..., None] * np.array([0, 0, -1], np.float32)
    return filled / np.maximum(np.linalg.norm(filled, axis=-1, keepdims=True), 1e-6)


def _basis(directions: np.ndarray) -> np.ndarray:
    """Real spherical harmonics to order two of unit vectors (N, 3), as (N, 9)."""
    x, y, z = directions[:, 0], directions[:, 1], directions[:, 2]
    return np.stack(
        [
            np.full_like(x, 0.282095),
            0.488603 * y,
            0.488603 * z,
            0.488603 * x,
            1.092548 * x * y,
            1.092548 * y * z,
            0.315392 * (3 * z * z - 1),
            1.092548 * x * z,
            0.546274 * (x * x - y * y),
        ],
        axis=1,
    )


def _robust_fit(basis: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Least squares that hair, eyes and clothes do not sway: reweighted, higher orders damped."""
    damping = np.diag([0, 0.02, 0.02, 0.02, *([0.3] * 5)]) * len(value)
    weight = np.ones(len(value))
    coefficients = np.zeros(9)
    for _ in range(8):
        weighted = basis * weight[:, None]
        coefficients = np.linalg.solve(
            weighted.T @ basis + damping + 1e-6 * np.eye(9), weighted.T @ value
        )
        error = value - basis @ coefficients
        spread = 1.48 * np.median(np.abs(error)) + 1e-4
        weight = 1 / (1 + (error / (1.5 * spread)) ** 2)
    return coefficients
