# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pinhole camera of a plate and of the windows cut from it."""

from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import numpy as np

from ..records import CameraRecord


class Box(NamedTuple):
    """A square of the plate: left and top edge and side, in plate pixels (may leave the plate)."""

    x: float
    y: float
    side: float


@dataclass(frozen=True)
class Camera:
    """Pinhole camera with OpenCV axes (x right, y down, z forward), metres in, pixels out.

    Pixel centres lie at +0.5, so the image spans [0, width] x [0, height].
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def matrix(self) -> np.ndarray:
        """The intrinsics K, float32 (3, 3)."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float32)

    def window(self, box: Box, size: int) -> "Camera":
        """The camera of the square `box` resampled to size x size pixels.

        Example:
            >>> camera = Camera(fx=1000, fy=1000, cx=320, cy=240, width=640, height=480)
            >>> camera.window(Box(200, 100, 256), 128)
            Camera(fx=500.0, fy=500.0, cx=60.0, cy=70.0, width=128, height=128)
        """
        scale = size / box.side
        return Camera(
            self.fx * scale,
            self.fy * scale,
            (self.cx - box.x) * scale,
            (self.cy - box.y) * scale,
            size,
            size,
        )

    def part(self, rows: slice, columns: slice) -> "Camera":
        """The camera of some rows and columns of its picture."""
        return replace(
            self,
            cx=self.cx - columns.start,
            cy=self.cy - rows.start,
            width=columns.stop - columns.start,
            height=rows.stop - rows.start,
        )

    def resized(self, width: int, height: int) -> "Camera":
        """The camera of its whole picture resampled to another size."""
        across, down = width / self.width, height / self.height
        return Camera(
            self.fx * across, self.fy * down, self.cx * across, self.cy * down, width, height
        )

    def project(self, points: np.ndarray) -> np.ndarray:
        """Camera-space points (..., 3) in metres to pixels (..., 2).

        Example:
            >>> camera = Camera(fx=1000, fy=1000, cx=320, cy=240, width=640, height=480)
            >>> camera.project(np.array([0.1, 0.0, 2.0]))
            array([370., 240.])
        """
        points = np.asarray(points)
        x = self.fx * points[..., 0] / points[..., 2] + self.cx
        y = self.fy * points[..., 1] / points[..., 2] + self.cy
        return np.stack([x, y], axis=-1)

    def record(self) -> CameraRecord:
        """For track.json."""
        return CameraRecord(**asdict(self))

    @classmethod
    def of(cls, record: CameraRecord) -> "Camera":
        """The inverse of `record`."""
        return cls(record.fx, record.fy, record.cx, record.cy, record.width, record.height)


def orbit(centre: np.ndarray, degrees: float) -> np.ndarray:
    """A camera's space to that of one carried round a point, upright, (4, 4) float64.

    Args:
        centre: (3,), the point in the first camera's space, metres.
        degrees: how far round.
    """
    turn, view = np.radians(degrees), np.eye(4)
    view[0, 0] = view[2, 2] = np.cos(turn)
    view[0, 2], view[2, 0] = np.sin(turn), -np.sin(turn)
    view[:3, 3] = centre - view[:3, :3] @ centre
    return view
