# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The portrait windows of a shot, cut from its plate with their mattes."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

import cv2
import numpy as np

from ...body.camera import Box, Camera
from ...footage.crop import crop
from ...footage.plate import Plate
from ...shot import Shot
from ..run.progress import Reporter, Stage
from .shots import Track, plate_of

LARGEST = 2048
"""The largest side at which a window is painted, or a frame of it edited to look at."""
_LEAST = 512


@dataclass(frozen=True)
class Crops:
    """Windows at the working size.

    Attributes:
        frames: their frame numbers, ascending.
        images: uint8 (N, S, S, 3), display-referred.
        mattes: uint8 (N, S, S), the performer's coverage.
        cameras: one a window.
    """

    frames: list[int]
    images: np.ndarray
    mattes: np.ndarray
    cameras: list[Camera]

    def row(self, frame: int) -> int:
        """The row of a frame number."""
        return self.frames.index(frame)

    def rows(self, frames: Iterable[int]) -> list[int]:
        """The rows of some frames, of those there are."""
        return [self.row(frame) for frame in frames if frame in self.frames]

    def some(self, rows: Sequence[int]) -> "Crops":
        """Some rows of them."""
        return Crops(
            [self.frames[row] for row in rows],
            self.images[rows],
            self.mattes[rows],
            [self.cameras[row] for row in rows],
        )


def load_crops(
    shot: Shot,
    track: Track,
    frames: Iterable[int],
    size: int,
    reporter: Reporter,
    plate: Plate | None = None,
) -> Crops:
    """Cuts the windows of some frames.

    Args:
        plate: the shot's, if it is open already; it stays so.

    Raises:
        FootageError: if the plate is gone or has changed.
        ShotError: if a matte is missing.
    """
    wanted = list(frames)
    images = np.empty((len(wanted), size, size, 3), np.uint8)
    mattes = np.empty((len(wanted), size, size), np.uint8)
    stage = Stage(reporter, "read plate", len(wanted))
    with ExitStack() as opened:
        if wanted and plate is None:
            plate = opened.enter_context(closing(plate_of(shot, reporter)))
        for row, (frame, image) in enumerate(plate.frames_uint8(wanted) if plate else ()):
            images[row], _ = crop(image, track.box(frame), size)
            mattes[row] = load_matte(track, frame, size)
            stage.step(row + 1)
    cameras = [track.camera.window(track.box(frame), size) for frame in wanted]
    return Crops(wanted, images, mattes, cameras)


def load_matte(track: Track, frame: int, size: int | None = None) -> np.ndarray:
    """The matte of a frame's window, uint8 (S, S), at its own size or resampled.

    Raises:
        ShotError: if it is missing or damaged.
    """
    matte = track.matte(frame)
    if size is None or matte.shape[0] == size:
        return matte.copy()
    how = cv2.INTER_AREA if size < matte.shape[0] else cv2.INTER_CUBIC
    return cv2.resize(matte, (size, size), interpolation=how)


def painting_side(box: Box) -> int:
    """The side in pixels at which a window is painted."""
    return int(np.clip(round(box.side), _LEAST, LARGEST))
