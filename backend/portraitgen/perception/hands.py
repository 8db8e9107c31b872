# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""21 landmarks of each hand, followed from picture to picture."""

import numpy as np

from .detector import Detector
from .network import Network
from .region import Region, turn_between

_SIDE = 224
_HANDS = 2
_SURE = 0.5
_SAME = 0.5
# What of a hand does not bend away: the wrist, the thumb and the roots of the fingers.
_PALM = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)


class Hands:
    """Follows the hands of one person."""

    def __init__(self) -> None:
        self._detector = Detector("palm_detector", _SURE)
        self._network = Network("hand")
        self._regions: list[Region] = []

    def reset(self) -> None:
        """Forgets where the hands were: the next picture is searched for them."""
        self._regions = []

    def read(self, image: np.ndarray) -> list[np.ndarray]:
        """The landmarks of each hand, float32 (21, 2), pixels.

        While fewer than two are followed, palms are looked for as well.

        Args:
            image: uint8 (H, W, 3) RGB.
        """
        regions: list[Region] = []
        if len(self._regions) < _HANDS:
            for region in self._found(image):
                regions = _added(regions, region)
        for region in self._regions:
            regions = _added(regions, region)
        hands = [hand for region in regions if (hand := self._placed(image, region)) is not None]
        self._regions = [_region_round(hand) for hand in hands]
        return hands

    def _found(self, image: np.ndarray) -> list[Region]:
        found = self._detector(image)
        regions = []
        for box, points in zip(found.boxes[:_HANDS], found.points[:_HANDS], strict=True):
            turn = turn_between(points[0], points[2], np.pi / 2)
            around = Region.around(np.stack([box[:2], box[:2] + box[2:]]), turn)
            regions.append(around.square(2.6, down=-0.5))
        return regions

    def _placed(self, image: np.ndarray, region: Region) -> np.ndarray | None:
        coded, flag = self._network(region.crop(image, _SIDE))
        if float(flag.reshape(-1)[0]) <= _SURE:
            return None
        return region.in_picture(coded.reshape(-1, 3)[:, :2] / _SIDE).astype(np.float32)


def _added(regions: list[Region], region: Region) -> list[Region]:
    """Regions with one more, which takes the place of those it overlaps."""
    return [*(each for each in regions if region.overlap(each) <= _SAME), region]


def _region_round(hand: np.ndarray) -> Region:
    roots = ((hand[5] + hand[13]) / 2 + hand[9]) / 2
    turn = turn_between(hand[0], roots, np.pi / 2)
    palm = hand[list(_PALM)]
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    upright = palm @ axes
    low, high = upright.min(0), upright.max(0)
    x, y = axes @ ((low + high) / 2)
    width, height = high - low
    region = Region(float(x), float(y), float(width), float(height), turn)
    return region.square(2.0, down=-0.1)
