# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HEIC photos as phones write them: tiles, crops, turns, profiles, alpha; made box by box."""

import io
import re
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from footage_media import number_of, numbered
from PIL import Image
from test_icc import PROPHOTO, gamma, make_profile

from portraitgen.errors import FootageError
from portraitgen.footage.plate import open_plate
from portraitgen.footage.plate_files import write_plate

TILE = 64


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def picture(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    planes = [40 + 160 * x / width, 60 + 120 * y / height, 200 - 120 * x * y / (width * height)]
    return np.stack(planes, axis=2).round().astype(np.uint8)


def coded(tile: np.ndarray) -> tuple[bytes, bytes]:
    """A picture by HEVC: the box hvcC and the sample.

    The box is written here: FFmpeg's own writer refuses what it has just encoded now and then.
    """
    stream_of_units = io.BytesIO()
    with av.open(stream_of_units, "w", format="hevc") as container:
        stream = container.add_stream("libx265", rate=25)
        stream.width, stream.height, stream.pix_fmt = tile.shape[1], tile.shape[0], "yuv444p"
        stream.options = {"x265-params": "qp=2:info=0:pools=none:frame-threads=1:log-level=none"}
        stream.codec_context.color_range = 2
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(tile), format="rgb24")
        frame = frame.reformat(format="yuv444p", dst_colorspace="ITU601", dst_color_range="JPEG")
        container.mux([*stream.encode(frame), *stream.encode()])
    units = re.split(b"\0{2,}\1", stream_of_units.getvalue())[1:]
    kinds = [unit[0] >> 1 & 63 for unit in units]
    parameters = {
        kind: unit for kind, unit in zip(kinds, units, strict=True) if kind in (32, 33, 34)
    }
    profile = parameters[33].replace(b"\0\0\3", b"\0\0")[3:15]
    config = b"\1" + profile + bytes.fromhex("f000fcfff8f800000f") + bytes([len(parameters)])
    for kind, unit in parameters.items():
        config += struct.pack(">B2H", 0x80 | kind, 1, len(unit)) + unit
    pictures = [unit for kind, unit in zip(kinds, units, strict=True) if kind < 32]
    sample = b"".join(struct.pack(">I", len(unit)) + unit for unit in pictures)
    return box(b"hvcC", config), sample


def write_heic(
    path: Path,
    image: np.ndarray,
    *,
    more: bytes = b"",
    colour: bytes = b"nclx" + struct.pack(">3HB", 1, 13, 6, 128),
    alpha: np.ndarray | None = None,
) -> Path:
    """A HEIC of as many tiles as the picture needs; `more` are further properties of the photo."""
    height, width = image.shape[:2]
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = np.pad(image, ((0, rows * TILE - height), (0, columns * TILE - width), (0, 0)), "edge")
    samples, config = [], b""
    for row in range(rows):
        for column in range(columns):
            tile = padded[row * TILE :, column * TILE :][:TILE, :TILE]
            config, sample = coded(tile)
            samples.append(sample)
    if alpha is not None:
        samples.append(coded(np.repeat(alpha[..., None], 3, 2))[1])
    count = len(samples)
    grid = count + 1
    samples.append(struct.pack(">4B2H", 0, 0, rows - 1, columns - 1, width, height))

    kinds = [b"hvc1"] * count + [b"grid"]
    entries = b"".join(
        box(b"infe", struct.pack(">B3s2H", 2, bytes((0, 0, int(n <= count))), n, 0) + kind + b"\0")
        for n, kind in enumerate(kinds, 1)
    )
    auxiliary = box(b"auxC", b"\0\0\0\0urn:mpeg:hevc:2015:auxid:1\0")
    properties = [
        config,
        box(b"ispe", struct.pack(">3I", 0, TILE, TILE)),
        box(b"colr", colour),
        box(b"ispe", struct.pack(">3I", 0, width, height)),
        auxiliary,
        *([more] if more else []),
    ]
    owners = {n: [1, 2, 3] for n in range(1, count + 1)} | {grid: [4, *([6] if more else [])]}
    if alpha is not None:
        owners[count] = [1, 2, 5]
    pairs = b"".join(struct.pack(">HB", n, len(own)) + bytes(own) for n, own in owners.items())
    tiles = range(1, rows * columns + 1)
    links = box(b"dimg", struct.pack(f">2H{len(tiles)}H", grid, len(tiles), *tiles))
    if alpha is not None:
        links += box(b"auxl", struct.pack(">3H", count, 1, grid))

    def meta(start: int) -> bytes:
        places, at = b"", start
        for n, sample in enumerate(samples, 1):
            places += struct.pack(">3H2I", n, 0, 1, at, len(sample))
            at += len(sample)
        location = struct.pack(">IBBH", 0, 0x44, 0, len(samples)) + places
        return box(
            b"meta",
            bytes(4)
            + box(b"hdlr", bytes(8) + b"pict" + bytes(13))
            + box(b"pitm", struct.pack(">IH", 0, grid))
            + box(b"iloc", location)
            + box(b"iinf", struct.pack(">IH", 0, len(kinds)) + entries)
            + box(
                b"iprp",
                box(b"ipco", b"".join(properties))
                + box(b"ipma", struct.pack(">2I", 0, len(owners)) + pairs),
            )
            + box(b"iref", bytes(4) + links),
        )

    head = box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
    start = len(head) + len(meta(0)) + 8
    path.write_bytes(head + meta(start) + box(b"mdat", b"".join(samples)))
    return path


