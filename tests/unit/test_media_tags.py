# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags that are seldom met: files written byte by byte, colours by the standards' arithmetic."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import OpenImageIO as oiio  # noqa: N813
import pytest
from PIL import Image

from portraitgen.errors import FootageError
from portraitgen.footage.plate import open_plate
from portraitgen.footage.plate_files import write_plate

D65 = (0.3127, 0.3290)
REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *D65)
P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *D65)
ADOBE = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *D65)
REC2020 = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *D65)


def _codes() -> np.ndarray:
    """A picture within Rec.709 whatever the primaries, (16, 16, 3)."""
    y, x = np.mgrid[0:16, 0:16] / 15
    return np.stack([0.4 + 0.2 * x, 0.5 + 0.1 * y, 0.55 - 0.1 * x * y], axis=2)


def _srgb(codes: np.ndarray) -> np.ndarray:
    return np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)


def _to_xyz(primaries: Sequence[float]) -> np.ndarray:
    x, y = np.array(primaries[0::2]), np.array(primaries[1::2])
    columns = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])


def _rec709(linear: np.ndarray, primaries: Sequence[float]) -> np.ndarray:
    return linear @ (np.linalg.inv(_to_xyz(REC709)) @ _to_xyz(primaries)).T


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _gama(gamma: float) -> bytes:
    return _chunk(b"gAMA", struct.pack(">I", round(gamma * 100000)))


def _chrm(primaries: Sequence[float]) -> bytes:
    values = (*primaries[6:], *primaries[:6])
    return _chunk(b"cHRM", struct.pack(">8I", *(round(value * 100000) for value in values)))


def _png(path: Path, chunks: bytes) -> Path:
    codes = np.rint(_codes() * 65535).astype(">u2")
    lines = b"".join(b"\0" + row.tobytes() for row in codes)
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0))
    body = _chunk(b"IDAT", zlib.compress(lines)) + _chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunks + body)
    return path


def _icc(primaries: Sequence[float], gamma: float, name: str, table: Sequence[float] = ()) -> bytes:
    """An ICC profile of version 2 made of a matrix, D65 adapted to D50 by Bradford."""
    bradford = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    d50 = np.array([0.9642, 1, 0.8249])
    white = np.array([D65[0] / D65[1], 1, (1 - sum(D65)) / D65[1]])
    scale = np.diag((bradford @ d50) / (bradford @ white))
    columns = np.linalg.inv(bradford) @ scale @ bradford @ _to_xyz(primaries)

    def xyz(values: Sequence[float]) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    curve = b"curv\0\0\0\0" + (
        struct.pack(">I", 0) if gamma == 1 else struct.pack(">IHxx", 1, round(gamma * 256))
    )
    if table:
        numbers = [round(65535 * each) for each in table]
        curve = b"curv\0\0\0\0" + struct.pack(f">I{len(numbers)}H", len(numbers), *numbers)
    text = name.encode()
    tags = [(b"desc", b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + bytes(79))]
    tags += [(b"wtpt", xyz(d50))]
    for letter, column in zip("rgb", columns.T, strict=True):
        tags += [(f"{letter}XYZ".encode(), xyz(column)), (f"{letter}TRC".encode(), curve)]
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for kind, data in tags:
        padded = data + bytes(-len(data) % 4)
        table += struct.pack(">4s2I", kind, start + len(body), len(data))
        body += padded
    head = struct.pack(
        ">I4sI4s4s4s", start + len(body), b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ "
    )
    head += bytes(12) + b"acsp"
    return head.ljust(128, b"\0") + table + body


