# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Movies: frame-exact, at a constant rate, with their matrix, range, depth and rotation."""

import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from footage_media import number_of, numbered, write_audio, write_movie

from portraitgen.errors import FootageError
from portraitgen.footage.plate import Plate, open_plate

FOOTAGE = Path(__file__).resolve().parents[3] / "shared" / "footage"


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_movie(tmp_path_factory.mktemp("movie") / "plate.mp4", 50)


def test_every_frame_is_the_one_asked_for_in_any_order(movie: Path) -> None:
    plate = open_plate(movie)
    assert (plate.kind, plate.first, plate.last, plate.fps) == ("movie", 1, 50, 25)
    order = list(plate.numbers)
    random.Random(1).shuffle(order)
    assert [number_of(plate.read(frame)) for frame in order] == [frame - 1 for frame in order]


def test_sequential_reading_gives_the_same_pixels_as_random_access(movie: Path) -> None:
    plate = open_plate(movie)
    sequential = dict(plate.frames_uint8())
    assert list(sequential) == list(plate.numbers)
    for frame in (50, 3, 27, 26, 25, 1):
        assert np.array_equal(plate.read_uint8(frame), sequential[frame])
        assert np.array_equal(plate.read(frame), sequential[frame].astype(np.float32) / 255)


def test_backward_and_sparse_iteration_is_exact(movie: Path) -> None:
    plate = open_plate(movie)
    wanted = [40, 39, 38, 2, 2, 14, 50]
    assert [(n, number_of(image)) for n, image in plate.frames(wanted)] == [
        (frame, frame - 1) for frame in wanted
    ]


def test_an_iterator_that_is_dropped_early_leaves_nothing_running(movie: Path) -> None:
    import threading

    before = threading.active_count()
    for frame, _ in open_plate(movie).frames():
        if frame == 3:
            break
    assert threading.active_count() == before


def test_open_groups_of_pictures_decode_exactly(tmp_path: Path) -> None:
    path = write_movie(
        tmp_path / "open.mkv",
        60,
        codec="libx265",
        options={"x265-params": "open-gop=1:keyint=10:min-keyint=10:bframes=4:log-level=none"},
    )
    plate = open_plate(path)
    order = list(plate.numbers)
    random.Random(2).shuffle(order)
    for frame in order:
        assert number_of(plate.read(frame)) == frame - 1


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(30), Fraction(2997, 100)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_rate_is_exact_even_where_the_container_rounds_time(
    tmp_path: Path, rate: Fraction, suffix: str
) -> None:
    plate = open_plate(write_movie(tmp_path / f"rate{suffix}", 30, rate=rate))
    assert abs(float(plate.fps / rate) - 1) < 1e-4
    assert plate.last == 30
    assert [number_of(image) for _, image in plate.frames()] == list(range(30))
    assert plate.notes == [n for n in plate.notes if "matrix" in n]


def test_a_variable_rate_is_mapped_to_the_instants_of_the_constant_rate(tmp_path: Path) -> None:
    stamps = [0, 40, 80, 200, 240, 250, 320]
    path = write_movie(tmp_path / "vfr.mkv", len(stamps), times=stamps, time_base=Fraction(1, 1000))
    plate = open_plate(path, fps=Fraction(25))
    shown = [number_of(image) for _, image in plate.frames()]
    # 0, 40, 80, (120, 160 held), 200, 240 with 250 nearer to it than to 280, (280 held), 320
    assert shown == [0, 1, 2, 2, 2, 3, 5, 5, 6]
    assert any("varies" in note for note in plate.notes)


def test_a_movie_can_be_read_at_another_rate(movie: Path) -> None:
    plate = open_plate(movie, fps=Fraction(50))
    assert plate.last == 100
    assert [number_of(plate.read(frame)) for frame in (1, 2, 3, 4, 99)] == [0, 0, 1, 1, 49]
    half = open_plate(movie, fps=Fraction(25, 2))
    assert [number_of(half.read(frame)) for frame in (1, 2, 3)] == [0, 2, 4]


