# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a movie file was cut off: what its outermost boxes say they hold, and what is there.

Sources: the Matroska, ISO base media, AVI, ASF (3.2, File Properties Object), Ogg (RFC 3533) and
GIF89a specifications.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_MATROSKA = b"\x1a\x45\xdf\xa3"
_SEGMENT = 0x18538067
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_HEAD = 1 << 16
"""Bytes in which ASF's properties are looked for, and Ogg's last page."""


def missing_bytes(path: Path) -> int:
    """How many bytes a Matroska, MP4, QuickTime, AVI or ASF file lacks at its end; 0 for others."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(16)
        file.seek(0)
        if head[:4] == _MATROSKA:
            end = _matroska_end(file)
        elif head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):
            end = _boxes_end(file, size)
        elif head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            end = int.from_bytes(head[4:8], "little") + 8
        elif head == _ASF:
            end = _asf_end(file)
        else:
            return 0
    return max(0, end - size)


def abrupt_end(path: Path) -> str:
    """What tells that an Ogg, GIF or MPEG transport stream file was cut off; "" for others."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(1024)
        file.seek(max(0, size - _HEAD))
        tail = file.read()
    whole = True
    if head.startswith(b"OggS"):
        page = tail.rfind(b"OggS")
        whole = 0 <= page < len(tail) - 6 and bool(tail[page + 5] & 4)
    elif head.startswith(b"GIF8"):
        whole = tail.rstrip(b"\0").endswith(b";")
    for width in (188, 192, 204):
        # M2TS has four bytes of time before each packet.
        if head[width - 188 if width == 192 else 0 :: width][:5] == b"G" * 5 and size % width:
            return "it ends in the middle of a packet"
    return "" if whole else "the mark of its end is missing"


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


def _asf_end(file: BinaryIO) -> int:
    """Where the file ends; 0 if it does not say (a broadcast)."""
    head = file.read(_HEAD)
    at = head.find(_ASF_PROPERTIES)
    if at < 0 or len(head) < at + 92 or head[at + 88] & 1:
        return 0
    return int.from_bytes(head[at + 40 : at + 48], "little")


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