def _tiff(path: Path, pixels: np.ndarray, *extra: tuple[int, int, bytes, int]) -> Path:
    """A little-endian TIFF; `extra` are tag, type, values and their count."""
    high, wide, count = pixels.shape
    size = pixels.itemsize
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()

    def shorts(*values: int) -> bytes:
        return struct.pack(f"<{len(values)}H", *values)

    kind = 3 if pixels.dtype.kind == "f" else 1
    tags = {
        256: (3, shorts(wide), 1), 257: (3, shorts(high), 1),
        258: (3, shorts(*[8 * size] * count), count), 259: (3, shorts(1), 1),
        262: (3, shorts(2), 1), 273: (4, struct.pack("<I", 8), 1), 277: (3, shorts(count), 1),
        278: (3, shorts(high), 1), 279: (4, struct.pack("<I", len(data)), 1),
        339: (3, shorts(*[kind] * count), count),
    }  # fmt: skip
    tags |= {tag: (kind, values, number) for tag, kind, values, number in extra}
    entries, blob = b"", b""
    for tag in sorted(tags):
        kind, values, number = tags[tag]
        if len(values) > 4:
            place = struct.pack("<I", 8 + len(data) + len(blob))
            blob += values + bytes(len(values) % 2)
            values = place
        entries += struct.pack("<HHI", tag, kind, number) + values.ljust(4, b"\0")
    start = 8 + len(data) + len(blob)
    directory = shorts(len(tags)) + entries + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", start) + data + blob + directory)
    return path


PNGS = {
    "both": (_gama(0.45455) + _chrm(P3), P3, _srgb),
    "primaries alone": (_chrm(P3), P3, _srgb),
    "adobe": (_gama(0.45455) + _chrm(ADOBE), ADOBE, lambda codes: codes**2.2),
    "mac": (_gama(1 / 1.8) + _chrm(P3), P3, lambda codes: codes**1.8),
    "linear": (_gama(1.0) + _chrm(P3), P3, lambda codes: codes),
    "odd gamma": (_gama(0.6), REC709, lambda codes: codes ** (1 / 0.6)),
}


@pytest.mark.parametrize("case", PNGS)
def test_primaries_and_gamma_of_a_png_are_honoured_and_kept(tmp_path: Path, case: str) -> None:
    chunks, primaries, decode = PNGS[case]
    plate = open_plate(_png(tmp_path / "p.png", chunks))
    wanted = _rec709(decode(_codes()), primaries)
    assert np.abs(plate.linear(1) - wanted).max() < 3e-3
    (tmp_path / "out").mkdir()
    again = open_plate(write_plate(tmp_path / "out" / "p", plate.read_native(1), plate))
    assert np.abs(again.linear(1) - wanted).max() < 3e-3
    assert np.array_equal(again.read_native(1).pixels, plate.read_native(1).pixels)


def test_what_a_profile_holds_outranks_what_it_is_called(tmp_path: Path) -> None:
    profile = _icc(P3, 1.0, "calibrated from sRGB IEC61966-2.1")
    chunk = _chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))
    plate = open_plate(_png(tmp_path / "p.png", chunk))
    assert np.abs(plate.linear(1) - _rec709(_codes(), P3)).max() < 2e-3


@pytest.mark.parametrize(
    ("name", "told"), [("esRGB", True), ("Display P3, L* curve", True), ("Rec2100PQ", False)]
)
def test_a_profiles_curve_that_its_name_is_not_true_to_is_said(
    tmp_path: Path, name: str, told: bool
) -> None:
    steps = np.linspace(0, 1, 33)
    profile = _icc(REC709, 1.0, name, tuple(3 * steps**2 - 2 * steps**3))
    plate = open_plate(_png(tmp_path / "p.png", _chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))))
    assert any("curve of its own" in note for note in plate.notes) == told
    honest = _icc(REC709, 1.0, name, tuple(_srgb(steps)))
    plate = open_plate(_png(tmp_path / "q.png", _chunk(b"iCCP", b"x\0\0" + zlib.compress(honest))))
    assert not any("curve of its own" in note for note in plate.notes)


def test_video_levels_and_hdr_of_a_png_are_said(tmp_path: Path) -> None:
    levels = open_plate(_png(tmp_path / "levels.png", _chunk(b"cICP", bytes((1, 13, 0, 0)))))
    assert any("video levels" in note for note in levels.notes)
    hdr = open_plate(_png(tmp_path / "hdr.png", _chunk(b"cICP", bytes((9, 16, 0, 1)))))
    assert any("203 nits" in note for note in hdr.notes)


