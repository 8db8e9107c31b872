# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What image files say of their colours: chunks of PNG, ICC profiles, primaries of EXR, DPX."""

import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..schema import Data
from .icc import has_other_curve, icc_description, icc_encoding
from .tiff_tags import TiffTags

_EXIF_ADOBE_RGB = 2  # In no standard, but in cameras.


@dataclass(frozen=True)
class ColourTags(Data):
    """What an image's header says of its colours; empty where it says nothing.

    Attributes:
        chromaticities: the eight coordinates of primaries and white point, or None.
        interop: the Color Interop Forum's id (`colorInteropID`).
        named: the name that other software wrote ("oiio:ColorSpace", "ACES").
        dpx_transfer: a DPX file's transfer characteristic.
        icc: the description of the ICC profile.
        icc_primaries, icc_curve: see `icc_encoding`; None and "" where it is not made of them.
        icc_other: its curve is one that has no name here.
        cicp: primaries, transfer, matrix and range of ITU-T H.273, or None.
        gamma: the exponent from linear light to the codes (PNG's gAMA), or None.
        srgb: the file says it is sRGB.
    """

    chromaticities: tuple[float, ...] | None = None
    interop: str = ""
    named: str = ""
    dpx_transfer: str = ""
    icc: str = ""
    icc_primaries: tuple[float, ...] | None = None
    icc_curve: str = ""
    icc_other: bool = False
    cicp: tuple[int, ...] | None = None
    gamma: float | None = None
    srgb: bool = False


def is_text(value: object) -> bool:
    """Whether a header's value can be written again: newer releases of OpenImageIO give letters
    that are not UTF-8 as lone surrogates, older ones refuse them."""
    return not (isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value))


def header_text(spec: Any, name: str) -> str:
    """A text of a header; what is not UTF-8 is as if it were not there."""
    try:
        value = spec.getattribute(name)
    except UnicodeDecodeError:
        return ""
    return str(value) if value is not None and is_text(value) else ""


def colour_tags(path: Path, form: str, spec: Any, tiff: TiffTags) -> ColourTags:
    """What a file says of its colours.

    Args:
        form: OpenImageIO's name of the format.
        spec: its header.
        tiff: what it says beside that, if it is a TIFF.
    """

    def text(name: str) -> str:
        return header_text(spec, name)

    chromaticities = spec.getattribute("chromaticities")
    if chromaticities is None:
        chromaticities = tiff.primaries
    icc, profile = text("ICCProfile:profile_description"), spec.getattribute("ICCProfile")
    profile = b"" if profile is None else bytes(profile)
    primaries, curve = icc_encoding(profile) or (None, "")
    named = "ACES2065-1" if text("acesImageContainerFlag") == "1" else ""
    if not profile and spec.get_int_attribute("Exif:ColorSpace", 0) == _EXIF_ADOBE_RGB:
        named = "Adobe RGB"
    if form == "hdr" and text("oiio:ColorSpace").startswith("g22"):
        named = text("oiio:ColorSpace")  # Radiance's GAMMA of 1 / 2.2.
    tags = ColourTags(
        chromaticities=None if chromaticities is None else tuple(map(float, chromaticities)),
        interop=text("colorInteropID") or text("oiio:colorInteropID"),
        named=named,
        dpx_transfer="Printing density" if form == "cineon" else text("dpx:Transfer"),
        icc=icc or icc_description(profile),
        icc_primaries=primaries,
        icc_curve=curve,
        icc_other=has_other_curve(profile),
    )
    return _png(path, tags) if form == "png" else tags


def _png(path: Path, tags: ColourTags) -> ColourTags:
    """Chunks before the pixels: cICP outranks iCCP, that sRGB, that gAMA and cHRM."""
    with open(path, "rb") as file:
        file.seek(8)
        for _ in range(200):
            head = file.read(8)
            if len(head) < 8:
                break
            length, kind = struct.unpack(">I4s", head)
            if kind in (b"IDAT", b"IEND"):
                break
            data = file.read(length) if length <= 64 else b""
            if len(data) != length:
                file.seek(length, 1)
            file.seek(4, 1)
            if kind == b"gAMA" and length == 4:
                (value,) = struct.unpack(">I", data)
                tags = replace(tags, gamma=value / 100000 if value else None)
            elif kind == b"sRGB":
                tags = replace(tags, srgb=True)
            elif kind == b"cICP" and length == 4:
                tags = replace(tags, cicp=tuple(data))
            elif kind == b"cHRM" and length == 32:
                white_x, white_y, *rest = (each / 100000 for each in struct.unpack(">8I", data))
                tags = replace(tags, chromaticities=(*rest, white_x, white_y))
    return tags
