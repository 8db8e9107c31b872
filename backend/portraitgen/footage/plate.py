# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plate: a movie, an image sequence or a photo, read by its own frame numbers."""

import hashlib
import queue
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import FootageError, PortraitError
from . import colour
from .source_frame import SourceFrame

_DEFAULT_FPS = Fraction(24)
_AHEAD = 4
_KEPT = 4


class FrameReader(Protocol):
    """Reads frames by their position from the plate's first; for one thread."""

    def read(self, position: int) -> SourceFrame:
        """The frame at a position counted from 0."""

    def close(self) -> None:
        """Gives back files and memory."""


class Plate:
    """An opened plate. Frame numbers are the plate's own everywhere.

    Attributes:
        path: the file, folder or pattern it was opened from.
        kind: "movie", "sequence" or "still".
        first, last: its frame numbers, inclusive.
        fps: the constant frame rate.
        width, height: pixels as shown, after the rotation the file asks for.
        bit_depth: significant bits a channel.
        colour_space: name in `colour.SPACES`.
        pixel_aspect: width over height of a pixel.
        matrix, range: how a movie's YCbCr codes are decoded ("rgb", "full" for images).
        notes: what was assumed, one sentence each, for the user.
        suffix: of lossless files in the plate's own format and depth; PNG for movies and JPEG.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        source: "_Source",
        *,
        first: int,
        fps: Fraction,
        colour_space: colour.ColourSpace,
        asked: dict[str, Any],
    ) -> None:
        self.path = path
        self.kind = kind
        self.first = first
        self.last = first + source.count - 1
        self.fps = fps
        self.width, self.height = source.width, source.height
        self.bit_depth = source.bit_depth
        self.colour_space = colour_space.name
        self.pixel_aspect = source.pixel_aspect
        self.matrix, self.range = source.matrix, source.range
        self.notes = source.notes
        self.suffix = source.suffix
        self.space = colour_space
        self._source = source
        self._asked = asked
        self._reader = source.reader()
        self._recent: OrderedDict[int, SourceFrame] = OrderedDict()

    @property
    def numbers(self) -> range:
        """All frame numbers."""
        return range(self.first, self.last + 1)

    def read(self, frame: int) -> np.ndarray:
        """One frame as display-referred float32 (H, W, 3) RGB in 0..1.

        Raises:
            FootageError: outside the plate, or damaged.
        """
        return colour.to_display(self.read_native(frame).encoded(), self.space)

    def read_uint8(self, frame: int) -> np.ndarray:
        """The same as uint8 (H, W, 3), without the detour for 8-bit display-referred plates."""
        return self._as_uint8(self.read_native(frame)).copy()

    def read_native(self, frame: int) -> SourceFrame:
        """One frame in the plate's own codes, upright, with every channel."""
        native = self._recent.get(frame)
        if native is None:
            native = self._reader.read(self._position(frame))
            self._recent[frame] = native
            while len(self._recent) > _KEPT:
                self._recent.popitem(last=False)
        return native

    def frames(self, numbers: Iterable[int] | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Frames in the order asked, decoded a little ahead by a thread of their own.

        Args:
            numbers: frame numbers, all by default.

        Yields:
            (frame number, float32 (H, W, 3)) as `read` gives.
        """
        for frame, native in self._ahead(numbers):
            yield frame, colour.to_display(native.encoded(), self.space)

    def frames_uint8(
        self, numbers: Iterable[int] | None = None, exact: bool = True
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Like `frames`, as `read_uint8` gives.

        Args:
            exact: if not, a movie's colours may be off by a few codes, for a third of the time:
                enough to find things in a picture, not to show it.
        """
        for frame, native in self._ahead(numbers, exact):
            yield frame, self._as_uint8(native)

    def close(self) -> None:
        """Closes the files; reading opens them again."""
        self._reader.close()
        self._recent.clear()

    def digest(self) -> str:
        """A sha256 that changes when the plate's files change; the same wherever they lie."""
        return self._source.digest()

    def to_json(self) -> dict[str, Any]:
        """Plain data for shot.json: the facts, and what is needed to open it the same way."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "first": self.first,
            "last": self.last,
            "fps": f"{self.fps.numerator}/{self.fps.denominator}",
            "width": self.width,
            "height": self.height,
            "bit_depth": self.bit_depth,
            "colour_space": self.colour_space,
            "pixel_aspect": f"{self.pixel_aspect.numerator}/{self.pixel_aspect.denominator}",
            "matrix": self.matrix,
            "range": self.range,
            "digest": self.digest(),
            "asked": self._asked,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any], path: Path | None = None) -> "Plate":
        """Opens the plate that `to_json` described.

        Args:
            path: where it lies now, if not where it was.

        Raises:
            FootageError: missing, unreadable, or not the same plate any more.
        """
        asked = data["asked"]
        plate = open_plate(
            path or Path(data["path"]),
            first=asked["first"],
            colour_space=data["colour_space"],
            matrix=asked["matrix"],
            range=asked["range"],
            fps=Fraction(asked["fps"]) if asked["fps"] else None,
        )
        plate._asked = asked
        if plate.digest() != data["digest"]:
            raise FootageError(
                "the footage has changed since the shot was made",
                plate.path,
                "put the old files back or make a new shot",
            )
        return plate

    def _position(self, frame: int) -> int:
        if not self.first <= frame <= self.last:
            raise FootageError(
                f"frame {frame} is outside the plate", self.path, f"use {self.first} to {self.last}"
            )
        return frame - self.first

    def _as_uint8(self, native: SourceFrame) -> np.ndarray:
        if native.pixels.dtype == np.uint8 and self.space.kind == "display":
            if native.rgb == (0, 1, 2):
                return np.ascontiguousarray(native.pixels[..., :3])
            return np.ascontiguousarray(native.pixels[..., list(native.rgb)])
        display = colour.to_display(native.encoded(), self.space)
        return np.rint(np.clip(display, 0, 1) * np.float32(255)).astype(np.uint8)

    def _ahead(
        self, numbers: Iterable[int] | None, exact: bool = True
    ) -> Iterator[tuple[int, SourceFrame]]:
        wanted = list(self.numbers if numbers is None else numbers)
        positions = [self._position(frame) for frame in wanted]
        decoded: queue.Queue[SourceFrame | PortraitError | Exception] = queue.Queue(_AHEAD)
        stop = threading.Event()

        def put(item: SourceFrame | Exception) -> bool:
            while not stop.is_set():
                try:
                    decoded.put(item, timeout=0.1)
                    return True
                except queue.Full:
                    continue
            return False

        def decode() -> None:
            reader = self._source.reader(exact)
            try:
                for position in positions:
                    if not put(reader.read(position)):
                        return
            except (PortraitError, OSError, MemoryError) as error:
                put(error)
            finally:
                reader.close()

        thread = threading.Thread(target=decode, name="decode", daemon=True)
        thread.start()
        try:
            for frame in wanted:
                item = decoded.get()
                if isinstance(item, Exception):
                    raise item
                yield frame, item
        finally:
            stop.set()
            thread.join()


class _Source(Protocol):
    """The files behind a plate."""

    count: int
    width: int
    height: int
    bit_depth: int
    pixel_aspect: Fraction
    matrix: str
    range: str
    notes: list[str]
    suffix: str

    def reader(self, exact: bool = True) -> FrameReader:
        """A new reader; of codes that may be off by a few where they need not be exact."""

    def digest(self) -> str:
        """The fingerprint of the files."""


class _MovieSource:
    suffix = ".png"

    def __init__(self, path: Path, matrix: str | None, range: str | None, fps: Fraction | None):
        from . import movie

        self._movie = movie
        self._path = path
        self.facts = facts = movie.probe(path)
        _check_choice("matrix", matrix, movie.MATRICES)
        _check_choice("range", range, movie.RANGES)
        self.notes: list[str] = []
        if matrix and facts.matrix != "rgb":
            self.matrix = matrix
        else:
            self.matrix = facts.matrix
            if not facts.matrix_tagged:
                self.notes.append(f"the movie names no colour matrix; {facts.matrix} is assumed")
        self.range = range if range and facts.matrix != "rgb" else facts.range
        self.fps = fps or facts.fps
        self._table = movie.frame_table(facts, self.fps)
        if not facts.uniform:
            self.notes.append(f"the movie's frame rate varies; it is read at a constant {self.fps}")
        self.count = len(self._table)
        self.width, self.height = facts.width, facts.height
        self.bit_depth = facts.bit_depth
        self.pixel_aspect = facts.pixel_aspect

    def reader(self, exact: bool = True) -> FrameReader:
        reader = self._movie.MovieReader(self._path, self.facts, self.matrix, self.range, exact)
        return _Mapped(reader, self._table)

    def digest(self) -> str:
        return _digest([self._path], repr(self.facts.times).encode())


class _Mapped:
    """A reader behind a table of positions."""

    def __init__(self, reader: FrameReader, table: list[int]) -> None:
        self._reader, self._table = reader, table
        self.close = reader.close

    def read(self, position: int) -> SourceFrame:
        return self._reader.read(self._table[position])


class _ImageSource:
    matrix = "rgb"
    range = "full"

    def __init__(self, place: Path, files: dict[int, Path]) -> None:
        from . import sequence

        self._sequence = sequence
        self.files = list(files.values())
        self.number = next(iter(files))
        self.facts = facts = sequence.read_facts(self.files[0])
        for file in self.files[1:]:
            other = sequence.read_facts(file)
            if (other.width, other.height) != (facts.width, facts.height):
                raise FootageError(
                    f"{file.name} is {other.width} x {other.height} but {self.files[0].name} is "
                    f"{facts.width} x {facts.height}",
                    place,
                    "give a sequence of one size",
                )
        self.notes: list[str] = []
        written = self.files[0].suffix.lower()
        self.suffix = written if written in (".exr", ".dpx", ".tif", ".tiff") else ".png"
        self.count = len(self.files)
        self.width, self.height = facts.width, facts.height
        self.bit_depth = facts.bit_depth
        self.pixel_aspect = facts.pixel_aspect

    def reader(self, exact: bool = True) -> FrameReader:
        return _ImageReader(self.files, (self.height, self.width))

    def digest(self) -> str:
        return _digest(self.files, b"")


class _ImageReader:
    def __init__(self, files: list[Path], size: tuple[int, int]) -> None:
        self._files, self._size = files, size

    def read(self, position: int) -> SourceFrame:
        from .sequence import read_image

        native = read_image(self._files[position])
        if native.pixels.shape[:2] != self._size:
            raise FootageError(
                "the image has another size than when the plate was opened",
                self._files[position],
                "open the plate again",
            )
        return native

    def close(self) -> None:
        """Nothing stays open between images."""


def open_plate(
    path: Path,
    *,
    first: int | None = None,
    colour_space: str | None = None,
    matrix: str | None = None,
    range: str | None = None,
    fps: Fraction | None = None,
) -> Plate:
    """Opens a movie, an image sequence or a photo.

    Args:
        path: a movie; a folder, pattern (`name.####.exr`, `%04d`, `*`) or one file of a sequence;
            or a single image.
        first: number of the first frame; by default sequences keep theirs, others begin at 1.
        colour_space: name known to `colour.resolve`; by default what the file says.
        matrix: YCbCr matrix of a movie that says none or a wrong one (`bt709`, `bt601`...).
        range: `limited` or `full`, likewise.
        fps: constant rate to read a movie at, or the rate of a sequence.

    Raises:
        FootageError: one sentence on what is wrong with it.
    """
    from .movie import MOVIE_SUFFIXES
    from .sequence import IMAGE_SUFFIXES, find_sequence

    path = Path(path)
    asked = {
        "first": first,
        "matrix": matrix,
        "range": range,
        "fps": f"{fps.numerator}/{fps.denominator}" if fps else None,
    }
    if fps is not None and fps <= 0:
        raise FootageError(f"a rate of {fps} frames a second is impossible", path, "give a rate")
    suffix = path.suffix.lower()
    is_file = path.is_file()
    if is_file and path.stat().st_size == 0:
        raise FootageError("the file is empty", path, "copy or export it again")
    if is_file and suffix not in IMAGE_SUFFIXES | MOVIE_SUFFIXES:
        raise FootageError(
            f"'{suffix}' files cannot be read" if suffix else "the file has no known format",
            path,
            "give a movie or EXR, DPX, TIFF, PNG or JPEG images",
        )
    if is_file and suffix in MOVIE_SUFFIXES:
        movie = _MovieSource(path, matrix, range, fps)
        if colour_space is None and movie.facts.transfer:
            raise FootageError(
                f"the movie is HDR video ({movie.facts.transfer})",
                path,
                "convert it to ACEScg EXR images or name its colour space",
            )
        space = colour.resolve(colour_space or "Rec.709")
        start = 1 if first is None else first
        return Plate(
            path, "movie", movie, first=start, fps=movie.fps, colour_space=space, asked=asked
        )
    files = find_sequence(path)
    images = _ImageSource(path, files)
    kind = "sequence" if len(files) > 1 or images.number != 1 else "still"
    return Plate(
        path,
        kind,
        images,
        first=images.number if first is None else first,
        fps=fps or images.facts.fps or _DEFAULT_FPS,
        colour_space=_image_space(colour_space, images, path),
        asked=asked,
    )


def _image_space(name: str | None, images: _ImageSource, path: Path) -> colour.ColourSpace:
    """The named space, else what the file's header says."""
    facts = images.facts
    if name is not None:
        return colour.resolve(name)
    if facts.floating:
        return colour.from_chromaticities(facts.chromaticities)
    if any(word in facts.transfer.lower() for word in ("log", "density")):
        raise FootageError(
            f"the images are logarithmic ({facts.transfer}) and do not say which way",
            path,
            "name their colour space, for example ADX10 or ARRI LogC3",
        )
    return colour.resolve("Rec.709" if facts.transfer else "sRGB")


def _check_choice(what: str, name: str | None, choices: Iterable[str]) -> None:
    if name is not None and name not in choices:
        known = ", ".join(choices)
        raise FootageError(f"there is no {what} '{name}'", remedy=f"use one of: {known}")


def _digest(files: list[Path], more: bytes) -> str:
    """Names aside, sizes of all files and samples of some: fast on a server's disk."""
    piece = 1 << 16
    total = hashlib.sha256(more)
    sampled = set(files[:: max(1, len(files) // 32)]) | {files[-1]}
    for file in files:
        size = file.stat().st_size
        total.update(size.to_bytes(8, "big"))
        if file not in sampled:
            continue
        with open(file, "rb") as stream:
            for offset in (0, max(0, size // 2 - piece // 2), max(0, size - piece)):
                stream.seek(offset)
                total.update(stream.read(piece))
    return total.hexdigest()
