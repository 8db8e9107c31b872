# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""33 landmarks of one body, followed from picture to picture."""

import numpy as np

from .detector import Detector
from .network import Network, sigmoid
from .region import Region, turn_between

_SIDE = 256
_LANDMARKS = 33
_MARGIN = 1.25
_SURE = 0.5
_REACH = 3
"""Cells round a landmark in its heat map that it is the mean of."""
# Of the filter that steadies where the next picture is cut: cycles per picture, and how much each
# body's length of speed per picture adds to them.
_CALM, _HASTE, _SPEED = 0.01 / 30, 10.0, 1 / 30


class _OneEuro:
    """A low-pass filter that opens with speed (Casiez et al., 2012)."""

    def __init__(self, value: np.ndarray) -> None:
        self._last, self._value = value, value
        self._speed = np.zeros_like(value)

    def __call__(self, value: np.ndarray, scale: float) -> np.ndarray:
        """The next value, steadied; its speed is measured in units of a scale."""
        speed = (value - self._last) / scale
        self._speed = self._speed + _share(_SPEED) * (speed - self._speed)
        share = _share(_CALM + _HASTE * np.abs(self._speed))
        self._last, self._value = value, self._value + share * (value - self._value)
        return self._value


def _share(cutoff: np.ndarray | float) -> np.ndarray | float:
    """What of a new value counts, at a cutoff in cycles per picture."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff))


class BodyPose:
    """Follows one body."""

    def __init__(self) -> None:
        self._detector = Detector("body_detector", _SURE)
        self._network = Network("body")
        self._region: Region | None = None
        self._steady: _OneEuro | None = None

    def reset(self) -> None:
        """Forgets where the body was: the next picture is searched for it."""
        self._region = self._steady = None

    def read(self, image: np.ndarray) -> np.ndarray | None:
        """The landmarks of the body, where it was or, after a miss, where it is found.

        Args:
            image: uint8 (H, W, 3) RGB.

        Returns:
            float32 (33, 3), pixels and visibility, 0 to 1; None if there is none.
        """
        region = self._region or self._found(image)
        self._region = None
        if region is None:
            self._steady = None
            return None
        coded, flag, heat = self._network(region.crop(image, _SIDE))
        if float(flag.reshape(-1)[0]) <= _SURE:
            self._steady = None
            return None
        rows = coded.reshape(-1, 5)
        points = region.in_picture(_settled(rows[:, :2] / _SIDE, heat[0]))
        # Two more points: the hips' centre, and how far the body reaches from it.
        frame = points[_LANDMARKS : _LANDMARKS + 2]
        self._steady = self._steady or _OneEuro(frame)
        self._region = _region_of(
            *self._steady(frame, 2 * float(np.linalg.norm(frame[1] - frame[0])))
        )
        visible = sigmoid(rows[:_LANDMARKS, 3:4])
        return np.concatenate([points[:_LANDMARKS], visible], axis=1).astype(np.float32)

    def _found(self, image: np.ndarray) -> Region | None:
        found = self._detector(image)
        if not len(found.boxes):
            return None
        return _region_of(found.points[0, 0], found.points[0, 1])


def _region_of(hips: np.ndarray, reach: np.ndarray) -> Region:
    side = 2 * float(np.linalg.norm(reach - hips))
    turn = turn_between(hips, reach, np.pi / 2)
    return Region(float(hips[0]), float(hips[1]), side, side, turn).square(_MARGIN)


def _settled(points: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Landmarks moved to the mean of their heat where it is sure of them.

    Args:
        points: (N, 2), shares of the input.
        heat: (H, W, N), logits.
    """
    height, width = heat.shape[:2]
    settled = points.copy()
    columns, rows = np.trunc(points * (width, height)).astype(int).T
    for each, (x, y) in enumerate(zip(columns, rows, strict=True)):
        if not (0 <= x < width and 0 <= y < height):
            continue
        left, top = max(0, x - _REACH), max(0, y - _REACH)
        seen = sigmoid(heat[top : y + _REACH + 1, left : x + _REACH + 1, each])
        if seen.max() >= _SURE:
            total = float(seen.sum())
            settled[each, 0] = (seen.sum(0) @ np.arange(left, left + seen.shape[1])) / total / width
            settled[each, 1] = (seen.sum(1) @ np.arange(top, top + seen.shape[0])) / total / height
    return settled
