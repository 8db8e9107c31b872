# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plate: a movie, an image sequence or a photo, read by its own frame numbers."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from ..errors import FootageError
from ..images import to_codes
from ..records import FootageAsked, FootageRecord
from . import colour
from .decoder import RemoteReader
from .fields import EVERY, LOOKED_AT, FieldWatch
from .file_kind import kind_of
from .plate_colours import image_space, movie_space
from .plate_sources import ImageSource, MovieSource, Source
from .source_frame import DamagedFrame, SourceFrame
from .timecode import advanced

_DEFAULT_FPS = Fraction(24)
# Of what a user says; a movie is read anew at it, frame by frame.
_MOST_FPS = 1000
# As many as a render looks ahead, and the one it works on.
_KEPT = 4
_SCANNED = 5000
_LOOKED_AT = 250
_PATTERN = frozenset("#%*@$")
_STILL_SUFFIXES = frozenset((".pam", ".qoi", ".pcx"))


class Plate:
    """An opened plate. Frame numbers are the plate's own everywhere.

    Pixels are square inside: pictures of a plate whose pixels are not are shown unsqueezed, and
    laid back squeezed (`laid_over`).

    Attributes:
        path: the file, folder or pattern it was opened from.
        kind: "movie", "sequence" or "still".
        first, last: its frame numbers, inclusive.
        fps: the constant frame rate.
        width, height: pixels as shown, after the rotation the file asks for, square.
        stored_width, stored_height: of its frames as files hold them, upright.
        bit_depth: significant bits a channel.
        colour_space: name in `colour.SPACES`.
        pixel_aspect: width over height of a pixel of the file.
        matrix, range: how a movie's YCbCr codes are decoded ("rgb", "full" for images).
        notes: what was assumed, left out, repeated or repaired, one sentence each, for the user.
        suffix: of lossless files in the plate's own format and depth; PNG for movies and JPEG.
        timecode, reel: of its first frame, as the file names them, or "".
        source_type: IPTC's digital source type, as the movie or the first picture names it, or "".
        on_note: told each note that reading a frame adds, such as of damage; None at first.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        source: Source,
        *,
        first: int,
        fps: Fraction,
        colour_space: colour.ColourSpace,
        asked: FootageAsked,
    ) -> None:
        self.path = path
        self.kind = kind
        self.first = first
        self.last = first + source.count - 1
        self.fps = fps
        self.stored_width, self.stored_height = source.width, source.height
        self.pixel_aspect = source.pixel_aspect
        self.width, self.height = _squared(source.width, source.height, source.pixel_aspect)
        self.bit_depth = source.bit_depth
        self.colour_space = colour_space.name
        self.matrix, self.range = source.matrix, source.range
        self.notes = source.notes
        if (self.width, self.height) != (source.width, source.height):
            self.notes.append(
                f"pixels are {float(self.pixel_aspect):.4g} times as wide as high; inside, the"
                f" picture is {self.width} x {self.height}; full plates keep their"
                f" {source.width} x {source.height}"
            )
        self.suffix = source.suffix
        self.timecode, self.reel = source.timecode, source.reel
        self.source_type = source.source_type
        self.space = colour_space
        self._source = source
        self._asked = asked
        self._reader = source.reader()
        self._recent: OrderedDict[int, SourceFrame] = OrderedDict()
        self.on_note: Callable[[str], None] | None = None

    @property
    def numbers(self) -> range:
        """All frame numbers."""
        return range(self.first, self.last + 1)

    @property
    def sound(self) -> bool:
        """Whether it is a movie with sound."""
        return isinstance(self._source, MovieSource) and self._source.facts.sound

    @property
    def picture_colours(self) -> tuple[int, int] | None:
        """What pictures and movies made in the plate's display values say of their colours.

        Primaries and transfer by ITU-T H.273; None for sRGB and Rec.709, and for what has no
        numbers there.
        """
        tags = colour.tags_of(self.space) if self.space.kind == "display" else None
        return tags if tags and (tags[0] != 1 or tags[1] not in (1, 13)) else None

    def timecode_at(self, frame: int) -> str:
        """The time code of a frame, counted on from the first one's; "" where there is none."""
        return advanced(self.timecode, frame - self.first, self.fps)

    def read_sound(self, frames: range) -> tuple[np.ndarray, int] | None:
        """The sound under some frames: float32 (channels, samples), and samples a second.

        None where there is none, or where gaps were closed, so that it would not fit.
        """
        if not isinstance(self._source, MovieSource) or not frames:
            return None
        return self._source.read_sound(frames[0] - self.first, len(frames))

    def read(self, frame: int) -> np.ndarray:
        """One frame as display-referred float32 (H, W, 3) RGB in 0..1.

        Raises:
            FootageError: outside the plate, or damaged.
        """
        return self._as_display(self.read_native(frame))

    def read_uint8(self, frame: int) -> np.ndarray:
        """The same as uint8 (H, W, 3), without the detour for 8-bit display-referred plates."""
        return self._as_uint8(self.read_native(frame)).copy()

    def read_native(self, frame: int) -> SourceFrame:
        """One frame in the plate's own codes, upright, with every channel, as large as stored."""
        native = self._recent.get(frame)
        if native is None:
            try:
                native = self._told(self._reader.read(self._position(frame)))
            except DamagedFrame as error:
                raise self._damaged(error) from error
            self._keep(frame, native)
        return native

    def frames(
        self, numbers: Iterable[int] | None = None, whole: bool = False
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Frames in the order asked, decoded a little ahead by a process of their own.

        Args:
            numbers: frame numbers, all by default.
            whole: with every channel, and the latest few are kept: `laid_over`, `encoded` and
                `linear` do not decode them a second time.

        Yields:
            (frame number, float32 (H, W, 3)) as `read` gives.
        """
        for frame, native in self._ahead(numbers, lean=not whole):
            if whole:
                self._keep(frame, native)
            yield frame, self._as_display(native)

    def _keep(self, frame: int, native: SourceFrame) -> None:
        self._recent[frame] = native
        while len(self._recent) > _KEPT:
            self._recent.popitem(last=False)

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

    def laid_over(self, frame: int, display: np.ndarray, where: np.ndarray) -> SourceFrame:
        """A frame in the plate's own codes with new colours in some pixels, others untouched.

        Args:
            display: (H, W, 3) float32 display-referred, as large as the plate is inside.
            where: (H, W) bool, the pixels to replace.
        """
        native = self.read_native(frame)
        size = native.pixels.shape[1::-1]
        if (self.width, self.height) != size:
            display = cv2.resize(display, size, interpolation=cv2.INTER_AREA)
            where = cv2.resize(where.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        return native.replaced(colour.from_display(display, self.space), where)

    def encoded(self, frame: int) -> np.ndarray:
        """One frame in the plate's own colour space, float32 (H, W, 3), with square pixels."""
        return self._square(self.read_native(frame).encoded())

    def linear(self, frame: int) -> np.ndarray:
        """One frame as linear Rec.709, float32 (H, W, 3), neither clipped nor softened."""
        native = self.read_native(frame)
        return self._square(colour.to_rec709(native.encoded(), self.space))

    def examine(self, limit: int | None = None) -> list[str]:
        """Decodes the plate once and notes what is wrong with which frame; returns those notes.

        Args:
            limit: frames to look at; thousands of a movie, hundreds of a sequence by default.
        """
        if isinstance(self._source, MovieSource):
            found = self._source.examine(self.first, limit or _SCANNED)
        else:
            found = self._look_at_images(limit or _LOOKED_AT)
        self.notes += [note for note in found if note not in self.notes]
        return found

    def _look_at_images(self, limit: int) -> list[str]:
        """What reading each of a sequence's first images tells."""
        found: list[str] = []
        reader = self._source.reader(lean=True)
        watch = FieldWatch()
        try:
            for row, frame in enumerate(self.numbers[:limit]):
                try:
                    native = reader.read(self._position(frame))
                    found += native.notes
                    if row % EVERY == 0:
                        watch.cut()
                    if row % EVERY < LOOKED_AT:
                        watch.look(self._as_display(native)[..., 1], 1.0)
                except FootageError as error:
                    found.append(f"frame {frame} cannot be read: {str(error).rstrip('.')}")
        finally:
            reader.close()
        found += watch.told(False, movie=False)
        if len(self.numbers) > limit:
            found.append(f"the first {limit} images were read to look for damage")
        return found

    def close(self) -> None:
        """Closes the files; reading opens them again."""
        self._reader.close()
        self._recent.clear()

    def digest(self) -> str:
        """A sha256 that changes when the plate's files change; the same wherever they lie."""
        return self._source.digest()

    def record(self) -> FootageRecord:
        """For shot.json: what it is, and what is needed to open it the same way."""
        return FootageRecord(
            path=str(self.path),
            kind=self.kind,
            first=self.first,
            last=self.last,
            fps=self.fps,
            width=self.width,
            height=self.height,
            bit_depth=self.bit_depth,
            colour_space=self.colour_space,
            pixel_aspect=self.pixel_aspect,
            matrix=self.matrix,
            range=self.range,
            digest=self.digest(),
            asked=self._asked,
        )

    @classmethod
    def reopen(cls, record: FootageRecord, path: Path | None = None) -> "Plate":
        """Opens the plate that `record` described.

        Args:
            path: where it lies now, if not where it was.

        Raises:
            FootageError: missing, unreadable, or not the same plate any more.
        """
        where = path or Path(record.path)
        pattern = bool(_PATTERN & set(where.name)) and where.parent.is_dir()
        if not where.exists() and not pattern:
            raise FootageError(
                "the plate is no longer there", where, "find it again by `portraitgen relink`"
            )
        plate = open_plate(
            where,
            first=record.first,
            colour_space=record.colour_space,
            matrix=record.asked.matrix,
            range=record.asked.range,
            fps=record.asked.fps,
            part=record.asked.part,
            layer=record.asked.layer,
            deinterlace=record.asked.deinterlace,
        )
        if plate.digest() != record.digest:
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
        return self._source.located(frame - self.first)

    def _told(self, native: SourceFrame) -> SourceFrame:
        """A frame whose notes have become the plate's."""
        for note in native.notes:
            kind = note.split(",")[0]
            if not any(known.startswith(kind) for known in self.notes):
                self.notes.append(note)
                if self.on_note is not None:
                    self.on_note(note)
        return native

    def _damaged(self, error: DamagedFrame) -> FootageError:
        assert isinstance(self._source, MovieSource)
        return self._source.in_own_numbers(error, self.first)

    def _as_display(self, native: SourceFrame) -> np.ndarray:
        return self._square(colour.to_display(native.encoded(), self.space))

    def _as_uint8(self, native: SourceFrame) -> np.ndarray:
        if native.pixels.dtype == np.uint8 and self.space.kind == "display":
            if native.rgb == (0, 1, 2):
                return self._square(np.ascontiguousarray(native.pixels[..., :3]))
            return self._square(np.ascontiguousarray(native.pixels[..., list(native.rgb)]))
        display = self._square(colour.to_display(native.encoded(), self.space))
        return to_codes(display)

    def _square(self, image: np.ndarray) -> np.ndarray:
        """The picture with square pixels."""
        if image.shape[1::-1] == (self.width, self.height):
            return image
        size = (self.width, self.height)
        wide = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        if wide.dtype == np.float32 and self.space.kind == "display":
            np.clip(wide, float(image.min()), float(image.max()), out=wide)
        return wide

    def _ahead(
        self, numbers: Iterable[int] | None, exact: bool = True, lean: bool = True
    ) -> Iterator[tuple[int, SourceFrame]]:
        wanted = list(self.numbers if numbers is None else numbers)
        positions = [self._position(frame) for frame in wanted]
        reader: RemoteReader = self._source.reader(exact, lean=lean)
        try:
            for frame, native in zip(wanted, reader.sequence(positions), strict=False):
                yield frame, self._told(native)
        except DamagedFrame as error:
            raise self._damaged(error) from error
        finally:
            reader.close()


def _squared(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """The size of a picture with square pixels that lost no line and no column."""
    if abs(aspect - 1) < Fraction(1, 200):
        return width, height
    if aspect > 1:
        return max(1, round(width * aspect)), height
    return width, max(1, round(height / aspect))


def open_plate(
    path: Path,
    *,
    first: int | None = None,
    colour_space: str | None = None,
    matrix: str | None = None,
    range: str | None = None,
    fps: Fraction | None = None,
    part: str | None = None,
    layer: str | None = None,
    deinterlace: bool = False,
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
        part, layer: of an EXR, by name; by default the one that is the picture by convention.
        deinterlace: read the upper field of an interlaced movie's frames.

    Raises:
        FootageError: one sentence on what is wrong with it.
    """
    # Absolute, since decoding happens in a process that has a working folder of its own.
    path = Path(path).absolute()
    asked = FootageAsked(first, matrix, range, fps, part, layer, deinterlace)
    if fps is not None and not 0 < fps <= _MOST_FPS:
        remedy = f"give a rate of up to {_MOST_FPS}"
        raise FootageError(f"a rate of {fps} frames a second is impossible", path, remedy)
    is_file = path.is_file()
    if is_file and path.stat().st_size == 0:
        raise FootageError("the file is empty", path, "copy or export it again")
    kind = kind_of(path) if is_file else "image"
    if kind == "movie":
        movie = _open_movie(path, matrix, range, fps, deinterlace)
        _tell_unused(movie.notes, "images", part=part, layer=layer)
        space = movie_space(colour_space, movie.facts, movie.notes, path)
        start = 1 if first is None else first
        photo = path.suffix.lower() in _STILL_SUFFIXES and movie.count == 1
        return Plate(
            path,
            "still" if photo else "movie",
            movie,
            first=start,
            fps=movie.fps,
            colour_space=space,
            asked=asked,
        )
    if is_file and kind == "":
        raise _unknown(path)
    return _open_images(path, first, colour_space, fps, part, layer, asked)


def _tell_unused(notes: list[str], kind: str, **asked: object) -> None:
    """Notes what was asked that is for the other kind of plate."""
    notes += [
        f"'{name}' was asked for and is not used; it is for {kind}"
        for name, value in asked.items()
        if value
    ]


def _open_movie(
    path: Path, matrix: str | None, range: str | None, fps: Fraction | None, deinterlace: bool
) -> MovieSource:
    from .file_kind import IMAGE_SUFFIXES, MOVIE_SUFFIXES

    try:
        return MovieSource(path, matrix, range, fps, deinterlace)
    except FootageError as error:
        suffix = path.suffix.lower()
        if suffix in IMAGE_SUFFIXES and "no pictures that are known" in error.message:
            raise FootageError(
                "the image cannot be read (its content is of no known format)",
                path,
                "copy or render it again",
            ) from error
        if suffix not in MOVIE_SUFFIXES and "no pictures that are known" in error.message:
            raise _unknown(path) from error
        raise


def _unknown(path: Path) -> FootageError:
    suffix = path.suffix.lower()
    return FootageError(
        f"'{suffix}' files cannot be read" if suffix else "the file has no known format",
        path,
        "give a movie or EXR, DPX, TIFF, PNG, JPEG, HEIC, AVIF, WebP, BMP or TGA images",
    )


def _open_images(
    path: Path,
    first: int | None,
    colour_space: str | None,
    fps: Fraction | None,
    part: str | None,
    layer: str | None,
    asked: FootageAsked,
) -> Plate:
    from .decoder import ask
    from .decoder_messages import ProbeImages
    from .sequence import find_sequence

    def is_photograph(file: Path) -> bool:
        if file.suffix.lower() not in (".jpg", ".jpeg"):
            return False
        answer, _ = ask(ProbeImages((str(file),)), file)
        return answer.facts[0].photograph

    found = find_sequence(path, is_photograph)
    images = ImageSource(path, found.files, part, layer)
    images.notes[:0] = found.notes
    _tell_unused(
        images.notes,
        "movies",
        matrix=asked.matrix,
        range=asked.range,
        deinterlace=asked.deinterlace,
    )
    kind = "sequence" if len(found.files) > 1 or images.number != 1 else "still"
    space = image_space(colour_space, images.facts, images.notes, images.files[0])
    return Plate(
        path,
        kind,
        images,
        first=images.number if first is None else first,
        fps=fps or images.facts.fps or _DEFAULT_FPS,
        colour_space=space,
        asked=asked,
    )
