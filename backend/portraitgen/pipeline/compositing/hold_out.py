# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the plate stays before an edit: a hand, a microphone, whatever an artist has masked."""

from collections.abc import Sequence

import numpy as np

from ...footage.given_mattes import GivenMattes
from ...footage.plate import Plate
from ...images import to_float
from ...path_mapping import given_path


class HoldOut:
    """A mask over the plate, white where the edit does not show.

    Args:
        text: its file, empty for none.
        plate: whose frames they are; frames: those that are needed.

    Raises:
        FootageError: if it cannot be read, lacks a frame, or has another shape.
    """

    def __init__(self, text: str, plate: Plate, frames: Sequence[int]) -> None:
        self._given = GivenMattes(given_path(text), plate, frames) if text else None

    @property
    def digest(self) -> str:
        """Changes when the files do; empty without a mask."""
        return self._given.digest() if self._given else ""

    def cover(self, frame: int) -> np.ndarray | None:
        """How far the plate stays before the edit, float32 (H, W); None without a mask."""
        return to_float(self._given.read(frame)) if self._given else None

    def close(self) -> None:
        """Closes the files."""
        if self._given:
            self._given.close()
