# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Multilayer EXR as renders keep their frames, and linear pictures of one part; all in one step."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import OpenEXR
import OpenImageIO as oiio  # noqa: N813

from ..errors import FootageError
from ..images import to_half
from ..storage import atomic_path, is_disk_full, is_plain
from ..user_folders import utf_8_path
from . import exr_digest
from .colour import chromaticities, resolve
from .image_writing import spec_of, unwritten, write_image
from .timecode import counted

LAYER = "ViewLayer"
_CHANNELS = {"Combined": "RGBA", "Depth": "Z", "Normal": "XYZ", "Vector": "XYZW"} | dict.fromkeys(
    ("Alpha", "Filled", "Invented"), "A"
)
_FULL_PRECISION = ("Depth", "Edges")
_LARGEST_HALF = 65504
# How layers of Cryptomatte begin; halves would lose their names.
_CRYPTO = "Crypto"
_FRAME = "portraitgen:frame"
_SPACE = "portraitgen:colour_space"


def write_exr(
    path: Path,
    passes: Mapping[str, np.ndarray],
    *,
    fps: Fraction,
    frame: int,
    colour_space: str,
    attributes: Mapping[str, str] | None = None,
    timecode: str = "",
    reel: str = "",
) -> None:
    """Writes a multilayer EXR whose passes Blender and Nuke show by name, with its own digest.

    Channels are named `ViewLayer.<pass>.<channel>`: Combined RGBA, Depth Z, Normal XYZ, Vector
    XYZW, RGBA for layers of Cryptomatte, A for Alpha, Filled and Invented, RGB for any other pass.

    Args:
        passes: pass name -> float32 (H, W, C), colours scene-linear (`colour.to_linear`);
            Combined is multiplied by alpha. Depth, Edges and Cryptomatte are kept in full
            precision, the rest in half.
        fps, frame: written into the file.
        colour_space: the plate's, as `colour.resolve` knows it; the file's primaries are those
            of its linear space.
        attributes: more text to write.
        timecode, reel: of the plate's frame, "" where it has none.

    Raises:
        FootageError: if the file cannot be written.
    """
    space = resolve(colour_space)
    channels = {
        f"{LAYER}.{name}.{letter}": _stored(values[..., column], _is_full(name))
        for name, values in passes.items()
        for column, letter in enumerate(_letters(name))
    }
    header: dict[str, object] = {
        "type": OpenEXR.scanlineimage,
        "compression": OpenEXR.ZIP_COMPRESSION,
        "capDate": time.strftime("%Y:%m:%d %H:%M:%S"),
        "framesPerSecond": fps,
        "chromaticities": chromaticities(space),
        _FRAME: frame,
        _SPACE: space.linear,
        exr_digest.ATTRIBUTE: exr_digest.BLANK,
    }
    clock = counted(timecode, fps)
    if clock is not None:
        *parts, drop, field = clock
        # Hours to frame, then drop-frame, colour frame and field.
        header["timeCode"] = OpenEXR.TimeCode(*parts, drop, 0, field, *(0,) * 11)
    if reel:
        header["reelName"] = reel
    with atomic_path(path) as temporary:
        try:
            with open(temporary, "w+b") as file:
                OpenEXR.File(header | dict(attributes or {}), channels).write(file)
                file.seek(0)
                data = file.read()
                if (place := exr_digest.place_of(data)) is not None:
                    file.seek(place)
                    file.write(exr_digest.digest_of(data, place).encode())
        except OSError as error:
            if is_disk_full(error):
                raise
            raise unwritten(error.strerror or str(error), path) from error
        except RuntimeError as error:
            raise unwritten(str(error), path) from error


def _stored(values: np.ndarray, full: bool) -> np.ndarray:
    """A channel as the file holds it, in memory of its own."""
    alone = np.ascontiguousarray(values, np.float32)
    if full:
        return alone
    # What half cannot hold would become infinite and poison every blur over it.
    if not max(alone.max(), -alone.min()) <= _LARGEST_HALF:
        alone = np.clip(alone, -_LARGEST_HALF, _LARGEST_HALF)
    return to_half(alone)


def write_linear(path: Path, pixels: np.ndarray) -> Path:
    """Writes linear Rec.709, float32 (H, W, 3), as a plain EXR of red, green and blue.

    Raises:
        FootageError: if the file cannot be written.
    """
    spec = spec_of(pixels, ("R", "G", "B"), ("float",) * 3)
    spec.attribute("compression", "zip")
    space = resolve("Linear Rec.709")
    spec.attribute("chromaticities", oiio.TypeDesc("float[8]"), chromaticities(space))
    spec.attribute("colorInteropID", "lin_rec709_scene")
    write_image(path, spec, np.ascontiguousarray(pixels))
    return path


