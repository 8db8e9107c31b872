# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plate of the benchmark, and the arithmetic of what it must look like."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """A plate and what it must look like.

    Attributes:
        name: what it tries.
        path: the plate.
        truth: frame number -> the picture, float (H, W, 3), as linear Rec.709 or as codes of the
            plate; None where only the count of frames is known.
        numbers: the frames it must have; None for as many as are left of it.
        tolerance: mean difference, in 8-bit codes as sRGB.
        linear: `truth` is linear light, not codes.
        asked: what the user says of it.
        needs: a word that its notes or its refusal must hold, "" for none.
        timecode: of its first frame; None where it does not matter.
    """

    name: str
    path: Path
    truth: dict[int, np.ndarray] = field(default_factory=dict)
    numbers: range | None = None
    tolerance: float = 1.0
    linear: bool = False
    asked: dict[str, Any] = field(default_factory=dict)
    needs: str = ""
    timecode: str | None = None


def linear_light(codes: np.ndarray) -> np.ndarray:
    """Linear light of what is encoded as sRGB, in 0..1."""
    return np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)
