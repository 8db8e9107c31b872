# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoding of what strangers send: no crash, hang or lie about a size reaches the artist's work."""

import os
import signal
import struct
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import OpenImageIO as oiio  # noqa: N813
import pytest
from footage_media import number_of, write_image, write_movie

from portraitgen.errors import FootageError
from portraitgen.footage import decoder
from portraitgen.footage.decoder import RemoteReader, ask
from portraitgen.footage.decoder_messages import Close, ReadFrame, SoundRead
from portraitgen.footage.plate import open_plate
from portraitgen.images import as_png


class _Dance(Close):
    DO = "dance"


class _NoPosition(Close):
    DO = "read"


class _Misunderstood(Close):
    ANSWER = SoundRead


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    return write_movie(tmp_path / "plate.mp4", 30)


def test_a_crash_of_the_decoder_is_one_sentence_and_the_next_read_works(movie: Path) -> None:
    plate = open_plate(movie)
    assert number_of(plate.read(3)) == 2
    process = plate._reader._process
    os.kill(process._process.pid, signal.SIGKILL)
    process._process.wait()
    assert number_of(plate.read(9)) == 8, "a dead process is replaced"
    process = plate._reader._process
    process.send(ReadFrame(20))
    os.kill(process._process.pid, signal.SIGSEGV)
    with pytest.raises(FootageError, match="the decoder crashed while it read this"):
        process.receive(movie)
        process.receive(movie)
    assert number_of(plate.read(12)) == 11


def test_a_crash_ends_an_iterator_and_not_the_program(movie: Path) -> None:
    plate = open_plate(movie)
    pools = []
    original = decoder._POOL.take

    def take() -> object:
        pools.append(original())
        return pools[-1]

    decoder._POOL.take = take  # type: ignore[method-assign]
    try:
        frames = plate.frames_uint8()
        next(frames)
        os.kill(pools[-1]._process.pid, signal.SIGKILL)
        with pytest.raises(FootageError, match="crashed"):
            list(frames)
    finally:
        decoder._POOL.take = original  # type: ignore[method-assign]


def test_a_decoder_that_hangs_is_given_up(movie: Path) -> None:
    reader = RemoteReader(Close(), movie)
    process = reader._opened()
    os.kill(process._process.pid, signal.SIGSTOP)
    process.send(Close())
    start = time.monotonic()
    with pytest.raises(FootageError, match=r"said nothing for 0 s and was stopped"):
        process.receive(movie, 0.2)
    assert time.monotonic() - start < 5
    assert process._process.poll() is not None
    reader.close()


def test_a_fault_of_the_decoder_itself_is_an_answer(movie: Path) -> None:
    with pytest.raises(FootageError, match="the decoder met a fault of its own"):
        ask(ReadFrame(3), movie)  # of nothing that was opened
    with pytest.raises(FootageError, match="'position' is missing"):
        ask(_NoPosition(), movie)
    with pytest.raises(FootageError, match="knows no 'dance'"):
        ask(_Dance(), movie)


def test_an_answer_that_makes_no_sense_is_refused(movie: Path) -> None:
    with pytest.raises(FootageError, match=r"no answer that makes sense \('rate' is missing\)"):
        ask(_Misunderstood(), movie)


def test_iterators_dropped_early_leave_no_process_behind(movie: Path) -> None:
    def running() -> int:
        return sum(thread.is_alive() for thread in threading.enumerate())

    for _ in range(3):
        for frame, _image in open_plate(movie).frames():
            if frame == 3:
                break
    before = running()
    for _ in range(20):
        for frame, _image in open_plate(movie).frames():
            if frame == 3:
                break
    assert running() <= before + 1


