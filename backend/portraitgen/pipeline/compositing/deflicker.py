# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steadies what an avatar shows along the plate's own motion.

Each frame of an avatar errs a little by itself: a pose that is a fraction of a pixel off, a shade
that the network saw otherwise. Along the plate's optical flow the frames before and after show the
same points of the performer; their mean errs less, and does not lag since both sides count alike.
Where the flow cannot be trusted (a lid that closes, a hand that passes) a frame keeps its own.
"""

from collections.abc import Hashable, Iterable, Mapping

import cv2
import numpy as np

from ...footage.optical_flow import alike, carried, dense_flow, trusted
from ...images import to_grey

REACH = 2
"""How many frames to either side count."""

_SAME_COLOUR = 16.0

Along = list[tuple[int, np.ndarray, np.ndarray]]
"""Frames beside one: number, flow (S, S, 2) into it, and its weight (S, S)."""


class Deflicker:
    """Finds where the frames beside one show what it shows.

    Args:
        share: how much the others count, 0 to 1 times the frame's own.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._dense = dense_flow("medium")
        self._flows: dict[tuple[int, int, Hashable], np.ndarray] = {}

    def along(self, frame: int, windows: Mapping[int, np.ndarray], place: Hashable = None) -> Along:
        """The frames beside a frame.

        Args:
            frame: its number.
            windows: uint8 (S, S, 3), the windows of it and of those that may count.
            place: names where the windows lie, if one frame is shown in several places.
        """
        self._flows = {
            pair: flow for pair, flow in self._flows.items() if min(pair[:2]) >= frame - REACH
        }
        found = []
        for other in near(frame, windows):
            flow = self._flow(frame, other, windows, place)
            surety = trusted(flow, self._flow(other, frame, windows, place))
            surety *= alike(carried(windows[other], flow), windows[frame], _SAME_COLOUR)
            found.append((other, flow, self._share * surety))
        return found

    def _flow(
        self, first: int, second: int, windows: Mapping[int, np.ndarray], place: Hashable
    ) -> np.ndarray:
        pair = (first, second, place)
        if pair not in self._flows:
            grey = [to_grey(windows[each]) for each in (first, second)]
            self._flows[pair] = self._dense(*grey)
        return self._flows[pair]


def near(frame: int, others: Iterable[int]) -> list[int]:
    """Those of some frames that count for a frame, ascending, without itself."""
    return sorted(other for other in others if 0 < abs(other - frame) <= REACH)


def deflickered(frame: int, pictures: Mapping[int, np.ndarray], along: Along) -> np.ndarray:
    """A frame's picture, the mean of what it and the frames beside it show, float32 (S, S, 3).

    Args:
        frame: its number.
        pictures: float32 (S, S, 3) of 0..1, in each frame's own window.
        along: from `Steadier.along`.
    """
    total = pictures[frame].copy()
    weight = np.ones(total.shape[:2], np.float32)
    for other, flow, share in along:
        # A bilinear mean of many frames would be soft.
        total += share[..., None] * carried(pictures[other], flow, cv2.INTER_CUBIC)
        weight += share
    mean: np.ndarray = np.clip(total / weight[..., None], 0, 1)
    return mean
