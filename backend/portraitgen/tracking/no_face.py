# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why no face was found: too small, upside down or on its side, or cut by the picture's edge."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

Find = Callable[[np.ndarray], np.ndarray]
"""Faces of a picture, uint8 (H, W, 3), as (N, 4) left, top, width, height in its pixels."""

_SIDE = 640
# Pixels of a face's width, and such faces beside each other that fill a picture.
_LARGE_ENOUGH = 40
_FEWEST = 16
_CUT = ("cut by the picture's edge", "give a plate that shows the whole face")
_TURNS = {2: "upside down", 1: "on its side", 3: "on its side"}


def why_no_face(
    images: Sequence[np.ndarray], find: Find, surest: Callable[[np.ndarray], float]
) -> tuple[str, str]:
    """What is wrong with the faces of some frames in which none was found, and what to do.

    Args:
        images: uint8 (H, W, 3) each.
        find: a detector of upright faces.
        surest: how sure it is of the best of a picture's faces, 0 without any.

    Returns:
        What to say after "the face is", and the remedy; empty if there seems to be none.
    """
    for image in images:
        height, width = image.shape[:2]
        border = max(height, width) // 2
        padded = cv2.copyMakeBorder(image, *(border,) * 4, cv2.BORDER_REFLECT)
        for left, top, wide, high in find(_fitted(padded)) * (max(padded.shape) / _SIDE):
            x, y = left - border, top - border
            if x < 0 or y < 0 or x + wide > width or y + high > height:
                # What is mirrored beyond the edge may shift a half face's middle onto it.
                inside_x = -0.2 * wide < x + wide / 2 < width + 0.2 * wide
                if inside_x and -0.2 * high < y + high / 2 < height + 0.2 * high:
                    return _CUT
    for image in images:
        small = _fitted(image)
        sure = {turn: surest(np.ascontiguousarray(np.rot90(small, turn))) for turn in _TURNS}
        turn = max(sure, key=lambda each: sure[each])
        if sure[turn] > 0:
            return _TURNS[turn], "turn the plate upright before it is tracked"
    found = [face for image in images for face in _small_faces(image, find)]
    sizes = [size for size, _ in found]
    enough = max(_LARGE_ENOUGH, *(max(image.shape[:2]) // _FEWEST for image in images), 0)
    if sizes and float(np.median(sizes)) >= enough:
        # A face of that size is found unless a part of it is missing.
        return _CUT if any(at_edge for _, at_edge in found) else ("", "")
    if sizes:
        pixels = float(np.median(sizes))
        return (
            f"too small (about {pixels:.0f} pixels wide)",
            f"give a plate in which it is at least {enough} pixels wide, or enlarge it before",
        )
    return "", ""


def _fitted(image: np.ndarray) -> np.ndarray:
    ratio = _SIDE / max(image.shape[:2])
    how = cv2.INTER_AREA if ratio < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=how)


def _small_faces(image: np.ndarray, find: Find) -> list[tuple[float, bool]]:
    """Faces that are found when the picture is looked at in enlarged pieces: their widths, and
    whether they lie at the picture's edge."""
    height, width = image.shape[:2]
    faces = []
    for pieces in (2, 4):
        side = max(32, int(max(height, width) / pieces * 1.25))
        for top in range(0, max(1, height - side // 4), max(1, side * 3 // 4)):
            for left in range(0, max(1, width - side // 4), max(1, side * 3 // 4)):
                piece = image[top : top + side, left : left + side]
                scale = max(piece.shape[:2]) / _SIDE
                for x, y, wide, high in find(_fitted(piece)) * scale:
                    near = 0.15 * wide
                    across = min(left + x, width - left - x - wide)
                    down = min(top + y, height - top - y - high)
                    faces.append((float(wide), bool(min(across, down) < near)))
        if faces:
            break
    return faces
