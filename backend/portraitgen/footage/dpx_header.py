# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What OpenImageIO passes over in a DPX: padded lines, short headers, lines that run downwards."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import FootageError

_WHOLE = 2048  # Bytes of a header with the parts for film and television (SMPTE 268M).
_ELEMENT = 780
_CHANNELS = {6: 1, 50: 3, 51: 4}  # Luma, RGB and RGBA, by a picture element's descriptor.
_TURNED = 4  # Orientations from here on have lines that run downwards.
_TRANSFER = 801
_LINEAR = b"\2\2"  # Transfer and colorimetry.
_FILM = (b"\1", b"\3")  # Printing density and logarithm.
UNTOLD = (
    "the images say that they are linear, as older releases of FFmpeg write into every DPX;"
    " Rec.709 is assumed; name their colour space if they are not"
)
_FILLED = 1  # Method A: codes in the upper bits of a word.
_THREES = {_FILLED: (2, 12, 22), 2: (0, 10, 20)}  # Where three codes of 10 bits begin in it.


@dataclass(frozen=True)
class DpxHeader:
    """How a DPX lies in its file.

    Attributes:
        order: the byte order, as struct writes it.
        start: where its picture begins.
        width, height: codes of a line, and lines.
        channels: of a code, 0 where that is not known here.
        bits: of a code.
        untold: an older release of FFmpeg wrote it, which calls every DPX linear.
        turned: its lines run downwards.
        misread: OpenImageIO 3.2 misreads its picture, which `read_codes` does not: lines that are
            filled up to whole words of 32 bits, as the standard wants, 12 bits in the lower bits
            of 16, as ImageMagick writes grey and RGBA, and grey of 10 bits, three to a word, whose
            lines do not fill their last one.
    """

    order: str
    start: int
    width: int
    height: int
    channels: int
    bits: int
    packing: int
    untold: bool
    turned: bool
    misread: bool

    @property
    def short(self) -> bool:
        """Whether the picture begins where the parts for film and television would be."""
        return self.start < _WHOLE


def read_dpx_header(path: Path) -> DpxHeader | None:
    """Reads it; None of a file that makes no sense."""
    with open(path, "rb") as file:
        head = file.read(_WHOLE)
    order = {b"SDPX": ">", b"XPDS": "<"}.get(head[:4])
    if order is None or len(head) < _WHOLE:
        return None
    (start,) = struct.unpack_from(f"{order}I", head, 4)
    turn, elements, width, height = struct.unpack_from(f"{order}HHII", head, 768)
    descriptor, _, _, bits, packing, coding, _, fill = struct.unpack_from(
        f"{order}4B2H2I", head, _ELEMENT + 20
    )
    channels = _CHANNELS.get(descriptor, 0)
    line = width * channels * _bytes_of(bits, packing)
    there = path.stat().st_size - start
    plain = bits == 12 and packing == _FILLED and channels in (1, 4) and coding == 0
    threes = bits == 10 and packing in _THREES and channels == 1 and coding == 0 and width % 3
    padded = line % 4 > 0 and elements == 1 and coding == 0 and fill in (0, 0xFFFFFFFF)
    return DpxHeader(
        order,
        start,
        width,
        height,
        channels,
        bits,
        packing,
        _is_untold(head),
        _TURNED <= turn < 2 * _TURNED,
        (padded and there == height * (line + -line % 4))
        or (plain and there == height * line)
        or bool(threes and there == height * 4 * -(-width // 3)),
    )


def lacks_ends(path: Path, header: DpxHeader) -> bool:
    """Whether the last word of every line is empty, where it holds less codes than fit: ImageMagick
    leaves it so."""
    codes = header.width * header.channels
    if header.bits != 10 or header.packing not in _THREES or codes % 3 == 0:
        return False
    words = -(-codes // 3)
    if path.stat().st_size - header.start != header.height * 4 * words:
        return False
    stored = np.memmap(path, np.uint32, "r", header.start, (header.height, words))
    return not stored[:, -1].any() and bool(stored[:, -2].any())


def doubt_about_transfer(head: bytes) -> str:
    """Why the transfer curve that FFmpeg takes from a DPX inside a movie is not to be believed.

    "" if it is, "untold" where an older release of FFmpeg wrote it, "film" where it is logarithmic.

    Args:
        head: the beginning of the picture.
    """
    if _is_untold(head):
        return "untold"
    return "film" if head[_TRANSFER : _TRANSFER + 1] in _FILM else ""


def _is_untold(head: bytes) -> bool:
    return head[160:].startswith(b"Lavc") and head[_TRANSFER : _TRANSFER + 2] == _LINEAR


def _bytes_of(bits: int, packing: int) -> int:
    """How many bytes each code fills; 0 where several share a word."""
    if bits == 12:
        return 2 if packing == _FILLED else 0
    return {8: 1, 16: 2}.get(bits, 0)


def read_codes(path: Path, header: DpxHeader) -> np.ndarray:
    """The codes of a DPX that is misread, (H, W, C): uint8, or uint16 over the full range.

    Raises:
        FootageError: if they do not lie as the header says.
    """
    if header.bits == 10:
        return _threes(path, header)
    kind = np.dtype("u1") if header.bits == 8 else np.dtype(f"{header.order}u2")
    line = header.width * header.channels * kind.itemsize
    stored = np.fromfile(path, np.uint8, offset=header.start).reshape(header.height, -1)
    codes = np.ascontiguousarray(stored[:, :line]).view(kind)
    codes = codes.reshape(header.height, header.width, header.channels)
    if header.bits == 8:
        return codes
    wide = codes.astype(np.uint16)
    if header.bits == 16:
        return wide
    if (wide & 15).any():
        if wide.max() >= 1 << 12:
            raise FootageError(
                "the image's 12 bits do not lie as its header says", path, "write it with 10 or 16"
            )
        wide <<= 4
    return wide | wide >> 12


def _threes(path: Path, header: DpxHeader) -> np.ndarray:
    """Grey of 10 bits, three codes to a word, the first in its lowest bits."""
    stored = np.fromfile(path, np.dtype(f"{header.order}u4"), offset=header.start)
    words = stored.reshape(header.height, -1)
    codes = np.stack([words >> place & 1023 for place in _THREES[header.packing]], axis=2)
    wide = codes.reshape(header.height, -1, 1)[:, : header.width].astype(np.uint16)
    return wide << 6 | wide >> 4
