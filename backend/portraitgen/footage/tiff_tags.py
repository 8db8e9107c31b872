# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What OpenImageIO passes over in a TIFF's first directory: primaries, raw data, compression."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_PHOTOMETRIC, _WHITE, _PRIMARIES, _DNG = 262, 318, 319, 50706
_PALETTE, _COMPRESSION, _FILL_ORDER = 320, 259, 266
_ZIP, _LZMA, _ZSTD = (8, 32946), 34925, 50000
_LOG = (34676, 34677)
_RAW = (32803, 34892)  # A mosaic of one colour a pixel, and a camera's colours.
_MOST_TAGS = 1000
_MOST_VALUES = {_PALETTE: 3 * 256}
_KINDS = {1: "B", 3: "H", 4: "I", 5: "II"}  # By struct's letters; the last are fractions.


@dataclass(frozen=True)
class TiffTags:
    """What a TIFF says of itself.

    Attributes:
        raw: it is a camera's raw data (DNG), whose picture is a preview or a mosaic.
        primaries: x and y of red, green, blue and white, None unless it names all of them.
        dark_palette: its palette holds 8-bit numbers, as some old programs wrote them.
        unread: how it is compressed, where that is none of what can be read here.
    """

    raw: bool = False
    primaries: tuple[float, ...] | None = None
    unread: str = ""
    dark_palette: bool = False


def read_tiff_tags(path: Path) -> TiffTags:
    """Reads them; of a file that makes no sense, nothing is said."""
    wanted = (_PHOTOMETRIC, _DNG, _WHITE, _PRIMARIES, _COMPRESSION, _FILL_ORDER, _PALETTE)
    tags = _first_directory(path, wanted)
    raw = _DNG in tags or any(each in _RAW for each in tags.get(_PHOTOMETRIC, ()))
    values = (*tags.get(_PRIMARIES, ()), *tags.get(_WHITE, ()))
    palette = tags.get(_PALETTE, ())
    dark = bool(palette) and 0 < max(palette) < 256
    return TiffTags(raw, values if len(values) == 8 else None, _unread(tags), dark)


def _unread(tags: dict[int, tuple[float, ...]]) -> str:
    """How a TIFF is compressed, where OpenImageIO's wheel cannot undo it, or only roughly."""
    (compression, *_) = tags.get(_COMPRESSION) or (1,)
    if compression in _ZIP and tags.get(_FILL_ORDER) == (2,):
        return "by ZIP with the bits of each byte reversed (FillOrder 2)"
    if compression in _LOG:
        return "as LogLuv"  # It comes out with 8 bits and a curve of libtiff's own.
    return {_LZMA: "by LZMA", _ZSTD: "by Zstandard"}.get(int(compression), "")


def _first_directory(path: Path, wanted: tuple[int, ...]) -> dict[int, tuple[float, ...]]:
    """Some tags of the first directory; none where the file makes no sense."""
    with open(path, "rb") as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None:
            return {}
        try:
            (version,) = struct.unpack_from(f"{order}H", head, 2)
            big = version == 43
            place, count, entry = ("Q", "Q", "HHQ8s") if big else ("I", "H", "HHI4s")
            (start,) = struct.unpack_from(order + place, head, 8 if big else 4)
            file.seek(start)
            (number,) = struct.unpack(order + count, file.read(struct.calcsize(order + count)))
            size = struct.calcsize(order + entry)
            directory = file.read(size * min(number, _MOST_TAGS))
            return {
                tag: _values(file, order, place, kind, values, inside)
                for tag, kind, values, inside in struct.iter_unpack(order + entry, directory)
                if tag in wanted and kind in _KINDS and values <= _MOST_VALUES.get(tag, 16)
            }
        except (struct.error, OverflowError, OSError):
            return {}


def _values(
    file: BinaryIO, order: str, place: str, kind: int, count: int, inside: bytes
) -> tuple[float, ...]:
    """A tag's numbers, in its entry where there is room for them; none of a damaged one."""
    form = order + _KINDS[kind] * count
    data = inside
    try:
        if struct.calcsize(form) > len(inside):
            file.seek(struct.unpack(order + place, inside)[0])
            data = file.read(struct.calcsize(form))
        numbers = struct.unpack_from(form, data)
    except (struct.error, OverflowError, OSError):
        return ()
    if _KINDS[kind] == "II":
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        numbers = tuple(top / bottom if bottom else 0.0 for top, bottom in pairs)
    return tuple(float(each) for each in numbers)
