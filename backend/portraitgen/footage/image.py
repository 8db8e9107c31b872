# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a sequence, and photos: facts and pixels as they are stored (OpenImageIO)."""

import dataclasses
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio  # noqa: N813

from ..errors import FootageError
from ..storage import is_plain
from ..user_folders import utf_8_path
from .decoder_messages import ImagePart, ImageParts
from .display_matrix import swaps_sides, upright
from .dpx_header import DpxHeader, read_codes, read_dpx_header
from .facts import ImageFacts
from .heif import read_heif_photo
from .heif_boxes import is_heif_photo
from .icc import has_other_curve, icc_description, icc_encoding
from .image_checks import DPX_VIDEO, of_dpx, of_pixels
from .image_layers import Choice, choose, layers_of
from .image_tags import ColourTags, colour_tags, header_text, is_text
from .limits import check_size
from .old_headers import of_bmp, of_radiance
from .source_frame import DataWindow, SourceFrame
from .tiff_tags import TiffTags, read_tiff_tags
from .timecode import unpacked

# A pixel's width over its height, or the other way round, at most.
_WIDEST = 16
# Facts about how the codes lie in the file, which a writer settles anew.
_REWRITTEN = frozenset(
    (
        "Orientation", "oiio:Movie", "oiio:subimages", "oiio:UnassociatedAlpha",
        "thumbnail_image", "channels", "tiff:PhotometricInterpretation", "tiff:ColorSpace",
    )
)  # fmt: skip
# Of a vocabulary; a file may hold any text there.
_LONGEST_TERM = 200
_OF_DPX = ("dpx:", "smpte:", "FramesPerSecond")
LOSSY = frozenset(("dwaa", "dwab", "b44", "b44a", "pxr24"))
"""Compressions of EXR that change pixels when they are written again."""


def type_code(kind: "oiio.TypeDesc") -> str:
    """OpenImageIO's type as text that `typed` reads; its own names do not all read back."""
    parts = (kind.basetype, kind.aggregate, kind.vecsemantics, kind.arraylen)
    # Enumerations are no numbers in OpenImageIO 3.2.
    return ",".join(str(int(getattr(part, "value", part))) for part in parts)


def typed(code: str) -> "oiio.TypeDesc":
    """The inverse of `type_code`."""
    base, aggregate, semantics, length = (int(part) for part in code.split(","))
    return oiio.TypeDesc(
        oiio.BASETYPE(base), oiio.AGGREGATE(aggregate), oiio.VECSEMANTICS(semantics), length
    )


def open_image(path: Path) -> "oiio.ImageInput":
    """OpenImageIO's reader of a file, alpha as it is in it.

    Raises:
        FootageError: if it cannot be read.
    """
    # Nothing multiplied by alpha, nothing divided. (PFM is upright only where a wish is given.)
    wish = oiio.ImageSpec()
    wish.attribute("oiio:UnassociatedAlpha", 1)
    if not is_plain(path):
        raise FootageError("this is no plain file", path, "copy or render it again")
    try:
        if path.stat().st_size == 0:
            raise FootageError("the file is empty", path, "copy or render it again")
    except FileNotFoundError:
        raise FootageError("the file is gone", path, "copy or render it again") from None
    except OSError as error:
        told = f"the image cannot be read ({error.strerror})"
        raise FootageError(told, path, "copy or render it again") from None
    # What is too large is told by `limits`, in a sentence of ours, before anything is read.
    oiio.attribute("limits:imagesize_MB", 1 << 20)
    image = oiio.ImageInput.open(utf_8_path(path), wish)
    if image is None:
        reason = _reason(oiio.geterror())
        raise FootageError(f"the image cannot be read{reason}", path, "copy or render it again")
    return image


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return f" ({lines[-1].rstrip('.')})" if lines else ""


def _parts(image: "oiio.ImageInput", path: Path) -> list["oiio.ImageSpec"]:
    """The headers of all parts (EXR) or pages (TIFF)."""
    specs: list[oiio.ImageSpec] = []
    if image.format_name() not in ("openexr", "tiff"):
        # Looking for another picture spoils some readers for the first (WebP).
        return [image.spec()]
    while image.seek_subimage(len(specs), 0):
        spec = image.spec()
        try:
            _ = spec.channelnames
        except UnicodeDecodeError:
            raise FootageError(
                "the image has channels whose names are not UTF-8", path, "rename them"
            ) from None
        specs.append(spec)
        if len(specs) >= 4096:
            break
    image.geterror()
    return specs


