# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ICC profiles that no name tells: what they hold, against Little CMS."""

import io
import struct
from pathlib import Path

import numpy as np
import OpenImageIO as oiio  # noqa: N813
import pytest
from PIL import Image, ImageCms

from portraitgen.footage import colour
from portraitgen.footage.icc import icc_encoding
from portraitgen.footage.plate import open_plate
from portraitgen.footage.plate_files import write_plate

# Columns of linear light to XYZ of D50, as the makers of these spaces publish them.
PROPHOTO = ((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249))
SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
ADOBE = ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))


def _number(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def _para(kind: int, *values: float) -> bytes:
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + b"".join(map(_number, values))


SRGB_CURVE = _para(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
TABLE = b"curv\0\0\0\0" + struct.pack(">I", 1024) + struct.pack(
    ">1024H", *(round(65535 * (each / 1023) ** 1.8) for each in range(1024))
)  # fmt: skip


def make_profile(
    columns: tuple[tuple[float, ...], ...], curve: bytes, name: str = "House 7"
) -> bytes:
    """A display profile of version 2 with a matrix."""
    text = name.encode() + b"\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"wtpt": b"XYZ \0\0\0\0" + b"".join(map(_number, (0.9642, 1, 0.8249))),
        b"cprt": b"text\0\0\0\0none\0",
    }
    for letter, column in zip(b"rgb", columns, strict=True):
        tags[bytes([letter]) + b"XYZ"] = b"XYZ \0\0\0\0" + b"".join(map(_number, column))
        tags[bytes([letter]) + b"TRC"] = curve
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        table += struct.pack(">4s2I", tag, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">4s4sI4s4s4s", b"", b"", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head = struct.pack(">I", start + len(body)) + head[4:] + bytes(12) + b"acsp"
    head = head.ljust(68, b"\0") + b"".join(map(_number, (0.9642, 1, 0.8249)))
    return head.ljust(128, b"\0") + table + body


def _picture() -> np.ndarray:
    """Muted colours, which every gamut holds."""
    y, x = np.mgrid[0:32, 0:48]
    return np.dstack([90 + 2 * x, 80 + 3 * y, 170 - x - y]).astype(np.uint8)


@pytest.mark.parametrize(
    ("columns", "curve", "name"),
    [
        (PROPHOTO, gamma(1.8), ""),
        (PROPHOTO, TABLE, ""),
        (SRGB, SRGB_CURVE, "sRGB"),
        (SRGB, gamma(2.2), "Gamma 2.2 Rec.709"),
        (ADOBE, gamma(563 / 256), "Adobe RGB"),
        (ADOBE, _para(0, 1.0), ""),
        (SRGB, _para(1, 2.4, 1 / 1.055, 0.055 / 1.055), ""),
    ],
    ids=("power", "table", "srgb", "gamma", "adobe", "linear", "no-power"),
)
def test_a_profile_is_used_by_what_it_holds(
    tmp_path: Path, columns: tuple[tuple[float, ...], ...], curve: bytes, name: str
) -> None:
    profile = make_profile(columns, curve)
    path = tmp_path / "photo.tif"
    Image.fromarray(_picture()).save(path, icc_profile=profile)
    plate = open_plate(path)
    known = icc_encoding(profile) is not None
    assert known != any("House 7" in note for note in plate.notes)
    if name:
        assert plate.colour_space == name
    if not known:
        return
    wanted = np.asarray(
        ImageCms.profileToProfile(
            Image.fromarray(_picture()), ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"), renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
    )  # fmt: skip
    space = colour.resolve(plate.colour_space)
    linear = colour.to_rec709(plate.encoded(plate.numbers[0]), space)
    found = np.rint(colour.srgb_encode(np.clip(linear, 0, 1)) * 255)
    inside = (wanted > 0).all(2) & (wanted < 255).all(2)
    assert inside.mean() > 0.9 and np.abs(found - wanted)[inside].max() <= 2
    laid = plate.laid_over(1, np.zeros((32, 48, 3), np.float32), np.zeros((32, 48), bool))
    out = write_plate(tmp_path / "out", laid, plate)
    spec = oiio.ImageInput.open(str(out)).spec()
    assert bytes(spec.getattribute("ICCProfile")) == profile
    assert open_plate(out).colour_space == plate.colour_space


@pytest.mark.parametrize("cut", [100, 131, 140, 200, 300, 420])
def test_a_profile_that_is_cut_off_is_not_used(cut: int) -> None:
    assert icc_encoding(make_profile(PROPHOTO, gamma(1.8))[:cut]) is None


def test_a_curve_that_folds_back_is_not_used() -> None:
    fold = b"curv\0\0\0\0" + struct.pack(">I3H", 3, 0, 65535, 0)
    assert icc_encoding(make_profile(PROPHOTO, fold)) is None
