# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields and film's pulldown that nothing in a plate names; time codes that do not count it."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import OpenImageIO as oiio  # noqa: N813
import pytest
from footage_media import write_image

from portraitgen.footage.plate import open_plate
from portraitgen.footage.timecode import breaks

RATE = Fraction(30000, 1001)


def moment(time: float, width: int = 160, height: int = 120) -> np.ndarray:
    """A soft disc and stripes that move across, uint8 (H, W, 3)."""
    y, x = np.mgrid[0:height, 0:width]
    disc = 1 / (1 + np.exp((np.hypot(x - 30 - 6 * time, y - 60) - 25) / 1.5))
    stripes = 0.1 * np.sin((x - 3 * time) / 3)
    grey = 0.25 + 0.5 * disc + stripes + 0.05 * np.sin(y / 4)
    return np.rint(np.stack([grey, grey * 0.9, grey * 0.8], axis=2) * 255).astype(np.uint8)


def woven(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """A frame of two fields."""
    frame = upper.copy()
    frame[1::2] = lower[1::2]
    return frame


def progressive(number: int) -> np.ndarray:
    return moment(number)


def upper_first(number: int) -> np.ndarray:
    return woven(moment(number), moment(number + 0.5))


def lower_first(number: int) -> np.ndarray:
    return woven(moment(number + 0.5), moment(number))


def pulled_down(number: int) -> np.ndarray:
    """Four pictures of film as five of video: A AB BC C D."""
    upper, lower = ((0, 0), (0, 1), (1, 2), (2, 2), (3, 3))[number % 5]
    first = number // 5 * 4
    return woven(moment(1.25 * (first + upper)), moment(1.25 * (first + lower)))


def still_then_pulled_down(number: int) -> np.ndarray:
    return pulled_down(max(0, number - 60))


def later_upper_first(number: int) -> np.ndarray:
    return progressive(number) if number < 20 else upper_first(number)


def _movie(
    path: Path, pictures: Sequence[np.ndarray], layout: str = "yuv420p", flag: bool = False
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 160, 120, layout
        stream.options = {"crf": "16"} | ({"x264-params": "tff=1"} if flag else {})
        stream.codec_context.colorspace = 1
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame.reformat(format=layout, dst_colorspace="ITU709")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p10le"])
@pytest.mark.parametrize(
    ("made", "told"),
    [
        (progressive, ""),
        (upper_first, "two moments seem to share each frame"),
        (lower_first, "two moments seem to share each frame"),
        (pulled_down, "3:2 pulldown"),
    ],
)
def test_fields_that_nothing_names_are_told_by_the_pictures(
    tmp_path: Path, made: Callable[[int], np.ndarray], told: str, layout: str
) -> None:
    plate = open_plate(_movie(tmp_path / "in.mp4", [made(n) for n in range(20)], layout))
    fields = [note for note in plate.notes if "primaries" not in note]
    assert (told in " ".join(fields)) if told else fields == []


def test_pulldown_that_begins_later_is_told_once_all_is_decoded(tmp_path: Path) -> None:
    plate = open_plate(_movie(tmp_path / "in.mp4", [still_then_pulled_down(n) for n in range(130)]))
    assert "pulldown" not in " ".join(plate.notes)
    assert any("3:2 pulldown" in note for note in plate.examine())


@pytest.mark.parametrize(
    ("made", "told"),
    [(progressive, ""), (upper_first, "(fields)"), (pulled_down, "3:2 pulldown")],
)
def test_fields_in_images_are_told(
    tmp_path: Path, made: Callable[[int], np.ndarray], told: str
) -> None:
    for number in range(12):
        write_image(tmp_path / f"p.{number:04d}.png", made(number))
    found = open_plate(tmp_path).examine()
    assert (told in " ".join(found)) if told else found == []


@pytest.mark.parametrize(
    ("layout", "codec", "height"),
    [("yuv420p", "ffv1", 48), ("yuv420p10le", "ffv1", 50), ("yuv422p", "ffv1", 48),
     ("yuv440p", "ffv1", 48), ("yuva420p", "ffv1", 48), ("nv12", "rawvideo", 48),
     ("bgr0", "ffv1", 49)],
)  # fmt: skip
def test_a_field_has_no_colour_of_the_other_moment(
    tmp_path: Path, layout: str, codec: str, height: int
) -> None:
    """Flat fields of two colours, each with lines of its own in every plane."""
    colours = [np.array([200, 60, 40]), np.array([30, 90, 220])]
    frames = []
    for colour in colours:
        flat = np.broadcast_to(colour.astype(np.uint8), (height, 64, 3))
        made = av.VideoFrame.from_ndarray(np.ascontiguousarray(flat), format="rgb24")
        frames.append(made.reformat(format=layout, dst_colorspace="ITU709"))
    for upper, lower in zip(frames[0].planes, frames[1].planes, strict=True):
        lines = np.frombuffer(upper, np.uint8).reshape(upper.height, -1).copy()
        lines[1::2] = np.frombuffer(lower, np.uint8).reshape(upper.height, -1)[1::2]
        upper.update(lines.tobytes())
    path = tmp_path / "in.nut"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, height, layout
        stream.codec_context.colorspace = 1
        frames[0].colorspace = 1
        container.mux(stream.encode(frames[0]))
        container.mux(stream.encode())
    plate = open_plate(path, deinterlace=True, matrix=None if layout == "bgr0" else "bt709")
    shown = plate.read_uint8(1).astype(int)
    assert shown.shape == (height, 64, 3)
    assert np.abs(shown - colours[0]).max() <= 3


@pytest.mark.parametrize(
    ("made", "told", "later"),
    [
        (progressive, "show one moment each", ""),
        (upper_first, "two moments share each frame", ""),
        (pulled_down, "3:2 pulldown", ""),
        (later_upper_first, "show one moment each", "two moments seem to share"),
    ],
)
def test_whole_pictures_that_are_flagged_as_fields_are_told_apart(
    tmp_path: Path, made: Callable[[int], np.ndarray], told: str, later: str
) -> None:
    path = _movie(tmp_path / "in.mp4", [made(n) for n in range(80)], flag=True)
    plate = open_plate(path)
    assert told in " ".join(plate.notes)
    assert ("two moments share" in " ".join(plate.notes)) == (made in (upper_first, pulled_down))
    found = " ".join(plate.examine())
    assert later in found and (later or "deinterlace" not in found)
    field = open_plate(path, deinterlace=True)
    assert "the upper field of each is read" in " ".join(field.notes)


def test_a_field_that_is_read_is_not_asked_for_again(tmp_path: Path) -> None:
    path = _movie(tmp_path / "in.mp4", [upper_first(n) for n in range(14)])
    plate = open_plate(path, deinterlace=True)
    told = " ".join([*plate.notes, *plate.examine()])
    assert "seem interlaced" in told and "deinterlace it first" not in told


def _code(hours: int, minutes: int, seconds: int, frame: int) -> tuple[int, int]:
    word = 0
    for place, value in ((0, frame), (8, seconds), (16, minutes), (24, hours)):
        word |= (value // 10 << 4 | value % 10) << place
    return word, 0


def _sequence(folder: Path, frames: Sequence[tuple[int, ...] | None]) -> Path:
    folder.mkdir()
    for number, frame in enumerate(frames):
        spec = oiio.ImageSpec(8, 8, 3, "half")
        spec.attribute("FramesPerSecond", oiio.TypeDesc("rational"), (25, 1))
        if frame is not None:
            spec.attribute("smpte:TimeCode", oiio.TypeDesc("timecode"), _code(10, 0, *frame))
        output = oiio.ImageOutput.create("p.exr")
        assert output.open(str(folder / f"p.{number:04d}.exr"), spec)
        assert output.write_image(np.zeros((8, 8, 3), np.float16))
        output.close()
    return folder


@pytest.mark.parametrize(
    ("frames", "told"),
    [
        ([(0, 23), (0, 24), (1, 0), (1, 1)], ""),
        ([(0, 1), (0, 2), (0, 9), (0, 10)], "p.0002.exr says 10:00:00:09 after 10:00:00:02"),
        ([(0, 4), (0, 3), (0, 2), (0, 1)], "and at 2 more places"),
        ([(0, 4), (0, 5), (0, 5), (0, 6)], "p.0002.exr says 10:00:00:05 after 10:00:00:05"),
        ([(0, 4), (0, 4), (0, 4), (0, 4)], "all images say the same time code, 10:00:00:04"),
        ([(0, 4), (0, 5), None, (0, 7)], "p.0002.exr has none"),
    ],
)
def test_time_codes_that_do_not_count_the_images_are_told(
    tmp_path: Path, frames: Sequence[tuple[int, int] | None], told: str
) -> None:
    plate = open_plate(_sequence(tmp_path / "in", frames))
    notes = [note for note in plate.notes if "time code" in note]
    assert (len(notes) == 1 and told in notes[0]) if told else notes == []


@pytest.mark.parametrize(
    ("codes", "fps", "rows"),
    [
        (["00:00:00:23", "00:00:01:00", "00:00:01:01"], None, []),
        (["00:00:00:29", "00:00:01:00"], None, []),
        (["00:00:00:29", "00:00:01:00"], Fraction(25), [1]),
        (["00:00:00:00", "00:00:00:00", "00:00:00:01", "00:00:00:01"], None, []),
        (["00:00:00:00", "00:00:00:00", "00:00:00:01", "00:00:00:01"], Fraction(24), [1, 3]),
        (["00:00:59;29", "00:01:00;02"], RATE, []),
    ],
)
def test_a_time_code_follows_at_its_rate(
    codes: list[str], fps: Fraction | None, rows: list[int]
) -> None:
    assert breaks(codes, fps) == rows
