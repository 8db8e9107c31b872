# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plate may ask for: checked by what a header says, before anything is allocated."""

from ..errors import FootageError

MOST_PIXELS = 1 << 27
"""Of a picture: 16K is within it."""

MOST_BYTES = 4 << 30
"""Of a picture's channels all together, as they are read."""


def check_size(width: int, height: int, bytes_per_pixel: int, place: object) -> None:
    """Holds a picture's size against the limits.

    Raises:
        FootageError: if it is empty or too large.
    """
    if width < 1 or height < 1:
        raise FootageError(
            f"the picture is {width} x {height} pixels", place, "export it again from its source"
        )
    if width * height > MOST_PIXELS:
        raise FootageError(
            f"the picture says it is {width} x {height} pixels; at most {MOST_PIXELS >> 20}"
            " million are read",
            place,
            "give it in a smaller size",
        )
    if width * height * bytes_per_pixel > MOST_BYTES:
        need = width * height * bytes_per_pixel / 2**30
        raise FootageError(
            f"the picture's channels take {need:.1f} GB; at most {MOST_BYTES >> 30} GB are read",
            place,
            "give fewer channels or a smaller size",
        )
