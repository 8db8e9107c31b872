# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer's motion: the body parameters of every frame, as tracked or left by an artist."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import Tensor

from ..errors import ShotError
from .model import BodyModel, BodyOutput

# For `posed`, where only joints and rotations are wanted.
ANY_VERTEX = torch.zeros(1, dtype=torch.int64)

_TENSORS = ("frames", "betas", "transl", "pose", "expression", "valid", "fixed")


@dataclass(frozen=True)
class Motion:
    """Body parameters over frames, in the camera space of the plate (OpenCV axes, metres).

    Attributes:
        frames: int64 (F,), frame numbers of the footage, ascending.
        betas: float32 (S,), identity.
        transl: float32 (F, 3), added after skinning.
        pose: float32 (F, 55, 3), axis-angle in SMPL-X's joint order; joint 0 turns the whole body
            about its pelvis into camera space.
        expression: float32 (F, E), one value a facial unit.
        valid: bool (F,), False where the performer was not seen and the values are bridged.
        fixed: bool (F,), True where an artist set the frame and solvers must keep it.
    """

    frames: np.ndarray
    betas: np.ndarray
    transl: np.ndarray
    pose: np.ndarray
    expression: np.ndarray
    valid: np.ndarray
    fixed: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def index(self, frame: int) -> int:
        """The row of a frame number.

        Raises:
            KeyError: if the motion does not hold that frame.
        """
        row = int(np.searchsorted(self.frames, frame))
        if row == len(self.frames) or self.frames[row] != frame:
            raise KeyError(frame)
        return row

    def rows(self, rows: np.ndarray) -> "Motion":
        """The same identity at some rows only."""
        return replace(
            self,
            **{
                name: getattr(self, name)[rows]
                for name in ("frames", "transl", "pose", "expression", "valid", "fixed")
            },
        )

    def digest(self) -> str:
        """A sha256 of all that it holds."""
        whole = hashlib.sha256()
        for name in _TENSORS:
            whole.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return whole.hexdigest()

    def save(self, path: Path) -> None:
        """Writes params.safetensors; `path` must not be visible to readers yet."""
        save_file({name: np.ascontiguousarray(getattr(self, name)) for name in _TENSORS}, str(path))

    @classmethod
    def load(cls, path: Path) -> "Motion":
        """Reads params.safetensors.

        Raises:
            ShotError: if the file is damaged or lacks a tensor.
        """
        try:
            tensors = load_file(str(path))
            return cls(**{name: tensors[name] for name in _TENSORS})
        except (OSError, SafetensorError, KeyError) as error:
            raise ShotError(
                f"the track's parameters cannot be read ({error})", path, "track the shot again"
            ) from error


@torch.no_grad()
def posed(body: BodyModel, motion: Motion, vertices: Tensor | None = None) -> BodyOutput:
    """The body in every frame of a motion, in camera space.

    Args:
        vertices: int64 (N,), the only vertices wanted.
    """
    return body.forward(
        torch.from_numpy(motion.betas)[None],
        torch.from_numpy(motion.pose),
        torch.from_numpy(motion.expression),
        torch.from_numpy(motion.transl),
        vertices=vertices,
    )
