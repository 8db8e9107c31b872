# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracks every clip of a folder: how close, how complete, how fast."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from portraitgen.errors import PortraitError
from portraitgen.footage.file_kind import MOVIE_SUFFIXES
from portraitgen.footage.plate import open_plate
from portraitgen.frames import spread
from portraitgen.images import to_float
from portraitgen.pipeline.data.crops import load_crops
from portraitgen.pipeline.data.edit_mask import EditMask
from portraitgen.pipeline.data.shots import Track, body_of, create_shot
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.shot import Shot

from .steadiness import NOTICED, SHUT, calm_frames, closed_lids, noticed_units, steadiness

_LONGEST = 200
_LOOKS, _SIZE = 12, 256


def measure(footage: Path | None, out: Path) -> dict[str, Any] | None:
    """Tracks up to 200 frames of each clip; None without a folder.

    Returns:
        For each clip its residual (per cent of the eye distance), tracked frames of all, frames a
        second over the whole job, and how the body's silhouette agrees with the matte (hair left
        out, intersection over union); or why it was refused. `trembling` is how still it holds,
        `curves` how many facial units an animator meets.
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
                summary = run("track", shot.path, frames, Reporter()).told()
            except PortraitError as error:
                figures[clip.name] = f"refused: {error.message}"
                continue
            rate = summary["frames"] / (time.monotonic() - begun)
            figures[clip.name] = (
                f"residual {summary['landmark_residual_percent']:.2f} %, tracked"
                f" {summary['tracked_frames']} of {summary['frames']}, bridged"
                f" {summary['bridged_frames']}, lost {summary['lost_frames']},"
                f" {rate:.1f} frames/s at {plate.width}x{plate.height},"
                f" silhouette {_silhouette(shot):.3f}"
            )
            track = Track(shot)
            body = body_of(shot)
            still = steadiness(body, track.motion, track.camera)
            figures[f"{clip.name}, trembling"] = _listed(still)
            shut = int((closed_lids(body, track.motion) > SHUT).sum())
            figures[f"{clip.name}, curves"] = (
                f"units above {NOTICED} in the calmest tenth"
                f" {noticed_units(track.motion, calm_frames(track.motion)):.1f}, in all frames"
                f" {noticed_units(track.motion, track.motion.frames.tolist()):.1f};"
                f" eyes shut in {shut} frames"
            )
    return figures


def _listed(figures: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in figures.items())


def _silhouette(shot: Shot) -> float:
    """The mean intersection over union of body and matte in some windows, both without hair."""
    track = Track(shot)
    frames = track.tracked(track.frames)
    windows = load_crops(shot, track, spread(frames, _LOOKS), _SIZE, Reporter())
    parts = EditMask(body_of(shot), track, "hair")
    parts.learn(windows)
    agreed = []
    for frame, camera, image, matte in zip(
        windows.frames, windows.cameras, windows.images, windows.mattes, strict=True
    ):
        cover = to_float(matte)
        surface = parts.surface(frame, camera)
        hair = parts.mask(surface, to_float(image), cover)
        assert hair is not None
        bald = hair < 0.5
        body, seen = (surface.face >= 0) & bald, (cover > 0.5) & bald
        agreed.append((body & seen).sum() / (body | seen).sum())
    return float(np.mean(agreed))
