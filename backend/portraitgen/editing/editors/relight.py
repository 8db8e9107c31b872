# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Relight: another key light, by the ratio of new to old shading on the tracked normals.

The shot's own light is fitted as spherical harmonics of order two to the performer's luminance
(Ramamoorthi and Hanrahan 2001); every pixel is then multiplied, in linear light, by what the new
light gives its normal over what the old one gave. A lamp that moves is learned as its mean; each
rendered frame then takes on what it has beyond that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...settings import option
from ..colour import LUMA, shoulder, to_display, to_linear, warmth
from ..editor import Editor, EditorInfo, EditRequest
from ..filling import fill_normals
from ..light import LIGHT_FILE, LOBE, SceneLight, ambient, basis, key_and_fill

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
SCENE = "scene"
"""The key that Blender gave the take."""

_LOWEST, _HIGHEST = 0.18, 3.0
_DARKEST, _DARK = 0.35, 0.02
_SMOOTH = 0.014


@dataclass(frozen=True)
class RelightOptions:
    """The new light."""

    key: str = option(
        "left",
        "Where the key light comes from; scene: a lamp of Blender's, given with Light from Scene",
        choices=(*KEYS, SCENE),
    )
    azimuth: float | None = option(
        None,
        "Direction of the key round the performer, 0 from the camera and 90 from the picture's"
        " right; overrides a preset",
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
    """One new light for the whole shot, which may move."""

    info: ClassVar[EditorInfo] = EditorInfo(
        id="relight",
        label="Relight",
        description="Another key light, from the tracked normals",
    )
    Options = RelightOptions

    def __init__(self, options: RelightOptions) -> None:
        super().__init__(options)
        self._source = ambient(1.0)
        self._level = 1.0
        self._lamp: SceneLight | None = None
        self._folder = Path()

    def use_take(self, folder: Path) -> None:
        """Reads the lamp, if the key is the scene's."""
        self._folder = folder
        if self.options.key == SCENE:
            self._lamp = SceneLight.read(folder)

    def state(self) -> str:
        """The lamp."""
        return "".join(file.read_text("utf-8") for file in self.files().values())

    def files(self) -> dict[str, Path]:
        """The lamp's."""
        return {LIGHT_FILE: self._folder / LIGHT_FILE} if self._lamp else {}

    @property
    def follows(self) -> bool:
        """Whether the lamp does."""
        return self._lamp is not None and self._lamp.moves

    def prepare(self, samples: Sequence[EditRequest]) -> None:
        """Fits the shot's own light, and the exposure that keeps its mean brightness."""
        bases, values = [], []
        for each in samples:
            known = (np.linalg.norm(each.normals, axis=-1) > 0.5) & (each.matte > 0.9)
            bases.append(basis(each.normals[known]) * LOBE)
            values.append(to_linear(each.source)[known] @ LUMA)
        shaded, value = np.concatenate(bases), np.concatenate(values).astype(np.float64)
        if len(value) < 100:
            return
        self._source = _robust_fit(shaded, value)
        new = np.maximum(shaded @ self._light, _DARK)
        ratio = new @ LUMA / self._old(shaded)
        self._level = float((value * ratio).sum() / value.sum())

    @cached_property
    def _light(self) -> np.ndarray:
        """Spherical harmonics (9, 3) of key and fill; of a lamp that moves, the mean."""
        options, fill = self.options, warmth(self.options.fill_temperature)
        if self._lamp is not None:
            return self._lamp.mean(fill, options.ratio)
        direction = np.array(KEYS[options.key])
        if options.azimuth is not None:
            around, up = np.radians(options.azimuth), np.radians(options.elevation)
            direction = np.array(
                [np.cos(up) * np.sin(around), -np.sin(up), -np.cos(up) * np.cos(around)]
            )
        direction = direction / np.linalg.norm(direction)
        return key_and_fill(direction, warmth(options.temperature), fill, options.ratio)

    def follow(self, request: EditRequest) -> np.ndarray:
        """What a frame's light has beyond the mean."""
        if self._lamp is None:
            return request.rendered
        fill = warmth(self.options.fill_temperature)
        light = self._lamp.harmonics(request.frame, fill, self.options.ratio)
        shaded = self._shaded(request.normals, request.matte)
        now, mean = (np.maximum(shaded @ each, _DARK) for each in (light, self._light))
        ratio = np.clip(now / mean, _LOWEST, _HIGHEST).reshape(request.rendered.shape)
        return to_display(to_linear(request.rendered) * ratio**request.strength)

    def _shaded(self, normals: np.ndarray, matte: np.ndarray) -> np.ndarray:
        """What harmonics light every pixel with, (H W, 9)."""
        sigma = max(1.0, _SMOOTH * normals.shape[0])
        return basis(fill_normals(normals, matte, sigma).reshape(-1, 3)) * LOBE

    def _old(self, shaded: np.ndarray) -> np.ndarray:
        """What the shot's own light gives, (N,), nowhere close to nothing."""
        old = shaded @ self._source
        return np.maximum(old, _DARKEST * np.median(old))

    def _edit(self, request: EditRequest) -> np.ndarray:
        shaded = self._shaded(request.normals, request.matte)
        new = np.maximum(shaded @ self._light, _DARK)
        ratio = new / self._old(shaded)[:, None] / self._level * 2.0**self.options.exposure
        ratio = np.clip(ratio, _LOWEST, _HIGHEST).reshape(request.source.shape)
        light = to_linear(request.source) * ratio**request.strength
        return to_display(shoulder(light))


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
