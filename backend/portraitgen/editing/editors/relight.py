# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Relight: another key light, by the ratio of new to old shading on the tracked normals.

The light that the shot was taken in is fitted to its brightness; every pixel is then multiplied,
in linear light, by what the new light gives its normal over what the old one gave. Over its plate
a take shows the plate's own pixels in the new light. The avatar learns them for other views;
a light that moves it learns as its mean, to which each rendered frame adds what it has beyond that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from ...settings import option
from ...storage import file_digest
from ..colour import LUMA, shoulder, to_display, to_linear, warmth
from ..editor import EditorInfo, EditRequest
from ..hole_filling import fill_normals
from ..light import LIGHT_FILE, Light, SceneLight, key_and_fill
from ..light_estimation import fitted_light
from ..overlays import AvatarOverlay, FrameEditor

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

_KEYS_TOLD = {
    "left": "From the picture's left, a little above",
    "right": "From the picture's right, a little above",
    "top": "From straight above",
    "under": "From below, as a campfire",
    "front": "From beside the camera",
    "rim-left": "From behind, on the left: an edge of light",
    "rim-right": "From behind, on the right: an edge of light",
    SCENE: "The light that was given with Light from Scene",
}
_LOWEST, _HIGHEST = 0.18, 3.0
# What the old light gives nowhere less than, as a share of its mean.
_DARKEST = 0.25
_SMOOTH, _LEAST_SMOOTH = 0.004, 0.7
_WORKING = 512


@dataclass(frozen=True)
class RelightOptions:
    """The new light."""

    key: str = option(
        "left",
        "Where the key light comes from; scene: a light of Blender's, given with Light from Scene",
        choices=_KEYS_TOLD,
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


class Relight(FrameEditor, AvatarOverlay):
    """One new light for the whole shot, which may move."""

    info: ClassVar[EditorInfo] = EditorInfo(
        id="relight",
        label="Relight",
        description="Another key light, from the tracked normals",
    )
    Options = RelightOptions
    keeps_grain = True

    def __init__(self, options: RelightOptions) -> None:
        super().__init__(options)
        self._own = Light(np.ones(1), np.zeros((0, 3)), np.zeros((0, 1)))
        self._level = 1.0
        self._scene_light: SceneLight | None = None
        self._folder = Path()

    def use_take(self, folder: Path) -> None:
        """Reads the light, if the key is the scene's."""
        self._folder = folder
        if self.options.key == SCENE:
            self._scene_light = SceneLight.read(folder)

    def state(self) -> str:
        """The light."""
        return "".join(file_digest(file) for file in self.kept_files().values())

    def kept_files(self) -> dict[str, Path]:
        """The light's."""
        return {LIGHT_FILE: self._folder / LIGHT_FILE} if self._scene_light else {}

    def prepare(self, samples: Sequence[EditRequest]) -> None:
        """Fits the shot's own light, and the exposure that keeps its mean brightness."""
        seen = []
        for each in samples:
            normals = _normals(each)
            known = (np.linalg.norm(normals, axis=-1) > 0.5) & (each.matte > 0.9)
            seen.append((to_linear(each.source) @ LUMA, normals, known))
        own = fitted_light(seen)
        if own is None:
            return
        self._own = own
        values = np.concatenate([value[known] for value, _, known in seen]).astype(np.float64)
        normals = np.concatenate([normal[known] for _, normal, known in seen])
        ratio = self._light.on(normals) @ LUMA / self._old(normals)[:, 0]
        self._level = float((values * ratio).sum() / values.sum())

    def learned(self) -> dict[str, object]:
        """The shot's own light, and that exposure."""
        light = {name: value.tolist() for name, value in vars(self._own).items()}
        return {"light": light, "level": self._level}

    def restore(self, folder: Path, learned: Mapping[str, Any]) -> None:
        """Takes both up, and the copy of the light that the edit keeps."""
        self.use_take(folder)
        if not learned:
            return
        self._own = Light(**{name: np.array(each) for name, each in learned["light"].items()})
        self._level = float(learned["level"])

    @cached_property
    def _light(self) -> Light:
        """Key and fill; of a light that moves, the mean."""
        options, fill = self.options, warmth(self.options.fill_temperature)
        if self._scene_light is not None:
            return self._scene_light.mean(fill, options.ratio)
        direction = np.array(KEYS[options.key])
        if options.azimuth is not None:
            around, up = np.radians(options.azimuth), np.radians(options.elevation)
            direction = np.array(
                [np.cos(up) * np.sin(around), -np.sin(up), -np.cos(up) * np.cos(around)]
            )
        direction = direction / np.linalg.norm(direction)
        return key_and_fill(direction, warmth(options.temperature), fill, options.ratio)

    def over_avatar(self, request: EditRequest) -> np.ndarray:
        """What a frame's light has beyond the mean."""
        if self._scene_light is None or not self._scene_light.moves:
            return request.rendered
        normals = _filled(request.normals, request.matte)
        now = self._light_of(request.frame).on(normals)
        ratio = np.clip(now / self._light.on(normals), _LOWEST, _HIGHEST)
        return to_display(to_linear(request.rendered) * ratio**request.strength)

    def edit_frame(self, request: EditRequest) -> np.ndarray:
        """The performer in the light of the frame."""
        return self._lit(request, self._light_of(request.frame))

    def _edit(self, request: EditRequest) -> np.ndarray:
        return self._lit(request, self._light)

    def _light_of(self, frame: int) -> Light:
        if self._scene_light is None:
            return self._light
        return self._scene_light.at(
            frame, warmth(self.options.fill_temperature), self.options.ratio
        )

    def _old(self, normals: np.ndarray) -> np.ndarray:
        """What the shot's own light gives, (..., 1), nowhere close to nothing."""
        return np.maximum(self._own.on(normals), _DARKEST)

    def _lit(self, request: EditRequest, light: Light) -> np.ndarray:
        """The source in another light, float32 (H, W, 3)."""
        height, width = request.matte.shape
        size = _working_size(width, height)
        matte = cv2.resize(request.matte, size, interpolation=cv2.INTER_AREA)
        normals = _filled(_normals(request, size), matte)
        gain = 2.0**self.options.exposure / self._level
        ratio = np.clip(gain * light.on(normals) / self._old(normals), _LOWEST, _HIGHEST)
        ratio = cv2.resize(ratio, (width, height), interpolation=cv2.INTER_LINEAR)
        return to_display(shoulder(to_linear(request.source) * ratio**request.strength))


def _working_size(width: int, height: int) -> tuple[int, int]:
    """At which shading is made: it is smooth, and a plate may be large."""
    scale = min(1.0, _WORKING / max(width, height))
    return round(width * scale), round(height * scale)


def _normals(request: EditRequest, size: tuple[int, int] | None = None) -> np.ndarray:
    """The tracked body's normals, 0 where it is not; the avatar's, which are rougher, if need be.

    Args:
        size: width and height, the request's own by default.
    """
    if request.surface is None:
        return request.normals if size is None else cv2.resize(request.normals, size)
    camera = request.surface.camera
    if size is None or size == (camera.width, camera.height):
        return request.surface.normals()
    return request.surface.seen_by(camera.resized(*size)).normals()


def _filled(normals: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """Unit normals everywhere, (H, W, 3)."""
    return fill_normals(normals, matte, max(_LEAST_SMOOTH, _SMOOTH * max(matte.shape)))
