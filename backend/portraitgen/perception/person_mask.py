# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pixels belong to a person."""

import cv2
import numpy as np

from .network import Network
from .region import Region

_SIDE = 256


class PersonMask:
    """Tells people from what is behind them."""

    def __init__(self) -> None:
        self._network = Network("person_mask")

    def read(self, image: np.ndarray) -> np.ndarray:
        """How far each pixel belongs to a person, 0 to 1.

        Args:
            image: uint8 (H, W, 3) RGB, drawn square for the network.

        Returns:
            float32 (H, W).
        """
        cropped = Region.whole(image).crop(image, _SIDE, edge=cv2.BORDER_CONSTANT)
        (mask,) = self._network(cropped)
        return cv2.resize(mask[0, ..., 0], image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
