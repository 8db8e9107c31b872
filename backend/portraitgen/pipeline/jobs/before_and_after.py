# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A frame before and after, side by side, as movies and sheets of quality show it."""

from pathlib import Path

import numpy as np

from ...errors import FootageError
from ...footage.crop import feather
from ...footage.plate import Plate
from ...images import read_codes, to_codes, to_float
from ..data.shots import Track


def before_and_after(
    track: Track,
    plate: Plate,
    frame: int,
    window: np.ndarray,
    drawn: np.ndarray,
    matte: np.ndarray,
    whole: bool = False,
) -> np.ndarray:
    """A frame of the movie, uint8 (S, 2 S, 3).

    Args:
        window: uint8 (S, S, 3), the plate's.
        drawn: uint8 (S, S, 3), the take as its PNG shows it.
        matte: uint8 (S, S), the performer's coverage.
        whole: whether what is drawn shows the background, too, as of a take that acts.
    """
    if whole:
        return np.hstack([window, drawn])
    size, box = window.shape[0], track.box(frame)
    before, after = to_float(window), to_float(drawn)
    alpha = (to_float(matte) * feather(box, size, plate.width, plate.height))[..., None]
    # Frames lie on grey; the plate takes its place.
    over = after + (before - 0.5) * (1 - alpha)
    return np.hstack([to_codes(before), to_codes(over)])


def read_drawn(folder: Path, take: str, frame: int) -> np.ndarray:
    """A frame that was rendered before, uint8 (S, S, 3) RGB.

    Raises:
        FootageError: if it is missing or damaged.
    """
    codes = read_codes(drawn_path(folder, take, frame))
    if codes is None:
        picture = drawn_path(folder, take, frame)
        raise FootageError("the frame is missing or damaged", picture, "render it again")
    return codes


def drawn_path(folder: Path, take: str, frame: int) -> Path:
    """Where a rendered frame lies as its picture."""
    return folder / f"{take}.{frame:04d}.png"
