# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lays the tracked performer on the plate's own pixels: the face first, then the torso below it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from ..body.camera import Camera
from ..body.model import BodyModel
from ..body.motion import Motion
from .photometric_alignment import Pictures, Workers
from .photometric_face import FaceAlignment
from .photometric_torso import TorsoAlignment

_PARTS = ("face", "torso")


def fit_photometric(
    body: BodyModel,
    motion: Motion,
    images: np.ndarray,
    mattes: np.ndarray,
    cameras: Sequence[Camera],
    step: Callable[[int], None] = lambda done: None,
    kept: Path | None = None,
) -> Motion:
    """Aligns face and torso in every frame with what all of them show.

    Args:
        body: the body model.
        motion: of exactly these frames.
        images: uint8 (F, S, S, 3), display-referred.
        mattes: uint8 (F, S, S), the performer.
        cameras: one an image.
        step: told how much of the work is done, per cent, after every frame; may raise to stop.
        kept: a folder in which a run that was stopped left how far it came.

    Returns:
        The motion with head, place and expression corrected, and the torso under the head. Frames
        that an artist fixed keep theirs. Where face or torso agree no better with the other frames
        than they did, they stay, but for leading smoothly to their neighbours.
    """
    pictures = Pictures(images, mattes, cameras)
    passes = FaceAlignment.passes() + TorsoAlignment.passes()
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        workers = Workers(pool, step, passes)
        face, torso = (kept / f"{part}.safetensors" if kept else None for part in _PARTS)
        motion = FaceAlignment(body, motion, pictures, workers).fitted(face)
        motion = TorsoAlignment(body, motion, pictures, workers).fitted(torso)
    step(100)
    return motion
