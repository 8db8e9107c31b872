# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The boxes of ISO's containers and QuickTime (ISO/IEC 14496-12)."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

_FIRST = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def is_iso(head: bytes) -> bool:
    """Whether a file that begins so is made of boxes."""
    return head[4:8] in _FIRST


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


def boxes_in(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes in a box's body: each one's kind and body.

    Raises:
        ValueError: once there is one that is smaller than its head.
    """
    place = 0
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, place + 8)
            head = 16
        size = size or len(data) - place
        if size < head:
            raise ValueError("a box is smaller than its head")
        yield kind, data[place + head : place + size]
        place += size
