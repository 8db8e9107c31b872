# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes frames: multilayer EXR, full plates in the plate's own format, movies; all in one step."""

import mmap
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
import OpenEXR
import OpenImageIO as oiio  # noqa: N813
from av.video.reformatter import ColorRange, Colorspace

from ..bounded_json import dump_json
from ..errors import FootageError
from ..images import tag_texts, to_half
from ..storage import atomic_path, is_disk_full, is_plain, write_bytes
from ..user_folders import utf_8_path
from . import exr_digest
from .colour import chromaticities, resolve
from .decoder import ask
from .decoder_messages import ReadParts
from .image import LOSSY, typed
from .movie_pixels import EXACT
from .plate import Plate
from .png_tags import tag_png
from .source_frame import SourceFrame
from .tiff_xmp import with_xmp
from .timecode import counted

LAYER = "ViewLayer"
_CHANNELS = {"Combined": "RGBA", "Depth": "Z", "Normal": "XYZ", "Vector": "XYZW"} | dict.fromkeys(
    ("Alpha", "Filled", "Invented"), "A"
)
_FULL_PRECISION = ("Depth", "Edges")
_LARGEST_HALF = 65504
_CRYPTO = "Crypto"
# The keyword under which PNG keeps XMP.
_XMP = "XML:com.adobe.xmp"
# Whose user data a DPX holds.
_USER_DATA = b"PORTRAITGEN"
"""How layers of Cryptomatte begin; halves would lose their names."""
# Lines as their difference to the one above: half the time of the usual choice of a filter for each
# line, for files as large; the usual level 6 takes three times as long.
_PNG_FILTER, _PNG_LEVEL = 32, 3
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
            raise _unwritten(error.strerror or str(error), path) from error
        except RuntimeError as error:
            raise _unwritten(str(error), path) from error


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
    spec = _spec(pixels, ("R", "G", "B"), ("float",) * 3)
    spec.attribute("compression", "zip")
    space = resolve("Linear Rec.709")
    spec.attribute("chromaticities", oiio.TypeDesc("float[8]"), chromaticities(space))
    spec.attribute("colorInteropID", "lin_rec709_scene")
    _write(path, spec, np.ascontiguousarray(pixels))
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
    spec = _spec(pixels, frame.channels, frame.formats)
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
        _write(path, spec, np.ascontiguousarray(pixels))
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
        other = _spec(array, facts.channels, facts.formats)
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
        _finish(output, done, path)


def _spec(
    pixels: np.ndarray,
    channels: "list[str] | tuple[str, ...]",
    formats: "list[str] | tuple[str, ...]",
) -> "oiio.ImageSpec":
    height, width, count = pixels.shape
    widest = "float" if len(set(formats)) > 1 and "float" in formats else formats[0]
    spec = oiio.ImageSpec(width, height, count, oiio.TypeDesc(widest))
    spec.channelnames = tuple(channels)
    if len(set(formats)) > 1:
        spec.channelformats = tuple(oiio.TypeDesc(each) for each in formats)
    for index, name in enumerate(channels):
        if name == "A":
            spec.alpha_channel = index
    return spec


def _write(path: Path, spec: "oiio.ImageSpec", pixels: np.ndarray) -> None:
    with atomic_path(path) as temporary:
        output = oiio.ImageOutput.create(utf_8_path(temporary))
        done = output and output.open(utf_8_path(temporary), spec) and output.write_image(pixels)
        _finish(output, bool(done), path)


def _finish(output: Any, done: bool, path: Path) -> None:
    if not done or not output.close():
        raise _unwritten((output.geterror() if output else oiio.geterror()).strip(), path)


def _unwritten(reason: str, path: Path) -> FootageError:
    return FootageError(
        f"the frame cannot be written ({reason})", path, "check the disk and the folder"
    )


