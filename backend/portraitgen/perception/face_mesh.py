# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""478 landmarks of one face, followed from picture to picture.

A trunk places 468 points; the lips and each eye are then looked at again, in the trunk's own
features, cut out and turned upright, and their points and the irises are taken from there
(Grishchenko et al., "Attention Mesh", 2020).
"""

from dataclasses import dataclass

import numpy as np

from .detector import Detector
from .network import Network, sigmoid
from .region import Region, turn_between

_SIDE = 192
_POINTS = 468
_EYE_CORNERS = (33, 263)
_MARGIN = 1.5
# The trunk's features are a quarter of its input's size; a part of them is read in a grid.
_REDUCED, _GRID = 4, 16


@dataclass(frozen=True)
class _Part:
    """A part of the face that is looked at again.

    Attributes:
        network: its file.
        corners: left and right, in whose line it is turned upright.
        points: it places, in the network's order.
        iris: the first of the five points of its iris; none for the lips.
    """

    network: str
    corners: tuple[int, int]
    points: tuple[int, ...]
    iris: int | None = None


# fmt: off
_PARTS = (
    _Part("face_lips", (61, 291), (
        61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
        78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,
        76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408,
        62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407,
    )),
    _Part("face_left_eye", (33, 133), (
        33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173,
        130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190,
        226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189,
        35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245,
        156, 70, 63, 105, 66, 107, 55, 193,
    ), 468),
    _Part("face_right_eye", (362, 263), (
        263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398,
        359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414,
        446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413,
        265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465,
        383, 300, 293, 334, 296, 336, 285, 417,
    ), 473),
)
# fmt: on


class FaceMesh:
    """Follows one face.

    Args:
        detected: score from which on a face counts as found.
        kept: how sure the mesh must be that there is a face in its crop.
    """

    def __init__(self, detected: float, kept: float) -> None:
        self._detector = Detector("face_detector_short", detected)
        self._trunk = Network("face_mesh")
        self._parts = [(part, Network(part.network)) for part in _PARTS]
        self._kept = kept
        self._region: Region | None = None

    def reset(self) -> None:
        """Forgets where the face was: the next picture is searched for it."""
        self._region = None

    def read(self, image: np.ndarray) -> np.ndarray | None:
        """The landmarks of the face, where it was or, after a miss, where it is found.

        Args:
            image: uint8 (H, W, 3) RGB.

        Returns:
            float32 (478, 2), pixels; None if there is none.
        """
        region = self._region or self._found(image)
        self._region = None
        if region is None:
            return None
        mesh, flag, features = self._trunk(region.crop(image, _SIDE))
        if sigmoid(flag.reshape(-1))[0] <= self._kept:
            return None
        points = self._refined(mesh.reshape(-1, 3)[:, :2], features[0])
        landmarks = region.in_picture(points / _SIDE).astype(np.float32)
        self._region = _region_round(landmarks)
        return landmarks

    def _found(self, image: np.ndarray) -> Region | None:
        found = self._detector(image)
        if not len(found.boxes):
            return None
        low, size = found.boxes[0, :2], found.boxes[0, 2:]
        turn = turn_between(found.points[0, 0], found.points[0, 1], 0.0)
        return Region.around(np.stack([low, low + size]), turn).square(_MARGIN)

    def _refined(self, mesh: np.ndarray, features: np.ndarray) -> np.ndarray:
        """All points (478, 2) in the trunk's pixels, from its own 468 and its features."""
        points = np.full((_POINTS + 10, 2), np.nan, np.float32)
        points[:_POINTS] = mesh
        for part, network in self._parts:
            matrix = _upright(mesh / _REDUCED, part)
            seen = network(_sampled(features, matrix)[None])
            matrix[:, 2] *= _REDUCED
            placed = [each.reshape(-1, 2) @ matrix[:, :2].T + matrix[:, 2] for each in seen]
            points[list(part.points)] = placed[0]
            if part.iris is not None:
                points[part.iris : part.iris + 5] = placed[1]
        return points


def _region_round(landmarks: np.ndarray) -> Region:
    first, second = landmarks[list(_EYE_CORNERS)]
    return Region.around(landmarks, turn_between(first, second, 0.0)).square(_MARGIN)


def _upright(points: np.ndarray, part: _Part) -> np.ndarray:
    """From the grid that a part is read in to where it lies upright, (2, 3)."""
    x, y = points[part.corners[1]] - points[part.corners[0]]
    angle = float(np.arctan2(y, x))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    along = points[list(part.points)] @ turn
    low, high = along.min(0), along.max(0)
    axes = turn * (_MARGIN * (high - low) / _GRID)
    corner = turn @ ((low + high) / 2) - axes @ np.full(2, _GRID / 2)
    return np.column_stack([axes, corner]).astype(np.float32)


def _sampled(features: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Features (H, W, C) read bilinearly in a grid (16, 16, C) that a matrix places; 0 outside."""
    height, width, channels = features.shape
    # Centres of cells lie at halves, those of the features too.
    rows, columns = np.mgrid[:_GRID, :_GRID].astype(np.float32) + np.float32(0.5)
    centres = np.stack([columns, rows], axis=-1).reshape(-1, 2)
    places = centres @ matrix[:, :2].T + matrix[:, 2] - np.float32(0.5)
    inside = ((places >= 0) & (places <= (width - 1, height - 1))).all(1)
    floor = np.floor(places[inside])
    share = (places[inside] - floor)[..., None]
    x, y = floor.astype(np.intp).T
    right, below = np.minimum(x + 1, width - 1), np.minimum(y + 1, height - 1)
    upper = (1 - share[:, 0]) * features[y, x] + share[:, 0] * features[y, right]
    lower = (1 - share[:, 0]) * features[below, x] + share[:, 0] * features[below, right]
    sampled = np.zeros((_GRID * _GRID, channels), np.float32)
    sampled[inside] = (1 - share[:, 1]) * upper + share[:, 1] * lower
    return sampled.reshape(_GRID, _GRID, channels)