@pytest.mark.parametrize(("primaries", "gamma"), [(REC2020, 1.0), (P3, 1.8)])
def test_the_profile_of_a_float_tiff_is_honoured(
    tmp_path: Path, primaries: tuple[float, ...], gamma: float
) -> None:
    profile = _icc(primaries, gamma, "of a paint program")
    extra = (34675, 7, profile, len(profile))
    plate = open_plate(_tiff(tmp_path / "p.tif", _codes().astype(np.float32), extra))
    assert np.abs(plate.linear(1) - _rec709(_codes() ** gamma, primaries)).max() < 2e-3
    assert not any("assumed" in note for note in plate.notes)


def test_primaries_in_tags_of_a_tiff_are_honoured(tmp_path: Path) -> None:
    pairs = [part for value in P3 for part in (round(value * 100000), 100000)]
    codes = np.rint(_codes() * 65535).astype(np.uint16)
    tags = [
        (318, 5, struct.pack("<4I", *pairs[12:]), 2),
        (319, 5, struct.pack("<12I", *pairs[:12]), 6),
    ]
    plate = open_plate(_tiff(tmp_path / "p.tif", codes, *tags))
    assert np.abs(plate.linear(1) - _rec709(_srgb(_codes()), P3)).max() < 3e-3
    assert any("primaries in tags" in note for note in plate.notes)


@pytest.mark.parametrize(
    "extra",
    [
        (50706, 1, bytes((1, 4, 0, 0)), 4),  # Its preview is what readers of TIFF show.
        (262, 3, struct.pack("<H", 32803), 1),
        (262, 3, struct.pack("<H", 34892), 1),
    ],
)
def test_raw_data_of_a_camera_is_refused_by_its_name(
    tmp_path: Path, extra: tuple[int, int, bytes, int]
) -> None:
    codes = np.rint(_codes() * 65535).astype(np.uint16)
    with pytest.raises(FootageError, match="raw data.*develop it"):
        open_plate(_tiff(tmp_path / "clip.dng", codes, extra))


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ([(259, 3, 8), (266, 3, 2)], "ZIP with the bits"),
        ([(259, 3, 32946), (266, 3, 2)], "ZIP with the bits"),
        ([(259, 3, 34925)], "LZMA"),
        ([(259, 3, 50000)], "Zstandard"),
    ],
)
def test_a_compression_that_is_not_read_is_no_damage(
    tmp_path: Path, tags: list[tuple[int, int, int]], said: str
) -> None:
    codes = np.rint(_codes() * 255).astype(np.uint8)
    named = [(tag, kind, struct.pack("<H", value), 1) for tag, kind, value in tags]
    with pytest.raises(FootageError, match=f"compressed by {said}.*plain ZIP"):
        open_plate(_tiff(tmp_path / "a.tif", codes, *named))


@pytest.mark.parametrize("colour", [True, False], ids=["LogLuv32", "LogL16"])
def test_logluv_is_refused(tmp_path: Path, colour: bool) -> None:
    xyz = _srgb(_codes()) @ _to_xyz(REC709).T
    light, total = xyz[..., 1], xyz @ [1, 15, 3]
    brightness = np.floor(256 * (np.log2(light) + 64)).astype(np.uint16)
    planes = [brightness >> 8, brightness & 255]
    if colour:
        planes += [410 * 4 * xyz[..., 0] / total, 410 * 9 * light / total]
    # Each line is runs of 16 literal bytes, a plane after the other (the TIFF tools' SGILOG).
    lines = np.stack(planes, axis=1).astype(np.uint8)
    runs = np.insert(lines, 0, 16, axis=2).tobytes()
    tags = [
        (256, 4, 1, 16), (257, 4, 1, 16), (259, 3, 1, 34676), (262, 3, 1, 32844 + int(colour)),
        (273, 4, 1, 8), (277, 3, 1, 3 if colour else 1), (278, 4, 1, 16), (279, 4, 1, len(runs)),
    ]  # fmt: skip
    bits = struct.pack("<3H", 16, 16, 16)
    tags.append((258, 3, 3, 8 + len(runs)) if colour else (258, 3, 1, 16))
    directory = b"".join(struct.pack("<2H2I", *tag) for tag in sorted(tags))
    start = struct.pack("<I", 8 + len(runs) + len(bits))
    path = tmp_path / "log.tif"
    path.write_bytes(
        b"II*\0" + start + runs + bits + struct.pack("<H", len(tags)) + directory + bytes(4)
    )
    with pytest.raises(FootageError, match="compressed as LogLuv"):
        open_plate(path)


