# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plate of several shots: its parts between the cuts, and a shot folder for each with a face."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...errors import FootageError
from ...footage.plate import Plate, open_plate
from ...shot import Shot
from ...tracking.cuts import find_cuts
from ..data.shots import create_shot, plate_options
from .faces import parts_with_faces

_SIZE = (64, 36)


def _parts(plate: Plate, frames: range) -> list[range]:
    thumbnails = [
        cv2.resize(image, _SIZE, interpolation=cv2.INTER_AREA)
        for _, image in plate.frames_uint8(frames, exact=False)
    ]
    cuts = find_cuts(np.array(frames), np.stack(thumbnails))
    starts = [frames[0], *cuts]
    ends = [*cuts, frames[-1] + 1]
    return [range(start, end) for start, end in zip(starts, ends, strict=True)]


def split_at_cuts(
    footage: Path,
    folder: Path,
    facts: Mapping[str, Any],
    span: tuple[int, int] | None = None,
) -> list[tuple[range, Shot | None]]:
    """Makes a shot of each part of a plate that shows a face, called by its frames.

    Args:
        footage: a movie, an image sequence or a photo.
        folder: where the shot folders go.
        facts: what the user says of the plate, as `create_shot` takes it.
        span: first and last frame of what is looked at; all by default.

    Returns:
        The parts in their order, each with its shot; None for bars, slates and other parts without
        a face. Where no part shows one, each has a shot.

    Raises:
        FootageError: if the plate cannot be read.
    """
    said = {name: value for name, value in facts.items() if name != "body_model"}
    with closing(open_plate(footage, **plate_options(said))) as plate:
        frames = plate.numbers
        if span is not None:
            frames = range(max(span[0], plate.first), min(span[1], plate.last) + 1)
        if not frames:
            raise FootageError(
                "there are no frames to split", footage, f"use {plate.first} to {plate.last}"
            )
        parts = _parts(plate, frames)
        shown = parts_with_faces(plate, parts)
    if not any(shown):
        shown = [True] * len(parts)
    stem = footage.stem or "shot"
    return [
        (
            part,
            create_shot(folder / f"{stem}_{part[0]}-{part[-1]}", footage, facts) if face else None,
        )
        for part, face in zip(parts, shown, strict=True)
    ]
