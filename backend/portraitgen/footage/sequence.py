# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image sequences and single images (OpenImageIO)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import OpenImageIO as oiio  # noqa: N813

from ..errors import FootageError
from .source_frame import SourceFrame

IMAGE_SUFFIXES = frozenset(".exr .dpx .tif .tiff .png .jpg .jpeg".split())
_NUMBERED = re.compile(r"^(?P<head>.*?)(?P<number>\d+)(?P<tail>\D*)$")
_PLACEHOLDER = re.compile(r"#+|%0?\d*d|\*")
_KINDS = "EXR, DPX, TIFF, PNG and JPEG"


# Facts about how the codes lie in the file, which a writer settles anew.
_REWRITTEN = frozenset(
    ("Orientation", "oiio:subimages", "oiio:UnassociatedAlpha", "thumbnail_image")
)


@dataclass(frozen=True)
class ImageFacts:
    """What an image's header says.

    Attributes:
        width, height: as shown, after the orientation in the header.
        orientation: Exif orientation, 1 to 8.
        fps: the rate the file names, or None.
        half, floating, bit_depth: how its codes are stored.
        chromaticities: the eight primaries and white point coordinates of an EXR, or None.
        transfer: a DPX file's transfer characteristic, or "".
        photograph: the header was written by a camera.
    """

    width: int
    height: int
    channels: tuple[str, ...]
    orientation: int
    bit_depth: int
    floating: bool
    fps: Fraction | None
    pixel_aspect: Fraction
    chromaticities: tuple[float, ...] | None
    transfer: str
    photograph: bool


def find_sequence(path: Path) -> dict[int, Path]:
    """The image files a path means.

    Args:
        path: a folder with one sequence, a pattern (`name.####.exr`, `name.%04d.exr`,
            `name.*.exr`), one file of a sequence, or a single image.

    Returns:
        Frame number -> file, ascending; a single image has the one entry 1.

    Raises:
        FootageError: nothing there, several sequences, or gaps in the numbers.
    """
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        return _around_file(path)
    if not _PLACEHOLDER.search(path.name):
        raise FootageError("there is no such file or folder", path, "check the path")
    if not path.parent.is_dir():
        raise FootageError("there is no such folder", path.parent, "check the path")
    pieces = _PLACEHOLDER.split(path.name)
    pattern = re.compile(r"(-?\d+)".join(re.escape(piece) for piece in pieces))
    if len(pieces) != 2:
        raise FootageError(
            "the pattern names more than one number", path.name, "use one run of # for the frame"
        )
    found = [
        (int(match[1]), file)
        for file in path.parent.iterdir()
        if (match := pattern.fullmatch(file.name)) and file.suffix.lower() in IMAGE_SUFFIXES
    ]
    if not found:
        raise FootageError("no image matches the pattern", path, "check the name and its number")
    return _without_gaps(path, found)


def _in_folder(folder: Path) -> dict[int, Path]:
    images = [
        file
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
    ]
    if not images:
        raise FootageError("the folder holds no images", folder, f"give one with {_KINDS}")
    groups: dict[str, list[tuple[int, Path]]] = {}
    for file in images:
        name, number = _numbered(file)
        groups.setdefault(name, []).append((number, file))
    if len(groups) > 1:
        names = ", ".join(sorted(groups)[:4])
        raise FootageError(
            f"the folder holds several sequences ({names})",
            folder,
            "give one file of it",
        )
    ((name, found),) = groups.items()
    return _without_gaps(folder / name, found)


def _around_file(file: Path) -> dict[int, Path]:
    name, number = _numbered(file)
    if "#" in name and not (
        file.suffix.lower() in (".jpg", ".jpeg") and read_facts(file).photograph
    ):
        found = []
        for other in file.parent.iterdir():
            if other.suffix == file.suffix and not other.name.startswith("."):
                other_name, other_number = _numbered(other)
                if other_name == name:
                    found.append((other_number, other))
        neighbours = {number - 1, number + 1} & {other for other, _ in found}
        if neighbours:
            return _without_gaps(file.with_name(name), found)
    return {1: file}


def _numbered(file: Path) -> tuple[str, int]:
    """A file's name with # for its last number, and the number."""
    match = _NUMBERED.match(file.stem)
    if not match:
        return file.name, 1
    return f"{match['head']}#{match['tail']}{file.suffix}", int(match["number"])


def _without_gaps(place: Path, found: Iterable[tuple[int, Path]]) -> dict[int, Path]:
    files: dict[int, Path] = {}
    for number, file in sorted(found):
        if number in files:
            raise FootageError(
                f"{files[number].name} and {file.name} have the same number", place, "remove one"
            )
        files[number] = file
    numbers = list(files)
    gaps = [
        f"{before + 1}" if after == before + 2 else f"{before + 1} to {after - 1}"
        for before, after in zip(numbers, numbers[1:], strict=False)
        if after > before + 1
    ]
    if gaps:
        listed = ", ".join(gaps[:4]) + (" and more" if len(gaps) > 4 else "")
        raise FootageError(
            f"the sequence has gaps: frame {listed} missing", place, "render or copy them"
        )
    return files


def _open(path: Path) -> "oiio.ImageInput":
    # Alpha as it is in the file: nothing multiplied, nothing divided.
    wish = oiio.ImageSpec()
    wish.attribute("oiio:UnassociatedAlpha", 1)
    if path.is_file() and path.stat().st_size == 0:
        raise FootageError("the file is empty", path, "copy or render it again")
    image = oiio.ImageInput.open(str(path), wish)
    if image is None:
        reason = oiio.geterror().strip().splitlines()
        because = f" ({reason[-1]})" if reason else ""
        raise FootageError(f"the image cannot be read{because}", path, "copy or render it again")
    return image


