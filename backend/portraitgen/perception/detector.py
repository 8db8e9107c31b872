# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds faces, bodies and palms: single-shot detectors over a grid of anchors."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from .network import Network, sigmoid
from .region import Region

Kind = Literal["face_detector_full", "face_detector_short", "body_detector", "palm_detector"]

_SAME = 0.3
"""Intersection over union from which on two boxes are of one thing."""


@dataclass(frozen=True)
class _Network:
    """How a detector's network is asked.

    Attributes:
        side: of its square input, pixels.
        grids: pixels of a cell, and anchors in it.
        low: what black is to it.
    """

    side: int
    grids: tuple[tuple[int, int], ...]
    low: float


_NETWORKS: dict[Kind, _Network] = {
    "face_detector_full": _Network(192, ((4, 1),), -1.0),
    "face_detector_short": _Network(128, ((8, 2), (16, 6)), -1.0),
    "body_detector": _Network(224, ((8, 2), (16, 2), (32, 6)), -1.0),
    "palm_detector": _Network(192, ((8, 2), (16, 6)), 0.0),
}


@dataclass(frozen=True)
class Detections:
    """What was found in a picture, the surest first.

    Attributes:
        boxes: float32 (N, 4), left, top, width and height in pixels.
        points: float32 (N, K, 2), the network's key points in pixels.
        scores: float32 (N,), 0 to 1.
    """

    boxes: np.ndarray
    points: np.ndarray
    scores: np.ndarray


class Detector:
    """One of the detectors.

    Args:
        kind: the full-range face detector finds small faces, the short-range one those that fill a
            picture.
        least: score from which on something counts as found.
    """

    def __init__(self, kind: Kind, least: float) -> None:
        self._asked = _NETWORKS[kind]
        self._least = least
        self._network = Network(kind)
        self._anchors = _anchors(self._asked)

    def __call__(self, image: np.ndarray) -> Detections:
        """Everything in a picture, uint8 (H, W, 3) RGB."""
        side = self._asked.side
        region = Region.whole(image).square()
        cropped = region.crop(image, side, self._asked.low, cv2.BORDER_CONSTANT)
        coded, logits = self._network(cropped)
        scores = sigmoid(logits.reshape(-1))
        rows = np.flatnonzero(scores >= self._least)
        # Centre, size, then key points; sizes are no offsets from the anchor.
        pairs = coded[0, rows].reshape(len(rows), coded.shape[2] // 2, 2) / np.float32(side)
        pairs[:, [0, *range(2, pairs.shape[1])]] += self._anchors[rows, None]
        size = pairs[:, 1] * region.width
        low = region.in_picture(pairs[:, 0]) - size / 2
        whole = (size > 0).all(-1)
        corners = np.concatenate([low, low + size], axis=1)[whole]
        found = _merged(corners, region.in_picture(pairs[whole, 2:]), scores[rows][whole])
        return found


def _anchors(asked: _Network) -> np.ndarray:
    """Centres of all anchors, float32 (N, 2), shares of the input."""
    found = []
    for cell, count in asked.grids:
        steps = (np.arange(asked.side // cell) + 0.5) * cell / asked.side
        grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
        found.append(np.repeat(grid, count, axis=0))
    return np.concatenate(found).astype(np.float32)


def _merged(corners: np.ndarray, points: np.ndarray, scores: np.ndarray) -> Detections:
    """One detection of each thing: the mean of all boxes on it, weighted by their scores."""
    boxes, marks, best = [], [], []
    left = np.argsort(-scores, kind="stable")
    while len(left):
        same = _overlap(corners[left], corners[left[0]]) > _SAME
        same[0] = True
        rows, weights = left[same], scores[left[same]]
        low_high = np.average(corners[rows], axis=0, weights=weights)
        boxes.append(np.concatenate([low_high[:2], low_high[2:] - low_high[:2]]))
        marks.append(np.average(points[rows], axis=0, weights=weights))
        best.append(scores[left[0]])
        left = left[~same]
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(count, 4),
        np.array(marks, np.float32).reshape(count, points.shape[1], 2),
        np.array(best, np.float32),
    )


def _overlap(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Intersection over union of corners (N, 4) with those of one box."""
    shared = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    area = np.maximum(shared, 0).prod(1)
    both = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    ratio: np.ndarray = area / (both - area)
    return ratio
