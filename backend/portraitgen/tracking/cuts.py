# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shot cuts: where one frame has nothing to do with the last."""

import numpy as np

from ..images import to_float

_CHANGE = 0.08
_OUTSTANDING = 2.2
_RECOLOUR = 0.08
_REACH = 8


def find_cuts(frames: np.ndarray, thumbnails: np.ndarray) -> list[int]:
    """The frames that begin a new shot.

    A cut changes most of the picture at once and stands out from the motion before and after it;
    a flash returns to what was there and is none.

    Args:
        frames: (F,) frame numbers.
        thumbnails: uint8 (F, h, w, 3).
    """
    if len(frames) < 3:
        return []
    pictures = to_float(thumbnails)
    change = np.abs(np.diff(pictures, axis=0)).mean((1, 2, 3))
    hue = _histograms(pictures)
    recolour = 0.5 * np.abs(np.diff(hue, axis=0)).sum(1)
    cuts = []
    for row in range(len(change)):
        around = np.r_[change[max(0, row - _REACH) : row], change[row + 1 : row + 1 + _REACH]]
        usual = float(np.median(around)) + 0.01
        if change[row] < _CHANGE or change[row] < _OUTSTANDING * usual or recolour[row] < _RECOLOUR:
            continue
        # Of a flash's two edges one looks like what came before it, the other like what follows.
        after = pictures[min(row + 2, len(pictures) - 1)]
        before = pictures[max(row - 1, 0)]
        apart = (np.abs(after - pictures[row]).mean(), np.abs(before - pictures[row + 1]).mean())
        if min(apart) < 0.5 * change[row]:
            continue
        cuts.append(int(frames[row + 1]))
    return cuts


def _histograms(pictures: np.ndarray) -> np.ndarray:
    """Coarse colour histograms (F, 216), summing to 1."""
    levels = np.minimum((pictures * 6).astype(int), 5)
    cells = levels[..., 0] * 36 + levels[..., 1] * 6 + levels[..., 2]
    counted = np.stack([np.bincount(cell.ravel(), minlength=216) for cell in cells])
    return counted / counted.sum(1, keepdims=True)
