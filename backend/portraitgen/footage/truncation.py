# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a movie file was cut off: what its outermost boxes say they hold, and what is there.

Sources: the Matroska, ISO base media, AVI, ASF (3.2, File Properties Object), Ogg (RFC 3533) and
GIF89a specifications.
"""

from pathlib import Path
from typing import BinaryIO

from .ebml import SEGMENT, element, is_matroska
from .iso_boxes import is_iso, outer_boxes

_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
# How many bytes tell a file's beginning, and how far behind its last packet the next one may begin:
# indices and padding lie between.
_MARK, _BEHIND = 8, 1 << 20
_HEAD = 1 << 16
"""Bytes in which ASF's properties are looked for, and Ogg's last page."""


def missing_bytes(path: Path) -> int:
    """How many bytes a Matroska, MP4, QuickTime, AVI or ASF file lacks at its end; 0 for others."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(16)
        file.seek(0)
        if is_matroska(head):
            end = _matroska_end(file)
        elif is_iso(head):
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


def begins_anew(path: Path, place: int) -> bool:
    """Whether the file's own first bytes stand in it once more at or soon behind `place`, as where
    recordings were put one behind another."""
    with open(path, "rb") as file:
        mark = file.read(_MARK)
        file.seek(place)
        return mark in file.read(_BEHIND)


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
        name, length, head = element(file.read(16))
        if length is None:
            return 0
        place += head + length
        if name == SEGMENT:
            return place
    return 0
