# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of an image, or why it is refused, where its pixels would come out wrong."""

from pathlib import Path

import numpy as np
import OpenImageIO as oiio  # noqa: N813

from ..errors import FootageError
from .colour_arithmetic import GAMUTS
from .dpx_header import UNTOLD, DpxHeader, lacks_ends
from .image_tags import header_text
from .tiff_tags import TiffTags

_UNCALIBRATED = 65535
DPX_VIDEO = "ITU-R 709-4"
"""What OpenImageIO calls Rec.709 in the header of a DPX."""

_ODD_INTEGERS = {
    oiio.INT8: ("signed whole numbers of 8 bits", "127"),
    oiio.INT16: ("signed whole numbers of 16 bits", "32767"),
    oiio.INT32: ("signed whole numbers of 32 bits", "2147483647"),
    oiio.UINT32: ("whole numbers of 32 bits", "4294967295"),
    oiio.INT64: ("signed whole numbers of 64 bits", "9223372036854775807"),
    oiio.UINT64: ("whole numbers of 64 bits", "18446744073709551615"),
}
_VIDEO_TRANSFERS = frozenset(
    (
        "Unspecified video", "SMPTE 274M", DPX_VIDEO, "ITU-R 601-5 system B or G",
        "ITU-R 601-5 system M", "NTSC composite video", "PAL composite video",
    )
)  # fmt: skip


def of_pixels(spec: "oiio.ImageSpec", form: str, path: Path, tiff: TiffTags) -> list[str]:
    """What to say of pixels that are turned into RGB by OpenImageIO, or of which some are left.

    Raises:
        FootageError: if what comes out would be wrong.
    """
    if tiff.raw:
        raise FootageError(
            "the image is a camera's raw data", path, "develop it and export EXR, TIFF or DPX"
        )
    if tiff.unread:
        raise FootageError(
            f"the image is compressed {tiff.unread}, which cannot be read here",
            path,
            "export it with plain ZIP or LZW",
        )
    if form == "dpx" and "CbYCr" in header_text(spec, "dpx:ImageDescriptor"):
        # What OpenImageIO 3.2 makes of it is far off.
        raise FootageError("the image is in YCbCr", path, "write it as RGB")
    space = header_text(spec, f"{form}:ColorSpace").upper()
    if "LAB" in space:
        raise FootageError("the image is in CIELAB", path, "export it as RGB")
    if form == "tiff" and spec.channelnames[0].startswith("ink"):
        raise FootageError("the image is in inks that are not CMYK", path, "export it as RGB")
    if tiff.dark_palette:
        raise FootageError(
            "the image's palette has 8 bits where TIFF has 16, and would be read as black",
            path,
            "export it as RGB",
        )
    if form == "tiff" and spec.tile_width and spec.format.basetype == oiio.DOUBLE:
        # OpenImageIO 3.2 gives memory that nobody has written.
        raise FootageError("the image has tiles of 64-bit floats", path, "export it with 32 bits")
    notes = []
    named = tiff.primaries if spec.getattribute("ICCProfile") is None else None
    if named is not None and not np.allclose(named, GAMUTS["Rec.709"], atol=2e-3):
        notes.append(
            "the TIFF names its primaries in tags that full plates are written without; name their"
            " colour space where they are read"
        )
    if not (
        spec.full_x < spec.x + spec.width
        and spec.x < spec.full_x + spec.full_width
        and spec.full_y < spec.y + spec.height
        and spec.y < spec.full_y + spec.full_height
    ):
        notes.append("the image's pixels lie outside of its display window, which is black")
    if space in ("CMYK", "YCCK"):
        notes.append(
            "the image is in CMYK and turned into RGB without its profile, so that colours are off;"
            " export it as RGB"
        )
    if (
        spec.get_int_attribute("Exif:ColorSpace", 1) == _UNCALIBRATED
        and spec.getattribute("ICCProfile") is None
    ):
        notes.append(
            "the photo's Exif says that it is not sRGB, and nothing says what it is (most often"
            " Adobe RGB); name it by its colour space"
        )
    if form == "dpx" and header_text(spec, "dpx:Transfer") in _VIDEO_TRANSFERS:
        bits = spec.get_int_attribute("oiio:BitsPerSample", 8)
        low, high = (spec.get_int_attribute(f"dpx:{name}Data", 0) for name in ("Low", "High"))
        if (low, high) == (16 << (bits - 8), 235 << (bits - 8)):
            notes.append(
                f"the images' header says video levels ({low} to {high}), which are not stretched:"
                " black looks grey; write them with full range"
            )
    kind = spec.format.basetype
    if kind in _ODD_INTEGERS:
        name, white = _ODD_INTEGERS[kind]
        notes.append(
            f"the image holds {name}, which are read with {white} as white; if it is black or grey"
            " here, they mean something else than a picture: export it with 16 bits or as float"
        )
    if (
        form == "tiff"
        and spec.nchannels <= 2
        and kind in (oiio.HALF, oiio.FLOAT, oiio.DOUBLE)
        and spec.get_int_attribute("tiff:PhotometricInterpretation", 1) == 0
    ):
        notes.append(
            "the TIFF says that 0 is white, of floats; 1 is taken as black, and what is beyond it"
            " is lost; export it with 0 as black"
        )
    if form == "webp" and spec.get_int_attribute("oiio:Movie", 0):
        notes.append("the WebP is animated; its first picture is read, the others are left out")
    return notes


def of_dpx(header: DpxHeader, path: Path) -> list[str]:
    """What to say of a DPX.

    Raises:
        FootageError: if its picture would come out wrong.
    """
    if header.turned:
        raise FootageError(
            "the image's lines run downwards (its DPX header's orientation)",
            path,
            "write it upright",
        )
    notes = [UNTOLD] if header.untold else []
    if lacks_ends(path, header):
        notes.append(
            "the file lacks the last pixel of each line, as ImageMagick writes 10 bits; it is black"
            " there; write it with 16 bits, or in a width that 3 divides"
        )
    return notes
