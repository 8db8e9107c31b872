# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that say a thing twice, or not all the same: colour tags, sequences, time codes, movies."""

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import OpenImageIO as oiio  # noqa: N813
import pytest
from footage_media import number_of, numbered, write_image, write_movie

from portraitgen.footage.movie_index import index_movie
from portraitgen.footage.plate import open_plate
from portraitgen.footage.timecode import of_group, of_picture
from portraitgen.images import as_png

_AP1 = (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767)
_REC709 = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)


def _picture() -> np.ndarray:
    return np.random.default_rng(0).random((8, 12, 3))


@pytest.mark.parametrize(
    ("cicp", "space"),
    [
        ((2, 2), "Linear Rec.709"),
        ((0, 3), "Linear Rec.709"),
        ((1, 13), "sRGB"),
        ((2, 13), "sRGB"),
    ],
)
def test_numbers_of_a_png_that_say_nothing_outrank_nothing(
    tmp_path: Path, cicp: tuple[int, int], space: str
) -> None:
    path = tmp_path / "p.png"
    path.write_bytes(as_png(np.rint(_picture() * 255).astype(np.uint8)))
    data = path.read_bytes()
    chunks = b""
    for kind, body in ((b"gAMA", struct.pack(">I", 100000)), (b"cICP", bytes((*cicp, 0, 1)))):
        check = struct.pack(">I", zlib.crc32(kind + body))
        chunks += struct.pack(">I", len(body)) + kind + body + check
    path.write_bytes(data[:33] + chunks + data[33:])
    assert open_plate(path).colour_space == space


@pytest.mark.parametrize(("primaries", "told"), [(_AP1, False), (_REC709, True)])
def test_primaries_beside_a_name_of_another_space_are_told(
    tmp_path: Path, primaries: tuple[float, ...], told: bool
) -> None:
    pixels = _picture().astype(np.float32)
    path = write_image(
        tmp_path / "p.exr", pixels, chromaticities=primaries, colorInteropID="lin_ap1_scene"
    )
    plate = open_plate(path)
    assert plate.colour_space == "ACEScg"
    assert any("primaries of another" in note for note in plate.notes) == told


def test_images_that_hold_other_things_than_the_first_are_named(tmp_path: Path) -> None:
    codes = np.rint(_picture() * 255).astype(np.uint8)
    odd = {
        "grey": codes[..., :1],
        "colour with alpha": np.dstack([codes, codes[..., 0]]),
        "16 bits": codes.astype(np.uint16) * np.uint16(257),
        "": codes[::-1],
    }
    for number, (told, other) in enumerate(odd.items()):
        folder = tmp_path / "abcd"[number]
        folder.mkdir()
        for frame in range(4):
            write_image(folder / f"p.{frame:04d}.png", other if frame == 2 else codes)
        notes = open_plate(folder).notes
        assert (f"p.0002.png holds {told}" in " ".join(notes)) if told else notes == []


def test_the_layer_that_another_image_shows_is_named(tmp_path: Path) -> None:
    for frame, names in enumerate(("beauty", "beauty", "key")):
        spec = oiio.ImageSpec(8, 8, 6, "half")
        spec.channelnames = tuple(f"{n}.{c}" for n in ("diffuse", names) for c in "RGB")
        output = oiio.ImageOutput.create("p.exr")
        assert output.open(str(tmp_path / f"p.{frame:04d}.exr"), spec)
        assert output.write_image(np.zeros((8, 8, 6), np.float16))
        output.close()
    told = "p.0002.exr holds colour of the layer key, p.0000.exr colour of the layer beauty"
    assert any(told in note for note in open_plate(tmp_path).notes)


def test_a_movie_behind_a_movie_is_told(tmp_path: Path) -> None:
    one = write_movie(tmp_path / "one.mp4", 6)
    assert not any("one after the other" in note for note in open_plate(one).notes)
    path = tmp_path / "joined.mp4"
    path.write_bytes(one.read_bytes() * 2)
    plate = open_plate(path)
    assert any("2 movies one after the other" in note for note in plate.notes)
    assert [number_of(image) for _, image in plate.frames_uint8()] == list(range(6))