def _bmp(path: Path, masks: tuple[int, int, int], size: int, space: int, red: float) -> Path:
    """A BMP of 32 bits with a header of any version."""
    codes = np.rint(_codes() * 255).astype(np.uint8)
    pixels = np.dstack([codes[..., ::-1], np.zeros((16, 16), np.uint8)])[::-1].tobytes()
    head = struct.pack("<IiiHHIIiiII", size, 16, 16, 1, 32, 3, len(pixels), 2835, 2835, 0, 0)
    head += struct.pack("<3I", *masks)
    if size > 40:
        ends = [
            round(each * (1 << 30)) for each in (red, 0.33, 0.03, 0.3, 0.6, 0.1, 0.15, 0.06, 0.79)
        ]
        head = (head + struct.pack("<II9i", 0, space, *ends)).ljust(size, b"\0")
    start = 14 + len(head)
    path.write_bytes(b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + head + pixels)
    return path


def _hdr(path: Path, *lines: str) -> Path:
    """A Radiance picture of one colour, (0.25, 0.5, 0.125)."""
    pixels = np.full((2, 6, 4), (64, 128, 32, 128), np.uint8).tobytes()
    head = "\n".join(("#?RADIANCE", "FORMAT=32-bit_rle_rgbe", *lines))
    path.write_bytes(f"{head}\n\n-Y 2 +X 6\n".encode() + pixels)
    return path


def test_primaries_of_a_radiance_picture_are_honoured(tmp_path: Path) -> None:
    said = "PRIMARIES= " + " ".join(map(str, P3))
    light = np.full((2, 6, 3), (0.25, 0.5, 0.125))
    plate = open_plate(_hdr(tmp_path / "wide.hdr", said))
    assert np.abs(plate.linear(1) - _rec709(light, P3)).max() < 5e-3
    assert not any("no primaries" in note for note in plate.notes)
    plain = open_plate(_hdr(tmp_path / "plain.hdr"))
    assert np.abs(plain.linear(1) - light).max() < 5e-3
    assert any("no primaries" in note for note in plain.notes)


@pytest.mark.parametrize("size", [40, 108])
def test_a_bmp_in_another_order_is_refused(tmp_path: Path, size: int) -> None:
    usual = _bmp(tmp_path / "usual.bmp", (0xFF0000, 0xFF00, 0xFF), size, 0x73524742, 0.64)
    plate = open_plate(usual)
    assert plate.notes == [] and np.abs(plate.read(1) - _codes()).max() < 1 / 250
    with pytest.raises(FootageError, match="another order"):
        open_plate(_bmp(tmp_path / "odd.bmp", (0xFF, 0xFF00, 0xFF0000), size, 0x73524742, 0.64))


@pytest.mark.parametrize(
    ("space", "red", "told"),
    [(0, 0.64, False), (0, 0.68, True), (0x4D424544, 0.64, True), (0x73524742, 0.68, False)],
)
def test_a_bmps_own_colours_are_told(tmp_path: Path, space: int, red: float, told: bool) -> None:
    path = _bmp(tmp_path / "own.bmp", (0xFF0000, 0xFF00, 0xFF), 108, space, red)
    assert any("colours of its own" in note for note in open_plate(path).notes) == told


@pytest.mark.parametrize("said", ["EXPOSURE=2", "PIXASPECT=2.0"])
def test_what_a_radiance_header_says_and_is_not_followed_is_told(tmp_path: Path, said: str) -> None:
    for line in (said, "EXPOSURE=1.000"):
        path = _hdr(tmp_path / f"{'ab'[line == said]}.hdr", line)
        notes = open_plate(path).notes
        assert any(f"has {said.split('=')[0]}" in note for note in notes) == (line == said)


