# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faces in frames of a plate: who may be the performer, and which parts show anyone."""

from collections.abc import Iterable, Sequence
from contextlib import closing

import numpy as np

from ...footage.plate import Plate
from ...frames import spread
from ...shot import Shot
from ...tracking.landmarks import LandmarkDetector, Pictures
from ..data.shots import plate_of

Face = tuple[float, float, float, float]
_LOOKED_AT = 5


def faces_of(
    shot: Shot, frame: int | None = None, span: tuple[int, int] | None = None
) -> tuple[int, tuple[Face, ...]]:
    """A frame of a shot and its faces: left, top, width and height in plate pixels, from the left.

    Args:
        frame: which; by default the one of a few that shows the most faces.
        span: the first and the last frame of those, all of the plate by default.

    Raises:
        FootageError: if the plate cannot be read, or has no such frame.
    """
    with closing(plate_of(shot)) as plate:
        first, last = span or (plate.numbers[0], plate.numbers[-1])
        among = [each for each in plate.numbers if first <= each <= last]
        wanted = [frame] if frame is not None else spread(among or plate.numbers, _LOOKED_AT)
        found = _in_frames(plate, wanted)
    best = max(found, key=lambda each: (len(found[each]), -each))
    return best, tuple(sorted(found[best]))


def parts_with_faces(plate: Plate, parts: Sequence[range]) -> list[bool]:
    """Whether some of each part's frames show a face."""
    wanted = {part: spread(part, _LOOKED_AT) for part in parts}
    found = _in_frames(plate, [frame for frames in wanted.values() for frame in frames])
    return [any(found[frame] for frame in wanted[part]) for part in parts]


def _in_frames(plate: Plate, frames: Iterable[int]) -> dict[int, list[Face]]:
    found: dict[int, list[Face]] = {}
    detector = LandmarkDetector()
    for frame, image in plate.frames_uint8(frames, exact=False):
        pictures = Pictures.of([image])
        boxes = detector.faces(pictures.smaller[0]) / np.float32(pictures.ratio)
        found[frame] = [(float(x), float(y), float(w), float(h)) for x, y, w, h in boxes]
    return found
