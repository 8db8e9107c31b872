# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plate of more than one shot: its parts, which of them shows the performer, dissolves."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from ..errors import TrackingError
from ..images import to_float
from .cuts import find_cuts
from .landmarks import ChunkLandmarks

_FACES = 0.2
"""Share of a part's frames that must show a face for it to be the performer's."""

_FEW, _FEW_SHARE = 2, 0.1
"""Frames in which another face is an exception: a passer-by, a picture on the wall, an error."""

_LENGTHS = (6, 8, 12, 16, 24, 36, 48)
_DIFFERENT = 0.06
_UNLIKE = 0.12
"""Of what changes from one end of a dissolve to the other, what a blend of both leaves over."""


@dataclass(frozen=True)
class ShotPart:
    """Frames between two cuts.

    Attributes:
        first, last: frame numbers, inclusive.
        faces: in how many of them a face was found.
    """

    first: int
    last: int
    faces: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}" if self.last > self.first else str(self.first)

    @property
    def has_face(self) -> bool:
        """Whether it shows a performer."""
        return self.faces >= max(1, _FACES * (self.last - self.first + 1))


def parts_of(frames: np.ndarray, cuts: list[int], faces: np.ndarray) -> list[ShotPart]:
    """The parts that cuts make of a plate.

    Args:
        frames: (F,) frame numbers.
        cuts: those that begin a new part.
        faces: (F,) bool, where a face was found.
    """
    starts = [int(frames[0]), *cuts]
    ends = [*(cut - 1 for cut in cuts), int(frames[-1])]
    parts = []
    for first, last in zip(starts, ends, strict=True):
        inside = (frames >= first) & (frames <= last)
        parts.append(ShotPart(first, last, int(faces[inside].sum())))
    return parts


def performer_part(seen: ChunkLandmarks) -> tuple[ChunkLandmarks, list[str]]:
    """What was seen in the one part of a plate that shows a face, and what to say of the others.

    Bars, slates and black before the performer are parts without a face.

    Raises:
        TrackingError: if several parts show one; names all parts.
    """
    faces = ~np.isnan(seen.box[:, 0])
    parts = parts_of(seen.frames, find_cuts(seen.frames, seen.thumbnail), faces)
    notes = [
        f"Frames {first}-{last} look like a dissolve; what is tracked there shows two pictures."
        for first, last in find_dissolves(seen.frames, seen.thumbnail)
    ]
    if len(parts) == 1:
        return seen, notes
    named = ", ".join(str(part) for part in parts)
    shown = [part for part in parts if part.has_face]
    if len(shown) > 1:
        longest = max(shown, key=lambda part: part.faces)
        cuts = ", ".join(str(part.first) for part in parts[1:])
        raise TrackingError(
            f"the footage cuts to another shot at frame {cuts}: its parts are {named}, and"
            f" {', '.join(str(part) for part in shown)} show a face",
            f"frames {seen.frames[0]}-{seen.frames[-1]}",
            f"track each part by itself, such as --frames {longest}, or split it at its cuts",
        )
    if not shown:
        return seen, notes
    (part,) = shown
    notes.insert(0, f"The plate's parts are {named}; {part} shows the face and is tracked.")
    rows = (seen.frames >= part.first) & (seen.frames <= part.last)
    fields = {each.name: getattr(seen, each.name)[rows] for each in dataclasses.fields(seen)}
    return ChunkLandmarks(**fields), notes


def other_faces(seen: ChunkLandmarks) -> list[str]:
    """A note on whose face is tracked, where the plate shows others in more than a few frames."""
    shown = ~np.isnan(seen.box[:, 0])
    rows = np.flatnonzero(shown & (seen.others > 0))
    if len(rows) < max(_FEW, _FEW_SHARE * len(seen.frames)):
        return []
    left, top, width, height = (float(value) for value in seen.box[rows[0]])
    frame = int(seen.frames[rows[0]])
    return [
        f"{len(rows)} of {len(seen.frames)} frames show other faces beside the one that is tracked,"
        f" which is at {left + width / 2:.0f}, {top + height / 2:.0f} in frame {frame}; if that is"
        " not the performer, click on them (Pick Performer), or name a point on their face at the"
        " terminal (--performer FRAME:X,Y)."
    ]


def find_dissolves(frames: np.ndarray, thumbnails: np.ndarray) -> list[tuple[int, int]]:
    """First and last frames of passages in which one picture turns into another.

    There every picture is a blend of the one before and the one after, more of the second from
    frame to frame. What moves or pans is no blend of its ends.

    Args:
        frames: (F,) frame numbers.
        thumbnails: uint8 (F, h, w, 3).
    """
    pictures = to_float(thumbnails.reshape(len(thumbnails), -1))
    found: list[tuple[int, int]] = []
    row = 0
    while row < len(pictures) - _LENGTHS[0]:
        length = next((n for n in _LENGTHS if _dissolves(pictures[row : row + n + 1], n)), 0)
        if length:
            first, last = int(frames[row]), int(frames[row + length])
            if found and first <= found[-1][1] + 1:
                found[-1] = (found[-1][0], max(last, found[-1][1]))
            else:
                found.append((first, last))
        row += 1
    return found


def _dissolves(pictures: np.ndarray, length: int) -> bool:
    if len(pictures) <= length:
        return False
    start, change = pictures[0], pictures[-1] - pictures[0]
    size = float(np.abs(change).mean())
    if size < _DIFFERENT:
        return False
    inner = pictures[1:-1] - start
    share = inner @ change / float(change @ change)
    steps = np.diff(np.concatenate([[0], share, [1]]))
    if steps.min() < 0.2 / length or steps.max() > 2.5 / length:
        return False
    left = np.abs(inner - share[:, None] * change).mean(axis=1)
    return bool(left.max() < _UNLIKE * size)
