# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scanlines of an OpenEXR file of one part, half and float channels side by side, packed by ZIP.

OpenImageIO takes twice the time: it brings channels of two types into a file value by value, and
searches harder for repetitions than pictures are worth. Layout of a file:
https://openexr.com/en/latest/OpenEXRFileLayout.html.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

_MAGIC = b"\x76\x2f\x31\x01"
_VERSION, _LONG_NAMES, _SHORT = 2, 0x400, 31
_HALF, _FLOAT = 1, 2
_ZIP, _ROWS = 3, 16
LARGEST_HALF = 65504

Attribute = str | int | float | Fraction | tuple[float, ...] | tuple[int, int]
"""Text, a whole number, a number, a rate, eight floats of primaries or two words of a time code."""


@dataclass(frozen=True)
class Channel:
    """A channel.

    Attributes:
        name: in the file.
        values: float32 (H, W).
        full: whether it is kept as floats; as halves if not, and what they cannot hold as the
            largest that they can.
    """

    name: str
    values: np.ndarray
    full: bool


def write_scanlines(
    path: Path, channels: Sequence[Channel], attributes: Mapping[str, Attribute]
) -> None:
    """Writes a file whose data window is its display window.

    Args:
        channels: all of one size, in any order.
        attributes: what its header says besides, by OpenEXR's names.

    Raises:
        ValueError: if the channels are not all of one size; OSError: if it cannot be written.
    """
    ordered = sorted(channels, key=lambda each: each.name.encode())
    height, width = ordered[0].values.shape
    if any(each.values.shape != (height, width) for each in ordered):
        raise ValueError("channels of several sizes")
    header = _header(ordered, width, height, attributes)
    starts = range(0, height, _ROWS)
    with open(path, "wb") as file:
        file.write(header)
        file.write(bytes(8 * len(starts)))
        places = []
        for start in starts:
            packed = _packed(_rows(ordered, start, min(start + _ROWS, height)))
            places.append(file.tell())
            file.write(struct.pack("<ii", start, len(packed)))
            file.write(packed)
        file.seek(len(header))
        file.write(struct.pack(f"<{len(places)}Q", *places))


def _rows(channels: Sequence[Channel], start: int, stop: int) -> np.ndarray:
    """Some lines as they lie in the file: each with one channel after the other, as bytes."""
    width = channels[0].values.shape[1]
    sizes = [width * (4 if each.full else 2) for each in channels]
    lines = np.empty((stop - start, sum(sizes)), np.uint8)
    place = 0
    for channel, size in zip(channels, sizes, strict=True):
        values = channel.values[start:stop]
        if not channel.full and not max(values.max(), -values.min()) <= LARGEST_HALF:
            # What half cannot hold would become infinite and poison every blur over it.
            values = np.clip(values, -LARGEST_HALF, LARGEST_HALF)
        kind = "<f4" if channel.full else "<f2"
        lines[:, place : place + size].view(kind)[...] = values
        place += size
    return lines.reshape(-1)


def _packed(data: np.ndarray) -> bytes:
    """OpenEXR's ZIP: low bytes before high ones, each as its difference to the one before."""
    sorted_ = np.concatenate([data[::2], data[1::2]])
    steps = np.empty_like(sorted_)
    steps[0] = sorted_[0]
    np.subtract(sorted_[1:], sorted_[:-1], out=steps[1:])
    steps[1:] += np.uint8(128)
    # Of differences runs are what repeats; a search for more takes twice as long for a twentieth.
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_RLE)
    packed = packer.compress(steps.data) + packer.flush()
    return packed if len(packed) < data.size else data.tobytes()


def _header(
    channels: Sequence[Channel], width: int, height: int, attributes: Mapping[str, Attribute]
) -> bytes:
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    said: dict[str, tuple[str, bytes]] = {
        "channels": ("chlist", b"".join(_listed(each) for each in channels) + b"\0"),
        "compression": ("compression", bytes([_ZIP])),
        "dataWindow": ("box2i", window),
        "displayWindow": ("box2i", window),
        "lineOrder": ("lineOrder", b"\0"),
        "pixelAspectRatio": _typed(1.0),
        "screenWindowCenter": ("v2f", bytes(8)),
        "screenWindowWidth": _typed(1.0),
    }
    said |= {name: _typed(value) for name, value in attributes.items()}
    names = [*said, *(each.name for each in channels)]
    long = any(len(name.encode()) > _SHORT for name in names)
    parts = [_MAGIC, struct.pack("<I", _VERSION | (_LONG_NAMES if long else 0))]
    for name in sorted(said):
        kind, value = said[name]
        parts += [_word(name), _word(kind), struct.pack("<i", len(value)), value]
    return b"".join([*parts, b"\0"])


def _listed(channel: Channel) -> bytes:
    kind = _FLOAT if channel.full else _HALF
    return _word(channel.name) + struct.pack("<iB3xii", kind, 0, 1, 1)


def _word(text: str) -> bytes:
    return text.encode() + b"\0"


def _typed(value: Attribute) -> tuple[str, bytes]:
    """An attribute's type and its bytes."""
    match value:
        case str():
            return "string", value.encode()
        case int():
            return "int", struct.pack("<i", value)
        case float():
            return "float", struct.pack("<f", value)
        case Fraction():
            return "rational", struct.pack("<iI", value.numerator, value.denominator)
    if len(value) == 2:
        return "timecode", struct.pack("<II", *value)
    return "chromaticities", struct.pack("<8f", *value)
