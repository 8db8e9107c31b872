# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes on the way through a plate, and what its container says against its pictures."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from footage_media import number_of, write_image, write_movie

from benchmarks.media_case import linear_light
from benchmarks.media_movies import frame_of, picture, write
from portraitgen.footage.plate import open_plate
from portraitgen.footage.timecode import rebased


def _stream(path: Path, matrix: int, full: bool, tags: tuple[int, int, int]) -> bytes:
    """Six pictures as a stream of H.264 without a container."""
    frames = [frame_of(picture(n), "yuv444p", 8, (1, 1), full, matrix) for n in range(6)]
    options = {"qp": "1", "bf": "0"}
    write(path, "libx264", "yuv444p", frames, tags=tags, full=full, options=options)
    return path.read_bytes()


def _off(plate_linear: np.ndarray, number: int) -> float:
    return float(np.abs(plate_linear - linear_light(picture(number))).mean()) * 255


@pytest.mark.parametrize(
    ("matrix", "full", "tags"),
    [(6, False, (1, 1, 6)), (1, True, (1, 1, 1)), (1, False, (9, 1, 1)), (1, False, (1, 16, 1))],
    ids=["matrix", "range", "primaries", "transfer"],
)
def test_colours_that_change_on_the_way_are_those_of_the_first_picture_and_told(
    tmp_path: Path, matrix: int, full: bool, tags: tuple[int, int, int]
) -> None:
    first = _stream(tmp_path / "first.h264", 1, False, (1, 1, 1))
    joined = tmp_path / "joined.h264"
    joined.write_bytes(first + _stream(tmp_path / "second.h264", matrix, full, tags))
    plate = open_plate(joined)
    assert (plate.colour_space, plate.matrix, plate.range) == ("Rec.709", "bt709", "limited")
    assert max(_off(plate.linear(number + 1), number) for number in range(6)) < 1
    assert not any("colours on the way" in note for note in plate.notes)
    plate.read(7)
    assert any("colours on the way, at frame 7" in note for note in plate.notes)
    plate = open_plate(joined, first=1001)
    assert any("colours on the way, at frame 1007" in note for note in plate.examine())
    plate.close()


def test_pixels_that_change_their_shape_on_the_way_are_told(tmp_path: Path) -> None:
    parts = []
    for shape in (Fraction(1), Fraction(2)):
        path = tmp_path / f"{shape}.h264"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"qp": "4", "bf": "0"})
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv444p"
            stream.codec_context.sample_aspect_ratio = shape
            for number in range(6):
                frame = frame_of(picture(number), "yuv444p", 8, (1, 1), False, 1)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        parts.append(path.read_bytes())
    joined = tmp_path / "joined.h264"
    joined.write_bytes(b"".join(parts))
    plate = open_plate(joined)
    assert (plate.width, plate.height) == (64, 64)
    assert any("shape on the way, at frame 7" in note for note in plate.examine())
    plate.close()


@pytest.mark.parametrize("layout", ["yuv420p", "yuv444p"])
def test_pictures_refreshed_stripe_by_stripe_are_the_same_wherever_reading_begins(
    tmp_path: Path, layout: str
) -> None:
    options = {"x264-params": "intra-refresh=1:keyint=8:bframes=0:qp=8"}
    path = write_movie(tmp_path / "stripes.mp4", 36, options=options, pixel_format=layout)
    plate = open_plate(path)
    whole = dict(plate.frames_uint8())
    assert [number_of(image) for image in whole.values()] == list(range(36))
    for frame in (24, 20, 18, 36, 33):
        fresh = open_plate(path)
        assert np.array_equal(fresh.read_uint8(frame), whole[frame]), frame
        fresh.close()
    plate.close()


