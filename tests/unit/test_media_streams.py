# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a movie's header counts against what it shows: every frame tells its own number."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from footage_media import number_of, numbered, write_movie

from portraitgen.errors import FootageError
from portraitgen.footage.container_tags import unfollowed
from portraitgen.footage.movie_index import _between, constant_rate
from portraitgen.footage.plate import open_plate
from portraitgen.footage.truncation import missing_bytes

INTRA = {"crf": "12", "g": "1", "bf": "0"}


def _shown(path: Path, **asked: object) -> list[int]:
    return [number_of(image) for _, image in open_plate(path, **asked).frames_uint8()]


def _remuxed(source: Path, target: Path, keep: slice, shift: int = 0) -> Path:
    """Some packets of a movie, as they are, in another file."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.size]
        for packet in packets[keep]:
            packet.stream = stream
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            new.mux(packet)
    return target


def _atom(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def _with_edit_list(path: Path, first: int, count: int, tick: int) -> Path:
    """An MP4 whose edit list shows some frames only, as phones trim."""
    data = path.read_bytes()
    start = data.index(b"edts") - 4
    (size,) = struct.unpack(">I", data[start : start + 4])
    entry = struct.pack(">IIIiHH", 0, 1, count * 1000 // 25, first * tick, 1, 0)
    new = _atom(b"edts", _atom(b"elst", entry))
    assert len(new) == size
    path.write_bytes(data[:start] + new + data[start + size :])
    return path


def test_an_edit_list_shows_what_it_names(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "trim.mp4", 16, options={"crf": "12", "g": "8", "bf": "2"})
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        tick = round(1 / (25 * stream.time_base))
    _with_edit_list(path, 7, 9, tick)
    plate = open_plate(path)
    shown = [number_of(image) for _, image in plate.frames_uint8()]
    assert len(shown) == 9 and shown == list(range(shown[0], shown[0] + 9)) and 3 < shown[0] < 8
    assert number_of(plate.read(plate.last)) == shown[-1]
    assert not [note for note in plate.notes if "cut off" in note or "header" in note]


def _avi_with_empty_chunks(path: Path, empty: set[int], count: int) -> Path:
    """An AVI of MJPEG frames some of whose chunks are empty: "the same again"."""
    write_movie(
        path, count - len(empty), codec="mjpeg", pixel_format="yuvj420p", options={"q": "3"}
    )
    data = path.read_bytes()
    movi = data.index(b"movi")
    chunks, place = [], movi + 4
    while data[place : place + 4] == b"00dc":
        (size,) = struct.unpack("<I", data[place + 4 : place + 8])
        chunks.append(data[place + 8 : place + 8 + size])
        place += 8 + size + size % 2
    coming = iter(chunks)
    body, index = b"movi", b""
    for number in range(count):
        frame = b"" if number in empty else next(coming)
        index += b"00dc" + struct.pack("<III", 16, len(body), len(frame))
        body += b"00dc" + struct.pack("<I", len(frame)) + frame + b"\0" * (len(frame) % 2)
    head = bytearray(data[12 : movi - 8])
    for name, offset in ((b"avih", 24), (b"strh", 40)):
        at = head.index(name) + offset
        head[at : at + 4] = struct.pack("<I", count)
    idx = b"idx1" + struct.pack("<I", len(index)) + index
    rest = b"AVI " + bytes(head) + b"LIST" + struct.pack("<I", len(body)) + body + idx
    path.write_bytes(b"RIFF" + struct.pack("<I", len(rest)) + rest)
    return path


def test_empty_chunks_of_an_avi_repeat_the_frame_before(tmp_path: Path) -> None:
    path = _avi_with_empty_chunks(tmp_path / "null.avi", {2, 5, 9}, 10)
    plate = open_plate(path)
    assert (plate.last, plate.fps) == (10, 25)
    shown = [number_of(image) for _, image in plate.frames_uint8()]
    assert shown == [0, 1, 1, 2, 3, 3, 4, 5, 6, 6]
    assert any("3 frames repeat" in note for note in plate.notes)


def test_b_frames_in_an_avi_come_in_the_order_they_are_shown(tmp_path: Path) -> None:
    path = write_movie(
        tmp_path / "b.avi", 12, codec="mpeg4", options={"q": "2", "bf": "2", "g": "6"}
    )
    shown = _shown(path)
    assert shown == list(range(shown[0], shown[0] + len(shown))) and len(shown) >= 10
    plate = open_plate(path)
    assert [number_of(plate.read(frame)) for frame in (5, 2, 9)] == [shown[4], shown[1], shown[8]]


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".mkv", "libx264"),
        (".avi", "mjpeg"),
        (".ts", "libx264"),
        (".mp4", "libx264"),
        (".flv", "libx264"),
        (".asf", "mpeg4"),
        (".mxf", "mpeg2video"),
        (".ogv", "libvpx"),
        (".gif", "gif"),
    ],
)
def test_a_cut_off_movie_gives_the_frames_that_are_there_with_a_note(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    layout = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
    options = {"crf": "10", "g": "5", "bf": "0"} if codec == "libx264" else {"q": "2"}
    if codec in ("libvpx", "mpeg2video"):
        options = {"b": "8M", "g": "5"}
    whole = write_movie(
        tmp_path / f"whole{suffix}", 40, codec=codec, pixel_format=layout, options=options
    )
    if suffix == ".mp4":
        fast = tmp_path / "fast.mp4"
        with (
            av.open(str(whole)) as old,
            av.open(str(fast), "w", options={"movflags": "+faststart"}) as new,
        ):
            stream = new.add_stream_from_template(old.streams.video[0])
            for packet in old.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    new.mux(packet)
        whole = fast
    assert missing_bytes(whole) == 0
    assert not any("cut off" in note for note in open_plate(whole).notes)
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 7 // 10])
    plate = open_plate(cut)
    shown = [number_of(image) for _, image in plate.frames_uint8()]
    assert shown == list(range(len(shown))) and 5 < len(shown) < 40
    if suffix in (".mkv", ".avi", ".mp4", ".asf"):
        assert missing_bytes(cut) > 0
    assert any("cut off" in note for note in plate.notes), plate.notes


def _overwritten(source: Path, number: int, hole: bytes) -> Path:
    """A movie with other bytes where a picture's packet begins."""
    with av.open(str(source)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    data = bytearray(source.read_bytes())
    start = places[number]
    data[start : start + len(hole)] = hole
    path = source.with_stem("damaged")
    path.write_bytes(data)
    return path


def test_a_movie_whose_reading_ends_at_damage_says_what_is_lost(tmp_path: Path) -> None:
    options = {"crf": "12", "g": "1", "bf": "0"}
    whole = write_movie(tmp_path / "whole.mkv", 24, options=options, size=(512, 256))
    assert not any("cannot be read" in note for note in open_plate(whole).notes)
    # An element that says it is larger than what it lies in.
    plate = open_plate(_overwritten(whole, 20, b"\xa3\x08\xff\xff\xff"))
    assert _shown(tmp_path / "damaged.mkv") == list(range(20))
    (note,) = [note for note in plate.notes if "cannot be read on" in note]
    assert "(20 frames)" in note and "its header says 0.96 s" in note


def test_a_movie_whose_beginning_cannot_be_read_says_so(tmp_path: Path) -> None:
    whole = write_movie(
        tmp_path / "whole.mkv",
        24,
        codec="mpeg4",
        options={"g": "6"},
        muxer={"cluster_time_limit": "240"},
    )
    data = whole.read_bytes()
    start = data.index(b"\x1f\x43\xb6\x75")
    (tmp_path / "late.mkv").write_bytes(data[:start] + bytes(4) + data[start + 4 :])
    plate = open_plate(tmp_path / "late.mkv")
    shown = [number_of(image) for _, image in plate.frames_uint8()]
    assert shown[0] >= 6 and shown == list(range(shown[0], 24))
    assert any("middle of a group" in note for note in plate.notes)
    assert any("first picture stands at" in note for note in plate.notes)


def test_a_flash_movie_of_pictures_coded_out_of_order_is_whole(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "b.flv", 24, options={"crf": "12", "g": "6", "bf": "2"})
    assert _shown(path) == list(range(24))
    assert not any("cut off" in note for note in open_plate(path).notes)


def test_a_frame_that_is_lost_moves_no_other_where_stamps_count_frames(tmp_path: Path) -> None:
    """One tick is one frame in MXF: a step of two ticks is no rounding."""
    options = {"g": "1", "b": "20M"}
    whole = write_movie(tmp_path / "whole.mxf", 24, codec="mpeg2video", options=options)
    # The packet's position is its element's, whose key is of 16 bytes.
    plate = open_plate(_overwritten(whole, 20, bytes(16)))
    assert [number_of(image) for _, image in plate.frames_uint8()] == [*range(20), 19, 21, 22, 23]
    assert any("1 frame repeats the one before" in note for note in plate.notes), plate.notes


def test_stamps_between_pictures_without_one_tell_how_many_are_missing() -> None:
    """A program stream stamps some pictures alone; three are lost between the last two stamps."""
    notes: list[str] = []
    stamps = [3600, None, None, 14400, None, 28800 + 3600]
    assert _between(stamps, Fraction(3600), notes) == [3600, 7200, 10800, 14400, 18000, 32400]
    assert notes == ["3 frames of the movie are missing (about frame 5)"]
    assert (
        _between([None, 7200, None], Fraction(3600), notes) == [0, 7200, 10800] and len(notes) == 2
    )
    assert _between([0, None, 3600], Fraction(3600), []) == [0, 3600, 7200]


def test_a_hole_in_a_program_stream_moves_nothing_without_a_word(tmp_path: Path) -> None:
    options = {"g": "6", "bf": "0", "b": "300k"}
    whole = write_movie(tmp_path / "whole.mpg", 40, codec="mpeg2video", options=options)
    assert _shown(whole) == list(range(40)) and not _damage(open_plate(whole).notes)
    data = whole.read_bytes()
    told = 0
    for place in range(len(data) // 5, len(data) * 3 // 5, 1500):
        (tmp_path / "hole.mpg").write_bytes(data[:place] + bytes(700) + data[place + 700 :])
        plate = open_plate(tmp_path / "hole.mpg")
        plate.examine()
        shown = [number_of(image) for _, image in plate.frames_uint8()]
        assert shown == list(range(40)) or _damage(plate.notes), place
        told += shown != list(range(40))
    assert told


def _damage(notes: list[str]) -> list[str]:
    return [note for note in notes if "missing" in note or "damage" in note or "repeat" in note]


def test_a_recording_begins_at_its_first_picture(tmp_path: Path) -> None:
    whole = write_movie(tmp_path / "whole.ts", 24, options={"crf": "10", "g": "8", "bf": "0"})
    data = whole.read_bytes()
    with av.open(str(whole)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    # The tables at the start, then from the middle of the first group on.
    late = tmp_path / "late.ts"
    late.write_bytes(data[: 188 * 3] + data[places[3] // 188 * 188 :])
    plate = open_plate(late)
    assert [number_of(image) for _, image in plate.frames_uint8()] == list(range(8, 24))
    assert any("middle of a group" in note for note in plate.notes)


def test_recordings_joined_to_one_file_follow_each_other(tmp_path: Path) -> None:
    first = write_movie(tmp_path / "a.ts", 10, options=INTRA)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + first.read_bytes())
    plate = open_plate(joined)
    assert [number_of(image) for _, image in plate.frames_uint8()] == list(range(10)) * 2
    assert number_of(plate.read(13)) == 2 and number_of(plate.read(3)) == 2
    assert any("2 recordings joined, anew from frame 11" in note for note in plate.notes)


@pytest.mark.parametrize(
    ("suffix", "codec"), [("flv", "libx264"), ("wmv", "wmv2"), ("asf", "mpeg4")]
)
def test_recordings_of_which_only_the_first_can_be_read_are_told(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    one = write_movie(tmp_path / f"one.{suffix}", 6, codec=codec, options={"g": "1"})
    assert not [note for note in open_plate(one).notes if "recordings" in note]
    both = tmp_path / f"both.{suffix}"
    both.write_bytes(one.read_bytes() * 2)
    plate = open_plate(both)
    assert _shown(both) == list(range(6))
    (told,) = [note for note in plate.notes if "recordings one after the other" in note]
    assert "the first alone can be read (6 frames)" in told


def test_a_movie_that_cannot_be_read_on_says_so(tmp_path: Path) -> None:
    head = b"YUV4MPEG2 W32 H32 F25:1 Ip A1:1 C420jpeg\n"
    frame = b"FRAME\n" + bytes(32 * 32 * 3 // 2)
    path = tmp_path / "raw.y4m"
    path.write_bytes(head + frame * 4 + b"nothing of the kind" * 200)
    plate = open_plate(path)
    assert len(list(plate.frames_uint8())) == 4
    assert [note for note in plate.notes if "cannot be read to its end" in note]
    path.write_bytes((head + frame * 4) * 2)
    assert [note for note in open_plate(path).notes if "recordings one after the other" in note]


def test_a_gap_of_an_hour_is_closed_and_named(tmp_path: Path) -> None:
    times = [*range(6), *range(90_000, 90_006)]
    path = write_movie(tmp_path / "gap.mkv", 12, times=times, time_base=Fraction(1, 25))
    plate = open_plate(path)
    assert _shown(path) == list(range(12))
    assert any("gap of 60 minutes after frame 6" in note for note in plate.notes)


def test_pictures_that_stand_for_seconds_are_no_gap(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "slides.mkv", 3, times=[0, 20, 40], time_base=Fraction(1))
    plate = open_plate(path, fps=Fraction(1))
    assert plate.last == 60 and not any("gap" in note for note in plate.notes)


def test_of_several_tracks_the_default_is_read(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = []
        for size in ((32, 16), (128, 64)):
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            streams.append(stream)
        streams[0].disposition = 0
        streams[1].disposition = av.stream.Disposition.default
        for number in range(4):
            for stream in streams:
                image = numbered(number, stream.width, stream.height)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts = number
                container.mux(stream.encode(frame.reformat(format="yuv420p")))
        for stream in streams:
            container.mux(stream.encode())
    plate = open_plate(path)
    assert (plate.width, plate.height, plate.last) == (128, 64, 4)
    assert any("2 tracks of pictures; track 2 is read" in note for note in plate.notes)


def test_a_damaged_group_names_its_frames_and_those_that_work(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "plate.mp4", 24, options={"crf": "10", "g": "8", "bf": "0"})
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for place, size in places[16:]:
        data[place + 4 : place + size] = bytes(size - 4)
    path.write_bytes(data)
    plate = open_plate(path, first=1001)
    assert number_of(plate.read(1016)) == 15
    with pytest.raises(FootageError) as caught:
        plate.read(1017)
    assert "frame 1017 is damaged" in str(caught.value)
    assert "--frames 1001-1016" in str(caught.value)
    with pytest.raises(FootageError, match="frame 1017 is damaged.*1001-1016"):
        list(plate.frames())
    assert "frames 1017-1024 cannot be decoded; 1001-1016 can be read" in plate.examine()
    assert plate.notes[-1].startswith("frames 1017-1024")


def test_a_size_that_changes_is_scaled_with_a_note(tmp_path: Path) -> None:
    parts = [
        write_movie(tmp_path / f"{size[0]}.ts", 6, size=size, options=INTRA)
        for size in ((128, 64), (96, 48))
    ]
    second = _remuxed(parts[1], tmp_path / "later.ts", slice(None), 6 * 3600)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(parts[0].read_bytes() + second.read_bytes())
    plate = open_plate(joined)
    images = list(plate.frames_uint8())
    assert {image.shape for _, image in images} == {(64, 128, 3)}
    assert [number_of(image) for _, image in images] == [*range(6), *range(6)]
    assert any("change their size" in note and "frame 7" in note for note in plate.notes)
    assert any("to 96 x 48 at frame 7" in note for note in open_plate(joined).examine())
    plate.examine()
    assert sum("96 x 48" in note for note in plate.notes) == 1, "said once"


def test_interlaced_frames_are_told_and_one_field_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "fields.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        stream.options = {"x264-params": "tff=1:qp=4", "flags": "+ildct+ilme"}
        for number in range(3):
            woven = numbered(2 * number)
            woven[1::2] = numbered(2 * number + 1)[1::2]
            frame = av.VideoFrame.from_ndarray(woven, format="rgb24").reformat(format="yuv444p")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode())
    plate = open_plate(path)
    assert any("interlaced" in note for note in plate.notes)
    field = open_plate(path, deinterlace=True)
    assert [number_of(image) for _, image in field.frames_uint8()] == [0, 2, 4]
    assert field.record().asked.deinterlace
    left = field.read_uint8(1)[24:40, :16].astype(int)
    assert np.abs(np.diff(left, axis=0)).max() < 40, "lines of the other moment are left"


@pytest.mark.parametrize("count", [2, 3, 24, 600])
@pytest.mark.parametrize(
    "rate",
    [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60000, 1001),
     Fraction(120000, 1001), Fraction(240)],
)  # fmt: skip
def test_a_rate_is_exact_where_time_is_counted_in_milliseconds(count: int, rate: Fraction) -> None:
    times = [round(1000 * number / rate) for number in range(count)]
    guess = rate.limit_denominator(500)  # As FFmpeg finds it in Matroska's nanoseconds.
    assert constant_rate(times, Fraction(1, 1000), guess) == (rate, True)


def test_frames_left_out_on_a_coarse_clock_are_no_constant_rate() -> None:
    """Every fifth frame of 30 a second is missing at first, none later."""
    times = [*(5 * (number // 4) + number % 4 for number in range(40)), *range(50, 90)]
    fps, uniform = constant_rate(times, Fraction(1, 30), Fraction(27))
    assert (fps, uniform) == (30, False)


def test_24_frames_a_second_on_a_clock_of_30_are_shown_when_they_are(tmp_path: Path) -> None:
    path = tmp_path / "coarse.mp4"
    frames = [numbered(number) for number in range(12)]
    with av.open(str(path), "w", options={"video_track_timescale": "30"}) as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = *frames[0].shape[1::-1], "yuv420p"
        stream.options = {"bf": "0"}
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number * 30 // 24, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    plate = open_plate(path)
    assert plate.fps == 30
    shown = [number_of(image) for _, image in plate.frames_uint8()]
    assert shown[:10] == [0, 1, 2, 3, 3, 4, 5, 6, 7, 7]
    assert any("varies" in note for note in plate.notes)


def _boxed(path: Path, *places: tuple[tuple[bytes, ...], int, bytes]) -> Path:
    """A movie with more boxes, each at an offset in the body of the box that a path of kinds names;
    its pictures must come before its index."""
    data = bytearray(path.read_bytes())
    for kinds, offset, new in places:
        start, end, starts = 0, len(data), []
        for kind in kinds:
            while data[start + 4 : start + 8] != kind:
                start += struct.unpack_from(">I", data, start)[0]
                assert start < end
            starts.append(start)
            end = start + struct.unpack_from(">I", data, start)[0]
            start += 8
        data[start + offset : start + offset] = new
        for each in starts:
            struct.pack_into(">I", data, each, struct.unpack_from(">I", data, each)[0] + len(new))
        if kinds[-1] == b"stsd":
            entry = start + 8  # A new box in a description is part of its one entry.
            (size,) = struct.unpack_from(">I", data, entry)
            struct.pack_into(">I", data, entry, size + len(new))
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([(640, 0, 1, 0)], ""),
        ([(400, -1, 1, 0), (640, 0, 1, 0)], ""),
        ([(400, 0, 0, 0), (640, 0, 1, 0)], "holds or slows down"),
        ([(1280, 0, 0, 0x4000)], "holds or slows down"),
        ([(320, 0, 1, 0), (400, -1, 1, 0), (320, 0, 1, 0)], "gap between parts"),
    ],
)
def test_edits_that_ffmpeg_does_not_follow_are_told(
    tmp_path: Path, entries: list[tuple[int, int, int, int]], said: str
) -> None:
    path = write_movie(tmp_path / "e.mp4", 16, options=INTRA)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"edts", b"free", 1))
    body = struct.pack(">II", 0, len(entries))
    body += b"".join(struct.pack(">Iihh", *entry) for entry in entries)
    edits = _atom(b"edts", _atom(b"elst", body))
    _boxed(path, ((b"moov", b"trak"), 0, edits))
    notes = " ".join(note for note in open_plate(path).notes if "edit list" in note)
    assert said in notes and bool(said) == bool(notes)


def test_a_clean_aperture_is_told(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "c.mov", 2, options=INTRA)
    assert not any("players" in note for note in open_plate(path).notes)
    aperture = _atom(b"clap", struct.pack(">8i", 120, 1, 60, 1, 0, 1, 0, 1))
    (size,) = struct.unpack_from(">I", path.read_bytes(), path.read_bytes().index(b"avc1") - 4)
    place = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    _boxed(path, (place, 8 + size, aperture))
    assert any("120 x 60" in note for note in open_plate(path).notes)


def test_pixels_that_matroska_cuts_off_are_told(tmp_path: Path) -> None:
    def element(name: str, body: bytes) -> bytes:
        return bytes.fromhex(name) + bytes([0x80 | len(body)]) + body

    video = element("e0", element("b0", b"\x80") + element("54cc", b"\x08"))
    sound = element("ae", element("d7", b"\1") + element("83", b"\2"))
    pictures = element("ae", element("d7", b"\2") + element("83", b"\1") + video)
    path = tmp_path / "c.mkv"
    # Editors of headers put the tracks behind the pictures.
    tracks = element("1f43b675", bytes(9)) + element("1654ae6b", sound + pictures)
    path.write_bytes(element("1a45dfa3", b"") + element("18538067", tracks))
    (note,) = unfollowed(path, 0, 0, 128, 64)
    assert "8 left" in note
    assert not unfollowed(path, 0, 1, 128, 64)


def test_both_eyes_in_one_picture_are_told(tmp_path: Path) -> None:
    path = tmp_path / "s.mkv"
    options = INTRA | {"x264-params": "frame-packing=3"}
    notes = open_plate(write_movie(path, 2, options=options)).notes
    assert any("both eyes" in note and "side by side" in note for note in notes)


def test_digital_cinema_is_told(tmp_path: Path) -> None:
    path = write_movie(
        tmp_path / "dcp.nut", 2, pixel_format="xyz12le", codec="rawvideo", options={}
    )
    assert any("X'Y'Z' (a DCP)" in note for note in open_plate(path).notes)


def test_a_file_of_sound_is_refused_as_none_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(FootageError, match="cannot be read.*give a movie") as refused:
        open_plate(path)
    assert "argument" not in str(refused.value)


@pytest.mark.parametrize(("primaries", "transfer", "said"), [(9, 2, True), (9, 14, False)])
def test_a_curve_that_is_not_named_is_said(
    tmp_path: Path, primaries: int, transfer: int, said: bool
) -> None:
    """As phones tag their log recordings."""
    path = tmp_path / "log.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = primaries, transfer, 9
        container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(1), format="rgb24")))
        container.mux(stream.encode())
    notes = open_plate(path).notes
    assert any("no transfer curve" in note for note in notes) == said
