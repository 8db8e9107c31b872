# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The elements of Matroska (RFC 8794, RFC 9559)."""

from collections.abc import Iterator

SEGMENT = 0x18538067


def is_matroska(head: bytes) -> bool:
    """Whether a file that begins so is made of elements."""
    return head[:4] == b"\x1a\x45\xdf\xa3"


def element(data: bytes) -> tuple[int, int | None, int]:
    """An element's name, the length of its body (None if it is not known), and of its head.

    Args:
        data: from where it begins; 16 bytes are enough.
    """
    if not data or not data[0]:
        return 0, None, 0
    wide = 9 - data[0].bit_length()
    name = int.from_bytes(data[:wide], "big")
    if len(data) <= wide or not data[wide]:
        return name, None, 0
    count = 9 - data[wide].bit_length()
    value = int.from_bytes(data[wide : wide + count], "big") & ((1 << 7 * count) - 1)
    return name, None if value == (1 << 7 * count) - 1 else value, wide + count


def elements_in(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements in an element's body, up to one of unknown length: each one's name and body."""
    place = 0
    while place < len(data):
        name, length, head = element(data[place : place + 16])
        if length is None:
            return
        yield name, data[place + head : place + head + length]
        place += head + length
