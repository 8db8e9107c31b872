# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a face in a single picture does, and how two pictures of one face differ."""

from dataclasses import dataclass

import numpy as np

from ..perception.face_mesh import FaceMesh

# Of MediaPipe's face mesh: outer corners of the eyes, lips, lids, irises.
_CORNERS = (33, 263)
_LIPS = (13, 14)
_LIDS = ((159, 145), (386, 374))
_EYES = ((33, 133), (362, 263))
_IRISES = (468, 473)
# What hardly moves with expression: forehead, nose, cheekbones, temples.
_STILL = (10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 98, 327, 50, 280, 127, 356, 234, 454, 33, 263)


@dataclass(frozen=True)
class FaceDifference:
    """How a face differs from the same face in another picture.

    Attributes:
        identity: of the shape of what hardly moves, per cent of the eye distance (RMS).
        mouth, lids: of how far they are open, per cent of the eye distance.
        gaze: of where the irises stand between the corners of the eyes, per cent of their width.
    """

    identity: float
    mouth: float
    lids: float
    gaze: float


class FaceReader:
    """The face mesh on pictures that know nothing of each other."""

    def __init__(self) -> None:
        self._mesh = FaceMesh(detected=0.3, kept=0.5)

    def read(self, picture: np.ndarray) -> np.ndarray | None:
        """The landmarks of the face in a picture, uint8 (H, W, 3) RGB; None if there is none.

        Returns:
            float64 (478, 2), pixels.
        """
        self._mesh.reset()
        points = self._mesh.read(picture)
        return None if points is None else points.astype(np.float64)


def face_difference(plate: np.ndarray, take: np.ndarray) -> FaceDifference:
    """How a take's face differs from the plate's, both (478, 2) in the same pixels."""
    scale = 100 / max(float(np.linalg.norm(np.subtract(*plate[list(_CORNERS)]))), 1e-6)

    def opening(points: np.ndarray, pair: tuple[int, int]) -> float:
        return float(np.linalg.norm(points[pair[0]] - points[pair[1]]))

    def looks(points: np.ndarray) -> np.ndarray:
        shares = []
        for iris, (first, second) in zip(_IRISES, _EYES, strict=True):
            axis = points[second] - points[first]
            length = max(float(axis @ axis), 1e-9)
            shares.append(float((points[iris] - points[first]) @ axis) / length)
        return np.array(shares)

    lids = [abs(opening(take, pair) - opening(plate, pair)) for pair in _LIDS]
    return FaceDifference(
        identity=scale * _shape_difference(plate[list(_STILL)], take[list(_STILL)]),
        mouth=scale * abs(opening(take, _LIPS) - opening(plate, _LIPS)),
        lids=scale * float(np.mean(lids)),
        gaze=100 * float(np.abs(looks(take) - looks(plate)).mean()),
    )


def _shape_difference(one: np.ndarray, other: np.ndarray) -> float:
    """RMS distance in pixels once the other is moved, turned and scaled on to the one."""
    first, second = one - one.mean(0), other - other.mean(0)
    u, sizes, v = np.linalg.svd(second.T @ first)
    flip = np.array([1.0, np.sign(np.linalg.det(u @ v))])
    turn = u @ np.diag(flip) @ v
    size = float((sizes * flip).sum()) / max(float(np.square(second).sum()), 1e-9)
    return float(np.sqrt(np.square(size * second @ turn - first).sum(1).mean()))
