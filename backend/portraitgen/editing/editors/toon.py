# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Toon: flat tones and inked lines."""

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from ...body.surface import Surface
from ...images import from_lab, to_grey, to_lab
from ...settings import option
from ..colour import eased
from ..editor import EditorInfo, EditRequest
from ..overlays import FrameEditor

# Half a line's width, metres on the performer, and where no body is known in sides of the window.
_OF_PERFORMER, _OF_WINDOW, _THINNEST = 0.0022, 0.0035, 0.6
_DARK, _FAINTEST, _BLACKEST = 0.15, 0.02, 0.06
_PASSES = 3


@dataclass(frozen=True)
class ToonOptions:
    """How it is drawn."""

    tones: int = option(6, "How many steps from black to white", minimum=2, maximum=16)
    smoothness: float = option(0.35, "How soft the steps are", minimum=0, maximum=1)
    lines: float = option(0.8, "How black the lines are", minimum=0, maximum=1)
    line_width: float = option(1.0, "Width of the lines, relative", minimum=0.3, maximum=4)
    saturation: float = option(1.25, "Colourfulness", minimum=0, maximum=3)


class Toon(FrameEditor):
    """Abstraction after Winnemoeller et al. (2006), with the lines of their XDoG (2012)."""

    info: ClassVar[EditorInfo] = EditorInfo(
        id="toon",
        label="Toon",
        description="Flat tones and inked lines, like a painted film",
    )
    Options = ToonOptions

    def _edit(self, request: EditRequest) -> np.ndarray:
        options = self.options
        image = np.ascontiguousarray(request.source, np.float32)
        for _ in range(_PASSES):
            image = np.asarray(cv2.bilateralFilter(image, 7, 0.09, 3.5), np.float32)
        lab = np.asarray(to_lab(image), np.float32)
        lightness = lab[..., 0] / 100 * options.tones
        step = np.floor(lightness)
        sharpness = 2 + 14 * (1 - options.smoothness)
        within = 0.5 + 0.5 * np.tanh(sharpness * (lightness - step - 0.5)) / np.tanh(sharpness / 2)
        lab[..., 0] = np.clip((step + within) / options.tones * 100, 0, 100)
        lab[..., 1:] *= options.saturation
        flat = np.clip(from_lab(lab), 0, 1)
        flat = flat * (1 - options.lines * self._ink(image, request.surface))[..., None]
        drawn: np.ndarray = request.source + request.strength * (flat - request.source)
        return drawn

    def _ink(self, image: np.ndarray, surface: Surface | None) -> np.ndarray:
        """Where lines are, 0..1: where it is darker than round about, softly thresholded."""
        grey = to_grey(image)
        sigma = self.options.line_width * _line(image.shape[0], surface)
        fine = cv2.GaussianBlur(grey, (0, 0), sigma)
        wide = cv2.GaussianBlur(grey, (0, 0), 1.6 * sigma)
        # In proportion to the light, or shadows and beards would be all ink.
        darker = (wide - fine) / (wide + _DARK)
        return eased((darker - _FAINTEST) / (_BLACKEST - _FAINTEST))


def _line(size: int, surface: Surface | None) -> float:
    """Half a line's width in pixels: the same on the performer, however large the window."""
    if surface is None:
        return _OF_WINDOW * size
    return max(_OF_PERFORMER * surface.pixels_per_metre, _THINNEST)