@pytest.mark.parametrize("suffix", [".exr", ".dpx"])
def test_a_latin_1_letter_in_a_header_neither_hangs_nor_hides_the_plate(
    tmp_path: Path, suffix: str
) -> None:
    pixels = np.random.default_rng(0).integers(0, 65535, (16, 24, 3)).astype(np.uint16)
    if suffix == ".exr":
        pixels = (pixels / 65535).astype(np.float16)
    names = {".exr": {"Artist": "MxllerMxller"}, ".dpx": {"Copyright": "MxllerMxller"}}
    for number in (1, 2, 3):
        path = write_image(tmp_path / f"p.{number:04d}{suffix}", pixels, **names[suffix])
        path.write_bytes(path.read_bytes().replace(b"MxllerMxller", b"M\xfcllerM\xfcller"))
    plate = open_plate(tmp_path)
    frames = dict(plate.frames())
    assert list(frames) == [1, 2, 3]
    assert np.array_equal(plate.read(2), frames[2])
    assert any("is not UTF-8" in note for note in plate.notes)


def test_a_latin_1_letter_in_a_movie_s_header_does_not_matter(tmp_path: Path) -> None:
    import av

    path = tmp_path / "title.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "MxllerMxller"
        stream = container.add_stream("ffv1", rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes().replace(b"MxllerMxller", b"M\xfcllerM\xfcller"))
    assert open_plate(path).read(1).shape == (32, 32, 3)


def _png(path: Path, width: int, height: int) -> Path:
    """A PNG that says a size and holds one line of it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * (3 * min(width, 1000) + 1))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )
    return path


def test_images_are_not_believed_about_their_size(tmp_path: Path) -> None:
    with pytest.raises(FootageError, match="at most|header claims a 2574 MB"):
        open_plate(_png(tmp_path / "large.png", 30000, 30000))
    spec = oiio.ImageSpec(8, 8, 3, "half")
    spec.full_x, spec.full_y, spec.full_width, spec.full_height = 0, 0, 30000, 30000
    output = oiio.ImageOutput.create("x.exr")
    path = tmp_path / "window.exr"
    assert output.open(str(path), spec) and output.write_image(np.zeros((8, 8, 3), np.float16))
    output.close()
    with pytest.raises(FootageError, match="at most"):
        open_plate(path)
    many = oiio.ImageSpec(8000, 8000, 100, "float")
    output = oiio.ImageOutput.create("y.exr")
    path = tmp_path / "channels.exr"
    many.channelnames = ("R", "G", "B", *(f"x{n}" for n in range(97)))
    assert output.open(str(path), many)
    output.close()
    with pytest.raises(
        FootageError, match="channels take 23.8 GB; at most 4 GB|header claims a 24414 MB"
    ):
        open_plate(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.mp4", "ffconcat version 1.0\nfile {0}\n"),
        ("list.mov", "\n  ffconcat version 1.0\nfile {0}\n"),
        ("list.ts", "#EXTM3U\n#EXTINF:1,\n{0}\n"),
        ("list.mkv", "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 1234 RTP/AVP 96\n"),
        ("list.avi", '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>'),
        ("list.wmv", "[playlist]\nFile1={0}\n"),
        ("list.m2v", "# a remark\nffconcat version 1.0\nfile {0}\n"),
    ],
)
def test_lists_of_other_files_are_no_movies(
    tmp_path: Path, movie: Path, name: str, text: str
) -> None:
    path = tmp_path / name
    path.write_text(text.format(movie))
    with pytest.raises(FootageError, match="cannot be read"):
        open_plate(path)


def test_a_file_called_like_an_address_is_a_file(tmp_path: Path) -> None:
    plain = write_movie(tmp_path / "plain.mp4", 3)
    for name in ("concat:a|b.mp4", "data:x.mp4", "%04d.mp4", "pipe:0.mp4"):
        path = tmp_path / name
        path.write_bytes(plain.read_bytes())
        assert open_plate(path).last == 3


def test_names_that_are_not_utf_8_are_read(tmp_path: Path, movie: Path) -> None:
    odd = tmp_path / os.fsdecode(b"plat\xe9.mp4")
    odd.write_bytes(movie.read_bytes())
    assert open_plate(odd).last == 30
    picture = tmp_path / os.fsdecode(b"M\xfcller.0007.png")
    picture.write_bytes(as_png(np.zeros((8, 8, 3), np.uint8)))
    assert open_plate(picture).read(7).shape == (8, 8, 3)
