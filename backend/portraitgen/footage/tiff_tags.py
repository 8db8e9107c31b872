# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the first directory of a TIFF says that OpenImageIO passes over: primaries, raw data."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_PHOTOMETRIC, _WHITE, _PRIMARIES, _DNG = 262, 318, 319, 50706
_RAW = (32803, 34892)  # A mosaic of one colour a pixel, and a camera's colours.
_MOST_TAGS = 1000
_KINDS = {1: "B", 3: "H", 4: "I", 5: "II"}  # By struct's letters; the last are fractions.


@dataclass(frozen=True)
class TiffTags:
    """What a TIFF says of itself.

    Attributes:
        raw: it is a camera's raw data (DNG), whose picture is a preview or a mosaic.
        primaries: x and y of red, green, blue and white, None unless it names all of them.
    """

    raw: bool = False
    primaries: tuple[float, ...] | None = None


def read_tiff_tags(path: Path) -> TiffTags:
    """Reads them; of a file that makes no sense, nothing is said."""
    tags = _first_directory(path, (_PHOTOMETRIC, _DNG, _WHITE, _PRIMARIES))
    raw = _DNG in tags or any(each in _RAW for each in tags.get(_PHOTOMETRIC, ()))
    values = (*tags.get(_PRIMARIES, ()), *tags.get(_WHITE, ()))
    return TiffTags(raw, values if len(values) == 8 else None)


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
                if tag in wanted and kind in _KINDS and values <= 16
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
