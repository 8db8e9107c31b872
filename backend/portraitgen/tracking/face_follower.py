# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is who from frame to frame: the performer keeps their identity when people cross.

Everyone seen is followed, so that a face is given to whom it fits best by where they were going,
how large they are and how they look (colours of the face and of the clothes under it). Where the
performer is hidden behind another, that one's face is not taken for the performer's.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..images import to_lab
from ..tensors import load_arrays, save_arrays

_BINS = 6
_LOOK = 2 * _BINS**3
_NEAR = 2.0
"""Widths that a face may be from where it is expected, its change of size added."""
_FAR = 4.0
"""The same for who looks just like the performer while the performer is missed."""
_ALIKE = 0.2
"""Hellinger's distance of one person's looks from frame to frame and after a pause: below 0.18 in
real clips; of two people's it is 0.26 to 0.6."""
_ABSENT, _SOMEONE_ELSE = 8, 0.25
"""Frames after which one who was missed is known by their looks only, and what is too unlike."""
_APPEARANCE = 3.0
_LEARNED = 0.08
_FORGOTTEN = 60


@dataclass
class _Person:
    box: np.ndarray
    velocity: np.ndarray
    look: np.ndarray
    missed: int = 0

    def cost(self, box: np.ndarray, look: np.ndarray) -> tuple[float, float]:
        """How far a face is from where this person is expected, and how unlike."""
        ahead = self.velocity * min(self.missed + 1, 8)
        centre, before = box[:2] + box[2:] / 2, self.box[:2] + self.box[2:] / 2
        away = np.linalg.norm(centre - before - ahead) / self.box[2]
        # One who stops behind another comes out where they went in.
        away = min(away, np.linalg.norm(centre - before) / self.box[2])
        place = float(away / (1 + 0.1 * self.missed)) + abs(float(np.log(box[2] / self.box[2])))
        return place, unlike(self.look, look)

    def seen(self, box: np.ndarray, look: np.ndarray) -> None:
        """Takes over where this person is now."""
        moved = (box[:2] + box[2:] / 2 - self.box[:2] - self.box[2:] / 2) / (self.missed + 1)
        self.velocity = 0.6 * self.velocity + 0.4 * moved
        self.box, self.missed = box, 0
        self.look = (1 - _LEARNED) * self.look + _LEARNED * look


class FaceFollower:
    """The people of a shot as they were seen last; the performer among them."""

    def __init__(self) -> None:
        self._performer: _Person | None = None
        self._others: list[_Person] = []

    @property
    def box(self) -> np.ndarray | None:
        """The performer's face (4,) where it was seen last; None before."""
        return self._performer.box if self._performer else None

    def start(self, chosen: int, boxes: np.ndarray, looks: list[np.ndarray]) -> None:
        """Says which of a frame's faces is the performer's."""
        people = [
            _Person(box, np.zeros(2, np.float32), look)
            for box, look in zip(boxes, looks, strict=True)
        ]
        self._performer = people.pop(chosen)
        self._others = people

    def still(self) -> "FaceFollower":
        """The same performer, alone and at rest: for who goes on in another direction."""
        follower = FaceFollower()
        if self._performer:
            person = self._performer
            rest = np.zeros(2, np.float32)
            follower._performer = _Person(person.box, rest, person.look)
        return follower

    def step(self, boxes: np.ndarray, looks: list[np.ndarray]) -> int | None:
        """Which of the next frame's faces is the performer's; None where none is.

        Args:
            boxes: (N, 4), left, top, width and height.
            looks: of each, as `look_of` gives.
        """
        assert self._performer is not None
        people = [self._performer, *self._others]
        pairs = []
        for row, person in enumerate(people):
            for column, (box, look) in enumerate(zip(boxes, looks, strict=True)):
                place, apart = person.cost(box, look)
                other = person.missed > _ABSENT and apart > _SOMEONE_ELSE
                if place < _NEAR and not other:
                    pairs.append((place + _APPEARANCE * apart, row, column))
        given: dict[int, int] = {}
        for _, row, column in sorted(pairs):
            if row not in given and column not in given.values():
                given[row] = column
        left = [column for column in range(len(boxes)) if column not in given.values()]
        if 0 not in given:
            costs = {column: self._performer.cost(boxes[column], looks[column]) for column in left}
            reach = _FAR + 0.5 * self._performer.missed
            alike = [c for c in left if costs[c][0] < reach and costs[c][1] < _ALIKE]
            if alike:
                given[0] = min(alike, key=lambda column: sum(costs[column]))
                left.remove(given[0])
        for row, person in enumerate(people):
            if row in given:
                person.seen(boxes[given[row]], looks[given[row]])
            else:
                person.missed += 1
        self._others = [each for each in self._others if each.missed < _FORGOTTEN]
        self._others += [
            _Person(boxes[column], np.zeros(2, np.float32), looks[column]) for column in left
        ]
        return given.get(0)

    def save(self, path: Path) -> None:
        """Writes it in one step."""
        people = [*([self._performer] if self._performer else []), *self._others]
        rows = [
            np.concatenate([each.box, each.velocity, [each.missed], each.look]) for each in people
        ]
        table = np.array(rows, np.float32).reshape(-1, 7 + _LOOK)
        save_arrays(path, {"people": table, "known": np.array([self._performer is not None])})

    @classmethod
    def load(cls, path: Path) -> "FaceFollower":
        """Reads it back.

        Raises:
            DamagedTensors: if it is damaged.
        """
        arrays = load_arrays(path)
        people = [
            _Person(row[:4], row[4:6], row[7:], int(row[6])) for row in np.array(arrays["people"])
        ]
        follower = cls()
        if people and bool(arrays["known"][0]):
            follower._performer = people.pop(0)
        follower._others = people
        return follower


