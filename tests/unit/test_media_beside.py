# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a movie holds beside its pictures: time code, reel, sound, alpha; and mirrored phones."""

import json
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import OpenImageIO as oiio  # noqa: N813
import pytest
from footage_media import number_of, numbered
from test_media_pixels import SIZE, ramp, video_frame, write_movie, ycbcr

from portraitgen.footage.display_matrix import orientation_of, upright
from portraitgen.footage.exr import write_exr
from portraitgen.footage.image import read_image
from portraitgen.footage.movie_writing import MovieWriter
from portraitgen.footage.plate import open_plate
from portraitgen.footage.plate_files import write_plate
from portraitgen.footage.timecode import advanced, unpacked

RATE = 48000


def _movie(path: Path, count: int = 10, timecode: str = "") -> Path:
    """Numbered frames with a tone that begins at frame 5, a reel and a time code."""
    options = {"write_tmcd": "1"} if timecode else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        if timecode:
            stream.metadata["timecode"] = timecode
            stream.metadata["reel_name"] = "A001"
        sound = container.add_stream("aac", rate=RATE, layout="mono")
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode())
        samples = 0.5 * np.sin(np.arange(count * RATE // 25) * 2 * np.pi * 440 / RATE)
        samples[: 4 * RATE // 25] = 0
        for start in range(0, len(samples), 1024):
            piece = samples[None, start : start + 1024].astype(np.float32)
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(sound.encode(frame))
        container.mux(sound.encode())
    return path


def test_time_code_and_sound_reach_frames_and_movie(tmp_path: Path) -> None:
    plate = open_plate(_movie(tmp_path / "in.mov", timecode="10:20:30:05"), first=1001)
    assert plate.timecode == "10:20:30:05" and plate.sound
    assert plate.timecode_at(1021) == "10:20:31:00"
    passes = {"Combined": np.zeros((4, 4, 4), np.float32)}
    write_exr(
        tmp_path / "out.exr", passes, fps=plate.fps, frame=1003, colour_space="sRGB",
        timecode=plate.timecode_at(1003), reel="A001",
    )  # fmt: skip
    spec = oiio.ImageInput.open(str(tmp_path / "out.exr")).spec()
    words = spec.getattribute("smpte:TimeCode")
    assert (unpacked(words) if isinstance(words, tuple) else words) == "10:20:30:07"
    assert spec.getattribute("reelName") == "A001"
    frames = range(1003, 1009)
    sound = plate.read_sound(frames)
    assert sound is not None
    with MovieWriter(tmp_path / "out.mp4", plate.fps, plate.timecode_at(frames[0]), sound) as movie:
        for _, image in plate.frames_uint8(frames):
            movie.add(image)
    again = open_plate(tmp_path / "out.mp4")
    assert again.timecode == "10:20:30:07"
    assert [number_of(image) for _, image in again.frames_uint8()] == list(range(2, 8))
    samples, rate = again.read_sound(again.numbers)
    loud = np.abs(samples).mean(0).reshape(6, -1).mean(1) > 0.1
    assert rate == RATE and loud.tolist() == [False, False, True, True, True, True]


@pytest.mark.parametrize(
    ("code", "frames", "fps", "later"),
    [
        ("10:20:30:05", 0, Fraction(25), "10:20:30:05"),
        ("23:59:59:24", 1, Fraction(25), "00:00:00:00"),
        ("01:00:59;29", 1, Fraction(30000, 1001), "01:01:00;02"),
        ("01:00:59;28", 1, Fraction(30000, 1001), "01:00:59;29"),
        ("01:09:59;29", 1, Fraction(30000, 1001), "01:10:00;00"),
        ("00:00:00;00", 17982, Fraction(30000, 1001), "00:10:00;00"),
        ("01:00:59:29", 1, Fraction(30000, 1001), "01:01:00:00"),
        ("00:00:01:00", -1, Fraction(24000, 1001), "00:00:00:23"),
        ("00:00:00:59", 1, Fraction(60), "00:00:01:00"),
        ("nonsense", 1, Fraction(25), ""),
    ],
)
def test_time_code_counts_on(code: str, frames: int, fps: Fraction, later: str) -> None:
    assert advanced(code, frames, fps) == later


def test_no_frame_is_dropped_at_rates_that_drop_none() -> None:
    assert advanced("00:00:59;24", 1, Fraction(25)) == "00:01:00:00"


def test_time_code_is_in_the_words_of_smpte(tmp_path: Path) -> None:
    passes = {"Combined": np.zeros((2, 2, 4), np.float32)}

    def words(code: str, fps: Fraction = Fraction(30)) -> tuple[int, int] | None:
        path = tmp_path / "x.exr"
        write_exr(path, passes, fps=fps, frame=1, colour_space="sRGB", timecode=code)
        found: tuple[int, int] | None = oiio.ImageBuf(str(path)).spec().get("smpte:TimeCode")
        return found

    assert words("10:20:30:05") == (0x10203005, 0)
    # Above 30 a second frames count in pairs, of which the second has the field mark.
    fast = Fraction(60000, 1001)
    assert words("10:20:30:58", fast) == (0x10203029, 0)
    assert words("10:20:30:10", fast) == (0x10203005, 0)
    assert words("10:20:30:11", fast) == (0x1020B005, 0)
    for frame in range(60):
        found = words(f"10:20:30:{frame:02d}", fast)
        assert found is not None and unpacked(found, fast) == f"10:20:30:{frame:02d}"
    for code in ("23:59:59:29", "01:02:03;04", "00:00:00:00"):
        assert unpacked(words(code)) == code
    assert words("") is None


def test_alpha_of_a_movie_is_in_its_full_plates(tmp_path: Path) -> None:
    alpha = np.tile(np.arange(SIZE, dtype=np.uint8) * 4, (SIZE, 1))
    image = np.dstack([np.rint(ramp() * 255).astype(np.uint8), alpha])
    frame = av.VideoFrame.from_ndarray(image, format="rgba")
    plate = open_plate(write_movie(tmp_path / "a.mov", "png", "rgba", [frame], True, matrix=0))
    assert "the movie's alpha is kept in full plates" in plate.notes
    where = np.zeros((SIZE, SIZE), bool)
    where[:8] = True
    laid = plate.laid_over(1, np.zeros((SIZE, SIZE, 3), np.float32), where)
    again = read_image(write_plate(tmp_path / "out", laid, plate))
    assert again.channels == ("R", "G", "B", "A")
    assert np.array_equal(again.pixels[..., 3], alpha)
    assert np.array_equal(again.pixels[8:], image[8:]) and not again.pixels[:8, :, :3].any()


def test_alpha_that_a_webm_keeps_beside_its_pictures_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=25)
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuva420p"
        stream.metadata["alpha_mode"] = "1"
        image = np.full((SIZE, SIZE, 4), 128, np.uint8)
        frame = av.VideoFrame.from_ndarray(image, format="rgba")
        container.mux(stream.encode(frame.reformat(format="yuva420p")))
        container.mux(stream.encode())
    assert any("alpha (VP8, VP9) is not read" in note for note in open_plate(path).notes)


def test_a_second_layer_of_a_phones_movie_is_told(tmp_path: Path) -> None:
    path = _movie(tmp_path / "in.mov")
    assert not any("second layer" in note for note in open_plate(path).notes)
    data = path.read_bytes()
    at = data.index(b"moov") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    assert at + size == len(data)  # Nothing lies behind it that would have to move.
    layer = (12).to_bytes(4, "big") + b"freelhvC"
    path.write_bytes(data[:at] + (size + 12).to_bytes(4, "big") + data[at + 4 :] + layer)
    assert any("second layer" in note for note in open_plate(path).notes)


def test_pixels_that_are_not_square_are_inside_and_come_back_squeezed(tmp_path: Path) -> None:
    image = np.rint(ramp() * 255).astype(np.uint8)
    planes = ycbcr(ramp()[:, ::2].repeat(2, 1), 8, 2, 2, False)
    frame = video_frame("yuv420p", [plane[:, ::2] for plane in planes], 8)
    path = tmp_path / "squeezed.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 64, "yuv420p"
        stream.options = {"qp": "4"}
        context = stream.codec_context
        context.sample_aspect_ratio = Fraction(2)
        context.colorspace, context.color_range, context.color_primaries = 1, 1, 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    plate = open_plate(path)
    assert (plate.width, plate.height, plate.pixel_aspect) == (64, 64, 2)
    assert (plate.stored_width, plate.stored_height) == (32, 64)
    shown = plate.read_uint8(1)
    assert np.abs(shown.astype(int) - image)[4:-4, 4:-4].mean() < 3
    where = np.zeros((64, 64), bool)
    where[10:20, 16:32] = True
    laid = plate.laid_over(1, np.full((64, 64, 3), 0.5, np.float32), where)
    native = plate.read_native(1)
    assert laid.pixels.shape == (64, 32, 3)
    changed = (laid.pixels != native.pixels).any(2)
    assert changed[10:20, 8:16].all() and changed.sum() == 80
    spec = oiio.ImageInput.open(str(write_plate(tmp_path / "out", laid, plate))).spec()
    assert (spec.width, spec.height) == (32, 64)
    assert spec.get_float_attribute("PixelAspectRatio") == pytest.approx(2, rel=1e-3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_turned_and_mirrored_movie_is_shown_as_players_show_it(
    tmp_path: Path, orientation: int
) -> None:
    """The display matrix maps stored (x, y) to shown (a x + c y, b x + d y), y down."""
    a, b, c, d = {
        1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1),
        5: (0, 1, 1, 0), 6: (0, 1, -1, 0), 7: (0, -1, -1, 0), 8: (0, -1, 1, 0),
    }[orientation]  # fmt: skip
    stored = np.rint(ramp() * 255).astype(np.uint8)[:32]
    y, x = np.mgrid[0:32, 0:SIZE]
    across, down = a * x + c * y, b * x + d * y
    across, down = across - across.min(), down - down.min()
    wanted = np.zeros((down.max() + 1, across.max() + 1, 3), np.uint8)
    wanted[down, across] = stored
    data = struct.pack(
        "=9i", *(v << 16 for v in (a, b)), 0, *(v << 16 for v in (c, d)), 0, 0, 0, 1 << 30
    )
    found, exact = orientation_of(data)
    assert (found, exact) == (orientation, True)
    assert np.array_equal(upright(stored, orientation), wanted)
    path = write_movie(
        tmp_path / "turned.mp4", "libx264rgb", "rgb24",
        [av.VideoFrame.from_ndarray(stored, format="rgb24")], True, {"qp": "0"}, 0,
    )  # fmt: skip
    # The matrix lies in the header of the track, 16.16 numbers, big-endian.
    head = path.read_bytes()
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    at = head.index(plain, head.index(b"tkhd"))
    path.write_bytes(head[:at] + struct.pack(">9i", *struct.unpack("=9i", data)) + head[at + 36 :])
    plate = open_plate(path)
    assert (plate.height, plate.width) == wanted.shape[:2]
    assert np.array_equal(plate.read_uint8(1), wanted)


AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
PACKETS = (
    f'<x Iptc4xmpExt:DigitalSourceType="{AI}"/>',
    f"<Iptc4xmpExt:DigitalSourceType>{AI}</Iptc4xmpExt:DigitalSourceType>",
    f'<Iptc4xmpExt:DigitalSourceType rdf:resource="{AI}"/>',
)


@pytest.mark.parametrize("packet", PACKETS, ids=["attribute", "element", "resource"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_movie_that_says_to_be_generated_stays_so(
    tmp_path: Path, packet: str, suffix: str
) -> None:
    """Pictures were asked, movies not: a render over one was called a composite of captures."""
    path = _movie(tmp_path / f"in{suffix}")
    assert open_plate(path).source_type == ""
    body = bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + packet.encode()
    with path.open("ab") as file:
        file.write(struct.pack(">I4s", 8 + len(body), b"uuid") + body)
    assert open_plate(path).source_type == AI


def test_quicktime_keeps_xmp_among_user_data(tmp_path: Path) -> None:
    path = _movie(tmp_path / "in.mov")
    data, packet = path.read_bytes(), PACKETS[0].encode()
    at = data.rindex(b"moov") - 4
    (size,) = struct.unpack_from(">I", data, at)
    assert at + size == len(data), "the movie ends with its index"
    xmp = struct.pack(">I4s", 8 + len(packet), b"XMP_") + packet
    more = struct.pack(">I4s", 8 + len(xmp), b"udta") + xmp
    moov = struct.pack(">I", size + len(more)) + data[at + 4 :] + more
    path.write_bytes(data[:at] + moov)
    assert open_plate(path).source_type == AI


def test_a_movie_of_ours_says_what_it_is(tmp_path: Path) -> None:
    said = {"comment": json.dumps({"digital_source_type": AI})}
    with MovieWriter(tmp_path / "out.mp4", Fraction(25), metadata=said) as writer:
        writer.add(np.zeros((64, 64, 3), np.uint8))
    assert open_plate(tmp_path / "out.mp4").source_type == AI