def test_the_first_frame_takes_the_number_asked_for(movie: Path) -> None:
    plate = open_plate(movie, first=1001)
    assert (plate.first, plate.last) == (1001, 1050)
    assert number_of(plate.read(1011)) == 10


def _flat_movie(path: Path, size: tuple[int, int], code: tuple[int, int, int], **tags: int) -> Path:
    """A lossless movie of one YCbCr colour."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv444p"
        stream.options = {"qp": "0"}
        context = stream.codec_context
        context.colorspace = tags.get("matrix", 2)
        context.color_range = tags.get("range", 0)
        planes = np.stack([np.full(size[::-1], value, np.uint8) for value in code])
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv444p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _decoded(code: tuple[int, int, int], kr: float, kb: float, full: bool) -> np.ndarray:
    """The textbook conversion of a YCbCr code to R'G'B' 0..255 (ITU-T H.273)."""
    y, cb, cr = np.array(code, np.float64)
    if full:
        y, cb, cr = y / 255, (cb - 128) / 255, (cr - 128) / 255
    else:
        y, cb, cr = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    red = y + 2 * (1 - kr) * cr
    blue = y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.array([red, green, blue]) * 255, 0, 255)


BT709, BT601, BT2020 = (0.2126, 0.0722), (0.299, 0.114), (0.2627, 0.0593)
SKIN = (140, 110, 155)


@pytest.mark.parametrize(
    ("size", "tags", "asked", "coefficients", "full"),
    [
        ((64, 64), {}, {}, BT601, False),
        ((1280, 64), {}, {}, BT709, False),
        ((64, 640), {}, {}, BT709, False),
        ((64, 64), {"matrix": 1}, {}, BT709, False),
        ((1280, 64), {"matrix": 6}, {}, BT601, False),
        ((64, 64), {"matrix": 9}, {}, BT2020, False),
        ((64, 64), {"matrix": 1, "range": ColorRange.JPEG}, {}, BT709, True),
        ((64, 64), {"matrix": 6}, {"matrix": "bt709"}, BT709, False),
        ((64, 64), {"matrix": 1}, {"range": "full"}, BT709, True),
    ],
)
def test_matrix_and_range_follow_the_tags_and_the_user(
    tmp_path: Path, size, tags, asked, coefficients, full
) -> None:
    plate = open_plate(_flat_movie(tmp_path / "flat.mkv", size, SKIN, **tags), **asked)
    expected = _decoded(SKIN, *coefficients, full)
    assert np.abs(plate.read_uint8(1)[8, 8] - expected).max() <= 1.0
    ((_, quick),) = plate.frames_uint8([1], exact=False)
    assert np.abs(quick[8, 8] - expected).max() <= 4.0
    assert plate.range == ("full" if full else "limited")


