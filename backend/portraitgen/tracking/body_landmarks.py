# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks of body and hands over time: what was not looked for is bridged, what trembles stilled.

The detector looks for the body in every other frame and places each joint anew. Left so, whatever
follows it hops: towards the landmarks where there are some, back to the prior where there are none.
"""

import numpy as np

from .smoothing import gaps, smooth

SEEN_BY = {
    "shoulders": (11, 12),
    "left_arm": (13,),
    "right_arm": (14,),
    "left_forearm": (15,),
    "right_forearm": (16,),
    "left_leg": (25,),
    "right_leg": (26,),
}
"""Parts of the body, and the landmarks that must be seen for them to be more than a guess."""
HANDS = ("left_hand", "right_hand")

# What a mark's weight falls by where it strays from its own path: so many times the usual.
_OUTLIER = 3.0
_LOOKS = 3
# A gap of more frames was not skipped: nothing was seen there.
_SKIPPED = 4
_LEAST_NOISE = 0.25
# So sure the detector is of what it sees; it places what it does not see all the same.
_SEEN = 0.5
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


def guessed_parts(
    pose: np.ndarray, hands: np.ndarray, size: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Where a part of the body was not seen: hidden, out of the picture or not told from it.

    Args:
        pose, hands: as `steady_landmarks` takes them.
        size: width and height of the plate.

    Returns:
        For every part bool (F,).
    """
    inside = ((pose[..., :2] >= 0) & (pose[..., :2] < size)).all(-1)
    sure = inside & (np.nan_to_num(pose[..., 2]) >= _SEEN)
    seen = {part: sure[:, list(marks)].all(1) for part, marks in SEEN_BY.items()}
    seen |= {part: ~np.isnan(hands[:, side, 0, 0]) for side, part in enumerate(HANDS)}
    return {part: ~_about(rows) for part, rows in seen.items()}


def _about(rows: np.ndarray) -> np.ndarray:
    """The same, with the rows that were skipped beside those that hold."""
    found: np.ndarray = np.convolve(rows, np.ones(2 * _SKIPPED - 3), "same") > 0
    return found


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
