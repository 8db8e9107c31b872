# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filling a picture where it says nothing, from what surrounds that."""

from collections.abc import Iterable

import cv2
import numpy as np


def filled_outward(
    values: np.ndarray, cover: np.ndarray, sigmas: Iterable[float], solid: float, smoothed: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Coarser and coarser averages fill what the finer ones do not reach.

    Args:
        values: float32 (H, W, C), multiplied by `cover`.
        cover: float32 (H, W), 0 where nothing is known.
        sigmas: of the averages, pixels, ascending.
        solid: over the cover that an average needs to count in full.
        smoothed: whether known values give way to averages, too.

    Returns:
        float32 (H, W, C), multiplied by the new cover, and that, (H, W).
    """
    if smoothed:
        filled, known = np.zeros_like(values), np.zeros_like(cover)
    else:
        filled, known = values.copy(), cover.copy()
    for sigma in sigmas:
        blurred = cv2.GaussianBlur(values, (0, 0), sigma)
        share = cv2.GaussianBlur(cover, (0, 0), sigma)
        room = (1 - known) * np.clip(share * solid, 0, 1)
        filled += room[..., None] * blurred / np.maximum(share, 1e-4)[..., None]
        known += room
    return filled, known
