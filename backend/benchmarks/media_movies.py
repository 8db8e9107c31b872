# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Movies for `bench media`: YCbCr codes by the standard's formulas, tags, damage."""

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from .media_case import Case, linear_light

SIZE = 64
RATES = [Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(60)]
SUBSAMPLINGS = {"444": (1, 1), "422": (2, 1), "420": (2, 2), "440": (1, 2)}
MATRICES = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
_ORIENTATIONS = {
    1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1),
    5: (0, 1, 1, 0), 6: (0, 1, -1, 0), 7: (0, -1, -1, 0), 8: (0, -1, 1, 0),
}  # fmt: skip


def picture(number: int = 0) -> np.ndarray:
    """A smooth picture in colour, float (H, W, 3) in 0..1, another one for each number."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / (SIZE - 1)
    shift = 0.02 * number
    red, green, blue = 0.2 + 0.6 * x, 0.3 + 0.4 * y - shift, 0.65 - 0.45 * x * y + shift
    return np.clip(np.stack([red, green, blue], axis=2), 0, 1)


def frame_of(
    rgb: np.ndarray, layout: str, depth: int, cell: tuple[int, int], full: bool, matrix: int
) -> av.VideoFrame:
    """A picture as YCbCr codes."""
    kr, kb = MATRICES[matrix]
    luma = rgb @ [kr, 1 - kr - kb, kb]
    cb, cr = (rgb[..., 2] - luma) / 2 / (1 - kb), (rgb[..., 0] - luma) / 2 / (1 - kr)
    unit, most = 1 << (depth - 8), (1 << depth) - 1
    if full:
        planes = [luma * most, cb * most + 128 * unit, cr * most + 128 * unit]
    else:
        planes = [(luma * 219 + 16) * unit, (cb * 224 + 128) * unit, (cr * 224 + 128) * unit]
    height, width = luma.shape
    across, down = cell
    for row in (1, 2):
        cells = planes[row].reshape(height // down, down, width // across, across)
        planes[row] = cells.mean((1, 3))
    frame = av.VideoFrame(width, height, layout)
    kind = np.dtype("u1" if depth == 8 else "<u2")
    for plane, codes in zip(frame.planes, planes, strict=True):
        padded = np.zeros((plane.height, plane.line_size // kind.itemsize), kind)
        padded[:, : codes.shape[1]] = np.rint(codes)
        plane.update(padded.tobytes())
    frame.colorspace = matrix
    return frame


def write(
    path: Path,
    codec: str,
    layout: str,
    frames: Sequence[av.VideoFrame],
    *,
    tags: tuple[int, int, int] = (1, 1, 1),
    full: bool = False,
    options: dict[str, str] | None = None,
    rate: Fraction = Fraction(25),
) -> Path:
    """A movie of ready pictures; `tags` are primaries, transfer and matrix."""
    # Without random identifiers in the file, damage hits the same place in every run.
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, layout
        stream.options = options or {}
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = tags
        context.color_range = 2 if full else 1
        for frame in frames:
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _layout(name: str, depth: int) -> str:
    return f"yuv{name}p" + (f"{depth}le" if depth > 8 else "")


def layouts(folder: Path) -> Iterator[Case]:
    """Every subsampling, depth, range and matrix."""
    for name, cell in SUBSAMPLINGS.items():
        for depth in (8, 10, 12, 16):
            if name == "440" and depth == 16:
                continue
            for full in (False, True):
                for matrix in MATRICES:
                    layout = _layout(name, depth)
                    path = folder / f"{layout}_{full}_{matrix}.mkv"
                    frame = frame_of(picture(), layout, depth, cell, full, matrix)
                    write(path, "ffv1", layout, [frame], full=full, tags=(1, 1, matrix))
                    yield Case(
                        f"layout {layout} {matrix} {full}", path, {1: picture()}, range(1, 2)
                    )


def codecs(folder: Path) -> Iterator[Case]:
    """What cameras and editing programs write."""
    quiet = "crf=4:log-level=none"
    rows: list[tuple[str, str, int, str, dict[str, str]]] = [
        ("libx264", "420", 8, ".mp4", {"crf": "4"}),
        ("libx264", "422", 8, ".mov", {"crf": "4"}),
        ("libx264", "420", 10, ".mov", {"crf": "4"}),
        ("libx264", "422", 10, ".mkv", {"crf": "4"}),
        ("libx264", "444", 10, ".mp4", {"crf": "4"}),
        ("libx265", "420", 8, ".mp4", {"x265-params": quiet}),
        ("libx265", "420", 10, ".mov", {"x265-params": quiet}),
        ("libx265", "420", 12, ".mkv", {"x265-params": quiet}),
        ("libx265", "422", 12, ".mp4", {"x265-params": quiet}),
        ("libx265", "444", 12, ".mp4", {"x265-params": quiet}),
        ("libvpx-vp9", "420", 8, ".webm", {"crf": "4", "b": "0"}),
        ("libvpx-vp9", "440", 8, ".webm", {"crf": "4", "b": "0"}),
        ("libvpx-vp9", "444", 8, ".webm", {"crf": "4", "b": "0"}),
        ("libsvtav1", "420", 8, ".mp4", {"crf": "6", "preset": "10"}),
        ("libsvtav1", "420", 10, ".mkv", {"crf": "6", "preset": "10"}),
        ("prores_ks", "422", 10, ".mov", {}),
        ("prores_ks", "444", 10, ".mov", {}),
        ("mpeg2video", "420", 8, ".mpg", {"b": "20M"}),
        ("mpeg2video", "422", 8, ".ts", {"b": "20M"}),
        ("jpeg2000", "422", 10, ".mkv", {"pred": "1"}),
        ("v210", "422", 10, ".mov", {}),
    ]
    for codec, name, depth, suffix, options in rows:
        try:
            av.Codec(codec, "w")
        except ValueError:
            continue
        layout = _layout(name, depth)
        path = folder / f"{codec}_{layout}{suffix}"
        cell = SUBSAMPLINGS[name]
        frames = [frame_of(picture(number), layout, depth, cell, False, 1) for number in range(8)]
        write(path, codec, layout, frames, options=options)
        truth = {number + 1: picture(number) for number in (0, 3, 7)}
        yield Case(f"codec {codec} {layout}{suffix}", path, truth, range(1, 9), 2.0)


def orientations(folder: Path) -> Iterator[Case]:
    """All eight of a display matrix, in two containers."""
    stored = np.rint(picture() * 255).astype(np.uint8)[:32]
    y, x = np.mgrid[0:32, 0:SIZE]
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    for suffix in (".mp4", ".mov"):
        for number, (a, b, c, d) in _ORIENTATIONS.items():
            across, down = a * x + c * y, b * x + d * y
            across, down = across - across.min(), down - down.min()
            shown = np.zeros((down.max() + 1, across.max() + 1, 3))
            shown[down, across] = stored / 255
            frame = av.VideoFrame.from_ndarray(stored, format="rgb24")
            path = folder / f"{number}{suffix}"
            lossless = {"qp": "0"}
            write(path, "libx264rgb", "rgb24", [frame], tags=(1, 1, 0), full=True, options=lossless)
            data = path.read_bytes()
            at = data.index(plain, data.index(b"tkhd"))
            one = 1 << 16
            turned = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
            path.write_bytes(data[:at] + turned + data[at + 36 :])
            yield Case(f"orientation {number} {suffix}", path, {1: shown}, range(1, 2))


def rates(folder: Path) -> Iterator[Case]:
    """Rates and containers, with B-frames."""
    truth = {number + 1: picture(number) for number in range(12)}
    for rate in RATES:
        for suffix in (".mp4", ".mov", ".mkv", ".ts", ".flv"):
            path = folder / f"{rate.numerator}{suffix}"
            options = {"crf": "4", "g": "5", "bf": "2"}
            # Fresh ones: what was encoded once keeps its clock.
            frames = [frame_of(picture(n), "yuv420p", 8, (2, 2), False, 1) for n in range(12)]
            write(path, "libx264", "yuv420p", frames, options=options, rate=rate)
            yield Case(f"rate {rate} {suffix}", path, truth, range(1, 13), 2.0)


def hdr(folder: Path) -> Iterator[Case]:
    """HLG and PQ of a picture of Rec.709 video, as a display of 1000 nits shows it."""
    to_2020 = np.array(
        [
            [0.627404, 0.329283, 0.043313],
            [0.069097, 0.919540, 0.011362],
            [0.016391, 0.088013, 0.895595],
        ]
    )
    light = picture() ** 2.4 @ to_2020.T
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = light ** (1 / 1.2) * (np.exp((0.75 - c) / a) + b) / 12
    high = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    power = (light * 203 / 10000) ** (2610 / 16384)
    signals = {
        18: np.where(scene <= 1 / 12, np.sqrt(3 * scene), high),
        16: ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32),
    }
    wanted = picture()
    linear = linear_light(wanted)
    for transfer, signal in signals.items():
        for name, depth in (("420", 10), ("422", 10), ("444", 12), ("420", 12)):
            layout = _layout(name, depth)
            frame = frame_of(signal, layout, depth, SUBSAMPLINGS[name], False, 9)
            path = folder / f"{transfer}_{layout}.mkv"
            write(path, "ffv1", layout, [frame], tags=(9, transfer, 9))
            yield Case(f"hdr {transfer} {layout}", path, {1: linear}, range(1, 2), linear=True)


_BREAKABLE = {
    ".mp4": "libx264", ".mkv": "libx264", ".ts": "libx264", ".flv": "libx264", ".mov": "libx264",
    ".mxf": "mpeg2video", ".asf": "mpeg4", ".avi": "mpeg4",
}  # fmt: skip


def broken(folder: Path) -> Iterator[Case]:
    """Files cut off or overwritten: the frames that come are right, or it is told."""
    generator = np.random.default_rng(0)
    truth = {number + 1: picture(number) for number in range(24)}
    for suffix, codec in _BREAKABLE.items():
        whole = folder / f"whole{suffix}"
        options = {"crf": "4", "bf": "2"} if codec == "libx264" else {"b": "8M"}
        frames = [frame_of(picture(n), "yuv420p", 8, (2, 2), False, 1) for n in range(24)]
        write(whole, codec, "yuv420p", frames, options=options | {"g": "6"})
        # What these containers cannot tag is no damage.
        asked = {"matrix": "bt709"} if suffix in (".asf", ".avi") else {}
        yield Case(f"broken not {suffix}", whole, truth, range(1, 25), 3.0, asked=asked)
        data = whole.read_bytes()
        for share in (3, 5, 7, 9):
            path = folder / f"cut{share}{suffix}"
            path.write_bytes(data[: len(data) * share // 10])
            yield Case(f"broken cut {share} {suffix}", path, truth, range(1, 25), 3.0, asked=asked)
        for number in range(8):
            path = folder / f"hole{number}{suffix}"
            place = int(generator.integers(len(data) // 20, len(data) * 19 // 20))
            hole = generator.bytes(min(400, len(data) - place))
            path.write_bytes(data[:place] + hole + data[place + len(hole) :])
            yield Case(
                f"broken hole {number} {suffix}", path, truth, range(1, 25), 3.0, asked=asked
            )