def _letters(name: str) -> str:
    """The letters of a pass's channels."""
    return "RGBA" if name.startswith(_CRYPTO) else _CHANNELS.get(name, "RGB")


def _is_full(name: str) -> bool:
    return name in _FULL_PRECISION or name.startswith(_CRYPTO)


def read_exr(path: Path) -> dict[str, np.ndarray]:
    """Reads the passes that `write_exr` wrote.

    Returns:
        pass name -> float32 (H, W, C).

    Raises:
        FootageError: missing, damaged or not such a file.
    """
    if not is_plain(path):
        raise FootageError("this is no plain file", path, "render it again")
    image = oiio.ImageInput.open(utf_8_path(path))
    pixels = image.read_image(0, 0, 0, image.spec().nchannels, oiio.FLOAT) if image else None
    if pixels is None:
        reason = (image.geterror() if image else oiio.geterror()).strip()
        raise FootageError(f"the frame is missing or damaged ({reason})", path, "render it again")
    names = image.spec().channelnames
    image.close()
    passes = {}
    for name in dict.fromkeys(full.split(".")[1] for full in names if full.startswith(LAYER)):
        # A file's channels lie in alphabetical order.
        wanted = [f"{LAYER}.{name}.{letter}" for letter in _letters(name)]
        if not set(wanted) <= set(names):
            raise FootageError(f"the pass {name} is incomplete", path, "render it again")
        passes[name] = pixels[..., [names.index(channel) for channel in wanted]]
    if not passes:
        raise FootageError("the file holds no rendered passes", path, "render it again")
    return passes


def read_linear(path: Path, width: int, height: int) -> np.ndarray:
    """Reads a picture of linear Rec.709 with alpha, of one part, as renderers write it.

    Args:
        width, height: that it must have; nothing is read of a file that has others.

    Returns:
        float32 (H, W, 4), colours multiplied by alpha; what is no number is 0.

    Raises:
        FootageError: missing, damaged, of another size, without alpha or in other primaries.
    """
    with _quiet_open(path) as image:
        if image is None:
            raise FootageError("the picture is missing or damaged", path, "render it again")
        spec = image.spec()
        if (spec.width, spec.height) != (width, height):
            raise FootageError(
                f"the picture is {spec.width} x {spec.height}, the plate {width} x {height}",
                path,
                "render it at the plate's size",
            )
        names = list(spec.channelnames)
        if not set("RGBA") <= set(names):
            raise FootageError(
                "the picture has no red, green, blue and alpha", path, "render it with alpha"
            )
        said = spec.getattribute("chromaticities")
        rec709 = chromaticities(resolve("Linear Rec.709"))
        if said is not None and not np.allclose(said, rec709, atol=1e-3):
            raise FootageError(
                "the picture's primaries are not Rec.709's", path, "write it as Linear Rec.709"
            )
        pixels = image.read_image(0, 0, 0, spec.nchannels, oiio.FLOAT)
        if pixels is None:
            raise FootageError("the picture is damaged", path, "render it again")
    chosen = pixels[..., [names.index(channel) for channel in "RGBA"]]
    return np.nan_to_num(chosen, nan=0.0, posinf=0.0, neginf=0.0)


def exr_attributes(path: Path) -> dict[str, str]:
    """The texts that an EXR's header holds, by name; {} if the file is missing or not whole."""
    if not path.is_file():
        return {}
    with _quiet_open(path) as image:
        if image is None:
            return {}
        spec = image.spec()
        last = spec.y + spec.height - 1
        # A file that was cut short has a header, but not its last line.
        if image.read_scanlines(0, 0, last, last + 1, 0, 0, spec.nchannels, oiio.FLOAT) is None:
            return {}
        texts = [each for each in spec.extra_attribs if isinstance(each.value, str)]
        return {each.name: str(each.value) for each in texts}


@contextmanager
def _quiet_open(path: Path) -> Iterator["oiio.ImageInput | None"]:
    """An image, opened; None if it cannot be."""
    image = oiio.ImageInput.open(utf_8_path(path))
    if image is None:
        oiio.geterror()
        yield None
        return
    try:
        yield image
    finally:
        image.close()
