# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The performer's matte: segmentation refined along the picture's edges and steadied over time."""

import contextlib
import functools
import sys
from typing import Literal

import cv2
import numpy as np

from ..images import to_codes, to_float, to_grey
from ..perception.person_mask import PersonMask
from .optical_flow import alike, carried, dense_flow, trusted

Quality = Literal["fast", "fine"]

_TUNED_AT = 512
"""Side of the windows the radii below were measured on, pixels."""
# Radius, and what counts as nothing and the rest of it as all. The first pass finds the edge, the
# second settles on it; wide windows would let a shelf behind the ear run into the face.
_GUIDE_PASSES = ((8, 0.2), (4, 0.08))
# For an 8-bit guide; a float guide blurs like a box in OpenCV's implementation.
_GUIDE_EPSILON = 6.5
# Statistics at half resolution cost a fifth and are a little closer to keyed mattes.
_GUIDE_SCALE = 0.5
# At this size the matting equation is solved six times as fast, and no worse.
_SOLVED_AT = 256
_BAND = 8
_SOLVED_RADIUS = 3
# A hole in the performer so small is an earring or a reflection, unless somewhere in it the
# segmentation is sure of the background, as between arm and body.
_SPECK, _SURE = 0.005, 0.15
# The segmenter is given squares; a narrower part of a window would be stretched out of all shape.
_LEAST_INSIDE = 0.55
_BLEND = 0.5
_SAME_COLOUR = 12.0


