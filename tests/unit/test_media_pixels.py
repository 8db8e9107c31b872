# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Movies in colour: every subsampling, depth, range and codec gives the picture that went in.

What went in is arithmetic (ITU-T H.273's formulas), never the reader's own conversion.
"""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from portraitgen.footage.plate import open_plate

SIZE = 64
KR, KB = 0.2126, 0.0722
SUBSAMPLINGS = {"444": (1, 1), "422": (2, 1), "420": (2, 2), "440": (1, 2), "411": (4, 1)}


def ramp() -> np.ndarray:
    """A smooth picture in colour, float (H, W, 3) in 0..1: chroma that no subsampling loses."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / (SIZE - 1)
    return np.stack([0.2 + 0.6 * x, 0.3 + 0.4 * y, 0.7 - 0.5 * x * y], axis=2)


def ycbcr(rgb: np.ndarray, depth: int, across: int, down: int, full: bool) -> list[np.ndarray]:
    """BT.709 codes of a picture, chroma averaged over its samples."""
    luma = rgb @ [KR, 1 - KR - KB, KB]
    cb, cr = (rgb[..., 2] - luma) / 2 / (1 - KB), (rgb[..., 0] - luma) / 2 / (1 - KR)
    unit, most = 1 << (depth - 8), (1 << depth) - 1
    if full:
        planes = [luma * most, cb * most + 128 * unit, cr * most + 128 * unit]
    else:
        planes = [(luma * 219 + 16) * unit, (cb * 224 + 128) * unit, (cr * 224 + 128) * unit]
    for row in (1, 2):
        cells = planes[row].reshape(SIZE // down, down, SIZE // across, across)
        planes[row] = cells.mean((1, 3))
    return [np.rint(plane) for plane in planes]


def video_frame(layout: str, planes: Sequence[np.ndarray], depth: int) -> av.VideoFrame:
    """A picture of planes of codes."""
    frame = av.VideoFrame(planes[0].shape[1], planes[0].shape[0], layout)
    kind = np.dtype("u1" if depth == 8 else ">u2" if layout.endswith("be") else "<u2")
    for plane, codes in zip(frame.planes, planes, strict=True):
        padded = np.zeros((plane.height, plane.line_size // kind.itemsize), kind)
        padded[:, : codes.shape[1]] = codes
        plane.update(padded.tobytes())
    return frame


def write_movie(
    path: Path,
    codec: str,
    layout: str,
    frames: Sequence[av.VideoFrame],
    full: bool = False,
    options: dict[str, str] | None = None,
    matrix: int = 1,
) -> Path:
    """A movie of ready pictures, tagged."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, layout
        stream.options = options or {}
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = matrix, 1, 1
        context.color_range = 2 if full else 1
        for number, frame in enumerate(frames):
            frame.pts = number
            frame.colorspace = matrix
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


FFV1 = [
    (name, depth, full)
    for name in SUBSAMPLINGS
    for depth in (8, 9, 10, 12, 14, 16)
    for full in (False, True)
    if (name, depth) not in {("440", d) for d in (9, 14, 16)} | {("411", d) for d in range(9, 17)}
]


@pytest.mark.parametrize(("name", "depth", "full"), FFV1)
def test_every_subsampling_depth_and_range_is_in_colour_within_a_code(
    tmp_path: Path, name: str, depth: int, full: bool
) -> None:
    layout = f"yuv{name}p" + (f"{depth}le" if depth > 8 else "")
    planes = ycbcr(ramp(), depth, *SUBSAMPLINGS[name], full)
    path = write_movie(
        tmp_path / "plate.mkv", "ffv1", layout, [video_frame(layout, planes, depth)], full
    )
    plate = open_plate(path)
    assert (plate.bit_depth, plate.matrix) == (depth, "bt709")
    assert plate.range == ("full" if full else "limited")
    error = np.abs(plate.read(1) * 255 - ramp() * 255)[4:-4, 4:-4]
    assert error.mean() < (0.6 if depth == 8 else 0.3), "the whole picture is off"
    assert error.max() < 2.5
    ((_, quick),) = plate.frames_uint8(exact=False)
    assert np.abs(quick - ramp() * 255)[4:-4, 4:-4].mean() < 4


ENCODERS = [
    ("libx264", "yuv420p10le", 10, ".mov", {"crf": "4"}),
    ("libx264", "yuv422p10le", 10, ".mp4", {"crf": "4"}),
    ("libx265", "yuv420p10le", 10, ".mov", {"x265-params": "crf=4:log-level=none"}),
    ("libx265", "yuv420p12le", 12, ".mp4", {"x265-params": "crf=4:log-level=none"}),
    ("libx265", "yuv444p12le", 12, ".mkv", {"x265-params": "crf=4:log-level=none"}),
    ("libvpx-vp9", "yuv440p", 8, ".webm", {"crf": "4", "b": "0"}),
    ("libsvtav1", "yuv420p10le", 10, ".mp4", {"crf": "6", "preset": "10"}),
    ("prores_ks", "yuv422p10le", 10, ".mov", {}),
]


@pytest.mark.parametrize(
    ("codec", "layout", "depth", "suffix", "options"), ENCODERS, ids=lambda value: str(value)
)
def test_what_cameras_write_is_in_colour(
    tmp_path: Path, codec: str, layout: str, depth: int, suffix: str, options: dict[str, str]
) -> None:
    try:
        av.Codec(codec, "w")
    except ValueError:
        pytest.skip(f"PyAV has no encoder {codec}")
    name = layout.removeprefix("yuv")[:3]
    planes = ycbcr(ramp(), depth, *SUBSAMPLINGS[name], False)
    frames = [video_frame(layout, planes, depth) for _ in range(3)]
    path = write_movie(tmp_path / f"plate{suffix}", codec, layout, frames, options=options)
    plate = open_plate(path)
    assert plate.bit_depth == depth
    for frame in (1, 3):
        assert np.abs(plate.read(frame) - ramp()).mean() * 255 < 1


def test_rgb_and_alpha_keep_every_code_at_every_depth(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for depth in (8, 10, 12, 16):
        layout = "bgra" if depth == 8 else f"gbrap{depth}le"
        codes = generator.integers(0, 1 << depth, (SIZE, SIZE, 4)).astype(float)
        if depth == 8:
            frame = av.VideoFrame.from_ndarray(codes.astype(np.uint8), format="rgba")
            frame = frame.reformat(format="bgra")
        else:
            frame = video_frame(layout, [codes[..., index] for index in (1, 2, 0, 3)], depth)
        path = write_movie(tmp_path / f"{depth}.mkv", "ffv1", layout, [frame], full=True, matrix=0)
        native = open_plate(path).read_native(1)
        assert native.channels == ("R", "G", "B", "A")
        most = np.iinfo(native.pixels.dtype).max
        assert np.array_equal(np.rint(native.pixels / most * ((1 << depth) - 1)), codes)


@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize(("codec", "full"), [("ffv1", True), ("libx265", False)])
def test_grey_keeps_its_codes_and_its_range(
    tmp_path: Path, codec: str, full: bool, depth: int
) -> None:
    layout = "gray" if depth == 8 else f"gray{depth}le"
    unit, most = 1 << (depth - 8), (1 << depth) - 1
    wanted = np.tile(np.linspace(0, 1, SIZE), (SIZE, 1))
    codes = np.rint(wanted * most if full else (16 + 219 * wanted) * unit)
    options = (
        {}
        if codec == "ffv1"
        else {"x265-params": "lossless=1:bframes=0:frame-threads=1:pools=none:log-level=none"}
    )
    frame = video_frame(layout, [codes], depth)
    path = write_movie(tmp_path / "grey.mkv", codec, layout, [frame], full, options, matrix=2)
    picture = open_plate(path).read(1)
    assert np.abs(picture - wanted[..., None]).max() * 255 < 1.1


def test_semi_planar_and_packed_codes_are_read_as_planar_ones_are(tmp_path: Path) -> None:
    from portraitgen.footage.movie_pixels import Converter

    planar = video_frame("yuv420p10le", ycbcr(ramp(), 10, 2, 2, False), 10)
    wanted = Converter(1, False, True, False).convert(planar, (SIZE, SIZE))
    assert np.abs(wanted / 65535 - ramp())[4:-4, 4:-4].max() * 255 < 1
    for layout in ("p010le", "yuv420p16le", "p016le", "p210le", "y210le"):
        other = planar.reformat(format=layout)
        got = Converter(1, False, True, False).convert(other, (SIZE, SIZE))
        assert np.abs(got / 65535 - wanted / 65535)[4:-4, 4:-4].max() * 255 < 1.5, layout


def test_a_lower_or_higher_layer_of_codes_is_read_from_deep_packed_rgb() -> None:
    from portraitgen.footage.movie_pixels import Converter, depth_of

    codes = np.random.default_rng(1).integers(0, 65536, (SIZE, SIZE, 3)).astype(np.uint16)
    frame = av.VideoFrame.from_ndarray(codes, format="rgb48le")
    for layout in ("rgb48be", "bgr48le", "bgr48be", "gbrp16le", "gbrp16be", "rgba64le"):
        other = frame.reformat(format=layout)
        assert depth_of(other.format) == 16
        got = Converter(None, True, True, False).convert(other, (SIZE, SIZE))
        assert np.array_equal(got, codes), layout


def test_alpha_of_video_is_kept_beside_its_colours(tmp_path: Path) -> None:
    alpha = np.tile(np.rint(np.linspace(0, 1023, SIZE)), (SIZE, 1))
    planes = [*ycbcr(ramp(), 10, 2, 1, False), alpha]
    frame = video_frame("yuva422p10le", planes, 10)
    native = open_plate(
        write_movie(tmp_path / "alpha.mkv", "ffv1", "yuva422p10le", [frame])
    ).read_native(1)
    assert native.channels == ("R", "G", "B", "A")
    assert np.abs(native.pixels[..., 3] / 65535 - alpha / 1023).max() < 1e-4
