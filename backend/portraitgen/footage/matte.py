# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The performer's matte: segmentation refined along the picture's edges and steadied over time."""

import os
import warnings
from typing import Any, Literal

import cv2
import numpy as np

Quality = Literal["fast", "fine"]

_GUIDE_RADIUS = 10
# For an 8-bit guide; a float guide blurs like a box in OpenCV's implementation.
_GUIDE_EPSILON = 6.5
_BAND = 12
_BLEND = 0.5
_SAME = 12.0


class MatteMaker:
    """Makes mattes of portrait windows.

    Args:
        quality: "fast" refines by a guided filter, "fine" solves the matting equation
            (Levin et al. 2008) in the band round the edge and takes some ten times as long.
    """

    def __init__(self, quality: Quality = "fast") -> None:
        os.environ.setdefault("GLOG_minloglevel", "3")
        warnings.filterwarnings("ignore", category=UserWarning, module="google.protobuf")
        from mediapipe.python import solutions

        self._quality = quality
        self._segmenter: Any = solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)
        self._flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

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
        coarse = self._segmenter.process(np.ascontiguousarray(image)).segmentation_mask
        coarse = np.clip(coarse, 0, 1).astype(np.float32)
        alpha = self._fine(image, coarse) if self._quality == "fine" else self._fast(image, coarse)
        if previous is not None:
            alpha = self._steadied(image, alpha, *previous)
        return (np.clip(alpha, 0, 1) * 255 + 0.5).astype(np.uint8)

    def close(self) -> None:
        """Frees the model."""
        self._segmenter.close()

    def _fast(self, image: np.ndarray, coarse: np.ndarray) -> np.ndarray:
        guided = cv2.ximgproc.guidedFilter(image, coarse, _GUIDE_RADIUS, _GUIDE_EPSILON)
        return (guided - 0.1) / 0.8

    def _fine(self, image: np.ndarray, coarse: np.ndarray) -> np.ndarray:
        from pymatting import estimate_alpha_cf

        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _BAND + 1,) * 2)
        inside = cv2.erode((coarse > 0.9).astype(np.uint8), kernel)
        outside = cv2.erode((coarse < 0.1).astype(np.uint8), kernel)
        if not inside.any() or not outside.any():
            return self._fast(image, coarse)
        trimap = np.where(inside, 1.0, np.where(outside, 0.0, 0.5))
        alpha = estimate_alpha_cf(image.astype(np.float64) / 255, trimap)
        return ((alpha - 0.05) / 0.9).astype(np.float32)

    def _steadied(
        self, image: np.ndarray, alpha: np.ndarray, before: np.ndarray, matte: np.ndarray
    ) -> np.ndarray:
        """Blended with the matte before, carried by optical flow, where the colours agree."""
        grey, grey_before = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (image, before))
        flow = self._flow.calc(grey, grey_before, None)
        rows, columns = np.mgrid[: alpha.shape[0], : alpha.shape[1]].astype(np.float32)
        x, y = columns + flow[..., 0], rows + flow[..., 1]
        carried = cv2.remap(matte, x, y, cv2.INTER_LINEAR).astype(np.float32) / 255
        expected = cv2.remap(grey_before, x, y, cv2.INTER_LINEAR)
        apart = cv2.absdiff(expected, grey).astype(np.float32)
        share = _BLEND * np.exp(-((apart / _SAME) ** 2))
        return alpha * (1 - share) + carried * share


def foreground_colours(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The performer's own colours where the background shines through the edge.

    After Germer et al., "Fast Multi-Level Foreground Estimation" (2020).

    Args:
        image: uint8 (S, S, 3).
        alpha: uint8 (S, S).

    Returns:
        uint8 (S, S, 3).
    """
    from pymatting import estimate_foreground_ml

    colours = estimate_foreground_ml(image.astype(np.float64) / 255, alpha.astype(np.float64) / 255)
    return (np.clip(colours, 0, 1) * 255 + 0.5).astype(np.uint8)