class MatteMaker:
    """Makes mattes of portrait windows.

    Args:
        quality: "fast" refines by a guided filter (He et al. 2013), "fine" solves the matting
            equation (Levin et al. 2008) in the band round the edge, at some five times the cost.
    """

    def __init__(self, quality: Quality = "fast") -> None:
        self._quality = quality
        self._segmenter = PersonMask()
        self._flow = dense_flow("fast")

    def frame(
        self, image: np.ndarray, previous: tuple[np.ndarray, np.ndarray] | None = None
    ) -> np.ndarray:
        """The matte of one window.

        Args:
            image: uint8 (S, S, 3) RGB.
            previous: the window before and its matte, uint8 (S, S); the new matte leans on it
                where the picture has only moved. Nothing else of the past is used.

        Returns:
            uint8 (S, S), 255 where the performer covers the pixel.
        """
        return self.steadied(image, self.alone(image), previous)

    def alone(self, image: np.ndarray, inside: np.ndarray | None = None) -> np.ndarray:
        """The matte of a window without its past, float32 (S, S), 0..1.

        It may run in another thread, beside `steadied` on the window before.

        Args:
            image: as for `frame`.
            inside: bool (S, S), what of it lies on the plate, as `cut` gives it.
        """
        coarse = _without_specks(self._segmented(image, inside))
        alpha = _fine(image, coarse) if self._quality == "fine" else _fast(image, coarse)
        clipped: np.ndarray = np.clip(alpha, 0, 1)
        return clipped

    def _segmented(self, image: np.ndarray, inside: np.ndarray | None) -> np.ndarray:
        """The segmentation of what lies on the plate, carried on beyond it as its colours are.

        Smeared edges mislead the segmenter, which would rather lose an arm there.
        """
        if inside is None or inside.mean() < _LEAST_INSIDE:
            mask: np.ndarray = np.clip(self._segmenter.read(image), 0, 1)
            return mask
        rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        mask = self._segmented(image[top:bottom, left:right], None)
        height, width = image.shape[:2]
        return np.pad(mask, ((top, height - bottom), (left, width - right)), "edge")

    def steadied(
        self,
        image: np.ndarray,
        alpha: np.ndarray,
        previous: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> np.ndarray:
        """What `frame` gives, from what `alone` gave for the same window."""
        if previous is not None:
            alpha = self._leaning(image, alpha, *previous)
        return to_codes(alpha)

    def _leaning(
        self, image: np.ndarray, alpha: np.ndarray, before: np.ndarray, matte: np.ndarray
    ) -> np.ndarray:
        """Blended with the matte before, carried by optical flow, where it can be trusted."""
        half = (max(8, alpha.shape[1] // 2), max(8, alpha.shape[0] // 2))
        small = [
            cv2.resize(to_grey(each), half, interpolation=cv2.INTER_AREA)
            for each in (image, before)
        ]
        back = self._flow(small[0], small[1])
        trust = trusted(back, self._flow(small[1], small[0]))

        size = alpha.shape[1::-1]
        scale = np.array([size[0] / half[0], size[1] / half[1]], np.float32)
        flow = cv2.resize(back, size, interpolation=cv2.INTER_LINEAR) * scale
        same = alike(carried(before, flow), image, _SAME_COLOUR)
        share = _BLEND * cv2.resize(trust, size) * same
        return alpha * (1 - share) + to_float(carried(matte, flow)) * share


def foreground_colours(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The performer's own colours where the background shines through the edge.

    After Germer et al., "Fast Multi-Level Foreground Estimation" (2020).

    Args:
        image: uint8 (S, S, 3).
        alpha: uint8 (S, S).

    Returns:
        uint8 (S, S, 3).
    """
    import numba
    from pymatting import estimate_foreground_ml

    threads = numba.get_num_threads()
    # On several threads its sweeps race, and a resumed job would train on other colours.
    numba.set_num_threads(1)
    try:
        colours = estimate_foreground_ml(to_float(image, np.float64), to_float(alpha, np.float64))
    finally:
        numba.set_num_threads(threads)
    return to_codes(colours)


def enlarged(matte: np.ndarray, image: np.ndarray) -> np.ndarray:
    """A window's matte at the plate's resolution, following the edges only the plate has.

    Args:
        matte: uint8 (S, S).
        image: uint8 (N, N, 3), the same window of the plate, N >= S.

    Returns:
        uint8 (N, N).
    """
    size = image.shape[1::-1]
    ratio = size[0] / matte.shape[1]
    soft = to_float(cv2.resize(matte, size, interpolation=cv2.INTER_CUBIC))
    refined = (_guided(image, soft, max(2, round(3 * ratio)), _GUIDE_SCALE) - 0.1) / 0.8
    # Only where the small matte was undecided: elsewhere texture must not show through.
    edge = cv2.dilate(((matte > 2) & (matte < 253)).astype(np.uint8), np.ones((3, 3), np.uint8))
    share = cv2.resize(edge.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    alpha = soft + share * (np.clip(refined, 0, 1) - soft)
    return to_codes(alpha)


def _without_specks(coarse: np.ndarray) -> np.ndarray:
    """Fills small enclosed holes that are no view of the background."""
    count, labels, facts, _ = cv2.connectedComponentsWithStats((coarse < 0.9).astype(np.uint8))
    height, width = coarse.shape
    for label in range(1, count):
        left, top, wide, high, area = facts[label]
        inside = left > 0 and top > 0 and left + wide < width and top + high < height
        if inside and area < _SPECK * coarse.size:
            hole = labels == label
            if coarse[hole].min() > _SURE:
                coarse[hole] = 1
    return coarse


def _guided(image: np.ndarray, soft: np.ndarray, radius: int, scale: float) -> np.ndarray:
    return cv2.ximgproc.guidedFilter(image, soft, radius, _GUIDE_EPSILON, scale=scale)


def _fast(image: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    for radius, least in _GUIDE_PASSES:
        radius = max(2, round(radius * image.shape[0] / _TUNED_AT))
        alpha = (_guided(image, coarse, radius, _GUIDE_SCALE) - least) / (1 - 2 * least)
        # Colours like the other side's must not count far from the edge.
        reach = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
        alpha = np.maximum(alpha, cv2.erode(coarse, reach))
        coarse = np.clip(np.minimum(alpha, cv2.dilate(coarse, reach)), 0, 1)
    return coarse


def _fine(image: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    from pymatting import estimate_alpha_cf, ichol

    whole, segmented, size = image, coarse, image.shape[1::-1]
    if image.shape[0] > _SOLVED_AT:
        small = (_SOLVED_AT, _SOLVED_AT)
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        coarse = cv2.resize(coarse, small, interpolation=cv2.INTER_AREA)
    band = max(2, round(_BAND * image.shape[0] / _TUNED_AT))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * band + 1,) * 2)
    inside = cv2.erode((coarse > 0.9).astype(np.uint8), kernel)
    outside = cv2.erode((coarse < 0.1).astype(np.uint8), kernel)
    if not inside.any() or not outside.any():
        return _fast(whole, segmented)
    trimap = np.where(inside, 1.0, np.where(outside, 0.0, 0.5))
    # Flat regions make the plain factorisation fail; PyMatting prints about it, and standard
    # output may be carrying a protocol.
    with contextlib.redirect_stdout(sys.stderr):
        alpha = estimate_alpha_cf(
            to_float(image, np.float64),
            trimap,
            preconditioner=functools.partial(ichol, shifts=(1e-3, 1e-2, 0.1, 1.0)),
            laplacian_kwargs={"epsilon": 1e-6},
            cg_kwargs={"rtol": 1e-3, "maxiter": 2000},
        )
    alpha = np.clip((alpha - 0.05) / 0.9, 0, 1).astype(np.float32)
    if image is whole:
        return alpha
    large = cv2.resize(alpha, size, interpolation=cv2.INTER_CUBIC)
    radius = max(2, round(_SOLVED_RADIUS * whole.shape[0] / _TUNED_AT))
    refined: np.ndarray = (_guided(whole, large, radius, _GUIDE_SCALE) - 0.05) / 0.9
    return refined
