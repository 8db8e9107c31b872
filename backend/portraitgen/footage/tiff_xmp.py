# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""XMP in the first directory of a TIFF (tag 700). Standard library only.

OpenImageIO writes the tag with the properties that it knows; IPTC's digital source type is none of
them.
"""

import re
import struct
from dataclasses import dataclass

_XMP, _BYTES = 700, 1
# What is said of us in the place of what was said of another program.
_TOOL = re.compile(rb"""\s+xmp:CreatorTool=("[^"]*"|'[^']*')""")
_END = b"</rdf:RDF>"


@dataclass(frozen=True)
class _Form:
    """How a TIFF's directories are written: by struct's letters, and where the first is named."""

    order: str
    place: str
    count: str
    first: int

    @property
    def entry(self) -> struct.Struct:
        """Tag, type, how many values, and the values or where they are."""
        inside = "8s" if self.place == "Q" else "4s"
        return struct.Struct(f"{self.order}HH{self.place}{inside}")


def with_xmp(tiff: bytes, packet: str) -> bytes:
    """A TIFF whose first directory holds a packet, beside what its own packet says.

    Its other bytes stay where they are: packet and directory are written behind them.

    Args:
        tiff: the whole file.
        packet: XMP.

    Raises:
        ValueError: if it is no TIFF.
    """
    form = _form_of(tiff)
    entries, end = _entries(tiff, form)
    (following,) = struct.unpack_from(form.order + form.place, tiff, end)
    old = next((each for each in entries if each[0] == _XMP), None)
    said = _joined(_value(tiff, form, old) if old else b"", packet.encode())
    out = bytearray(tiff)
    out += b"\0" * (-len(out) % 8)
    at = len(out)
    out += said + b"\0" * (-len(said) % 8)
    kept = [each for each in entries if each[0] != _XMP]
    named = struct.pack(form.order + form.place, at)
    kept.append((_XMP, _BYTES, len(said), named))
    struct.pack_into(form.order + form.place, out, form.first, len(out))
    out += struct.pack(form.order + form.count, len(kept))
    for each in sorted(kept):
        out += form.entry.pack(*each)
    out += struct.pack(form.order + form.place, following)
    return bytes(out)


def xmp_in(tiff: bytes) -> str:
    """The packet of a TIFF's first directory; empty if it holds none.

    Raises:
        ValueError: if it is no TIFF.
    """
    form = _form_of(tiff)
    packet = next((each for each in _entries(tiff, form)[0] if each[0] == _XMP), None)
    return _value(tiff, form, packet).decode() if packet else ""


def _form_of(tiff: bytes) -> _Form:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 16:
        raise ValueError("it is no TIFF")
    (version,) = struct.unpack_from(f"{order}H", tiff, 2)
    return _Form(order, "Q", "Q", 8) if version == 43 else _Form(order, "I", "H", 4)


def _entries(tiff: bytes, form: _Form) -> tuple[list[tuple[int, int, int, bytes]], int]:
    """What the first directory holds, and where it ends."""
    (start,) = struct.unpack_from(form.order + form.place, tiff, form.first)
    (number,) = struct.unpack_from(form.order + form.count, tiff, start)
    start += struct.calcsize(form.order + form.count)
    entry = form.entry
    entries = [entry.unpack_from(tiff, start + index * entry.size) for index in range(number)]
    return entries, start + number * entry.size


def _value(tiff: bytes, form: _Form, entry: tuple[int, int, int, bytes]) -> bytes:
    _, _, count, inside = entry
    if count <= len(inside):
        return inside[:count]
    (at,) = struct.unpack(form.order + form.place, inside)
    return tiff[at : at + count]


def _joined(old: bytes, new: bytes) -> bytes:
    """A packet that says what two say; the new one alone where the old one cannot be read."""
    if _END not in old:
        return new
    begin = new.index(b"<rdf:Description")
    description = new[begin : new.index(_END)]
    head, end, tail = _TOOL.sub(b"", old).rpartition(_END)
    return head + description + end + tail