@pytest.mark.parametrize("place", ["stream", "container"])
def test_matroskas_time_code_in_capitals_is_read(tmp_path: Path, place: str) -> None:
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        (stream if place == "stream" else container).metadata["TIMECODE"] = "10:00:00:05"
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode())
    assert open_plate(path).timecode == "10:00:00:05"


@pytest.mark.parametrize("suffix", [".m2v", ".mpg", ".ts"])
@pytest.mark.parametrize("code", ["10:20:30:05", "00:00:00:00"])
def test_the_time_code_of_a_group_of_pictures_is_taken_and_said(
    tmp_path: Path, suffix: str, code: str
) -> None:
    path = write_movie(
        tmp_path / f"in{suffix}", 6, codec="mpeg2video", options={"gop_timecode": code}
    )
    plate = open_plate(path)
    counted = code != "00:00:00:00"
    assert plate.timecode == (code if counted else "")
    assert any("beside its first picture" in note for note in plate.notes) == counted


@pytest.mark.parametrize(
    ("word", "fps", "code"),
    [
        (0x05302010, Fraction(25), "10:20:30:05"),
        (0x45302010, Fraction(30000, 1001), "10:20:30;05"),
        (0x12000001, Fraction(60), "01:00:00:24"),
        (0x12800001, Fraction(60), "01:00:00:25"),
        (0x12000081, Fraction(50), "01:00:00:25"),
    ],
)
def test_a_time_code_beside_a_picture_is_read(word: int, fps: Fraction, code: str) -> None:
    assert of_picture(word, fps) == code


def test_the_bit_that_each_group_has_is_no_time_code() -> None:
    assert of_group(1 << 12) == "" and of_group(1 << 24 | 1 << 12 | 2) == "00:00:00;02"


@pytest.mark.parametrize(("suffix", "codec"), [(".wmv", "wmv2"), (".flv", "flv")])
def test_a_movie_whose_packets_have_no_length_is_whole(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    path = write_movie(tmp_path / f"in{suffix}", 24, codec=codec, options={"b": "900k"})
    assert not any("cut off" in note for note in index_movie(path).notes)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 8 // 10])
    assert any("cut off" in note for note in index_movie(path).notes)


def test_the_rate_of_a_program_stream_that_rounds_its_stamps_is_constant(tmp_path: Path) -> None:
    rate = Fraction(24000, 1001)
    options = {"bf": "2", "g": "12"}
    path = write_movie(tmp_path / "in.mpg", 48, codec="mpeg2video", rate=rate, options=options)
    plate = open_plate(path)
    assert plate.fps == rate and not any("varies" in note for note in plate.notes)


@pytest.mark.parametrize(
    ("suffix", "codec", "told"), [(".mjpeg", "mjpeg", True), (".h264", "libx264", False)]
)
def test_a_rate_that_a_bare_stream_does_not_name_is_assumed_and_said(
    tmp_path: Path, suffix: str, codec: str, told: bool
) -> None:
    layout = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_movie(
        tmp_path / f"in{suffix}", 6, codec=codec, rate=Fraction(30), pixel_format=layout,
        options={}, full=codec == "mjpeg",
    )  # fmt: skip
    plate = open_plate(path)
    assert plate.fps == (25 if told else 30)
    assert any("names no frame rate" in note for note in plate.notes) == told


def test_damage_in_hevc_is_found_by_the_sums_of_its_pictures(tmp_path: Path) -> None:
    options = {"x265-params": "log-level=none:hash=1:keyint=4:bframes=0:crf=10"}
    path = write_movie(tmp_path / "in.mp4", 12, codec="libx265", options=options)
    assert not any("damage" in note for note in open_plate(path).examine())
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        place, size = packets[5].pos, packets[5].size
    data = bytearray(path.read_bytes())
    for at in range(place + size // 2, place + size // 2 + 4):
        data[at] ^= 0x55
    path.write_bytes(data)
    told = " ".join(open_plate(path).examine())
    assert "damage near it" in told or "cannot be decoded" in told
