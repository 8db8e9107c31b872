# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statue: the performer cast in metal or cut in stone, under a studio's lights.

The tracked body's normals carry the form; the plate's local contrast is raised on them as relief
(brows, lips, folds, strands of hair, whatever their colour), and everything reflects one studio.
"""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from ...body.surface import Surface
from ...settings import option
from ..colour import LUMA, eased, shoulder, to_display, to_linear
from ..editor import EditorInfo, EditRequest
from ..hole_filling import fill_normals
from ..overlays import FrameEditor


@dataclass(frozen=True)
class _Material:
    """What light does to it.

    Attributes:
        reflects: (3,), linear, seen straight on.
        hollows: (3,), linear: what has settled where no light comes, as patina.
        gloss: the share of light that is mirrored rather than scattered, 0..1.
        rough: how wide mirrored lights are, 0..1.
    """

    reflects: tuple[float, float, float]
    hollows: tuple[float, float, float]
    gloss: float
    rough: float


_MATERIALS = {
    "bronze": _Material((0.17, 0.088, 0.040), (0.006, 0.008, 0.006), 0.72, 0.45),
    "gold": _Material((0.50, 0.29, 0.085), (0.03, 0.012, 0.003), 0.75, 0.35),
    "silver": _Material((0.36, 0.355, 0.345), (0.010, 0.010, 0.012), 0.8, 0.3),
    "marble": _Material((0.56, 0.545, 0.51), (0.07, 0.062, 0.055), 0.08, 0.8),
    "clay": _Material((0.30, 0.145, 0.085), (0.03, 0.013, 0.008), 0.05, 1.0),
}

_MATERIALS_TOLD = {
    "bronze": "Dark bronze with warm highlights",
    "gold": "Polished gold",
    "silver": "Polished silver",
    "marble": "Pale marble, which light enters a little",
    "clay": "Dull red clay, without highlights",
}

# Towards a light (x right, y up, z to the camera), how far round it reaches, and how bright it is.
_LIGHTS = (
    ((-0.62, 0.52, 0.58), 0.72, 2.6),
    ((0.85, 0.20, -0.45), 0.80, 1.6),
    ((0.55, 0.35, 0.75), 0.90, 1.1),
)
_SKY, _ZENITH, _FLOOR = 0.16, 0.34, 0.10
_SHARPEST, _WIDENING, _SPREAD = 0.1, 0.5, 0.3
# How far a surface seen edge-on mirrors white; tracked normals turn away too soon for all of it.
_GRAZING = 0.25
# Metres on the performer: how smooth the form is, what is relief and what is shade, how high
# relief stands for a doubling of brightness.
_FORM, _FINE, _COARSE, _HEIGHT = 3.7e-3, 1.4e-3, 15.6e-3, 4.5e-3
# Metres: how smooth clothes lie over a trunk, how far below the crown it begins, half its width.
_DRAPED, _NECK, _TRUNK = 0.035, 0.31, 0.17
# Sides of a window are so many metres where no body is known.
_WINDOW = 0.62
# Light below this share of white is noise; strands of dark hair are there below it, as are the
# edges of a codec's blocks in dark clothes.
_NOISE, _OF_HEAD = 0.012, 0.004
# Form is smooth: it is found at no more than this side.
_WORKING = 512


@dataclass(frozen=True)
class StatueOptions:
    """What it is made of."""

    material: str = option("bronze", "What it is made of", choices=_MATERIALS_TOLD)
    relief: float = option(1.0, "How deep features and folds are cut", minimum=0, maximum=3)
    polish: float = option(0.0, "Duller or more polished", minimum=-1, maximum=1)
    exposure: float = option(0.0, "Brighter or darker", unit="stops", minimum=-3, maximum=3)


class Statue(FrameEditor):
    """One material for the whole performer, eyes and hair included."""

    info: ClassVar[EditorInfo] = EditorInfo(
        id="statue",
        label="Statue",
        description="Cast in bronze, gold or silver, cut in marble, or modelled in clay",
    )
    Options = StatueOptions

    def _edit(self, request: EditRequest) -> np.ndarray:
        options, material = self.options, _MATERIALS[self.options.material]
        scale = _scale(request)
        relief = _relief(request, scale)
        form = _form(request)
        down, across = np.gradient(relief)
        height = options.relief * _HEIGHT * scale
        cut = form - height * np.stack([across, down, np.zeros_like(down)], axis=-1)
        cut /= np.maximum(np.linalg.norm(cut, axis=-1, keepdims=True), 1e-6)

        rough = float(np.clip(material.rough - 0.3 * options.polish, 0, 1))
        gloss = float(np.clip(material.gloss + 0.2 * options.polish, 0, 1))
        # The camera looks along +z; what it sees mirrored lies in this direction.
        towards = np.array([0, 0, 1], np.float32) - 2 * cut[..., 2:] * cut
        light = gloss * _mirrored(towards, _SHARPEST + _WIDENING * rough)
        light += (1 - gloss) * _scattered(cut)
        open_ = np.exp2(np.clip(relief, -1.2, 0.6) * 0.75 * min(options.relief, 1.0))
        grazing = _GRAZING * gloss * (1 - np.clip(-cut[..., 2], 0, 1)) ** 5
        reflects = np.array(material.reflects, np.float32)
        tint = reflects + grazing[..., None] * (1 - reflects)
        shown = tint * (light * open_)[..., None]
        shown += np.array(material.hollows, np.float32)
        made = to_display(shoulder(shown * 2.0**options.exposure))
        drawn: np.ndarray = request.source + request.strength * (made - request.source)
        return drawn


def _scale(request: EditRequest) -> float:
    """Pixels a metre on the performer."""
    if request.surface is None:
        return request.source.shape[0] / _WINDOW
    return request.surface.pixels_per_metre


def _form(request: EditRequest) -> np.ndarray:
    """Unit normals (H, W, 3) of head and hands as tracked, of the clothed body without its anatomy.

    What a body model has under a jersey is the mean person's, not the performer's.
    """
    whole = request.matte.shape
    share = min(1.0, _WORKING / max(whole))
    size = (round(whole[1] * share), round(whole[0] * share))
    scale = _scale(request) * share
    normals = cv2.resize(request.normals, size, interpolation=cv2.INTER_AREA)
    matte = cv2.resize(request.matte, size, interpolation=cv2.INTER_AREA)

    def smoothed(metres: float) -> np.ndarray:
        return fill_normals(normals, matte, max(1.0, metres * scale))

    form = smoothed(_FORM)
    if request.surface is not None:
        clothed = _below_neck(request.surface, _scale(request))
        clothed = cv2.resize(clothed, size, interpolation=cv2.INTER_AREA)[..., None]
        form = form * (1 - clothed) + smoothed(_DRAPED) * clothed
    form = cv2.resize(form, whole[::-1], interpolation=cv2.INTER_CUBIC)
    return form / np.maximum(np.linalg.norm(form, axis=-1, keepdims=True), 1e-6)


def _below_neck(surface: Surface, scale: float) -> np.ndarray:
    """How surely each pixel belongs to the trunk, float32 (H, W) in 0..1; hair goes with the head.

    Arms are as wide as what is smoothed and stay as they are.
    """
    rest = surface.rest
    trunk = (rest[:, 1] < rest[:, 1].max() - _NECK) & (np.abs(rest[:, 0]) < _TRUNK)
    return _near_to(trunk, surface, scale)


def _near_to(chosen: np.ndarray, surface: Surface, scale: float) -> np.ndarray:
    """How surely each pixel belongs to some vertices, float32 (H, W) in 0..1."""
    seen = surface.face >= 0
    value = np.zeros(surface.face.shape, np.float32)
    value[seen] = chosen[surface.faces[surface.face[seen]]].mean(1)
    sigma = max(1.0, 0.5 * _DRAPED * scale)
    near = cv2.GaussianBlur(value, (0, 0), sigma)
    cover = cv2.GaussianBlur(seen.astype(np.float32), (0, 0), sigma)
    share: np.ndarray = np.clip(near / np.maximum(cover, 1e-3), 0, 1)
    return share


def _relief(request: EditRequest, scale: float) -> np.ndarray:
    """What stands out (above 0) and what lies deep in the picture, float32 (H, W), in stops."""
    floor = np.full(request.matte.shape, _NOISE, np.float32)
    if request.surface is not None:
        height = request.surface.rest[:, 1]
        head = _near_to(height > height.max() - _NECK, request.surface, scale)
        floor += (_OF_HEAD - _NOISE) * head
    grey = np.log2(np.maximum(to_linear(request.source) @ LUMA, floor)).astype(np.float32)
    fine = cv2.GaussianBlur(grey, (0, 0), max(0.5, _FINE * scale))
    coarse = cv2.GaussianBlur(grey, (0, 0), max(2.0, _COARSE * scale))
    return np.tanh(0.9 * (fine - coarse)) / 0.9


def _mirrored(towards: np.ndarray, width: float) -> np.ndarray:
    """The studio's light from unit vectors (H, W, 3) in camera space, (H, W).

    Args:
        width: how gradually its lights begin and end.
    """
    up = -towards[..., 1]
    light = _SKY + _ZENITH * eased((up + 1) / 2) + _FLOOR * eased(-up)
    for place, reach, brightness in _LIGHTS:
        light = light + brightness * eased((towards @ _camera(place) - reach) / width + 0.5)
    return np.asarray(light, np.float32)


def _scattered(normals: np.ndarray) -> np.ndarray:
    """What a dull surface gathers of the studio's light, (H, W)."""
    light = _SKY + 0.5 * _ZENITH * (1 - normals[..., 1])
    for place, _, brightness in _LIGHTS:
        light = light + _SPREAD * brightness * np.clip(normals @ _camera(place), 0, 1)
    return np.asarray(light, np.float32)


def _camera(place: tuple[float, float, float]) -> np.ndarray:
    """A direction with y up and z to the camera as a unit vector of camera space."""
    direction = np.array(place, np.float32) * np.array([1, -1, -1], np.float32)
    return direction / np.linalg.norm(direction)
