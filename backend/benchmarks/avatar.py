# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconstruction of a real clip's head window, on held-out frames."""

import statistics
import tempfile
import time
from pathlib import Path

import torch

from portraitgen.pipeline.data.shots import create_shot
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter

CLIP = "upper_body_1080p.mp4"
_FRAMES = "1-120"
_STEPS = 1400


class _Timed(Reporter):
    """Notes when each training step ends, and when pictures come."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[int, float]] = []
        self.pictures: list[float] = []

    def progress(
        self, stage: str, step: int, steps: int, eta_s: float | None, metrics: dict[str, float]
    ) -> None:
        """Keeps the time of a training step."""
        if stage == "train":
            self.steps.append((step, time.monotonic()))

    def preview(self, path: Path) -> None:
        """Keeps the time of a picture."""
        self.pictures.append(time.monotonic())


def measure(footage: Path | None, out: Path) -> dict[str, float] | None:
    """Tracks and rebuilds 120 frames, every eighth held out; None without the clip.

    Returns:
        PSNR (dB), SSIM and alpha error inside the matte on held-out frames, seconds to the first
        picture and to the first of the avatar while it trains, seconds of training,
        and milliseconds of a step at full size (256 pixels, 16 384 Gaussians, batch 1).
    """
    if footage is None or not (footage / CLIP).exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        shot = create_shot(Path(folder) / "shot", footage / CLIP, {})
        run("track", shot.path, {"frames": _FRAMES}, Reporter())
        timed, begun = _Timed(), time.monotonic()
        found = run("reconstruct", shot.path, {"steps": _STEPS}, timed)
    fine = [(step, at) for step, at in timed.steps if step > 0.5 * _STEPS]
    paces = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(fine, fine[1:], strict=False)]
    return {
        "held_out_psnr_db": found.told()["psnr"],
        "held_out_ssim": found.told()["ssim"],
        "alpha_error": found.told()["alpha_error"],
        "held_out_frames": found.told()["held_out_frames"],
        "first_picture_seconds": timed.pictures[0] - begun,
        "first_trained_picture_seconds": timed.pictures[1] - begun,
        "training_seconds": timed.steps[-1][1] - timed.steps[0][1],
        "steps": _STEPS,
        "step_ms": 1e3 * statistics.median(paces),
        "threads": torch.get_num_threads(),
    }