def _part_name(spec: "oiio.ImageSpec") -> str:
    """A part's name, and which eye's view it is where the name does not say so."""
    name, view = header_text(spec, "name"), header_text(spec, "view")
    return name if not view or view.lower() in name.lower() else f"{name}.{view}".strip(".")


def _chosen(
    image: "oiio.ImageInput", path: Path, part: str | None, layer: str | None
) -> tuple["oiio.ImageSpec", Choice]:
    """The header of the part that shows the picture, and which channels are its colours."""
    specs = _parts(image, path)
    form = image.format_name()
    choice = choose(
        [
            layers_of(number, _part_name(spec), tuple(spec.channelnames), form == "openexr")
            for number, spec in enumerate(specs if form == "openexr" else specs[:1])
        ],
        part,
        layer,
        path,
    )
    spec = specs[choice.part]
    if spec.deep:
        raise FootageError(
            "the images are deep", path, "flatten them (Nuke's DeepToImage, oiiotool --flatten)"
        )
    bytes_per_pixel = spec.nchannels * max(spec.format.size(), 1)
    check_size(spec.full_width, spec.full_height, bytes_per_pixel, path)
    check_size(spec.width, spec.height, bytes_per_pixel, path)
    if spec.depth > 1:
        raise FootageError("the image is a volume", path, "give flat images")
    if form != "openexr" and len(specs) > 1:
        pages = f"the file has {len(specs)} pages; the first is read, the others are left out"
        choice = dataclasses.replace(choice, notes=(*choice.notes, pages))
    image.seek_subimage(choice.part, 0)
    return spec, choice


def read_facts(path: Path, part: str | None = None, layer: str | None = None) -> ImageFacts:
    """Reads an image's header.

    Args:
        part, layer: which part of an EXR and which layer of it to show; by convention if None.

    Raises:
        FootageError: if it is not an image that can be read.
    """
    if _is_heif(path):
        return _heif_facts(path)
    image = open_image(path)
    try:
        spec, choice = _chosen(image, path, part, layer)
        form = image.format_name()
        tiff = read_tiff_tags(path) if form == "tiff" else TiffTags()
        dpx = read_dpx_header(path) if form == "dpx" else None
        notes = [*choice.notes, *of_pixels(spec, form, path, tiff)]
        if dpx is not None:
            notes += of_dpx(dpx, path)
        if form == "bmp":
            notes += of_bmp(path)
        _, lost = _attributes(spec, dpx)
        if lost:
            notes.append(f"the header's {', '.join(lost[:4])} is not UTF-8 and is left out")
        size = (spec.full_width, spec.full_height)
        if swaps_sides(spec.get_int_attribute("Orientation", 1)):
            size = size[::-1]
        shape = spec.get_float_attribute("PixelAspectRatio", 1.0)
        if form == "jpeg" and shape > 0:
            shape = _jpeg_aspect(spec, shape)
        if shape == 0:
            shape = 1.0  # Nothing is said of it.
        if not 1 / _WIDEST <= shape <= _WIDEST:
            notes.append(f"its pixel aspect of {shape:g} is impossible, and taken as 1")
            shape = 1.0
        if swaps_sides(spec.get_int_attribute("Orientation", 1)):
            shape = 1 / shape
        aspect = Fraction(shape)
        compression = header_text(spec, "compression").split(":")[0]
        of_plates = []
        if form == "openexr" and compression in LOSSY:
            of_plates.append(
                f"the images are compressed with loss ({compression}); full plates are written"
                " without (zip), so that untouched pixels keep their bits"
            )
        if choice.lossy_beside:
            of_plates.append(choice.lossy_beside)
        colours = colour_tags(path, form, spec, tiff)
        if dpx is not None and dpx.untold:
            colours = dataclasses.replace(colours, dpx_transfer=DPX_VIDEO)
        if form == "hdr":
            told, primaries = of_radiance(path)
            notes += told
            colours = dataclasses.replace(colours, chromaticities=primaries)
        floating = spec.format.basetype in (oiio.HALF, oiio.FLOAT, oiio.DOUBLE)
        return ImageFacts(
            width=size[0],
            height=size[1],
            picture=_shown(choice, tuple(spec.channelnames)),
            bit_depth=_depth(spec),
            floating=floating,
            fps=None if dpx is not None and dpx.short else _rate(spec),
            pixel_aspect=aspect.limit_denominator(1000) if 0.05 < aspect < 20 else Fraction(1),
            colour=colours,
            photograph=any(header_text(spec, name) for name in ("Make", "Exif:DateTimeOriginal")),
            form=form,
            timecode="" if dpx is not None and dpx.short else _timecode(spec),
            notes=tuple(notes),
            of_plates=tuple(of_plates),
            source_type=_source_type(spec),
        )
    finally:
        image.close()


