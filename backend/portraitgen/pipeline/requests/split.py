# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plate of several shots: its parts between the cuts, and a shot folder for each."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...footage.plate import Plate, open_plate
from ...shot import Shot
from ...tracking.cuts import find_cuts
from ..data.shots import create_shot, plate_options

_SIZE = (64, 36)


def parts_of_plate(footage: Path, facts: Mapping[str, Any]) -> list[range]:
    """The frames between a plate's cuts, part for part.

    Args:
        footage: a movie, an image sequence or a photo.
        facts: what the user says of it, as `create_shot` takes it.

    Raises:
        FootageError: if it cannot be read.
    """
    with closing(open_plate(footage, **plate_options(facts))) as plate:
        return _parts(plate)


def _parts(plate: Plate) -> list[range]:
    numbers = np.array(plate.numbers)
    thumbnails = [
        cv2.resize(image, _SIZE, interpolation=cv2.INTER_AREA)
        for _, image in plate.frames_uint8(exact=False)
    ]
    cuts = find_cuts(numbers, np.stack(thumbnails))
    starts = [plate.first, *cuts]
    ends = [*cuts, plate.last + 1]
    return [range(start, end) for start, end in zip(starts, ends, strict=True)]


def split_at_cuts(
    footage: Path, folder: Path, facts: Mapping[str, Any]
) -> list[tuple[Shot, range]]:
    """Makes a shot of each part of a plate, called by its frames.

    Args:
        footage, facts: as for `parts_of_plate`.
        folder: where the shot folders go.

    Returns:
        The shots with the frames to track in each.

    Raises:
        FootageError: if the plate cannot be read.
    """
    said = {name: value for name, value in facts.items() if name != "body_model"}
    parts = parts_of_plate(footage, said)
    stem = footage.stem or "shot"
    return [
        (create_shot(folder / f"{stem}_{part[0]}-{part[-1]}", footage, facts), part)
        for part in parts
    ]
