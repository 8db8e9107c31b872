# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What OpenImageIO passes over in the headers of BMP and Radiance pictures."""

import struct
from pathlib import Path

import numpy as np

from ..errors import FootageError
from .colour_arithmetic import GAMUTS

_BITFIELDS = (3, 6)
_BGRX = (0xFF0000, 0xFF00, 0xFF)
_CALIBRATED = 0
_PROFILES = (0x4D424544, 0x4C494E4B)  # "MBED" and "LINK".
_V4 = 108
_HEADER = 4096
_RADIANCE = ("EXPOSURE", "COLORCORR", "PIXASPECT")


def of_bmp(path: Path) -> list[str]:
    """What to say of a BMP.

    Raises:
        FootageError: if its colours lie in an order that is not read.
    """
    with open(path, "rb") as file:
        head = file.read(14 + _V4)
    if len(head) < 66:
        return []
    size, _, _, _, bits, kind = struct.unpack_from("<IiiHHI", head, 14)
    masks = struct.unpack_from("<3I", head, 54)
    if kind in _BITFIELDS and bits == 32 and masks != _BGRX:
        what = "the BMP's colours lie in another order than blue, green, red"
        raise FootageError(what, path, "write it as PNG")
    if size < _V4 or len(head) < 14 + _V4:
        return []
    space, *ends = struct.unpack_from("<I9i", head, 70)
    # Red, green and blue as x, y, z with 30 bits behind the point.
    named = np.array(ends).reshape(3, 3)[:, :2] / (1 << 30)
    other = np.any(named) and not np.allclose(named.ravel(), GAMUTS["Rec.709"][:6], atol=0.01)
    if space in _PROFILES or (space == _CALIBRATED and other):
        return [
            "the BMP names colours of its own (an ICC profile, or primaries), which are not read;"
            " sRGB is assumed"
        ]
    return []


def of_radiance(path: Path) -> tuple[list[str], tuple[float, ...] | None]:
    """What to say of a Radiance picture (.hdr); x and y of its red, green, blue and white."""
    with open(path, "rb") as file:
        head = file.read(_HEADER).split(b"\n\n")[0].decode("latin-1")
    lines = dict(line.partition("=")[::2] for line in head.splitlines() if "=" in line)
    given = {name.strip(): _numbers(value) for name, value in lines.items()}
    said = [name for name in _RADIANCE if any(each != 1 for each in given.get(name, ()))]
    primaries = given.get("PRIMARIES", ())
    notes = [f"the image's header has {' and '.join(said)}, which is not followed"] if said else []
    return notes, primaries if len(primaries) == 8 else None


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(each) for each in text.split())
    except ValueError:
        return ()
