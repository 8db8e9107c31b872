# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the faces that expression guidance compares: in the plate, and in its edit."""

import numpy as np

from ...editing.editor import EditRequest
from ...editing.expression import warp_to_landmarks
from ...images import to_codes
from ...tracking.landmarks import LandmarkDetector

# A face is found a little elsewhere once it is bent: the second look takes up what is left.
_LOOKS = 2


class ExpressionGuide:
    """Gives edited pictures the expressions of their plates.

    Args:
        share: how much of the way a face is brought back, 0 to 1; 0 leaves all as it is.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._detector: LandmarkDetector | None = None

    def guided(self, edited: np.ndarray, request: EditRequest) -> np.ndarray:
        """An edit (H, W, 3) whose face looks as the plate's does.

        It stays as it is where no face is found in either, and outside the request's mask.
        """
        if self._share == 0 or request.strength == 0:
            return edited
        if self._detector is None:
            self._detector = LandmarkDetector()
        bent, goal = edited, None
        for _ in range(_LOOKS):
            over = request.source + request.matte[..., None] * (bent - request.source)
            pictures = [to_codes(each) for each in (request.source, over)]
            meant, shown = self._detector.whole([0, 1], pictures).face.astype(np.float64)
            if np.isnan(meant).any() or np.isnan(shown).any():
                break
            goal = shown + self._share * (meant - shown) if goal is None else goal
            bent = warp_to_landmarks(bent, shown, goal)
        if request.mask is None:
            return bent
        return np.where(request.mask[..., None] > 0, bent, edited)