def test_tiles_are_put_together_and_what_reaches_over_is_cut(tmp_path: Path) -> None:
    image = picture(150, 100)
    plate = open_plate(write_heic(tmp_path / "photo.heic", image))
    assert (plate.kind, plate.width, plate.height) == ("still", 150, 100)
    assert np.abs(plate.read_uint8(1).astype(int) - image).max() <= 3


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        (box(b"irot", b"\x01"), lambda image: np.rot90(image)),
        (box(b"irot", b"\x03"), lambda image: np.rot90(image, 3)),
        (box(b"imir", b"\x01"), lambda image: image[:, ::-1]),
        (box(b"imir", b"\x00"), lambda image: image[::-1]),
        (
            box(b"clap", struct.pack(">4IiIiI", 101, 1, 81, 1, -11, 2, -5, 2)),
            lambda image: image[7:88, 19:120],
        ),
    ],
)
def test_turns_mirrors_and_crops_are_shown(tmp_path: Path, more: bytes, shown: object) -> None:
    image = picture(150, 100)
    wanted = shown(image)
    read = open_plate(write_heic(tmp_path / "photo.heic", image, more=more)).read_uint8(1)
    assert read.shape == wanted.shape
    assert np.abs(read.astype(int) - wanted).max() <= 3


@pytest.mark.parametrize(
    ("more", "aspect"),
    [
        (box(b"pasp", struct.pack(">2I", 2, 1)), Fraction(2)),
        (box(b"pasp", struct.pack(">2I", 0, 1)), Fraction(1)),
        (box(b"pasp", struct.pack(">2I", 4294967295, 1)), Fraction(1)),
    ],
)
def test_pixels_that_are_not_square_are_known(
    tmp_path: Path, more: bytes, aspect: Fraction
) -> None:
    plate = open_plate(write_heic(tmp_path / "photo.heic", picture(150, 100), more=more))
    assert plate.pixel_aspect == aspect
    assert (plate.width, plate.height) == (150 * aspect, 100)


def test_the_profile_of_a_phone_is_honoured(tmp_path: Path) -> None:
    text = "Display P3".encode("utf-16-be")
    name = b"mluc" + bytes(4) + struct.pack(">2I4s2I", 1, 12, b"enUS", len(text), 28) + text
    profile = bytes(128) + struct.pack(">I4s2I", 1, b"desc", 144, len(name)) + name
    photo = write_heic(tmp_path / "photo.heic", picture(80, 70), colour=b"prof" + profile)
    assert open_plate(photo).colour_space == "sRGB P3-D65"


def test_the_profile_of_a_phone_goes_into_full_plates(tmp_path: Path) -> None:
    profile = make_profile(PROPHOTO, gamma(1.8))
    photo = write_heic(tmp_path / "photo.heic", picture(80, 70), colour=b"prof" + profile)
    plate = open_plate(photo)
    where = np.zeros((70, 80), bool)
    laid = plate.laid_over(1, np.zeros((70, 80, 3), np.float32), where)
    out = write_plate(tmp_path / "out", laid, plate)
    assert Image.open(out).info["icc_profile"] == profile
    assert open_plate(out).colour_space == plate.colour_space


def test_alpha_is_kept_and_told(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    plate = open_plate(write_heic(tmp_path / "photo.heic", picture(64, 64), alpha=ramp))
    assert any("alpha" in note for note in plate.notes)
    alpha = plate.read_native(1).pixels[..., 3]
    assert np.abs(alpha.astype(int) - ramp).max() <= 2


def test_photos_of_one_name_are_a_sequence(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write_heic(tmp_path / f"p.{number:04d}.heic", picture(64 + 0 * number, 64))
    assert list(open_plate(tmp_path).numbers) == [1, 2, 3]


def test_a_damaged_photo_is_refused_in_a_sentence(tmp_path: Path) -> None:
    whole = write_heic(tmp_path / "photo.heic", picture(150, 100)).read_bytes()
    for length in (20, 60, 300, len(whole) * 2 // 3):
        path = tmp_path / "cut.heic"
        path.write_bytes(whole[:length])
        with pytest.raises(FootageError):
            open_plate(path)
    for place in range(28, 700, 3):
        (tmp_path / "bent.heic").write_bytes(
            whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
        )
        try:
            open_plate(tmp_path / "bent.heic").read(1)
        except FootageError as error:
            assert "fault of its own" not in str(error)


@pytest.mark.parametrize("suffix", [".avif", ".heif"])
def test_an_animated_avif_is_a_movie_not_its_first_picture(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"moving{suffix}"
    pictures = [Image.fromarray(numbered(number)) for number in range(6)]
    with open(path, "wb") as file:
        pictures[0].save(
            file, "AVIF", save_all=True, append_images=pictures[1:], duration=40, quality=90
        )
    plate = open_plate(path)
    assert plate.kind == "movie" and plate.fps == 25
    assert [number_of(image) for _, image in plate.frames_uint8()] == list(range(6))
    assert not any("tracks" in note for note in plate.notes)
