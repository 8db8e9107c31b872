# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The colour space of a PNG said in its own chunk (cICP), where sRGB would be taken for it."""

import struct
import zlib
from pathlib import Path

from .colour_spaces import ColourSpace

# Primaries and transfer of ITU-T H.273; the matrix is RGB's, the range full.
_CODES = {
    "sRGB P3-D65": (12, 13),
    "Rec.2020": (9, 1),
    "Rec.2100-HLG": (9, 18),
    "Rec.2100-PQ": (9, 16),
    "P3-D65 PQ": (12, 16),
}


def tag_png(path: Path, space: ColourSpace) -> None:
    """Adds the chunk after the header, where the space is one that PNG can name."""
    codes = _CODES.get(space.name)
    if codes is None:
        return
    body = b"cICP" + bytes((*codes, 0, 1))
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    data = path.read_bytes()
    after_header = 8 + 25
    if b"cICP" not in data[:200]:
        path.write_bytes(data[:after_header] + chunk + data[after_header:])
