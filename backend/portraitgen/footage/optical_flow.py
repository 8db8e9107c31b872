# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Optical flow between two frames of a plate, and how far it can be trusted.

DIS flow (Kroeger et al. 2016). It is trusted where it leads back to where it came from (nothing
was uncovered or hidden) and where the colours at its two ends agree.
"""

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np

_SAME_PLACE = 1.5
_PRESETS = {
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}

Dense = Callable[[np.ndarray, np.ndarray], np.ndarray]


def dense_flow(preset: Literal["fast", "medium"]) -> Dense:
    """A function of two grey pictures, uint8 (H, W): for each pixel of the first, how many pixels
    away it lies in the second, float32 (H, W, 2)."""
    dis = cv2.DISOpticalFlow.create(_PRESETS[preset])
    return lambda first, second: dis.calc(first, second, None)  # type: ignore[call-overload]


def carried(picture: np.ndarray, flow: np.ndarray, how: int = cv2.INTER_LINEAR) -> np.ndarray:
    """What every pixel's flow points at, (H, W[, C])."""
    how |= cv2.WARP_RELATIVE_MAP
    # The stubs know no map of two channels, which needs no second one.
    found: np.ndarray = cv2.remap(  # type: ignore[call-overload]
        picture, flow, None, how, borderMode=cv2.BORDER_REPLICATE
    )
    return found


def trusted(there: np.ndarray, back: np.ndarray) -> np.ndarray:
    """How surely a flow returns to where it came from, 0..1, float32 (H, W).

    Args:
        there: (H, W, 2), from the first picture to the second; back: from the second to the first.
    """
    astray = np.square(there + carried(back, there)).sum(-1)
    surety: np.ndarray = np.exp(-astray / _SAME_PLACE**2)
    return surety


def alike(first: np.ndarray, second: np.ndarray, tolerance: float) -> np.ndarray:
    """How alike two pictures are, 0..1, float32 (H, W), by their most different channel.

    Args:
        first, second: uint8 (H, W, 3).
        tolerance: a difference that leaves 1/e, grey levels.
    """
    red, green, blue = cv2.split(cv2.absdiff(first, second))
    apart = cv2.max(cv2.max(red, green), blue).astype(np.float32)
    result: np.ndarray = np.exp(-np.square(apart / tolerance))
    return result
