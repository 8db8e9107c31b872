# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How MediaPipe answers to a head: its landmarks are not quite the points they stand for.

It sees a turned head turned farther, a nodding one less, a raised brow lower than it is, and puts
every point a little beside its place. What it does to renderings of the open body, whose truth is
known, was measured once (`backend/tools/landmark_bias.py`) and is taken into account; on real
faces of real clips that explains about a quarter of what the mesh left unexplained.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import safe_open

from ..body.model import BodyModel

LANDMARK_BIAS = Path(__file__).parent / "data" / "landmark_bias.safetensors"


@dataclass(frozen=True)
class LandmarkBias:
    """Displacements of the landmarks in metres, in the head's axes.

    Attributes:
        static: float64 (L, 3), always there.
        view: float64 (5, L, 3), times each of `view_features`.
        units: float64 (E, L, 3), times each facial unit's value.
    """

    static: np.ndarray
    view: np.ndarray
    units: np.ndarray

    @classmethod
    def of(cls, body: BodyModel) -> "LandmarkBias | None":
        """What was measured on a body model; None for another than the open body."""
        with safe_open(str(LANDMARK_BIAS), framework="numpy") as stored:
            if stored.metadata()["body"] != body.sha256:
                return None
            names = ("static", "view", "units")
            return cls(*(stored.get_tensor(name).astype(np.float64) for name in names))

    def seen_from(self, rotation: np.ndarray) -> np.ndarray:
        """The part that depends on the direction of view, (F, L, 3).

        Args:
            rotation: (F, 3, 3), head space to camera space.
        """
        seen: np.ndarray = np.einsum("fk,klc->flc", view_features(rotation), self.view)
        return seen


def view_features(rotation: np.ndarray) -> np.ndarray:
    """Of the direction in which the head sees the camera: x, y, x^2, y^2 and xy, (F, 5)."""
    x, y = -rotation[:, 2, 0], -rotation[:, 2, 1]
    return np.stack([x, y, x * x, y * y, x * y], axis=1)
