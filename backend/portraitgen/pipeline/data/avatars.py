# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between a shot's folders and the avatar's tensors."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ...avatar.avatar import Avatar, FrameParameters
from ...avatar.dataset import TrainingSet
from ...body.camera import Camera
from ...body.model import BodyModel
from ...body.motion import Motion
from ...body.surface import Surface
from ...errors import AvatarError
from ...raster.choice import best_device as device_for
from ...raster.choice import choose
from ...versions import read_version
from ..run.progress import Reporter
from .crops import Crops
from .shots import Track


def best_device() -> torch.device:
    """Where avatars are drawn and trained: the card if a rasteriser can draw there."""
    return device_for("drawing")


def tell_device(reporter: Reporter) -> None:
    """Notes how a card draws, where there is one."""
    if torch.cuda.is_available():
        reporter.note(f"{choose(torch.device('cuda')).sentence()}.")


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
        _offsets(motion, frames),
    )


@torch.no_grad()
def surface_of(track: Track, body: BodyModel, frame: int, camera: Camera) -> Surface:
    """The tracked body in a picture of a frame."""
    parameters = frame_parameters(track.motion, [frame])
    posed = body.forward(
        torch.from_numpy(track.motion.betas)[None],
        parameters.pose,
        parameters.expression,
        parameters.transl,
        vertex_offsets=parameters.offsets,
    )
    return Surface.of(body, posed.vertices[0].numpy(), camera)


def _offsets(motion: Motion, frames: Sequence[int]) -> torch.Tensor | None:
    """How the rest body is reshaped in some frames, (B, V, 3); None where it is in none."""
    found = [motion.offsets(frame) for frame in frames]
    shaped = next((each for each in found if each is not None), None)
    if shaped is None:
        return None
    none = np.zeros_like(shaped)
    return torch.from_numpy(np.stack([none if each is None else each for each in found]))


def training_set(
    motion: Motion, windows: Crops, colours: np.ndarray, held_out: np.ndarray
) -> TrainingSet:
    """A training set of windows; `motion` may hold more frames."""
    rows = np.array([motion.index(frame) for frame in windows.frames])
    Ks = np.stack([camera.matrix() for camera in windows.cameras])
    return TrainingSet(motion.rows(rows), colours, windows.mattes, Ks, held_out)
