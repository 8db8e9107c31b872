# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks of body and hands over time: what was not looked for is bridged, what trembles stilled.

The detector looks for the body in every other frame and places each joint anew. Left so, whatever
follows it hops: towards the landmarks where there are some, back to the prior where there are none.
"""

import numpy as np

from .smoothing import gaps, smooth

# What a mark's weight falls by where it strays from its own path: so many times the usual.
_OUTLIER = 3.0
_LOOKS = 3
# A gap of more frames was not skipped: nothing was seen there.
_SKIPPED = 4
_LEAST_NOISE = 0.25
# How strongly landmarks are stilled: trunks are heavy, wrists quick. 1 halves what has a period of
# 7 frames, 20 of 10.
_TRUNK, _ELBOW, _WRIST, _HAND = 20.0, 6.0, 2.0, 1.0
_ELBOWS, _WRISTS = (13, 14), (15, 16, 17, 18, 19, 20, 21, 22)


def steady_landmarks(
    pose: np.ndarray, hands: np.ndarray, strength: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of body and hands, bridged over skipped frames and stilled without lag.

    Args:
        pose: (F, 33, 3), pixels and visibility; NaN where unseen.
        hands: (F, 2, 21, 2), pixels of left and right; NaN where unseen.
        strength: times the usual; 0 bridges only.

    Returns:
        The same with fewer gaps, float64.
    """
    stilled = np.array(pose, np.float64)
    for mark in range(pose.shape[1]):
        how = _ELBOW if mark in _ELBOWS else _WRIST if mark in _WRISTS else _TRUNK
        stilled[:, mark] = _stilled(stilled[:, mark], how * strength)
    stilled[..., 2] = np.clip(stilled[..., 2], 0, 1)
    fingers = np.array(hands, np.float64)
    for side in range(2):
        for mark in range(hands.shape[2]):
            fingers[:, side, mark] = _stilled(fingers[:, side, mark], _HAND * strength)
    return stilled, fingers


def _stilled(path: np.ndarray, strength: float) -> np.ndarray:
    """One landmark's path (F, C), robust to single frames that lie elsewhere."""
    seen = ~np.isnan(path[:, 0])
    if not seen.any():
        return path
    filled = np.nan_to_num(path)
    weights = seen.astype(float)
    for _ in range(_LOOKS):
        found = smooth(filled, strength, weights)
        off = np.linalg.norm((found - path)[:, :2], axis=1)
        usual = max(1.48 * float(np.median(off[seen])), _LEAST_NOISE)
        weights = np.where(seen, 1 / (1 + (np.nan_to_num(off) / (_OUTLIER * usual)) ** 2), 0.0)
    for first, last in gaps(seen):
        at_an_end = first == 0 or last == len(seen) - 1
        longest = 1 if at_an_end else _SKIPPED
        if last - first + 1 > longest:
            found[first : last + 1] = np.nan
    return found
