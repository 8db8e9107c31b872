# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a movie file was cut off: what its outermost boxes say they hold, and what is there."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_MATROSKA = b"\x1a\x45\xdf\xa3"
_SEGMENT = 0x18538067


def missing_bytes(path: Path) -> int:
    """How many bytes a Matroska, MP4, QuickTime or AVI file lacks at its end; 0 for others."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(12)
        file.seek(0)
        if head[:4] == _MATROSKA:
            end = _matroska_end(file)
        elif head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):
            end = _boxes_end(file, size)
        elif head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            end = int.from_bytes(head[4:8], "little") + 8
        else:
            return 0
    return max(0, end - size)


def outer_boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """ISO's outermost boxes: each one's kind, where it begins and where it says that it ends."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:16], "big")
        if length == 0 or length < 8 or not head[4:8].isascii():
            length = size - place  # It reaches to the end, or is no box: padding behind the last.
        yield head[4:8], place, place + length
        place += length


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Where the last of ISO's boxes ends."""
    return max((end for _, _, end in outer_boxes(file, size)), default=0)


def _matroska_end(file: BinaryIO) -> int:
    """Where the segment ends; 0 if it does not say (a live recording)."""
    place = 0
    for _ in range(4):
        file.seek(place)
        name, after = _number(file.read(4), keep=True)
        file.seek(place + after)
        length, width = _number(file.read(8))
        if length == (1 << 7 * width) - 1:
            return 0
        start = place + after + width
        if name == _SEGMENT:
            return start + length
        place = start + length
    return 0


def _number(data: bytes, keep: bool = False) -> tuple[int, int]:
    """A number of EBML and its width in bytes; `keep` leaves the width's mark in it."""
    if not data or not data[0]:
        return 0, 1
    width = 9 - data[0].bit_length()
    first = data[0] if keep else data[0] & ((1 << (8 - width)) - 1)
    return int.from_bytes(bytes([first]) + data[1:width], "big"), width
