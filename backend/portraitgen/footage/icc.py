# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ICC profiles say: their name, and the primaries and curve of those made of a matrix.

The layout is that of ICC.1:2010 (and of version 2); profiles made of tables are told by name alone.
"""

import struct

import numpy as np

from .colour_arithmetic import srgb_decode

_D50 = (0.3457, 0.3585)
_CLOSE = 0.004
"""Linear light by which a profile's curve may differ from the one it is taken for."""


def icc_description(profile: bytes) -> str:
    """What an ICC profile calls itself; "unnamed" if it does not say, "" without a profile."""
    if not profile:
        return ""
    try:
        found = _tags(profile).get(b"desc")
        return (found and _text(found)) or "unnamed"
    except struct.error:
        return "unnamed"


def icc_encoding(profile: bytes) -> tuple[tuple[float, ...], str] | None:
    """Primaries and curve of an ICC profile.

    Returns:
        x and y of red, green, blue and white, all adapted to D50 as the profile has them, and
        "linear", "srgb" or "gamma G" as `colour_arithmetic.Encoding` has it; None for a profile
        of tables, of other colours than RGB, or with a curve of another kind.
    """
    made = _of_matrix(profile)
    if made is None:
        return None
    columns, curves = made
    sums = [sum(column) for column in columns]
    if min(sums) <= 0 or any(each is None or each != curves[0] for each in curves):
        return None
    pairs = zip(columns, sums, strict=True)
    primaries = tuple(part / total for column, total in pairs for part in column[:2])
    return (*primaries, *_D50), str(curves[0])


def has_other_curve(profile: bytes) -> bool:
    """Whether a profile is made of a matrix and of curves that have no name here."""
    made = _of_matrix(profile)
    return made is not None and None in made[1]


def _of_matrix(profile: bytes) -> tuple[list[tuple[float, ...]], list[str | None]] | None:
    """The three primaries of an RGB profile made of a matrix, and its curves by name."""
    try:
        tags = _tags(profile)
        if profile[16:20] != b"RGB " or b"A2B0" in tags:
            return None
        columns = [_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        return columns, [_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")]
    except (struct.error, KeyError, IndexError):
        return None


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    found: dict[bytes, bytes] = {}
    for number in range(min(count, 200)):
        name, place, size = struct.unpack_from(">4s2I", profile, 132 + 12 * number)
        found.setdefault(name, profile[place : place + size])
    return found


def _text(data: bytes) -> str:
    if data[:4] == b"mluc":
        length, place = struct.unpack_from(">2I", data, 20)
        return data[place : place + length].decode("utf-16-be", "replace").strip("\0 ")
    (length,) = struct.unpack_from(">I", data, 8)
    return data[12 : 12 + length].decode("latin-1").strip("\0 ")


def _xyz(data: bytes) -> tuple[float, ...]:
    return tuple(value / 65536 for value in struct.unpack_from(">3i", data, 8))


def _curve(data: bytes) -> str | None:
    """The curve of a channel from codes to light, by name; None for one of another kind."""
    codes = np.linspace(0, 1, 65)
    if data[:4] == b"para":
        light = _parametric(data, codes)
    else:
        (count,) = struct.unpack_from(">I", data, 8)
        if count == 0:
            return "linear"
        if count == 1:
            return _power(struct.unpack_from(">H", data, 12)[0] / 256)
        table = np.array(struct.unpack_from(f">{min(count, 65536)}H", data, 12)) / 65535
        light = np.interp(codes, np.linspace(0, 1, len(table)), table)
    if np.abs(light - srgb_decode(codes)).max() < _CLOSE:
        return "srgb"
    middle = float(np.interp(0.5, codes, light))
    if not 0 < middle < 1:
        return None
    exponent = float(np.log(middle) / np.log(0.5))
    return _power(exponent) if np.abs(light - codes**exponent).max() < _CLOSE else None


def _parametric(data: bytes, codes: np.ndarray) -> np.ndarray:
    """ICC.1:2010, 10.16: (a x + b)^g + e from d on, c x + f below."""
    (kind,) = struct.unpack_from(">H", data, 8)
    count = (1, 3, 4, 5, 7)[kind]
    given = [value / 65536 for value in struct.unpack_from(f">{count}i", data, 12)]
    g, a, b, c, d, e, f = given + [1.0, 1, 0, 0, 0, 0, 0][count:]
    if kind in (1, 2):
        # The fourth number of kind 2 is added to both parts.
        c, d, e, f = 0.0, -b / a if a else 0.0, c, c
    return np.where(codes >= d, np.maximum(a * codes + b, 0) ** g + e, c * codes + f)


def _power(exponent: float) -> str | None:
    if not 0.2 < exponent < 5:
        return None
    return "linear" if abs(exponent - 1) < 0.005 else f"gamma {exponent:.4g}"
