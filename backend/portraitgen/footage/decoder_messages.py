# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a decoder process is asked, and what it answers. Standard library only.

Each question is a record that names the type of its answer; both sides parse what they receive,
since the files behind it come from strangers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

from ..schema import Data
from .facts import ImageFacts, MovieFacts

AnswerT = TypeVar("AnswerT", bound=Data, covariant=True)
Slot = tuple[int, int]
"""Where in the shared memory a frame goes: place and length, in bytes."""
Runs = tuple[tuple[int, int], ...]
"""First and last positions, inclusive."""


class Question(Data, Generic[AnswerT]):
    """What a decoder can be asked. Subclasses are frozen dataclasses."""

    DO: ClassVar[str]
    ANSWER: ClassVar[type[Data]]


@dataclass(frozen=True)
class Nothing(Data):
    """An answer that holds nothing."""


@dataclass(frozen=True)
class ProbeMovie(Question[MovieFacts]):
    """Asks what a movie says of itself."""

    DO: ClassVar[str] = "movie.facts"
    ANSWER: ClassVar[type[Data]] = MovieFacts
    path: str


@dataclass(frozen=True)
class MovieScan(Data):
    """What is wrong with which frame of a movie.

    Attributes:
        looked: how many positions were looked at.
        whole: runs of positions that can be decoded.
        faulty: runs of those whose decoder reported or concealed damage.
        sizes: position, width and height of each picture whose size is not the one before's.
        interlaced: whether one of them is.
        fields: notes on fields that nothing names, told by the pictures.
        changes: position and tags of each picture whose tags (`MovieFacts`) are not the one's
            before.
    """

    looked: int
    whole: Runs
    faulty: Runs
    sizes: tuple[tuple[int, int, int], ...]
    interlaced: bool
    fields: tuple[str, ...]
    changes: tuple[tuple[int, tuple[int, ...]], ...]


@dataclass(frozen=True)
class ScanMovie(Question[MovieScan]):
    """Asks for the first frames of a movie, at most `limit`, to be decoded and looked at."""

    DO: ClassVar[str] = "movie.scan"
    ANSWER: ClassVar[type[Data]] = MovieScan
    path: str
    facts: MovieFacts
    limit: int


@dataclass(frozen=True)
class OpenMovie(Question[Nothing]):
    """Opens a movie, whose frames are then read.

    Attributes:
        exact: if not, codes may be off by a few.
    """

    DO: ClassVar[str] = "movie.open"
    ANSWER: ClassVar[type[Data]] = Nothing
    path: str
    facts: MovieFacts
    matrix: str
    range: str
    exact: bool
    deinterlace: bool


@dataclass(frozen=True)
class SoundRead(Data):
    """Samples a second; the samples come beside it."""

    rate: int


@dataclass(frozen=True)
class ReadSound(Question[SoundRead]):
    """Asks for a movie's sound between two moments, in seconds of its own clock."""

    DO: ClassVar[str] = "movie.sound"
    ANSWER: ClassVar[type[Data]] = SoundRead
    path: str
    start: float
    end: float


@dataclass(frozen=True)
class ImagesProbed(Data):
    """What each image says of itself, in the order they were asked for."""

    facts: tuple[ImageFacts, ...]


@dataclass(frozen=True)
class ProbeImages(Question[ImagesProbed]):
    """Asks what images say of themselves; `part` and `layer` of an EXR, by convention if None."""

    DO: ClassVar[str] = "images.facts"
    ANSWER: ClassVar[type[Data]] = ImagesProbed
    paths: tuple[str, ...]
    part: str | None = None
    layer: str | None = None


@dataclass(frozen=True)
class OpenImages(Question[Nothing]):
    """Opens a sequence, whose frames are then read.

    Attributes:
        size: height and width that all of them have.
        lean: red, green and blue are enough.
    """

    DO: ClassVar[str] = "images.open"
    ANSWER: ClassVar[type[Data]] = Nothing
    paths: tuple[str, ...]
    part: str | None
    layer: str | None
    size: tuple[int, int]
    lean: bool


@dataclass(frozen=True)
class ImagePart(Data):
    """A part of an EXR; its pixels come beside it.

    Attributes:
        channels, formats: names of its channels, and their types.
        attributes: as `SourceFrame` has them.
        window: where its pixels begin.
        display: its display window: left, top, width, height.
    """

    channels: tuple[str, ...]
    formats: tuple[str, ...]
    attributes: Mapping[str, tuple[str, object]]
    window: tuple[int, int]
    display: tuple[int, int, int, int]


@dataclass(frozen=True)
class ImageParts(Data):
    """All parts of an EXR; None for one that cannot be copied (deep)."""

    parts: tuple[ImagePart | None, ...]


@dataclass(frozen=True)
class ReadParts(Question[ImageParts]):
    """Asks for all parts of an EXR with their pixels."""

    DO: ClassVar[str] = "image.parts"
    ANSWER: ClassVar[type[Data]] = ImageParts
    path: str


@dataclass(frozen=True)
class FrameFacts(Data):
    """A `SourceFrame` without its pixels, which come beside it.

    Attributes:
        window: x, y and origin of its data window, whose pixels come second.
    """

    channels: tuple[str, ...]
    rgb: tuple[int, int, int]
    bit_depth: int
    formats: tuple[str, ...]
    attributes: Mapping[str, tuple[str, object]]
    window: tuple[int, int, tuple[int, int]] | None = None
    file: str = ""
    part: int = 0
    parts: int = 1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadFrame(Question[FrameFacts]):
    """Asks for the frame at a position of what was opened."""

    DO: ClassVar[str] = "read"
    ANSWER: ClassVar[type[Data]] = FrameFacts
    position: int


@dataclass(frozen=True)
class Close(Question[Nothing]):
    """Closes what was opened."""

    DO: ClassVar[str] = "close"
    ANSWER: ClassVar[type[Data]] = Nothing


QUESTIONS: Mapping[str, type[Question[Data]]] = {
    each.DO: each
    for each in (
        *(ProbeMovie, ScanMovie, OpenMovie, ReadSound),
        *(ProbeImages, OpenImages, ReadParts, ReadFrame, Close),
    )
}
"""Every question by what it is called on the wire."""


@dataclass(frozen=True)
class Asked(Data):
    """A line to the decoder.

    Attributes:
        do: the question's `DO`; what: its fields.
        slot: where the first array of the answer may go.
    """

    do: str
    what: Mapping[str, object] = field(default_factory=dict)
    slot: Slot | None = None


@dataclass(frozen=True)
class Fault(Data):
    """Why there is no answer.

    Attributes:
        message, place, remedy: as `PortraitError` has them.
        damaged: the position of a damaged frame; runs: of those that can be decoded.
    """

    message: str
    place: str = ""
    remedy: str = ""
    damaged: int | None = None
    runs: Runs = ()


@dataclass(frozen=True)
class Answered(Data):
    """A line from the decoder; the bytes of its arrays follow.

    Attributes:
        answer: the fields of the question's `ANSWER`.
        arrays: type and shape of each.
        slot: where the first of them lies, if not after the line.
    """

    answer: Mapping[str, object] = field(default_factory=dict)
    arrays: tuple[tuple[str, tuple[int, ...]], ...] = ()
    slot: Slot | None = None
    fault: Fault | None = None
