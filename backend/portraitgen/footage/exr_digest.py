# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A digest of an EXR file in its own header: of every byte but its own, which count as zeros."""

import hashlib
import struct
from pathlib import Path

ATTRIBUTE = "portraitgen:sha256"
BLANK = "0" * 64
"""What the attribute holds until the file is written."""
_BEFORE = f"{ATTRIBUTE}\0string\0".encode() + struct.pack("<I", len(BLANK))
# Headers are far smaller.
_HEADER = 1 << 20


def place_of(data: bytes) -> int | None:
    """Where a file holds its digest, None if it holds none."""
    found = data.find(_BEFORE, 0, _HEADER)
    return None if found < 0 else found + len(_BEFORE)


def digest_of(data: bytes, place: int) -> str:
    """The digest of a file that holds it at a place."""
    made = hashlib.sha256(memoryview(data)[:place])
    made.update(BLANK.encode())
    made.update(memoryview(data)[place + len(BLANK) :])
    return made.hexdigest()


def was_damaged(path: Path) -> bool:
    """Whether a file's bytes are others than were written; False where it tells nothing of them.

    Raises:
        OSError: if it cannot be read.
    """
    data = path.read_bytes()
    place = place_of(data)
    if place is None:
        return False
    return data[place : place + len(BLANK)].decode("ascii", "replace") != digest_of(data, place)