def _dpx(path: Path, descriptor: int, levels: tuple[int, int]) -> Path:
    """10 bits filled by method A, big-endian; Rec.709 video."""
    codes = np.rint(_codes() * 876 + 64).astype(np.uint32)
    words = (codes[..., 0] << 22 | codes[..., 1] << 12 | codes[..., 2] << 2).astype(">u4").tobytes()
    head = bytearray(2048)
    for place, form, *values in (
        (0, ">4sI8sI", b"SDPX", 2048, b"V2.0", 2048 + len(words)),
        (20, ">4I", 1, 1664, 384, 0),
        (660, ">I", 0xFFFFFFFF),
        (768, ">HHII", 0, 1, 16, 16),
        (780, ">IIfIf4B", 0, levels[0], 0.0, levels[1], 2.0, descriptor, 6, 6, 10),
        (804, ">HHI", 1, 0, 2048),
    ):
        struct.pack_into(form, head, place, *values)
    path.write_bytes(bytes(head) + words)
    return path


def test_levels_of_a_dpx_are_said_and_ycbcr_is_refused(tmp_path: Path) -> None:
    assert not open_plate(_dpx(tmp_path / "full.dpx", 50, (0, 1023))).notes
    video = open_plate(_dpx(tmp_path / "video.dpx", 50, (64, 940)))
    assert any("video levels (64 to 940)" in note for note in video.notes)
    with pytest.raises(FootageError, match="YCbCr"):
        open_plate(_dpx(tmp_path / "ycc.dpx", 102, (64, 940)))


def test_a_photo_that_is_not_srgb_by_its_exif_says_so(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 65535
    codes = np.rint(_codes() * 255).astype(np.uint8)
    Image.fromarray(codes).save(tmp_path / "p.jpg", exif=exif, quality=100)
    assert any("not sRGB" in note for note in open_plate(tmp_path / "p.jpg").notes)
    exif.get_ifd(0x8769)[0xA001] = 1
    Image.fromarray(codes).save(tmp_path / "s.jpg", exif=exif, quality=100)
    assert not open_plate(tmp_path / "s.jpg").notes


@pytest.mark.parametrize("name", ["p.hdr", "p.pfm"])
def test_full_plates_of_floats_keep_what_is_brighter_than_white(tmp_path: Path, name: str) -> None:
    light = (_codes() * 8).astype(np.float32)
    oiio.ImageBuf(light).write(str(tmp_path / name))
    plate = open_plate(tmp_path / name)
    (tmp_path / "out").mkdir()
    again = open_plate(write_plate(tmp_path / "out" / "p", plate.read_native(1), plate))
    assert np.array_equal(again.linear(1), plate.linear(1)) and plate.linear(1).max() > 4


def test_full_plates_of_a_cineon_scan_stay_logarithmic(tmp_path: Path) -> None:
    codes = np.rint(_codes() * 1023).astype(np.uint32)
    words = (codes[..., 0] << 22 | codes[..., 1] << 12 | codes[..., 2] << 2).astype(">u4").tobytes()
    head = bytearray(1024)
    struct.pack_into(">6I", head, 0, 0x802A5FD7, 1024, 1024, 0, 0, 1024 + len(words))
    head[24:28] = b"V4.5"
    head[192:194] = bytes((0, 3))
    for row in range(3):
        struct.pack_into(
            ">4BIIfffff", head, 196 + 28 * row, 0, row + 1, 10, 0, 16, 16, 0, 0, 1023, 2, 0
        )
    head[680:684] = bytes((0, 5, 0, 0))
    path = tmp_path / "p.cin"
    path.write_bytes(bytes(head) + words)
    plate = open_plate(path)
    (tmp_path / "out").mkdir()
    again = open_plate(write_plate(tmp_path / "out" / "p", plate.read_native(1), plate))
    assert again.colour_space == plate.colour_space == "ADX10"
    assert np.abs(again.linear(1) - plate.linear(1)).max() < 1e-3
