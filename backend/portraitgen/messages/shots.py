# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plates and shots."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..schema import Data
from .base import Call


@dataclass(frozen=True)
class ShotInfo(Data):
    """What `portraitgen info --json` prints."""

    path: str
    id: str
    schema: int
    created: str
    footage: Mapping[str, object]
    body_model: Mapping[str, object]
    track: Mapping[str, object] | None
    avatar: Mapping[str, object] | None
    takes: tuple[Mapping[str, object], ...]
    unfinished_jobs: tuple[Mapping[str, object], ...]
    holders: tuple[Mapping[str, object], ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class CreateShot(Call[ShotInfo]):
    """Makes a shot of a plate, or opens the one already made for it.

    Attributes:
        shot: the folder; footage: the plate; body_model: a file.
        colour_space, fps, first, matrix, range, part, layer, deinterlace: what the user says of
            the plate.
    """

    METHOD: ClassVar[str] = "shot.create"
    ANSWER: ClassVar[type[Data]] = ShotInfo
    shot: str
    footage: str
    body_model: str | None = None
    colour_space: str | None = None
    fps: str | None = None
    first: int | None = None
    matrix: str | None = None
    range: str | None = None
    part: str | None = None
    layer: str | None = None
    deinterlace: bool = False


@dataclass(frozen=True)
class PlateFacts(Data):
    """How a plate would be read: what `portraitgen probe --json` prints of it.

    Attributes:
        fps, pixel_aspect: as fractions, such as 24000/1001.
        width, height: as stored, upright.
        notes: what is assumed, repeated, left out or damaged.
    """

    kind: str
    first: int
    last: int
    frames: int
    fps: str
    width: int
    height: int
    bit_depth: int
    colour_space: str
    pixel_aspect: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProbePlate(Call[PlateFacts]):
    """Asks how a plate would be read, before a shot is made of it.

    Attributes:
        footage: the plate; the others say of it what the user does, as for `CreateShot`.
    """

    METHOD: ClassVar[str] = "plate.probe"
    ANSWER: ClassVar[type[Data]] = PlateFacts
    footage: str
    colour_space: str | None = None
    fps: str | None = None


@dataclass(frozen=True)
class PlatePart(Data):
    """The frames between two cuts of a plate, and the shot that was made of them.

    Attributes:
        shot: the folder, None where no shot was made since no face is seen; shot_id: its id.
    """

    first: int
    last: int
    shot: str | None = None
    shot_id: str | None = None


@dataclass(frozen=True)
class PlateSplit(Data):
    """The parts of a plate, in their order."""

    parts: tuple[PlatePart, ...]


@dataclass(frozen=True)
class SplitPlate(Call[PlateSplit]):
    """Makes a shot of each part of a plate that shows a face.

    Attributes:
        footage: the plate; folder: where the shots go.
        span: first and last frame of what is looked at, all by default.
        body_model, colour_space, fps: as for `CreateShot`.
    """

    METHOD: ClassVar[str] = "plate.split"
    ANSWER: ClassVar[type[Data]] = PlateSplit
    footage: str
    folder: str
    span: tuple[int, int] | None = None
    body_model: str | None = None
    colour_space: str | None = None
    fps: str | None = None


@dataclass(frozen=True)
class FacesFound(Data):
    """The faces in a frame: left, top, width and height each, in plate pixels."""

    frame: int
    faces: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class FindFaces(Call[FacesFound]):
    """Looks for the faces in a frame of a shot, to choose the performer among them.

    Attributes:
        frame: which; by default the one of some that shows the most.
        span: the first and the last frame to look among, all of the plate by default.
    """

    METHOD: ClassVar[str] = "plate.faces"
    ANSWER: ClassVar[type[Data]] = FacesFound
    shot: str
    frame: int | None = None
    span: tuple[int, int] | None = None


@dataclass(frozen=True)
class InfoOfShot(Call[ShotInfo]):
    """Asks all about a shot."""

    METHOD: ClassVar[str] = "shot.info"
    ANSWER: ClassVar[type[Data]] = ShotInfo
    shot: str


@dataclass(frozen=True)
class PlateRelinked(Data):
    """Where a shot's plate lies now, absolute."""

    path: str


@dataclass(frozen=True)
class RelinkPlate(Call[PlateRelinked]):
    """Looks for a plate that was moved.

    Attributes:
        where: its file or a folder to look in; near its old place by default.
    """

    METHOD: ClassVar[str] = "plate.relink"
    ANSWER: ClassVar[type[Data]] = PlateRelinked
    shot: str
    where: str | None = None
