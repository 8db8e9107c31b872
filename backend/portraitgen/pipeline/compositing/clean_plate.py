# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plate without its performer: given by the artist, or seen in other frames of the shot.

A camera that pans is followed by the background's own motion, a homography from frame to frame;
what no frame ever showed is inpainted, and told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from ...errors import FootageError
from ...footage.crop import place
from ...footage.plate import Plate, open_plate
from ...frames import spread
from ...images import to_codes, to_float, to_grey
from ..data.crops import load_matte
from ..data.shots import Track

_SOURCES = 16
_PERFORMER = 0.02
_WIDER = 0.012
# Farther than this in a whole shot, in plate pixels, and the camera moves.
_STANDS = 0.35
# Features are looked for in pictures of at most this side.
_SIDE, _FEATURES, _FEWEST, _FAR = 640, 800, 25, 2.0
_PATCH, _CHUNK = 5, 1 << 17


@dataclass(frozen=True)
class CleanFrame:
    """A frame without the performer, where it was asked for.

    Attributes:
        image: float32 (H, W, 3).
        invented: bool (H, W), where no frame showed the background.
    """

    image: np.ndarray
    invented: np.ndarray


class CleanPlate(Protocol):
    """Where the background behind the performer comes from."""

    def frame(self, frame: int, image: np.ndarray, wanted: np.ndarray) -> CleanFrame:
        """The background of a frame, float32 (H, W, 3), where it is wanted, bool (H, W)."""
        ...

    def close(self) -> None:
        """Closes what was opened for it."""
        ...


class GivenCleanPlate:
    """A clean plate that an artist made: one picture for all frames, or one for each.

    Args:
        path: a picture, a movie or a sequence.
        plate: the shot's.

    Raises:
        FootageError: if it cannot be read, or is of another size.
    """

    def __init__(self, path: Path, plate: Plate) -> None:
        self._plate = open_plate(path)
        self._path = path
        found, wanted = (self._plate.width, self._plate.height), (plate.width, plate.height)
        if found != wanted:
            raise FootageError(
                f"the clean plate is {found[0]} x {found[1]}, the plate {wanted[0]} x {wanted[1]}",
                path,
                "give one of the plate's size",
            )
        self._kept: dict[int, np.ndarray] = {}

    @property
    def digest(self) -> str:
        """A mark of its content."""
        return self._plate.digest()

    def check(self, frames: Sequence[int]) -> None:
        """Whether it covers some frames.

        Raises:
            FootageError: if it does not.
        """
        first, last = self._plate.first, self._plate.last
        if first != last and not first <= frames[0] <= frames[-1] <= last:
            raise FootageError(
                f"the clean plate covers frames {first}-{last}, not {frames[0]}-{frames[-1]}",
                self._path,
                "give one picture, or one for each frame with the plate's numbers",
            )

    def frame(self, frame: int, image: np.ndarray, wanted: np.ndarray) -> CleanFrame:
        """The background of a frame."""
        number = frame if self._plate.first != self._plate.last else self._plate.first
        if number not in self._kept:
            self._kept = {number: self._plate.read(number)}
        return CleanFrame(self._kept[number], np.zeros(image.shape[:2], bool))

    def close(self) -> None:
        """Closes what was given."""
        self._plate.close()