def _source_type(spec: "oiio.ImageSpec") -> str:
    """IPTC's digital source type, as XMP names it, or a header of ours."""
    names = ("Iptc4xmpExt:DigitalSourceType", "portraitgen:digitalSourceType")
    told = next((text for name in names if (text := header_text(spec, name))), "")
    return told if len(told) <= _LONGEST_TERM else ""


def _shown(choice: Choice, channels: tuple[str, ...]) -> str:
    """What of an image is shown, in words that are the same where it is the same."""
    layer = channels[choice.rgb[0]].rpartition(".")[0]
    names = [name.lower() for name in channels]
    alpha = "a" in names or f"{layer}.a".lower() in names
    words = "grey" if choice.grey else "colour"
    return words + (f" of the layer {layer}" if layer else "") + (" with alpha" if alpha else "")


def _jpeg_aspect(spec: "oiio.ImageSpec", shape: float) -> float:
    """A JPEG's pixel aspect: the denser its lines, the wider its pixels.

    OpenImageIO 3.2 has it the other way round, and has densities only where they have a unit.
    """
    across, down = (spec.get_float_attribute(f"{side}Resolution", 0.0) for side in "XY")
    return down / across if across > 0 and down > 0 else 1 / shape


def _white_is_zero(pixels: np.ndarray, spec: "oiio.ImageSpec") -> np.ndarray:
    """Pixels whose 0 is black, of a TIFF whose 0 is white; alpha is as it was."""
    if spec.get_int_attribute("tiff:PhotometricInterpretation", 1) != 0:
        return pixels
    # OpenImageIO 3.2 inverts 8 bits and less, alpha with them, and nothing deeper.
    wrong = slice(1, None) if spec.format.basetype == oiio.UINT8 else slice(0, 1)
    most = 1.0 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
    pixels[..., wrong] = most - pixels[..., wrong]
    return pixels


def _is_heif(path: Path) -> bool:
    if not is_plain(path):
        return False
    try:
        with open(path, "rb") as file:
            return is_heif_photo(file.read(12))
    except OSError:
        return False  # Whoever opens it next tells why.


def _heif_facts(path: Path) -> ImageFacts:
    """The facts of a HEIC or AVIF photo, which is decoded for them: one says little by itself."""
    pixels, depth, photo, notes = read_heif_photo(path)
    primaries, curve = icc_encoding(photo.icc) or (None, "")
    tags = ColourTags(
        icc=icc_description(photo.icc),
        icc_primaries=primaries,
        icc_curve=curve,
        icc_other=has_other_curve(photo.icc),
        cicp=photo.nclx[:2] if photo.nclx and not photo.icc else None,
        srgb=photo.nclx is None and not photo.icc,
    )
    return ImageFacts(
        width=pixels.shape[1],
        height=pixels.shape[0],
        picture="colour with alpha" if pixels.shape[2] > 3 else "colour",
        bit_depth=depth,
        floating=False,
        fps=None,
        pixel_aspect=photo.pixel_aspect,
        colour=tags,
        photograph=True,
        form="heif",
        timecode="",
        notes=tuple(notes),
    )


def _heif_frame(path: Path) -> SourceFrame:
    pixels, depth, photo, _ = read_heif_photo(path)
    count = pixels.shape[2]
    profile = (type_code(oiio.TypeDesc(f"uint8[{len(photo.icc)}]")), tuple(photo.icc))
    return SourceFrame(
        pixels,
        ("R", "G", "B", "A")[:count],
        (0, 1, 2),
        depth if pixels.dtype == np.uint16 else 8,
        (pixels.dtype.name,) * count,
        {"ICCProfile": profile} if photo.icc else {},
        file=str(path),
    )


def _timecode(spec: "oiio.ImageSpec") -> str:
    value = spec.getattribute("smpte:TimeCode")
    if isinstance(value, tuple) and len(value) == 2:
        return unpacked(value, _rate(spec))
    return str(value) if value is not None else ""


