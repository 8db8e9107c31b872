# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The colour space of a PNG said in its own chunks, where sRGB would be taken for it."""

import struct
import zlib
from pathlib import Path

from ..images import tag_colours
from .colour_spaces import ColourSpace, chromaticities, tags_of

_START = 8
_GAMMAS = {"srgb": 1 / 2.2, "linear": 1.0}


def tag_png(path: Path, space: ColourSpace) -> None:
    """Adds what names the space, unless that is sRGB: cICP, or gAMA and cHRM for what has no
    numbers in ITU-T H.273. An ICC profile outranks these, and what has one keeps it."""
    tags = tags_of(space)
    if tags is not None and tags[0] != 1:
        tag_colours(path, *tags)
    elif tags is None and space.kind in ("display", "linear") and _curve(space):
        _say_primaries(path, space)


def _curve(space: ColourSpace) -> str:
    if space.encoding is not None:
        return space.encoding.curve
    return "linear" if space.kind == "linear" else ""


def _say_primaries(path: Path, space: ColourSpace) -> None:
    curve = _curve(space)
    gamma = _GAMMAS.get(curve) or 1 / float(curve.split()[1])
    named = space.encoding.primaries if space.encoding is not None else chromaticities(space)
    *colours, white_x, white_y = named
    if min(colours) < 0:
        return  # PNG's numbers have no sign.
    values = [round(value * 100000) for value in (white_x, white_y, *colours)]
    new = _chunk(b"gAMA", struct.pack(">I", round(gamma * 100000)))
    new += _chunk(b"cHRM", struct.pack(">8I", *values))
    data = path.read_bytes()
    pieces = [data[:_START]]
    place = _START
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if kind == b"IDAT":
            break
        if kind not in (b"gAMA", b"cHRM", b"sRGB"):
            pieces.append(data[place:end])
        if kind == b"IHDR":
            pieces.append(new)
        place = end
    path.write_bytes(b"".join(pieces) + data[place:])


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
