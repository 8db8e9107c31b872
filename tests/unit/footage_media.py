# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small movies and images made on the spot, whose every frame tells its number."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import OpenImageIO as oiio  # noqa: N813
from av.video.reformatter import ColorRange

BITS = 8


def numbered(number: int, width: int = 128, height: int = 64) -> np.ndarray:
    """A grey picture with the number as eight black and white bars, uint8 (H, W, 3)."""
    image = np.full((height, width, 3), 128, np.uint8)
    for bit in range(BITS):
        left = bit * width // BITS
        image[height // 4 : -height // 4, left : left + width // BITS] = (
            235 if number >> bit & 1 else 20
        )
    return image


def number_of(image: np.ndarray) -> int:
    """The number that `numbered` drew; works on any size and type."""
    grey = np.asarray(image, np.float64).mean(axis=2)
    grey = grey / (255 if image.dtype == np.uint8 else 1)
    row = grey[grey.shape[0] // 2 - 4 : grey.shape[0] // 2 + 4].mean(axis=0)
    bars = row.reshape(BITS, -1).mean(axis=1)
    return sum(1 << bit for bit in range(BITS) if bars[bit] > 0.5)


def write_movie(
    path: Path,
    count: int,
    *,
    size: tuple[int, int] = (128, 64),
    rate: Fraction = Fraction(25),
    times: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    options: dict[str, str] | None = None,
    pixel_format: str = "yuv420p",
    codec: str = "libx264",
    matrix: int = 2,
    full: bool = False,
    rotation: int = 0,
    muxer: dict[str, str] | None = None,
) -> Path:
    """A movie of numbered frames 0, 1, 2...; `times` are their stamps in `time_base`."""
    with av.open(str(path), "w", options=muxer or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.options = options if options is not None else {"crf": "12", "g": "12", "bf": "2"}
        context = stream.codec_context
        context.colorspace = matrix
        context.color_range = ColorRange.JPEG if full else ColorRange.MPEG
        if time_base:
            context.time_base = time_base
        if rotation:
            stream.set_display_rotation(rotation)
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(numbered(index, *size), format="rgb24")
            frame = frame.reformat(
                format=pixel_format,
                dst_colorspace={1: "ITU709", 2: "ITU601", 6: "ITU601", 9: 9}[matrix],
                dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            )
            if times is not None:
                frame.pts, frame.time_base = times[index], time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_audio(path: Path) -> Path:
    """A file with sound only."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate, frame.pts = 44100, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_image(path: Path, pixels: np.ndarray, **attributes: object) -> Path:
    """An image in the array's own type; attributes as OpenImageIO names them, `__` for a colon."""
    kinds = {"uint8": "uint8", "uint16": "uint16", "float16": "half", "float32": "float"}
    height, width, count = pixels.shape
    spec = oiio.ImageSpec(width, height, count, oiio.TypeDesc(kinds[pixels.dtype.name]))
    for name, value in attributes.items():
        if isinstance(value, tuple) and name == "chromaticities":
            spec.attribute(name, oiio.TypeDesc("float[8]"), value)
        elif isinstance(value, tuple):
            spec.attribute(name, oiio.TypeDesc("rational"), value)
        else:
            spec.attribute(name.replace("__", ":"), value)
    spec.attribute("oiio:UnassociatedAlpha", 1)
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec), output.geterror()
    assert output.write_image(np.ascontiguousarray(pixels)), output.geterror()
    output.close()
    return path
