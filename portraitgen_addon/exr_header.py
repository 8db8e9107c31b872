# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an OpenEXR file says of itself, read without a library: Blender shows none of it to Python.

The format: magic number, version, then attributes (name, type, size, value), ended by an empty
name; https://openexr.com/en/latest/OpenEXRFileLayout.html.
"""

from pathlib import Path

from portraitgen.errors import ShotError

_MAGIC = bytes((0x76, 0x2F, 0x31, 0x01))
# A header is some hundred bytes long; a file that claims more is none of ours.
_LIMIT = 1 << 20


def text_attributes(path: Path) -> dict[str, str]:
    """The attributes of type string in the file's first header.

    Raises:
        ShotError: if the file is missing or damaged.
    """
    return {
        name: value.decode("utf-8", "replace")
        for name, kind, value in _attributes(path)
        if kind == "string"
    }


def has_alpha(path: Path) -> bool:
    """Whether the file's first part has an alpha channel; raises as `text_attributes`."""
    for _, kind, value in _attributes(path):
        if kind == "chlist":
            # Names end with a zero, and 16 bytes of facts follow each.
            return b"\0A\0" in value or value.startswith(b"A\0")
    return False


def _attributes(path: Path) -> list[tuple[str, str, bytes]]:
    """Names, types and values."""
    try:
        with open(path, "rb") as file:
            data = file.read(_LIMIT)
        if data[:4] != _MAGIC:
            raise ValueError("it is no OpenEXR file")
        return _parsed(data)
    except (OSError, ValueError) as error:
        raise ShotError(
            f"the frame cannot be read ({error})", path, "render the take again"
        ) from error


def _parsed(data: bytes) -> list[tuple[str, str, bytes]]:
    found, at = [], 8
    while data[at : at + 1] != b"\0":
        name, at = _word(data, at)
        kind, at = _word(data, at)
        size = int.from_bytes(data[at : at + 4], "little")
        value = data[at + 4 : at + 4 + size]
        if len(value) != size or not name:
            raise ValueError("its header is cut off")
        at += 4 + size
        found.append((name, kind, value))
    return found


def _word(data: bytes, at: int) -> tuple[str, int]:
    end = data.find(b"\0", at, at + 256)
    if end < 0:
        raise ValueError("its header is cut off")
    return data[at:end].decode("latin-1"), end + 1
