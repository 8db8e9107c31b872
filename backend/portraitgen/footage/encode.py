# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes frames: multilayer EXR, full plates in the plate's own format, movies; all in one step."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
import OpenImageIO as oiio

from ..errors import FootageError
from ..shot import atomic_path
from .colour import chromaticities, resolve
from .native import NativeFrame

LAYER = "ViewLayer"
_CHANNELS = {"Combined": "RGBA", "Depth": "Z", "Normal": "XYZ", "Alpha": "A"}
_FULL_PRECISION = ("Depth",)


def write_exr(
    path: Path,
    passes: Mapping[str, np.ndarray],
    *,
    fps: Fraction,
    frame: int,
    colour_space: str,
    attributes: Mapping[str, str] | None = None,
) -> None:
    """Writes a multilayer EXR whose passes Blender and Nuke show by name.

    Args:
        passes: pass name -> float32 (H, W, C); Combined is RGBA multiplied by alpha. Depth is
            kept in full precision, the rest in half.
        fps, frame: written into the file.
        colour_space: of the colours, as `colour.resolve` knows it.
        attributes: more text to write.

    Raises:
        FootageError: if the file cannot be written.
    """
    names, formats, planes = [], [], []
    for name, values in passes.items():
        letters = _CHANNELS.get(name, "RGB")
        for index, letter in enumerate(letters):
            names.append(f"{LAYER}.{name}.{letter}")
            formats.append(oiio.FLOAT if name in _FULL_PRECISION else oiio.HALF)
            planes.append(values[..., index])
    pixels = np.ascontiguousarray(np.stack(planes, axis=-1), np.float32)
    height, width = pixels.shape[:2]
    spec = oiio.ImageSpec(width, height, len(names), oiio.HALF)
    spec.channelnames = tuple(names)
    spec.channelformats = tuple(oiio.TypeDesc(each) for each in formats)
    spec.attribute("compression", "zip")
    spec.attribute("FramesPerSecond", oiio.TypeDesc("rational"), (fps.numerator, fps.denominator))
    spec.attribute("portraitgen:frame", frame)
    spec.attribute("portraitgen:colourspace", colour_space)
    spec.attribute(
        "chromaticities", oiio.TypeDesc("float[8]"), chromaticities(resolve(colour_space))
    )
    for name, text in (attributes or {}).items():
        spec.attribute(name, text)
    _write(path, spec, pixels)


def write_plate(folder: Path, name: str, frame: NativeFrame, suffix: str) -> Path:
    """Writes a full frame in the plate's own codes and bit depth.

    Args:
        folder, name: where; the suffix is added.
        frame: the pixels.
        suffix: ".exr", ".dpx", ".tif" or ".png", as the plate's; movies go to ".png" or ".tif".
    """
    path = folder / f"{name}{suffix}"
    height, width, count = frame.pixels.shape
    kinds = {"uint8": "uint8", "uint16": "uint16", "float16": "half", "float32": "float"}
    spec = oiio.ImageSpec(width, height, count, oiio.TypeDesc(kinds[frame.pixels.dtype.name]))
    spec.channelnames = frame.channels
    if frame.bit_depth not in (8, 16, 32):
        spec.attribute("oiio:BitsPerSample", frame.bit_depth)
    if suffix == ".exr":
        spec.attribute("compression", "zip")
    _write(path, spec, np.ascontiguousarray(frame.pixels))
    return path


def _write(path: Path, spec: "oiio.ImageSpec", pixels: np.ndarray) -> None:
    with atomic_path(path) as temporary:
        output = oiio.ImageOutput.create(str(temporary))
        if not output or not output.open(str(temporary), spec) or not output.write_image(pixels):
            reason = output.geterror() if output else oiio.geterror()
            raise FootageError(f"the frame cannot be written ({reason})", path, "check the disk")
        output.close()


class MovieWriter:
    """An H.264 movie, tagged Rec.709, that appears when it is complete.

    Args:
        path: of the .mp4.
        fps: frames a second.
    """

    def __init__(self, path: Path, fps: Fraction) -> None:
        self._context = atomic_path(path)
        self._temporary = self._context.__enter__()
        self._container: Any = av.open(str(self._temporary), "w", format="mp4")
        self._fps = fps
        self._stream: Any = None

    def __enter__(self) -> "MovieWriter":
        return self

    def add(self, image: np.ndarray) -> None:
        """Appends uint8 (H, W, 3); odd sides lose their last row or column."""
        image = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._fps)
            self._stream.height, self._stream.width = image.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": "16", "preset": "fast"}
            context = self._stream.codec_context
            context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1
            context.color_range = 1
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self._stream is not None:
            for packet in self._stream.encode():
                self._container.mux(packet)
        self._container.close()
        self._context.__exit__(kind, error, trace)