def _timed(path: Path, rate: int, code: str) -> bytearray:
    options = {"crf": "20", "g": "1", "bf": "0"}
    with av.open(str(path), "w", options={"write_tmcd": "1"}) as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.metadata["timecode"] = code
        for number in range(20):
            container.mux(stream.encode(frame_of(picture(number), "yuv420p", 8, (2, 2), False, 1)))
        container.mux(stream.encode())
    return bytearray(path.read_bytes())


@pytest.mark.parametrize(("skipped", "shown"), [(0, "01:00:00:20"), (8, "01:00:01:03")])
def test_the_time_code_of_a_trimmed_movie_is_that_of_its_first_shown_picture(
    tmp_path: Path, skipped: int, shown: str
) -> None:
    path = tmp_path / "trimmed.mov"
    data = _timed(path, 25, "01:00:00:20")
    place = data.find(b"elst")
    while place >= 0:  # Of the pictures' track and of the time code's.
        header = data.find(b"mdhd", place)
        (scale,) = struct.unpack_from(">I", data, header + 16)
        struct.pack_into(">Ii", data, place + 12, 10 * 40, skipped * scale // 25)
        place = data.find(b"elst", place + 4)
    path.write_bytes(data)
    plate = open_plate(path)
    assert (len(plate.numbers), plate.timecode) == (10, shown)
    plate.close()


def test_a_time_code_of_another_rate_is_counted_at_the_movies(tmp_path: Path) -> None:
    path = tmp_path / "pairs.mov"
    data = _timed(path, 50, "01:00:00:20")
    place = data.rfind(b"tmcd")
    while struct.unpack_from(">B", data, place + 28)[0] != 50:
        place = data.rfind(b"tmcd", 0, place)
    struct.pack_into(">IIB", data, place + 20, 25, 1, 25)
    path.write_bytes(data)
    plate = open_plate(path)
    # The track counts frames: 180020 of them are two hours at 25 a second.
    assert plate.timecode == "02:00:00:40"
    assert plate.timecode_at(11) == "02:00:01:00"
    assert any("counts 25 frames a second, the movie has 50" in note for note in plate.notes)
    half = open_plate(path, fps=Fraction(25))
    assert half.timecode == "02:00:00:20" and half.timecode_at(6) == "02:00:01:00"
    plate.close()
    half.close()


@pytest.mark.parametrize(
    ("code", "counted", "fps", "wanted"),
    [
        ("01:00:00:12", 25, 50, "01:00:00:24"),
        ("01:00:00;12", 30, Fraction(60000, 1001), "01:00:00;24"),
        ("01:00:00:48", 50, 25, "01:00:00:24"),
        ("01:00:00:23", 24, 24, "01:00:00:23"),
        ("", 24, 25, ""),
    ],
)
def test_a_time_code_names_the_same_moment_at_another_rate(
    code: str, counted: int, fps: Fraction, wanted: str
) -> None:
    assert rebased(code, Fraction(counted), Fraction(fps)) == wanted


def _with_box(path: Path, box: bytes) -> Path:
    """A box more in the pictures' sample description; the index must lie behind the pictures."""
    data = bytearray(path.read_bytes())
    place, end = data.index(b"moov") - 4, len(data)
    holders = []
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"):
        place = data.index(kind, place, end) - 4
        holders.append(place)
    entry = place + 16
    holders.append(entry)
    at = entry + struct.unpack_from(">I", data, entry)[0]
    data[at:at] = box
    for holder in holders:
        (size,) = struct.unpack_from(">I", data, holder)
        struct.pack_into(">I", data, holder, size + len(box))
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("profile", "compatible", "told"), [(5, 0, True), (10, 0, True), (8, 1, False), (8, 4, False)]
)
def test_dolby_vision_in_colours_of_its_own_is_told(
    tmp_path: Path, profile: int, compatible: int, told: bool
) -> None:
    path = write_movie(tmp_path / "dolby.mp4", 2)
    body = struct.pack(">BBHB19x", 1, 0, profile << 9 | 6 << 3 | 5, compatible << 4)
    kind = b"dvcC" if profile < 8 else b"dvvC"
    _with_box(path, struct.pack(">I4s", len(body) + 8, kind) + body)
    plate = open_plate(path)
    assert any("Dolby Vision" in note for note in plate.notes) == told
    plate.close()


