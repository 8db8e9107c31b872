# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured of a cut-out performer laid over plain grounds: likeness, and specks outside."""

from dataclasses import dataclass

import cv2
import numpy as np

GROUNDS = {"black": (0.0, 0.0, 0.0), "white": (1.0, 1.0, 1.0), "green": (0.0, 0.7, 0.0)}

# What is farther from the performer than this share of the picture, and differs from the ground by
# more than this, is a speck.
_AWAY, _SEEN = 0.025, 0.15
_THERE = 0.05


@dataclass(frozen=True)
class CutOut:
    """A performer on nothing.

    Attributes:
        premultiplied: float32 (H, W, 3), colours times alpha, 0..1.
        alpha: float32 (H, W).
    """

    premultiplied: np.ndarray
    alpha: np.ndarray

    def over(self, ground: str) -> np.ndarray:
        """Laid over one of `GROUNDS`, float32 (H, W, 3)."""
        colour = np.array(GROUNDS[ground], np.float32)
        laid: np.ndarray = self.premultiplied + (1 - self.alpha[..., None]) * colour
        return laid.clip(0, 1)


def psnr_over(ground: str, drawn: CutOut, truth: CutOut) -> float:
    """PSNR in dB of the whole picture over a ground."""
    error = float(((drawn.over(ground) - truth.over(ground)) ** 2).mean())
    return float(-10 * np.log10(max(error, 1e-10)))


def specks(ground: str, drawn: CutOut, truth: CutOut) -> int:
    """How many connected patches a picture shows over a ground where there is no performer."""
    side = 2 * max(1, round(_AWAY * truth.alpha.shape[0])) + 1
    round_kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    near = cv2.dilate((truth.alpha > _THERE).astype(np.uint8), round_kernel) > 0
    colour = np.array(GROUNDS[ground], np.float32)
    shown = np.abs(drawn.over(ground) - colour).max(-1) > _SEEN
    # The largest part may be the performer, who reaches over the margin; it is no speck.
    count, labels = cv2.connectedComponents((shown & ~near).astype(np.uint8), connectivity=8)
    touching = np.unique(labels[cv2.dilate(near.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0])
    return count - 1 - int((touching > 0).sum())
