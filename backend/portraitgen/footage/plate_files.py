# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Full plates in the plate's own format, which say how they were made; written in one step."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import OpenImageIO as oiio  # noqa: N813

from ..bounded_json import dump_json
from ..images import tag_texts
from ..storage import atomic_path, write_bytes
from ..user_folders import utf_8_path
from .decoder import ask
from .decoder_messages import ReadParts
from .image import LOSSY, typed
from .image_writing import finish, spec_of, write_image
from .plate import Plate
from .png_tags import tag_png
from .source_frame import SourceFrame
from .tiff_xmp import with_xmp

# The keyword under which PNG keeps XMP.
_XMP = "XML:com.adobe.xmp"
# Whose user data a DPX holds.
_USER_DATA = b"PORTRAITGEN"
# Lines as their difference to the one above: half the time of the usual choice of a filter for each
# line, for files as large; the usual level 6 takes three times as long.
_PNG_FILTER, _PNG_LEVEL = 32, 3


def write_plate(
    stem: Path, frame: SourceFrame, plate: Plate, texts: Mapping[str, str] | None = None
) -> Path:
    """Writes a full frame in the plate's own format, codes and bit depth.

    EXR keeps its data window and the file's other parts; what was compressed with loss is written
    without, so that every pixel that was not replaced has the bits it was read with.

    Args:
        stem: the path without its suffix.
        frame: the pixels, from `plate.read_native` or `plate.laid_over`.
        plate: where it comes from; frames of movies and JPEG images become PNG, 16-bit where
            the plate has more than 8.
        texts: what the picture says of itself, by PNG's keywords.

    Returns:
        The path written.

    Raises:
        FootageError: if the file cannot be written.
    """
    path = stem.with_name(stem.name + plate.suffix)
    pixels = frame.pixels if frame.window is None else frame.window.pixels
    spec = spec_of(pixels, frame.channels, frame.formats)
    _say(spec, _unclaimed(frame.attributes) if texts else frame.attributes)
    spec.attribute("oiio:UnassociatedAlpha", 1)
    if plate.pixel_aspect != 1:
        spec.attribute("PixelAspectRatio", float(plate.pixel_aspect))
    if frame.window is not None:
        height, width = frame.pixels.shape[:2]
        spec.full_x, spec.full_y = frame.window.origin
        spec.full_width, spec.full_height = width, height
        spec.x, spec.y = spec.full_x + frame.window.x, spec.full_y + frame.window.y
    if plate.suffix == ".dpx":
        spec.attribute("oiio:BitsPerSample", frame.bit_depth)
        if texts and "dpx:UserData" not in frame.attributes:
            spec.attribute("dpx:UserData", *_user_data(texts))
        if plate.space.kind == "log" and "dpx:Transfer" not in frame.attributes:
            spec.attribute("dpx:Transfer", "Printing density")
    else:
        spec.erase_attribute("oiio:BitsPerSample")
    if plate.suffix == ".png":
        spec.attribute("png:compressionLevel", _PNG_LEVEL)
        spec.attribute("png:filter", _PNG_FILTER)
    if plate.suffix in (".exr", ".tif", ".tiff"):
        _without_loss(spec)
    if plate.suffix == ".exr":
        for name, text in (texts or {}).items():
            if name.startswith("portraitgen:"):
                spec.attribute(name, text)
    if plate.suffix == ".exr" and frame.parts > 1:
        _write_parts(path, frame, spec, pixels)
    else:
        write_image(path, spec, np.ascontiguousarray(pixels))
    if plate.suffix == ".png":
        tag_png(path, plate.space)
        if texts:
            tag_texts(path, texts)
    if plate.suffix in (".tif", ".tiff") and texts and _XMP in texts:
        write_bytes(path, with_xmp(path.read_bytes(), texts[_XMP]))
    return path


def _unclaimed(
    attributes: Mapping[str, tuple[str, object]],
) -> dict[str, tuple[str, object]]:
    """What a plate's file says, without how it was made itself: that is another picture."""
    return {
        name: said
        for name, said in attributes.items()
        if not name.lower().startswith("portraitgen:")
        and not name.lower().endswith("digitalsourcetype")
    }


def unmarked(frame: SourceFrame, plate: Plate) -> str:
    """Why a full frame cannot say how it was made, in one sentence; empty if it can."""
    if plate.suffix != ".dpx" or "dpx:UserData" not in frame.attributes:
        return ""
    return (
        "The plate's DPX files hold data of their own where full plates would say how they were"
        " made: they do not say it. Sign them, or deliver them with their frames."
    )


def _user_data(texts: Mapping[str, str]) -> tuple["oiio.TypeDesc", np.ndarray]:
    """What a DPX says of itself, as it holds a user's data: 32 bytes of whose, then JSON."""
    said = dump_json({name: text for name, text in texts.items() if name != _XMP})
    data = _USER_DATA.ljust(32, b"\0") + said
    # Pictures begin at whole words.
    data = data.ljust(len(data) + -len(data) % 4)
    return oiio.TypeDesc(f"uint8[{len(data)}]"), np.frombuffer(data, np.uint8)


def _say(spec: "oiio.ImageSpec", attributes: Mapping[str, tuple[str, object]]) -> None:
    """Gives a header what another one said."""
    for name, (kind, value) in attributes.items():
        as_type = typed(kind)
        if as_type.basetype == oiio.UINT8 and isinstance(value, tuple):
            # OpenImageIO passes over bytes, an ICC profile's among them, unless they are an array.
            value = np.array(value, np.uint8)
        spec.attribute(name, as_type, value)


def _without_loss(spec: "oiio.ImageSpec") -> None:
    compression = str(spec.getattribute("compression") or "").split(":")[0]
    if compression in LOSSY or compression in ("jpeg", "ojpeg"):
        spec.attribute("compression", "zip")


def _write_parts(
    path: Path, frame: SourceFrame, spec: "oiio.ImageSpec", pixels: np.ndarray
) -> None:
    """An EXR with all parts of the file that the frame was read from, one of them replaced."""
    answer, arrays = ask(ReadParts(frame.file), frame.file)
    coming = iter(arrays)
    specs, planes = [], []
    for number, facts in enumerate(answer.parts):
        if facts is None:
            continue
        array = next(coming)
        if number == frame.part:
            specs.append(spec)
            planes.append(np.ascontiguousarray(pixels))
            continue
        other = spec_of(array, facts.channels, facts.formats)
        _say(other, facts.attributes)
        other.attribute("oiio:UnassociatedAlpha", 1)
        other.x, other.y = facts.window
        other.full_x, other.full_y, other.full_width, other.full_height = facts.display
        _without_loss(other)
        specs.append(other)
        planes.append(array)
    with atomic_path(path) as temporary:
        output = oiio.ImageOutput.create(utf_8_path(temporary))
        done = bool(output and output.open(utf_8_path(temporary), tuple(specs)))
        for number, array in enumerate(planes):
            if done and number:
                done = output.open(utf_8_path(temporary), specs[number], "AppendSubimage")
            done = done and output.write_image(array)
        finish(output, done, path)