@pytest.mark.parametrize("codec", ["png", "qtrle"])
def test_fields_that_only_the_container_tells_of_are_told_and_can_be_read(
    tmp_path: Path, codec: str
) -> None:
    path = tmp_path / "fields.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "rgb24"
        for moment in range(3):
            codes = np.full((64, 64, 3), 60 * moment, np.uint8)
            codes[1::2] += 30
            container.mux(stream.encode(av.VideoFrame.from_ndarray(codes, format="rgb24")))
        container.mux(stream.encode())
    data = bytearray(path.read_bytes())
    place = data.find(b"fiel")
    if place < 0:
        _with_box(path, struct.pack(">I4sBB", 10, b"fiel", 2, 9))
    else:
        data[place + 4 : place + 6] = b"\2\x09"
        path.write_bytes(data)
    plate = open_plate(path)
    assert any("container says that its frames are interlaced" in note for note in plate.notes)
    field = open_plate(path, deinterlace=True)
    assert np.ptp(field.read_uint8(2)) == 0 and np.ptp(plate.read_uint8(2)) == 30
    assert any("as asked" in note for note in field.notes)
    plate.close()
    field.close()


@pytest.mark.parametrize("layout", ["rgb24", "gray"])
def test_video_levels_of_rgb_and_grey_are_stretched_where_asked(
    tmp_path: Path, layout: str
) -> None:
    path = tmp_path / "levels.mov"
    codes = np.rint(picture() * 219 + 16).astype(np.uint8)
    if layout == "gray":
        codes = codes[..., :1].repeat(3, axis=2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, layout
        frame = av.VideoFrame.from_ndarray(
            codes[..., 0] if layout == "gray" else codes, format=layout
        )
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    plate = open_plate(path, range="limited")
    wanted = picture() if layout == "rgb24" else picture()[..., :1].repeat(3, axis=2)
    assert plate.range == "limited" and np.abs(plate.read(1) - wanted).max() < 1 / 200
    assert np.array_equal(open_plate(path).read_uint8(1), codes)
    ignored = open_plate(path, matrix="bt709", layer="beauty")
    assert any("bt709 is not used" in note for note in ignored.notes)
    assert any("'layer' was asked for and is not used" in note for note in ignored.notes)


def test_what_is_asked_of_images_and_is_for_movies_is_told(tmp_path: Path) -> None:
    path = write_image(tmp_path / "still.png", np.zeros((8, 8, 3), np.uint8))
    notes = open_plate(path, range="limited", deinterlace=True).notes
    assert [note.split("'")[1] for note in notes if "not used" in note] == ["range", "deinterlace"]


@pytest.mark.parametrize(
    ("suffix", "kinds", "attributes", "word"),
    [
        ("tif", (np.uint8, np.float32), ({}, {}), "colours"),
        ("png", (np.uint8, np.uint8), ({}, {"PixelAspectRatio": 2.0}), "shape"),
        ("exr", (np.float16, np.float16), ({}, {"PixelAspectRatio": 2.0}), "shape"),
        ("exr", (np.float16,) * 2, ({"FramesPerSecond": (25, 1)}, {"FramesPerSecond": (24, 1)}),
         "rate"),
    ],
)  # fmt: skip
def test_images_that_differ_within_a_sequence_are_told(
    tmp_path: Path, suffix: str, kinds: tuple, attributes: tuple, word: str
) -> None:
    for number, (kind, more) in enumerate(zip(kinds, attributes, strict=True)):
        path = tmp_path / f"plate.{number + 1:04d}.{suffix}"
        write_image(path, np.zeros((8, 8, 3), kind), **more)
    notes = open_plate(tmp_path).notes
    assert any("plate.0002" in note and word in note for note in notes)
