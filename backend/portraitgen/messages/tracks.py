# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rigs, tracks and pins."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ..schema import Data
from .base import Call


@dataclass(frozen=True)
class RigExported(Data):
    """Where a rig's data lie."""

    path: str
    version: int
    frames: int


@dataclass(frozen=True)
class ExportRig(Call[RigExported]):
    """Asks for a track version, the latest by default, as a rig's data."""

    METHOD: ClassVar[str] = "rig.export"
    ANSWER: ClassVar[type[Data]] = RigExported
    shot: str
    version: int | None = None


@dataclass(frozen=True)
class TrackPublished(Data):
    """A new track version, None if nothing changed, and how many frames did.

    Attributes:
        notes: what was assumed or left out.
    """

    version: int | None
    changed: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportTrack(Call[TrackPublished]):
    """Takes a track of another program in; the fields are those of `track_import.ImportOptions`."""

    METHOD: ClassVar[str] = "track.import"
    ANSWER: ClassVar[type[Data]] = TrackPublished
    shot: str
    path: str
    smplx_model: str = ""
    fps: float | None = None
    first: int | None = None
    focal: float | None = None
    hands: Literal["file", "flat", "mean"] = "file"
    head: Literal["keep", "file"] = "keep"


@dataclass(frozen=True)
class TrackExported(Data):
    """Where a track was written, and what others must know of it."""

    path: str
    version: int
    frames: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportTrack(Call[TrackExported]):
    """Writes a track for other programs; the file's ending says how."""

    METHOD: ClassVar[str] = "track.export"
    ANSWER: ClassVar[type[Data]] = TrackExported
    shot: str
    path: str
    version: int | None = None
    smplx_model: str = ""
    hands: Literal["flat", "mean"] = "flat"


@dataclass(frozen=True)
class PublishTrack(Call[TrackPublished]):
    """Makes a new version of what an artist changed.

    Attributes:
        base: the version it was changed from.
        path: a safetensors file of the changed motion.
        span: the first and last frame of a range in which the others follow.
        author: who changed it, empty for nobody named.
    """

    METHOD: ClassVar[str] = "track.publish"
    ANSWER: ClassVar[type[Data]] = TrackPublished
    shot: str
    base: int
    path: str
    span: tuple[int, int] | None = None
    author: str = ""


@dataclass(frozen=True)
class PinnedPoint(Data):
    """A point of the body and the plate pixel where it belongs.

    Attributes:
        face: of the body's mesh; weights: the point's barycentric place on it.
        target: x and y in plate pixels.
    """

    face: int
    weights: tuple[float, float, float]
    target: tuple[float, float]


Rows = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class FramePose(Data):
    """A frame's place (3), joint turns (55, 3) and expression (E)."""

    transl: tuple[float, ...]
    pose: Rows
    expression: tuple[float, ...]


@dataclass(frozen=True)
class PinsSolved(Data):
    """The pose that honours pins, and how far each is missed, plate pixels."""

    transl: tuple[float, ...]
    pose: Rows
    expression: tuple[float, ...]
    error_px: tuple[float, ...]


@dataclass(frozen=True)
class SolvePins(Call[PinsSolved]):
    """Asks for the pose of a frame that honours pins.

    Attributes:
        start: where to begin, the track's own pose by default.
        fixed: joints and units, or "transl", that keep their values.
        resistance: how firmly a face that is well tracked stays where it is while pins elsewhere
            are dragged, 0..1.
    """

    METHOD: ClassVar[str] = "track.solve_pins"
    ANSWER: ClassVar[type[Data]] = PinsSolved
    shot: str
    version: int
    frame: int
    pins: tuple[PinnedPoint, ...]
    start: FramePose | None = None
    fixed: tuple[str, ...] = ()
    resistance: float = 1.0
