# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between a shot's folders and the avatar's tensors."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ...avatar.avatar import Avatar, FrameParameters
from ...avatar.dataset import TrainingSet
from ...body.model import BodyModel
from ...body.motion import Motion
from ...errors import AvatarError
from .crops import Crops
from .versions import read_version


def best_device() -> torch.device:
    """The CUDA device if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_avatar(folder: Path, body: BodyModel) -> Avatar:
    """The avatar of a version or of an edit, on the device that is to work with it.

    Raises:
        ShotError, AvatarError: if it is damaged; names the version that is whole.
    """
    return read_version(folder, lambda each: Avatar.load(each / "avatar.safetensors", body)).on(
        best_device()
    )


def frame_parameters(motion: Motion, frames: Sequence[int]) -> FrameParameters:
    """The parameters of some frames as tensors.

    Raises:
        AvatarError: if the motion does not hold a frame.
    """
    try:
        rows = [motion.index(frame) for frame in frames]
    except KeyError as error:
        raise AvatarError("the frame is not tracked", f"frame {error}", "track it first") from None
    return FrameParameters(
        torch.from_numpy(motion.pose[rows]),
        torch.from_numpy(motion.expression[rows]),
        torch.from_numpy(motion.transl[rows]),
    )


def training_set(
    motion: Motion, windows: Crops, colours: np.ndarray, held_out: np.ndarray
) -> TrainingSet:
    """A training set of windows; `motion` may hold more frames."""
    rows = np.array([motion.index(frame) for frame in windows.frames])
    Ks = np.stack([camera.matrix() for camera in windows.cameras])
    return TrainingSet(motion.rows(rows), colours, windows.mattes, Ks, held_out)