@pytest.mark.parametrize(("full", "black", "white"), [(False, 64, 940), (True, 0, 1023)])
def test_ten_bits_stay_ten_bits(tmp_path: Path, full: bool, black: int, white: int) -> None:
    codes = np.arange(black, white + 1).astype(np.uint16)[1:]
    codes = codes[: len(codes) // 2 * 2]
    luma = np.tile(codes, (16, 1))
    path = tmp_path / "ten.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = luma.shape[::-1]
        stream.pix_fmt = "yuv444p10le"
        stream.options = {"qp": "0"}
        stream.codec_context.colorspace = 1
        stream.codec_context.color_range = ColorRange.JPEG if full else ColorRange.MPEG
        frame = av.VideoFrame(*luma.shape[::-1], "yuv444p10le")
        for plane, values in zip(frame.planes, (luma, luma * 0 + 512, luma * 0 + 512), strict=True):
            padded = np.zeros((plane.height, plane.line_size // 2), np.uint16)
            padded[:, : plane.width] = values
            plane.update(padded.tobytes())
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    plate = open_plate(path)
    assert plate.bit_depth == 10
    assert plate.read_native(1).pixels.dtype == np.uint16
    grey = plate.read(1)[4, :, 1]
    assert len(np.unique(grey)) == len(codes)
    assert np.abs(grey - (codes - float(black)) / (white - black)).max() < 0.1 / (white - black)
    ((_, quick),) = plate.frames_uint8([1], exact=False)
    assert quick.dtype == np.uint8
    assert np.abs(quick[4, :, 1] - 255 * grey).max() <= 4.0


def test_a_movie_turned_by_its_header_is_upright(tmp_path: Path) -> None:
    for rotation in (90, 180, 270):
        path = write_movie(tmp_path / f"turned{rotation}.mp4", 3, rotation=rotation)
        with av.open(str(path)) as container:
            turns = round(next(container.decode(video=0)).rotation / 90) % 4
        assert turns != 0, "the encoder wrote no rotation"
        plate = open_plate(path)
        upright = np.rot90(numbered(1), turns)
        assert (plate.height, plate.width) == upright.shape[:2]
        assert np.abs(plate.read_uint8(2).astype(int) - upright).mean() < 4


def test_facts_survive_json_and_a_changed_movie_is_noticed(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "plate.mp4", 20, rate=Fraction(30000, 1001))
    plate = open_plate(path, first=1001, matrix="bt709", colour_space="sRGB")
    facts = plate.record()
    again = Plate.reopen(facts)
    assert again.record() == facts
    assert np.array_equal(again.read(1005), plate.read(1005))
    moved = path.rename(tmp_path / "moved.mp4")
    assert Plate.reopen(facts, moved).first == 1001
    write_movie(moved, 20, options={"crf": "30"}, rate=Fraction(30000, 1001))
    with pytest.raises(FootageError, match="has changed"):
        Plate.reopen(facts, moved)


def _sentence(path: Path, **asked: object) -> str:
    with pytest.raises(FootageError) as caught:
        open_plate(path, **asked)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text
    return text


def test_bad_movies_are_refused_in_one_sentence(tmp_path: Path, movie: Path) -> None:
    assert "no such file" in _sentence(tmp_path / "missing.mp4")
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert "is empty" in _sentence(empty)
    assert "no picture" in _sentence(write_audio(tmp_path / "sound.mp4"))
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(random.Random(0).randbytes(5000))
    assert "cannot be read" in _sentence(noise)
    text = tmp_path / "notes.txt"
    text.write_text("no movie")
    assert "'.txt' files cannot be read" in _sentence(text)
    assert "no matrix 'bt70'" in _sentence(movie, matrix="bt70")
    assert "colour space 'sGRB' is unknown" in _sentence(movie, colour_space="sGRB")
    assert "impossible" in _sentence(movie, fps=Fraction(0))


def test_a_cut_off_movie_is_refused_whether_or_not_its_index_came_first(tmp_path: Path) -> None:
    whole = write_movie(tmp_path / "whole.mp4", 50)
    index_last = tmp_path / "index_last.mp4"
    index_last.write_bytes(whole.read_bytes()[:-2000])
    assert "cannot be read" in _sentence(index_last)
    fast = tmp_path / "fast.mp4"
    with (
        av.open(str(whole)) as source,
        av.open(str(fast), "w", options={"movflags": "+faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    index_first = tmp_path / "index_first.mp4"
    index_first.write_bytes(fast.read_bytes()[: fast.stat().st_size // 2])
    assert "none of 50 frames" in _sentence(index_first)


def test_a_frame_outside_the_plate_is_named_with_what_there_is(movie: Path) -> None:
    plate = open_plate(movie, first=1001)
    for frame in (1000, 1051, 1):
        with pytest.raises(FootageError, match=f"frame {frame} is outside.*1001 to 1050"):
            plate.read(frame)
    with pytest.raises(FootageError, match="outside"):
        next(plate.frames([1001, 7]))


@pytest.mark.parametrize("name", ["hand_over_face_vfr.mkv", "shot_cuts.mp4", "green_screen.mp4"])
def test_real_clips_read_alike_forward_and_at_random(name: str) -> None:
    path = FOOTAGE / name
    if not path.exists():
        pytest.skip(f"needs {path}")
    plate = open_plate(path)
    numbers = range(1, 41)
    forward = dict(plate.frames_uint8(numbers))
    for frame in (33, 5, 40, 12):
        assert np.array_equal(plate.read_uint8(frame), forward[frame])
