# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracks every clip of a folder: how close, how complete, how fast."""

import tempfile
import time
from pathlib import Path
from typing import Any

from ..errors import PortraitError
from ..footage.movie import MOVIE_SUFFIXES
from ..footage.plate import open_plate
from ..pipeline.reporter import Reporter
from ..pipeline.shots import create_shot
from ..pipeline.stages import run

_LONGEST = 200


def measure(footage: Path | None, out: Path) -> dict[str, Any] | None:
    """Tracks up to 200 frames of each clip; None without a folder.

    Returns:
        For each clip its residual (per cent of the eye distance), tracked frames of all, and
        frames a second over the whole job; or why it was refused.
    """
    if footage is None:
        return None
    figures: dict[str, Any] = {}
    clips = [path for path in sorted(footage.iterdir()) if path.suffix.lower() in MOVIE_SUFFIXES]
    with tempfile.TemporaryDirectory() as folder:
        for clip in clips:
            plate = open_plate(clip)
            last = min(plate.last, plate.first + _LONGEST - 1)
            plate.close()
            shot = create_shot(Path(folder) / clip.stem, clip, {})
            begun = time.monotonic()
            try:
                frames = {"frames": f"{plate.first}-{last}"}
                found = run("track", shot.path, frames, Reporter())
            except PortraitError as error:
                figures[clip.name] = f"refused: {error.message}"
                continue
            rate = found["frames"] / (time.monotonic() - begun)
            figures[clip.name] = (
                f"residual {found['landmark_residual_percent']:.2f} %, tracked"
                f" {found['tracked_frames']} of {found['frames']}, bridged"
                f" {found['bridged_frames']}, lost {found['lost_frames']},"
                f" {rate:.1f} frames/s at {plate.width}x{plate.height}"
            )
    return figures
