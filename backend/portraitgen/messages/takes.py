# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames tried, looks, paint and key frames."""

from dataclasses import dataclass
from typing import ClassVar

from ..schema import Data, Values
from .base import Call


@dataclass(frozen=True)
class FrameTried(Data):
    """A frame that was edited alone.

    Attributes:
        path: the whole plate with the edit laid over it.
        plate: the plate as it is, of the same size.
        window: the part that is edited.
        notes: what was left out.
    """

    path: str
    plate: str
    window: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TryFrame(Call[FrameTried]):
    """Edits one frame as a take with these settings would be: the edit job's options."""

    METHOD: ClassVar[str] = "preview.frame"
    ANSWER: ClassVar[type[Data]] = FrameTried
    shot: str
    frame: int
    settings: Values


@dataclass(frozen=True)
class LookRow(Data):
    """A look of the library.

    Attributes:
        path: its file; thumbnail: a PNG of its picture.
        error: why it cannot be used, empty if it can.
    """

    name: str
    path: str
    thumbnail: str = ""
    licence: str = ""
    commercial: bool = True
    made_of: str = ""
    pairs: int = 0
    held_out_db: float | None = None
    error: str = ""


@dataclass(frozen=True)
class LookList(Data):
    """The looks, and the folder where they are kept."""

    folder: str
    rows: tuple[LookRow, ...]


@dataclass(frozen=True)
class ListLooks(Call[LookList]):
    """Asks for the library's looks."""

    METHOD: ClassVar[str] = "looks.list"
    ANSWER: ClassVar[type[Data]] = LookList


@dataclass(frozen=True)
class LookShown(Data):
    """A picture of a frame with a look, and how long it took."""

    path: str
    frame: int
    milliseconds: float


@dataclass(frozen=True)
class ShowLook(Call[LookShown]):
    """Asks for one frame with a look at once: neither a take nor an avatar is needed.

    Attributes:
        options: the editor look's.
    """

    METHOD: ClassVar[str] = "looks.show"
    ANSWER: ClassVar[type[Data]] = LookShown
    shot: str
    frame: int
    options: Values
    strength: float = 1.0


@dataclass(frozen=True)
class PaintStarted(Data):
    """Where the picture to paint over lies, and whether it was just written."""

    path: str
    new: bool


@dataclass(frozen=True)
class StartPainting(Call[PaintStarted]):
    """Gives a frame out to be painted over, to `author`, empty for nobody named; `mask` if the
    paint says where the take edits."""

    METHOD: ClassVar[str] = "paint.start"
    ANSWER: ClassVar[type[Data]] = PaintStarted
    shot: str
    take: str
    frame: int
    mask: bool = False
    author: str = ""


@dataclass(frozen=True)
class KeyKept(Data):
    """Where a kept key frame's picture lies, its frame, and whether it was just written."""

    path: str
    frame: int
    new: bool


@dataclass(frozen=True)
class KeepKey(Call[KeyKept]):
    """Keeps the key frame nearest to a frame, for `author`, empty for nobody named."""

    METHOD: ClassVar[str] = "keys.keep"
    ANSWER: ClassVar[type[Data]] = KeyKept
    shot: str
    take: str
    frame: int
    author: str = ""
