# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turned and mirrored pictures: the eight orientations of Exif and of a movie's display matrix."""

import struct

import numpy as np

UPRIGHT = 1

# (a, b, c, d) of a display matrix, whose rows map x' = a x + c y and y' = b x + d y with y down,
# and the Exif orientation that shows the same.
_ORIENTATIONS = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}


def orientation_of(matrix: bytes | None) -> tuple[int, bool]:
    """The Exif orientation (1 to 8) of a movie's display matrix, and whether it is exactly that.

    Args:
        matrix: FFmpeg's side data, nine 32-bit numbers in the machine's byte order.
    """
    if matrix is None or len(matrix) < 36:
        return UPRIGHT, True
    a, b, _, c, d, _, _, _, _ = struct.unpack("=9i", matrix[:36])
    size = max(abs(a), abs(b), abs(c), abs(d))
    if size == 0:
        return UPRIGHT, False
    # A turn by any angle is shown as the quarter turn next to it.
    straight = abs(a) + abs(d) >= abs(b) + abs(c)
    signs = [int(np.sign(value)) for value in (a, b, c, d)]
    key = (signs[0], 0, 0, signs[3]) if straight else (0, signs[1], signs[2], 0)
    small = max(abs(b), abs(c)) if straight else max(abs(a), abs(d))
    return _ORIENTATIONS.get(key, UPRIGHT), key in _ORIENTATIONS and small < 0.01 * size


def swaps_sides(orientation: int) -> bool:
    """Whether width and height change places."""
    return orientation >= 5


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undoes an Exif orientation (1 to 8) of (H, W, C)."""
    if orientation in (2, 4, 5, 7):
        pixels = pixels[:, ::-1]
    turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    return np.rot90(pixels, turns)
