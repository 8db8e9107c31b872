# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filling a picture where it says nothing, from what surrounds that: colours, normals."""

from collections.abc import Iterable

import cv2
import numpy as np

_AGREEING = 0.75
# Blurs wider than this are made of a smaller picture: nothing so fine is left in them.
_BROAD = 16.0


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
        blurred, share = _blurred(values, sigma), _blurred(cover, sigma)
        room = (1 - known) * np.clip(share * solid, 0, 1)
        filled += room[..., None] * blurred / np.maximum(share, 1e-4)[..., None]
        known += room
    return filled, known


def _blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur, (H, W[, C]), in about the same time however wide it is."""
    shrunk = 2 * sigma / _BROAD
    if shrunk < 2:
        # OpenCV drops the axis of a single channel.
        return cv2.GaussianBlur(picture, (0, 0), sigma).reshape(picture.shape)
    height, width = picture.shape[:2]
    size = (max(1, round(width / shrunk)), max(1, round(height / shrunk)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(sigma * size[0] / width, 0.3))
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return large.reshape(picture.shape)


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
    sigmas = [sigma * scale for scale in (1, 3, 9, 27)]
    filled, weight = filled_outward(normals * known[..., None], known, sigmas, 2, True)
    filled += (1 - weight)[..., None] * np.array([0, 0, -1], np.float32)
    return filled / np.maximum(np.linalg.norm(filled, axis=-1, keepdims=True), 1e-6)
