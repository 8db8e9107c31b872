# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether before and after show the same things at the same places."""

import cv2
import numpy as np

from .learning import Pair

# Pixels of the longer side at which edges are compared, and how far beside each other at most.
_SIDE, _REACH = 96, 14
# How like edges are at all where something has moved, and by how much less so at their place.
_LIKE, _LESS = 0.5, 0.12


def misplacement(pair: Pair) -> str:
    """How after lies beside before, in words that go on from "After"; empty if it does not.

    Told by edges, which edits keep where they are. What has changed them beyond likeness, as a
    statue's may be, is not told of.

    Example:
        "is mirrored", "lies 6 % of the picture's width beside it"
    """
    height, width = pair.cover.shape
    share = _SIDE / max(height, width)
    size = max(8, round(width * share)), max(8, round(height * share))
    cover = cv2.resize(pair.cover, size, interpolation=cv2.INTER_AREA)
    before, after = _edges(pair.before, size), _edges(pair.after, size)
    straight, mirrored = (_likeness(before, each, cover) for each in (after, after[:, ::-1]))
    best = float(straight.max())
    if float(mirrored.max()) > max(_LIKE, best + _LESS):
        return "is mirrored"
    if best <= max(_LIKE, float(straight[_REACH, _REACH]) + _LESS):
        return ""
    row, column = np.unravel_index(int(straight.argmax()), straight.shape)
    moved = np.hypot(row - _REACH, column - _REACH) / _SIDE
    return f"lies {100 * moved:.0f} % of the picture's longer side beside it"


def _edges(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    grey = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).mean(-1)
    grey = cv2.GaussianBlur(grey, (0, 0), 1.0)
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    return np.hypot(across, down)


def _likeness(before: np.ndarray, after: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """The correlation of edges within the cover, by how far after is moved back, (29, 29)."""
    wide = np.pad(after, _REACH, mode="edge")
    found = cv2.matchTemplate(wide, before, cv2.TM_CCOEFF_NORMED, mask=cover)
    # Where nothing has edges there is no number.
    likeness: np.ndarray = np.where(np.isfinite(found), found, 0.0).clip(-1, 1)
    return likeness
