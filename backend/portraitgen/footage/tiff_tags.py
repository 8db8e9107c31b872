# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the first directory of a TIFF says that OpenImageIO passes over: primaries, raw data."""

import struct
from pathlib import Path

_PHOTOMETRIC, _WHITE, _PRIMARIES, _DNG = 262, 318, 319, 50706
_RAW = (32803, 34892)  # A mosaic of one colour a pixel, and a camera's colours.
_MOST_TAGS = 1000


def is_raw(path: Path) -> bool:
    """Whether a TIFF is a camera's raw data (DNG), whose picture is a preview or a mosaic."""
    tags = _first_directory(path, (_PHOTOMETRIC, _DNG))
    return _DNG in tags or tags.get(_PHOTOMETRIC, (1.0,))[0] in _RAW


def primaries(path: Path) -> tuple[float, ...] | None:
    """x and y of red, green, blue and white, where a TIFF names all of them."""
    tags = _first_directory(path, (_WHITE, _PRIMARIES))
    values = (*tags.get(_PRIMARIES, ()), *tags.get(_WHITE, ()))
    return values if len(values) == 8 else None


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
            found = {}
            for tag, kind, values, inside in struct.iter_unpack(order + entry, directory):
                if tag not in wanted or values > 16:
                    continue
                letters = {1: "B", 3: "H", 4: "I", 5: "II"}.get(kind)
                if letters is None:
                    continue
                form = order + letters * values
                data = inside
                if struct.calcsize(form) > len(inside):
                    file.seek(struct.unpack(order + place, inside)[0])
                    data = file.read(struct.calcsize(form))
                numbers = struct.unpack_from(form, data)
                if kind == 5:
                    pairs = zip(numbers[::2], numbers[1::2], strict=True)
                    numbers = tuple(top / bottom if bottom else 0.0 for top, bottom in pairs)
                found[tag] = tuple(float(each) for each in numbers)
            return found
        except (struct.error, OverflowError, OSError):
            return {}