def _depth(spec: "oiio.ImageSpec") -> int:
    bits = spec.get_int_attribute("oiio:BitsPerSample", 8 * spec.format.size())
    # Palettes and bitmaps become 8-bit colours.
    return max(8, min(bits, 8 * spec.format.size()))


def _rate(spec: "oiio.ImageSpec") -> Fraction | None:
    for name in ("FramesPerSecond", "dpx:FrameRate", "dpx:TemporalFrameRate"):
        rate = spec.getattribute(name)
        if isinstance(rate, tuple) and len(rate) == 2 and rate[1]:
            rate = Fraction(int(rate[0]), int(rate[1]))
        elif isinstance(rate, float) and 0 < rate < 1000:
            rate = Fraction(rate).limit_denominator(1001)
        if isinstance(rate, Fraction) and 0 < rate < 1000:
            return rate
    return None


def read_image(
    path: Path, part: str | None = None, layer: str | None = None, lean: bool = False
) -> SourceFrame:
    """Reads an image as stored, upright, its display window, and its data window if another.

    Args:
        part, layer: as for `read_facts`.
        lean: red, green and blue only, for those who look at it.

    Raises:
        FootageError: unreadable, cut off, or without colours.
    """
    if _is_heif(path):
        return _heif_frame(path)
    image = open_image(path)
    try:
        spec, choice = _chosen(image, path, part, layer)
        kinds = {oiio.UINT8: oiio.UINT8, oiio.UINT16: oiio.UINT16, oiio.HALF: oiio.HALF}
        begin, end = 0, spec.nchannels
        if lean and spec.nchannels > 4:
            begin, end = min(choice.rgb), max(choice.rgb) + 1
        formats = [str(each) for each in spec.channelformats] or [str(spec.format)] * spec.nchannels
        formats = formats[begin:end]
        mixed = len(set(formats)) > 1
        kind = oiio.FLOAT if mixed else kinds.get(oiio.TypeDesc(formats[0]).basetype, oiio.FLOAT)
        pixels = image.read_image(choice.part, 0, begin, end, kind)
        reason = _reason(image.geterror())
        if pixels is None or reason:
            raise FootageError(
                f"the image is damaged or cut off{reason}", path, "copy or render it again"
            )
        dpx = read_dpx_header(path) if image.format_name() == "dpx" else None
        if dpx is not None and dpx.misread:
            pixels = read_codes(path, dpx)[..., begin:end]
        part_count = len(_parts(image, path)) if image.format_name() == "openexr" else 1
    finally:
        image.close()
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if spec.nchannels <= 2:
        pixels = _white_is_zero(pixels, spec)
    channels = tuple(spec.channelnames)[begin:end]
    rgb = tuple(index - begin for index in choice.rgb)
    display, window = _display_window(pixels, spec)
    if choice.grey:
        # A grey plate becomes a colour one: an edit may colour it.
        display = np.concatenate([display[..., :1]] * 3 + [display[..., 1:]], axis=-1)
        if window is not None:
            planes = [window.pixels[..., :1]] * 3 + [window.pixels[..., 1:]]
            window = dataclasses.replace(window, pixels=np.concatenate(planes, axis=-1))
        channels, rgb = ("R", "G", "B", *channels[1:]), (0, 1, 2)
        formats = formats[:1] * 3 + formats[1:]
    orientation = spec.get_int_attribute("Orientation", 1)
    display = np.ascontiguousarray(upright(display, orientation))
    attributes, _ = _attributes(spec, dpx)
    notes = []
    if display.dtype.kind == "f":
        bad = int(np.count_nonzero(~np.isfinite(display[..., list(rgb)])))
        if bad:
            notes.append(
                f"{path.name} holds {bad} values that are infinite or no numbers; those that are no"
                " numbers are worked with as 0"
            )
    return SourceFrame(
        display,
        channels,
        (rgb[0], rgb[1], rgb[2]),
        _depth(spec),
        tuple(formats),
        attributes,
        window=window if orientation == 1 else None,
        file=str(path),
        part=choice.part,
        parts=part_count,
        notes=tuple(notes),
    )


