# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of an edit shows over time."""

from collections.abc import Iterable

import numpy as np

from ...errors import OptionError


def mix_of(text: str, frames: Iterable[int]) -> dict[int, float]:
    """The share of the edit that shows in each frame, 0..1.

    Args:
        text: one number for all frames, or keys as "1001:0,1020:1", between which it changes
            linearly and beyond which it stays.
        frames: plate frame numbers.

    Raises:
        OptionError: if the text is neither, or a share lies outside 0..1.
    """
    keys = _keys(text)
    numbers = np.array(sorted(keys), np.float64)
    shares = np.array([keys[int(number)] for number in numbers])
    return {frame: float(np.interp(frame, numbers, shares)) for frame in frames}


def _keys(text: str) -> dict[int, float]:
    keys = {}
    for part in text.split(","):
        number, colon, share = part.rpartition(":")
        try:
            key, value = int(number) if colon else 0, float(share)
        except ValueError:
            key, value = 0, -1.0
        if not 0 <= value <= 1:
            raise OptionError(
                f"{part.strip() or 'nothing'} is no share of the edit",
                "mix",
                "give a number from 0 to 1, or keys as 1001:0,1020:1",
            )
        keys[key] = value
    return keys
