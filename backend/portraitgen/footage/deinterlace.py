# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One moment of an interlaced picture, which holds two."""

from typing import Any

import av
import numpy as np


def upper_field(frame: Any) -> Any:
    """The upper field of a decoded picture whose colours are halved in height, as a picture of half
    the height; None of another.

    Each field has lines of colour of its own, which must not be mixed with the other moment's.
    """
    if len(frame.planes) < 2 or not 1 < frame.planes[1].height < frame.height:
        return None
    field = av.VideoFrame(frame.width, (frame.height + 1) // 2, frame.format.name)
    for source, target in zip(frame.planes, field.planes, strict=True):
        lines = np.frombuffer(source, np.uint8, source.line_size * source.height)
        lines = lines.reshape(source.height, -1)[0::2][: target.height]
        room = np.zeros((target.height, target.line_size), np.uint8)
        used = min(source.line_size, target.line_size)
        room[: len(lines), :used] = lines[:, :used]
        target.update(room.tobytes())
    return field


def filled(field: np.ndarray, height: int) -> np.ndarray:
    """A picture (H, W, C) of its upper field alone, its missing lines between those around them.

    Half the detail in height is lost and no line of the other moment is left. For full quality
    a plate is deinterlaced before, by a tool that follows motion.

    Args:
        field: (ceil(H / 2), W, C).
        height: H.
    """
    result = np.empty((height, *field.shape[1:]), field.dtype)
    result[0::2] = field
    upper = field.astype(np.float32)
    between = upper[: height // 2].copy()
    below = upper[1 : len(between) + 1]
    between[: len(below)] = (between[: len(below)] + below) / 2
    if field.dtype.kind == "u":
        between = np.rint(between)
    result[1::2] = between.astype(field.dtype)
    return result