class SeenCleanPlate:
    """The background as other frames of the shot show it; they are read when they are needed.

    Args:
        track: with the performer's mattes.
        plate: the shot's.
        frames: of the shot, among which some are looked at.
    """

    def __init__(self, track: Track, plate: Plate, frames: Sequence[int]) -> None:
        self._track, self._plate = track, plate
        self._chosen = spread(track.tracked(frames), _SOURCES)
        self._sources: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._features: dict[int, _Features] = {}
        self._stands = True

    def _look(self) -> None:
        """Reads the frames and finds out whether the camera moves."""
        if self._sources or not self._chosen:
            return
        for frame in self._chosen:
            picture = to_codes(self._plate.read(frame))
            mask = performer_mask(self._track, frame, picture.shape)
            self._sources[frame] = (picture, mask)
            self._features[frame] = _features(picture, mask)
        first, *others = self._chosen
        moves = [self._move(first, self._features[other]) for other in others]
        self._stands = all(move is None or move[1] < _STANDS for move in moves)

    def frame(self, frame: int, image: np.ndarray, wanted: np.ndarray) -> CleanFrame:
        """The background of a frame where it is wanted.

        Args:
            image: float32 (H, W, 3), the frame.
            wanted: bool (H, W).
        """
        mask = performer_mask(self._track, frame, image.shape)
        hidden = wanted & mask
        made, invented = image.copy(), np.zeros(image.shape[:2], bool)
        if not hidden.any():
            return CleanFrame(made, invented)
        self._look()
        features: _Features | None = None
        if not self._stands:
            features = self._features.get(frame)
            if features is None:
                features = _features(to_codes(image), mask)
        rows, columns = np.nonzero(hidden)
        colours, known = self._gathered(features, np.stack([columns, rows], axis=1))
        made[rows, columns] = colours
        invented[rows[~known], columns[~known]] = True
        if invented.any():
            # A hole is filled from round about, of which not everything was asked for.
            made = _inpainted(made, mask & ~(hidden & ~invented), invented)
        return CleanFrame(made, invented)

    def close(self) -> None:
        """The plate is not its own."""

    def _move(self, source: int, features: "_Features") -> tuple[np.ndarray, float] | None:
        return _homography(features, self._features[source])

    def _gathered(
        self, features: "_Features | None", places: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The median of what the sources show at places (N, 2) of a frame, float32 (N, 3), and
        where there is any, (N,)."""
        shown, seen = [], []
        for frame, (picture, mask) in self._sources.items():
            where = places.astype(np.float64)
            if features is not None:
                found = self._move(frame, features)
                if found is None:
                    continue
                where = cv2.perspectiveTransform(where[None], found[0])[0]
            inside = (where >= 0).all(1) & (where <= np.array(mask.shape[::-1]) - 1).all(1)
            free = sample_points((~mask).astype(np.float32), where) > 0.99
            how = cv2.INTER_NEAREST if features is None else cv2.INTER_CUBIC
            shown.append(sample_points(picture, where, how))
            seen.append(inside & free)
        if not shown:
            return np.zeros((len(places), 3), np.float32), np.zeros(len(places), bool)
        return _median(np.stack(shown), np.stack(seen))


def performer_mask(track: Track, frame: int, shape: tuple[int, ...]) -> np.ndarray:
    """Where the performer is, with a margin, bool (H, W).

    The matte ends with the window, below which the performer goes on.
    """
    height, width = shape[:2]
    box = track.box(frame)
    matte = to_float(load_matte(track, frame))
    cover, rows, columns = place(matte, box, width, height)
    mask = np.zeros((height, width), np.uint8)
    mask[rows, columns] = cover > _PERFORMER
    if rows.stop < height and rows.stop > rows.start:
        mask[rows.stop :] = mask[rows.stop - 1]
    size = 2 * max(1, round(_WIDER * box.side)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return cv2.dilate(mask, kernel) > 0


_Features = tuple[np.ndarray, np.ndarray]


def _features(picture: np.ndarray, mask: np.ndarray) -> _Features:
    """Places (N, 2) in the picture and descriptors (N, 32) of what is seen of the background."""
    shrunk = max(1.0, max(mask.shape) / _SIDE)
    size = (round(mask.shape[1] / shrunk), round(mask.shape[0] / shrunk))
    grey = cv2.resize(to_grey(picture), size, interpolation=cv2.INTER_AREA)
    free = cv2.resize(
        np.where(mask, 0, 255).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST
    )
    finder = cv2.ORB.create(_FEATURES, fastThreshold=5)
    points, words = finder.detectAndCompute(grey, free)
    if words is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 32), np.uint8)
    scale = np.array(mask.shape[::-1]) / size
    places = (np.array([point.pt for point in points]) + 0.5) * scale - 0.5
    return places.astype(np.float32), words


def _homography(source: _Features, target: _Features) -> tuple[np.ndarray, float] | None:
    """From one frame's background to another's, (3, 3), and how far the matched places moved,
    pixels; None if they do not match."""
    if min(len(source[0]), len(target[0])) < _FEWEST:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(source[1], target[1])
    if len(pairs) < _FEWEST:
        return None
    here = np.array([source[0][pair.queryIdx] for pair in pairs])
    there = np.array([target[0][pair.trainIdx] for pair in pairs])
    move, kept = cv2.findHomography(here, there, cv2.RANSAC, _FAR)
    if move is None or kept.sum() < _FEWEST:
        return None
    inliers = kept[:, 0] > 0
    moved = np.linalg.norm(np.median((there - here)[inliers], axis=0))
    spread_out = np.median(np.linalg.norm((there - here)[inliers], axis=1))
    return move, float(max(moved, spread_out))


def sample_points(
    picture: np.ndarray, places: np.ndarray, how: int = cv2.INTER_LINEAR
) -> np.ndarray:
    """What a picture shows at pixel positions (N, 2), (N[, C]) in its type."""
    width = 4096  # remap's pictures may have no more than 32767 columns.
    count = len(places)
    rows = max(1, -(-count // width))
    grid: np.ndarray = np.zeros((rows * width, 2), np.float32)
    grid[:count] = np.clip(places, -1e4, 3e4)
    grid = grid.reshape(rows, width, 2)
    found = cv2.remap(picture, grid[..., 0], grid[..., 1], how, borderMode=cv2.BORDER_REPLICATE)
    taken: np.ndarray = found.reshape(-1, *picture.shape[2:])[:count]
    return taken


def _median(shown: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The median over pictures, uint8 (K, N, 3), where they are seen, (K, N): float32 (N, 3) of
    0..1; and where any is, (N,)."""
    known = np.asarray(seen.any(0))
    made = np.zeros(shown.shape[1:], np.float32)
    for start in range(0, shown.shape[1], _CHUNK):
        part = slice(start, start + _CHUNK)
        # Sorted with the unseen last, the median lies in the middle of the seen ones.
        stack = np.where(seen[:, part, None], shown[:, part].astype(np.int16), 999)
        stack.sort(axis=0)
        count = np.maximum(seen[:, part].sum(0), 1)
        middle = [
            np.take_along_axis(stack, index[None, :, None], 0)[0]
            for index in ((count - 1) // 2, count // 2)
        ]
        made[part] = (middle[0] + middle[1]) / 510
    return np.where(known[:, None], made, 0), known


def _inpainted(image: np.ndarray, unknown: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """Holes filled from what surrounds them, smoothly: what is invented must not catch the eye.

    Args:
        unknown: bool (H, W), what is no background, the holes among it.
        holes: bool (H, W), what to fill.
    """
    scale = 4
    small = (max(1, image.shape[1] // scale), max(1, image.shape[0] // scale))
    known = (~unknown).astype(np.float32)
    weight = cv2.resize(known, small, interpolation=cv2.INTER_AREA)
    colour = cv2.resize(image * known[..., None], small, interpolation=cv2.INTER_AREA)
    colour = colour / np.maximum(weight, 1e-3)[..., None]
    codes = to_codes(colour)
    empty = (weight < 0.5).astype(np.uint8)
    filled = to_float(cv2.inpaint(codes, empty, _PATCH, cv2.INPAINT_TELEA))
    filled = np.where(empty[..., None] > 0, cv2.GaussianBlur(filled, (0, 0), 2.0), filled)
    large = cv2.resize(filled, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    made = image.copy()
    made[holes] = np.clip(large[holes], 0, 1)
    return made