class MovieWriter:
    """An H.264 movie, tagged with its colours, that appears when it is complete.

    Use as a context manager; an error in the block leaves no file and an old one as it was.

    Args:
        path: of the .mp4.
        fps: frames a second.
        timecode: of its first frame, "" for none.
        sound: float32 (channels, samples) and samples a second, None for none.
        metadata: what the movie says of itself, by MP4's names.
        colours: primaries and transfer of its pictures by ITU-T H.273, None for Rec.709.
    """

    def __init__(
        self,
        path: Path,
        fps: Fraction,
        timecode: str = "",
        sound: tuple[np.ndarray, int] | None = None,
        metadata: Mapping[str, str] | None = None,
        colours: tuple[int, int] | None = None,
    ) -> None:
        self._path = path
        self._colours = colours or (1, 1)
        self._fps = fps
        self._timecode = timecode
        self._sound = sound
        self._metadata = dict(metadata or {})
        self._restatement: dict[str, str] = {}
        self._stack = ExitStack()
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> "MovieWriter":
        temporary = self._stack.enter_context(atomic_path(self._path))
        self._stack.enter_context(self._restated(temporary))
        options = {"movflags": "+faststart"}
        if self._timecode:
            options["write_tmcd"] = "1"
        self._container = self._stack.enter_context(
            av.open(utf_8_path(temporary), "w", format="mp4", options=options)
        )
        self._container.metadata.update(self._metadata)
        return self

    def say(self, metadata: Mapping[str, str]) -> None:
        """Says it in the place of what the movie said first, once all frames are known.

        Raises:
            ValueError: if a text has not the length of the one in whose place it stands.
        """
        for name, text in metadata.items():
            if len(text.encode()) != len(self._metadata[name].encode()):
                raise ValueError(f"'{name}' has another length than what stands in the movie")
        self._restatement = dict(metadata)

    @contextmanager
    def _restated(self, path: Path) -> Iterator[None]:
        """Writes over what the complete movie said first."""
        yield
        if not self._restatement:
            return
        with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as data:
            for name, text in self._restatement.items():
                before = self._metadata[name].encode()
                if text.encode() == before:
                    continue
                place = data.find(before)
                if place < 0:
                    raise FootageError(f"the movie does not hold its '{name}'", self._path)
                data[place : place + len(before)] = text.encode()

    def add(self, image: np.ndarray) -> None:
        """Appends uint8 (H, W, 3) RGB; odd sides lose their last row or column.

        Raises:
            FootageError: if the size differs from the first frame's.
        """
        image = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._fps)
            self._stream.height, self._stream.width = image.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": "16", "preset": "fast"}
            context = self._stream.codec_context
            context.colorspace = 1
            context.color_primaries, context.color_trc = self._colours
            context.color_range = ColorRange.MPEG
            if self._timecode:
                self._stream.metadata["timecode"] = self._timecode
            if self._sound is not None:
                self._add_sound(*self._sound)
        if image.shape[:2] != (self._stream.height, self._stream.width):
            raise FootageError("the frames of a movie must have one size", self._path)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(
            format="yuv420p",
            src_colorspace=Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=EXACT,
        )
        with self._reported():
            self._container.mux(self._stream.encode(frame))

    def _add_sound(self, samples: np.ndarray, rate: int) -> None:
        layout = "mono" if len(samples) == 1 else "stereo"
        stream = self._container.add_stream("aac", rate=rate, layout=layout)
        with self._reported():
            for start in range(0, samples.shape[1], 1024):
                piece = np.ascontiguousarray(samples[:, start : start + 1024])
                frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
                frame.sample_rate, frame.pts = rate, start
                self._container.mux(stream.encode(frame))
            self._container.mux(stream.encode())

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Turns the encoder's errors into one sentence."""
        try:
            yield
        except av.error.FFmpegError as error:
            raise FootageError(
                f"the movie cannot be written ({error.strerror})", self._path, "check the disk"
            ) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            if error is not None:
                # Raised again inside, so that nothing incomplete takes the file's place.
                raise error
            if self._stream is not None:
                with self._reported():
                    self._container.mux(self._stream.encode())
