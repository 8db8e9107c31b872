# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A turned rectangle of a picture, what a network sees of it, and the way back."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..images import to_float


@dataclass(frozen=True)
class Region:
    """A turned rectangle of a picture.

    Attributes:
        x, y: its centre, pixels.
        width, height: its sides, pixels.
        turn: clockwise, radians.
    """

    x: float
    y: float
    width: float
    height: float
    turn: float = 0.0

    @classmethod
    def whole(cls, image: np.ndarray) -> "Region":
        """All of a picture."""
        height, width = image.shape[:2]
        return cls(width / 2, height / 2, width, height)

    @classmethod
    def around(cls, points: np.ndarray, turn: float) -> "Region":
        """The upright box of points (N, 2), to be turned about its centre."""
        low, high = points.min(0), points.max(0)
        x, y = (low + high) / 2
        width, height = high - low
        return cls(float(x), float(y), float(width), float(height), turn)

    def square(self, scale: float = 1.0, down: float = 0.0) -> "Region":
        """A square on its longer side.

        Args:
            scale: of the longer side.
            down: how far it is moved along its own y axis, in its heights.
        """
        side = scale * max(self.width, self.height)
        x = self.x - down * self.height * float(np.sin(self.turn))
        y = self.y + down * self.height * float(np.cos(self.turn))
        return replace(self, x=x, y=y, width=side, height=side)

    def crop(
        self, image: np.ndarray, side: int, low: float = 0.0, edge: int = cv2.BORDER_REPLICATE
    ) -> np.ndarray:
        """What lies in it, as networks take it.

        Args:
            image: uint8 (H, W, 3).
            side: pixels of the square that it is drawn into.
            low: what black becomes; white becomes 1.
            edge: OpenCV's way to go on beyond the picture.

        Returns:
            float32 (1, side, side, 3).
        """
        to_picture = np.vstack([self._matrix() / (side, side, 1), (0, 0, 1)])
        # Not warpAffine: it rounds places otherwise, and landmarks follow.
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cropped = cv2.warpPerspective(image, to_picture, (side, side), flags=flags, borderMode=edge)
        seen = to_float(cropped)
        if low:
            seen = seen * np.float32(1 - low) + np.float32(low)
        return seen[None]

    def in_picture(self, shares: np.ndarray) -> np.ndarray:
        """Points (..., 2) from shares of its sides to pixels of the picture."""
        matrix = self._matrix()
        points: np.ndarray = shares @ matrix[:, :2].T + matrix[:, 2]
        return points

    def overlap(self, other: "Region") -> float:
        """Intersection over union of two regions as if both stood upright."""
        wide = min(self.x + self.width / 2, other.x + other.width / 2)
        wide -= max(self.x - self.width / 2, other.x - other.width / 2)
        high = min(self.y + self.height / 2, other.y + other.height / 2)
        high -= max(self.y - self.height / 2, other.y - other.height / 2)
        shared = max(wide, 0.0) * max(high, 0.0)
        return shared / (self.width * self.height + other.width * other.height - shared)

    def _matrix(self) -> np.ndarray:
        """From shares of its sides to the picture, (2, 3)."""
        cos, sin = float(np.cos(self.turn)), float(np.sin(self.turn))
        axes = np.array(
            [[cos * self.width, -sin * self.height], [sin * self.width, cos * self.height]]
        )
        corner = (self.x, self.y) - axes @ (0.5, 0.5)
        return np.column_stack([axes, corner])


def turn_between(start: np.ndarray, end: np.ndarray, upright: float) -> float:
    """How far a picture is turned, where start to end should point at an angle, radians.

    Args:
        start, end: (2,), pixels.
        upright: the angle, counter-clockwise from the x axis.
    """
    x, y = end - start
    turn = upright - float(np.arctan2(-y, x))
    return turn - 2 * np.pi * float(np.floor((turn + np.pi) / (2 * np.pi)))