def look_of(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """How someone looks: square roots of the shares of colours of the face and the clothes.

    Args:
        image: uint8 (H, W, 3).
        box: (4,), the face in its pixels.

    Returns:
        float32 (432,).
    """
    x, y, wide, high = (float(each) for each in box)
    face = _share(image, x, y - 0.3 * high, wide, 1.3 * high)
    clothes = _share(image, x - 0.4 * wide, y + 1.4 * high, 1.8 * wide, 1.2 * high)
    return np.sqrt(np.concatenate([face, clothes])).astype(np.float32)


def unlike(first: np.ndarray, second: np.ndarray) -> float:
    """How differently two people look, 0 to 1 (Hellinger's distance)."""
    half = _LOOK // 2
    parts = []
    for part in (slice(None, half), slice(half, None)):
        one, other = first[part], second[part]
        sizes = float(np.linalg.norm(one) * np.linalg.norm(other))
        if sizes > 0:
            parts.append(np.sqrt(max(0.0, 1 - float(one @ other) / sizes)))
    return float(np.mean(parts)) if parts else 0.0


def _share(image: np.ndarray, x: float, y: float, wide: float, high: float) -> np.ndarray:
    """Shares of the colours in a rectangle, (216,), blurred; 0 outside of a picture."""
    height, width = image.shape[:2]
    rows = slice(max(0, round(y)), max(0, min(height, round(y + high))))
    columns = slice(max(0, round(x)), max(0, min(width, round(x + wide))))
    cut = image[rows, columns]
    if cut.size < 12 * 3:
        return np.zeros(_BINS**3, np.float32)
    small = cv2.resize(cut, (24, 24), interpolation=cv2.INTER_AREA)
    lab = to_lab(small).reshape(-1, 3).astype(np.float32)
    # Colour tells people apart, less so how bright they stand.
    places = np.stack([lab[:, 0] / 256, (lab[:, 1] - 88) / 80, (lab[:, 2] - 88) / 80], axis=1)
    counts, _ = np.histogramdd(places.clip(0, 0.999), bins=_BINS, range=[(0, 1)] * 3)
    blurred = counts
    for axis in range(3):
        ahead = np.roll(blurred, 1, axis)
        behind = np.roll(blurred, -1, axis)
        blurred = 0.5 * blurred + 0.25 * (ahead + behind)
    total: np.ndarray = (blurred / blurred.sum()).ravel().astype(np.float32)
    return total
