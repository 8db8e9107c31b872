# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One moment of an interlaced picture, which holds two."""

import numpy as np


def deinterlaced(pixels: np.ndarray) -> np.ndarray:
    """The upper field of a picture (H, W, C), its missing lines between those around them.

    Half the detail in height is lost and no line of the other moment is left. For full quality
    a plate is deinterlaced before, by a tool that follows motion.
    """
    result = pixels.copy()
    upper = pixels[0::2].astype(np.float32)
    between = upper[: len(pixels[1::2])].copy()
    below = upper[1 : len(between) + 1]
    between[: len(below)] = (between[: len(below)] + below) / 2
    if pixels.dtype.kind == "u":
        between = np.rint(between)
    result[1::2] = between.astype(pixels.dtype)
    return result