def _attributes(
    spec: "oiio.ImageSpec", dpx: DpxHeader | None = None
) -> tuple[dict[str, tuple[str, Any]], list[str]]:
    """What the header says beside the pixels, and the names of what cannot be read of it.

    Args:
        dpx: how it lies in its file, if it is a DPX; where pixels are taken for its header, what
            that says is left out.
    """
    attributes: dict[str, tuple[str, Any]] = {}
    lost = []
    for attribute in spec.extra_attribs:
        name = "a name"
        try:
            name = attribute.name
            value = attribute.value
        except UnicodeDecodeError:
            if not (dpx is not None and dpx.short):
                lost.append(name)
            continue
        if dpx is not None and dpx.short and name.startswith(_OF_DPX):
            continue
        if not (is_text(name) and is_text(value)):
            lost.append(name if is_text(name) else "a name")
            continue
        if isinstance(value, np.ndarray):
            value = tuple(value.ravel().tolist())
        if isinstance(value, bytes):
            value = tuple(value)
        if name not in _REWRITTEN and isinstance(value, str | int | float | tuple):
            attributes[name] = (type_code(attribute.type), value)
    return attributes, lost


def read_parts(path: Path) -> tuple[ImageParts, list[np.ndarray]]:
    """All parts of an EXR with their headers, for a full plate that keeps them.

    Returns:
        Their headers, and the pixels of those that can be copied, in that order.

    Raises:
        FootageError: unreadable, cut off or too large.
    """
    image = open_image(path)
    parts: list[ImagePart | None] = []
    arrays = []
    try:
        for number, spec in enumerate(_parts(image, path)):
            if spec.deep:
                parts.append(None)
                continue
            check_size(spec.width, spec.height, spec.nchannels * spec.format.size(), path)
            formats = [str(each) for each in spec.channelformats]
            kind = oiio.HALF if spec.format.basetype == oiio.HALF and not formats else oiio.FLOAT
            if spec.format.basetype == oiio.UINT32 and not formats:
                kind = oiio.UINT32
            pixels = image.read_image(number, 0, 0, spec.nchannels, kind)
            if pixels is None:
                reason = _reason(image.geterror())
                raise FootageError(
                    f"the image is damaged or cut off{reason}", path, "copy or render it again"
                )
            attributes, _ = _attributes(spec)
            parts.append(
                ImagePart(
                    channels=tuple(spec.channelnames),
                    formats=tuple(formats or [str(spec.format)] * spec.nchannels),
                    attributes=attributes,
                    window=(spec.x, spec.y),
                    display=(spec.full_x, spec.full_y, spec.full_width, spec.full_height),
                )
            )
            arrays.append(pixels.reshape(spec.height, spec.width, spec.nchannels))
    finally:
        image.close()
    return ImageParts(tuple(parts)), arrays


def _display_window(
    pixels: np.ndarray, spec: "oiio.ImageSpec"
) -> tuple[np.ndarray, DataWindow | None]:
    """The pixels inside the display window, black where there are none; all of them if others."""
    left, top = spec.x - spec.full_x, spec.y - spec.full_y
    origin = (spec.full_x, spec.full_y)
    same = (left, top, spec.width, spec.height) == (0, 0, spec.full_width, spec.full_height)
    if same and origin == (0, 0):
        return pixels, None
    window = DataWindow(pixels, left, top, origin)
    if same:
        return pixels, window
    shown = np.zeros((spec.full_height, spec.full_width, pixels.shape[2]), pixels.dtype)
    rows = slice(max(top, 0), min(top + spec.height, spec.full_height))
    columns = slice(max(left, 0), min(left + spec.width, spec.full_width))
    if rows.start < rows.stop and columns.start < columns.stop:
        shown[rows, columns] = pixels[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
    return shown, window


class ImageReader:
    """Reads the files of a sequence by position; nothing stays open between them."""

    def __init__(
        self,
        files: list[Path],
        part: str | None,
        layer: str | None,
        size: tuple[int, int],
        lean: bool = False,
    ) -> None:
        """Reads nothing yet.

        Args:
            part, layer, lean: as for `read_image`.
            size: height and width that all of them have.
        """
        self._files, self._size = files, size
        self._part, self._layer, self._lean = part, layer, lean

    def read(self, position: int) -> SourceFrame:
        """The image at a position counted from 0.

        Raises:
            FootageError: unreadable, or of another size.
        """
        frame = read_image(self._files[position], self._part, self._layer, self._lean)
        if frame.pixels.shape[:2] != self._size:
            raise FootageError(
                "the image has another size than when the plate was opened",
                self._files[position],
                "open the plate again",
            )
        return frame

    def close(self) -> None:
        """Nothing is open."""