def read_facts(path: Path) -> ImageFacts:
    """Reads an image's header.

    Raises:
        FootageError: if it is not an image that can be read.
    """
    image = _open(path)
    spec = image.spec()
    image.close()
    orientation = spec.get_int_attribute("Orientation", 1)
    size = (spec.full_width, spec.full_height)[:: -1 if orientation >= 5 else 1]
    rate = spec.getattribute("FramesPerSecond")
    if rate is None:
        rate = spec.getattribute("dpx:FrameRate")
    fps = None
    if isinstance(rate, tuple) and rate[0] > 0 and rate[1] > 0:
        fps = Fraction(int(rate[0]), int(rate[1]))
    elif isinstance(rate, float) and 0 < rate < 1000:
        fps = Fraction(rate).limit_denominator(1001)
    floating = spec.format.basetype in (oiio.HALF, oiio.FLOAT, oiio.DOUBLE)
    chromaticities = spec.getattribute("chromaticities")
    return ImageFacts(
        width=size[0],
        height=size[1],
        channels=tuple(spec.channelnames),
        orientation=orientation,
        bit_depth=spec.get_int_attribute("oiio:BitsPerSample", 8 * spec.format.size()),
        floating=floating,
        fps=fps,
        pixel_aspect=Fraction(spec.get_float_attribute("PixelAspectRatio", 1.0)).limit_denominator(
            1000
        ),
        chromaticities=tuple(chromaticities) if chromaticities is not None else None,
        transfer=str(spec.getattribute("dpx:Transfer") or ""),
        photograph=any(spec.getattribute(name) for name in ("Make", "Exif:DateTimeOriginal")),
    )


def read_image(path: Path) -> SourceFrame:
    """Reads all channels of an image as stored, upright, its display window only.

    Raises:
        FootageError: unreadable, cut off, or without colours.
    """
    image = _open(path)
    spec = image.spec()
    kinds = {oiio.UINT8: oiio.UINT8, oiio.UINT16: oiio.UINT16, oiio.HALF: oiio.HALF}
    mixed = len({str(form) for form in spec.channelformats}) > 1
    kind = oiio.FLOAT if mixed else kinds.get(spec.format.basetype, oiio.FLOAT)
    pixels = image.read_image(0, 0, 0, spec.nchannels, kind)
    reason = image.geterror().strip()
    image.close()
    if pixels is None or reason:
        because = f" ({reason.splitlines()[-1]})" if reason else ""
        raise FootageError(
            f"the image is damaged or cut off{because}", path, "copy or render it again"
        )
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    pixels = _display_window(pixels, spec)
    channels = tuple(spec.channelnames)
    if len(channels) <= 2:
        # A grey plate becomes a colour one: an edit may colour it.
        pixels = np.concatenate([pixels[..., :1]] * 3 + [pixels[..., 1:]], axis=-1)
        channels = ("R", "G", "B", *channels[1:])
    pixels = _upright(pixels, spec.get_int_attribute("Orientation", 1))
    depth = spec.get_int_attribute("oiio:BitsPerSample", 8 * pixels.itemsize)
    attributes = {
        attribute.name: (attribute.type, attribute.value)
        for attribute in spec.extra_attribs
        if attribute.name not in _REWRITTEN
    }
    formats = [str(each) for each in spec.channelformats] or [str(spec.format)] * spec.nchannels
    if len(formats) < len(channels):
        formats = formats[:1] * 3 + formats[1:]
    return SourceFrame(
        np.ascontiguousarray(pixels),
        channels,
        _colours(channels, path),
        depth,
        tuple(formats),
        attributes,
    )


def _colours(channels: tuple[str, ...], path: Path) -> tuple[int, int, int]:
    """Where red, green and blue are: plain names first, else the first layer that has them."""
    lower = [name.lower() for name in channels]
    layers = ["", *(name[:-1] for name in lower if name.endswith(".r"))]
    layers += [name[:-3] for name in lower if name.endswith(".red")]
    for layer in layers:
        for names in (("r", "g", "b"), ("red", "green", "blue")):
            wanted = [layer + name for name in names]
            if all(name in lower for name in wanted):
                red, green, blue = (lower.index(name) for name in wanted)
                return red, green, blue
    raise FootageError(
        f"the image has no red, green and blue (its channels are {', '.join(channels[:6])})",
        path,
        "give a colour image",
    )


def _display_window(pixels: np.ndarray, spec: "oiio.ImageSpec") -> np.ndarray:
    """The pixels inside the display window; black where the data window does not reach."""
    left, top = spec.x - spec.full_x, spec.y - spec.full_y
    if (left, top, spec.width, spec.height) == (0, 0, spec.full_width, spec.full_height):
        return pixels
    shown = np.zeros((spec.full_height, spec.full_width, pixels.shape[2]), pixels.dtype)
    rows = slice(max(top, 0), min(top + spec.height, spec.full_height))
    columns = slice(max(left, 0), min(left + spec.width, spec.full_width))
    if rows.start < rows.stop and columns.start < columns.stop:
        shown[rows, columns] = pixels[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
    return shown


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undoes the Exif orientation (1 to 8)."""
    if orientation in (2, 4, 5, 7):
        pixels = pixels[:, ::-1]
    turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    return np.rot90(pixels, turns)
