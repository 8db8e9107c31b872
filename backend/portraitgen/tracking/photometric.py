# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lays the tracked performer on the plate's own pixels: the face first, then the torso below it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from ..body.camera import Camera
from ..body.model import BodyModel
from ..body.motion import Motion
from .photometric_alignment import Pictures, Workers
from .photometric_face import FaceAlignment
from .photometric_torso import TorsoAlignment


def fit_photometric(
    body: BodyModel,
    motion: Motion,
    images: np.ndarray,
    mattes: np.ndarray,
    cameras: Sequence[Camera],
    step: Callable[[int], None] = lambda done: None,
) -> Motion:
    """Aligns face and torso in every frame with what all of them show.

    Args:
        body: the body model.
        motion: of exactly these frames.
        images: uint8 (F, S, S, 3), display-referred.
        mattes: uint8 (F, S, S), the performer.
        cameras: one an image.
        step: told how much of the work is done, per cent, after every frame; may raise to stop.

    Returns:
        The motion with head, place and expression corrected, and the torso under the head. Frames
        that an artist fixed keep theirs, and so do face or torso where they agree no better with
        the other frames than they did.
    """
    pictures = Pictures(images, mattes, cameras)
    passes = FaceAlignment.passes() + TorsoAlignment.passes()
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        workers = Workers(pool, step, passes)
        motion = FaceAlignment(body, motion, pictures, workers).fitted()
        motion = TorsoAlignment(body, motion, pictures, workers).fitted()
    step(100)
    return motion
