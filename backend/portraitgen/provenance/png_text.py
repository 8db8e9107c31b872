# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text and colour space in PNG files (PNG 3rd edition, 11.3): what OpenCV writes holds none."""

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

from ..errors import ShotError
from ..storage import read_bytes

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# The signature, and IHDR with its length, name and check sum.
_HEADER = len(_SIGNATURE) + 25


def with_texts(png: bytes, texts: Mapping[str, str]) -> bytes:
    """A PNG with text chunks after its header; its pixels stay as they are.

    Args:
        png: the whole file.
        texts: by keyword, 1 to 79 Latin-1 characters; written as UTF-8 (iTXt).
    """
    chunks = [_chunk(b"iTXt", _international(name, text)) for name, text in texts.items()]
    return png[:_HEADER] + b"".join(chunks) + png[_HEADER:]


def with_colours(png: bytes, primaries: int, transfer: int) -> bytes:
    """A PNG that names its colour space by ITU-T H.273's numbers (cICP: RGB, full range)."""
    if b"cICP" in png[:200]:
        return png
    chunk = _chunk(b"cICP", bytes((primaries, transfer, 0, 1)))
    return png[:_HEADER] + chunk + png[_HEADER:]


def with_gamma(png: bytes, gamma: float, primaries: tuple[float, ...]) -> bytes:
    """A PNG that names its colour space by a gamma and primaries (gAMA, cHRM), by nothing else of
    that kind.

    Args:
        gamma: the exponent from light to codes.
        primaries: x and y of red, green, blue and white, none below 0.
    """
    *colours, white_x, white_y = primaries
    values = [round(value * 100000) for value in (white_x, white_y, *colours)]
    pieces = [png[:_HEADER]]
    pieces.append(_chunk(b"gAMA", struct.pack(">I", round(gamma * 100000))))
    pieces.append(_chunk(b"cHRM", struct.pack(">8I", *values)))
    place = _HEADER
    while place + 8 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, place)
        if kind == b"IDAT":
            break
        end = place + 12 + length
        if kind not in (b"gAMA", b"cHRM", b"sRGB"):
            pieces.append(png[place:end])
        place = end
    return b"".join(pieces) + png[place:]


def texts_of(png: bytes) -> dict[str, str]:
    """The uncompressed iTXt texts of a PNG by keyword."""
    found, place = {}, len(_SIGNATURE)
    while place + 8 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, place)
        data = png[place + 8 : place + 8 + length]
        if kind == b"iTXt" and data.count(b"\0") >= 5:
            keyword, rest = data.split(b"\0", 1)
            if rest[:1] == b"\0":
                found[keyword.decode("latin-1")] = rest[2:].split(b"\0", 2)[2].decode("utf-8")
        place += length + 12
    return found


def texts_in(path: Path, largest: int) -> dict[str, str]:
    """The texts of a file; none where it is no PNG that can be read, or longer than `largest`
    bytes."""
    try:
        return texts_of(read_bytes(path, largest))
    except (OSError, ShotError, ValueError):
        return {}


def _international(keyword: str, text: str) -> bytes:
    # Keyword, no compression, no language, no translated keyword, the text.
    return keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
