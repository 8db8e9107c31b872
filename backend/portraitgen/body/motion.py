# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer's motion: the body parameters of every frame, as tracked or left by an artist."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ShotError
from ..tensors import DamagedTensors, load_arrays, save_arrays

if TYPE_CHECKING:
    # Motion is read by all that tells of a shot, torch loaded by what poses bodies.
    from .model import BodyModel, BodyOutput

# For `posed`, where only joints and rotations are wanted.
ANY_VERTEX = np.zeros(1, np.int64)

# The kinds of those that are no float32, and how far values may go: beyond, a file is damaged.
_KINDS = {"frames": "i", "valid": "b", "fixed": "b"}
_LARGEST = {"frames": 1e8, "betas": 1e3, "transl": 1e5, "pose": 1e3, "expression": 1e3}
_TENSORS = ("frames", "betas", "transl", "pose", "expression", "valid", "fixed")
_FLOATS = ("betas", "transl", "pose", "expression")


@dataclass(frozen=True)
class Motion:
    """Body parameters over frames, in the camera space of the plate (OpenCV axes, metres).

    Attributes:
        frames: int64 (F,), frame numbers of the footage, ascending.
        betas: float32 (S,), identity, or (S + E,): the last ones are its neutral face, added to the
            expression of every frame.
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

    def offsets(self, frame: int) -> np.ndarray | None:
        """How the rest body is reshaped in a frame, float32 (V, 3), metres; None, as no track is.

        A performer who is acted otherwise may be.
        """
        return None

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

    def neutral(self, body: "BodyModel") -> np.ndarray:
        """What the identity's neutral face adds to every expression, float32 (E,).

        Raises:
            BodyError: if the motion is another body's.
        """
        body.check_counts(len(self.betas), self.expression.shape[1])
        neutral = np.zeros(body.n_expression, np.float32)
        neutral[: len(self.betas) - body.n_shape] = self.betas[body.n_shape :]
        return neutral

    def save(self, path: Path) -> None:
        """Writes params.safetensors in one step."""
        save_arrays(path, {name: getattr(self, name) for name in _TENSORS})

    @classmethod
    def load(cls, path: Path) -> "Motion":
        """Reads params.safetensors.

        Raises:
            ShotError: if the file is damaged, lacks a tensor, or holds what no performer does.
        """
        try:
            tensors = load_arrays(path)
            motion = cls(**{name: tensors[name] for name in _TENSORS})
            motion._check()
        except (DamagedTensors, KeyError, TypeError) as error:
            raise ShotError(
                f"the track's parameters cannot be read ({error})", path, "track the shot again"
            ) from error
        exact = {name: getattr(motion, name).astype(np.float32, copy=False) for name in _FLOATS}
        return replace(motion, frames=motion.frames.astype(np.int64, copy=False), **exact)

    def _check(self) -> None:
        count, units = len(self.frames), self.expression.shape[-1:]
        shapes = {
            "frames": (count,),
            "betas": self.betas.shape[:1],
            "transl": (count, 3),
            "pose": (count, 55, 3),
            "expression": (count, *units),
            "valid": (count,),
            "fixed": (count,),
        }
        for name, shape in shapes.items():
            values, kind = getattr(self, name), _KINDS.get(name, "f")
            if values.shape != shape or values.dtype.kind != kind:
                raise DamagedTensors(f"'{name}' is {values.dtype} {values.shape}, not {shape}")
            if kind == "f" and values.size and np.abs(values).max() > _LARGEST[name]:
                raise DamagedTensors(f"'{name}' holds {np.abs(values).max():g}")
        frames = self.frames
        if not count or (np.diff(frames) <= 0).any() or np.abs(frames).max() > _LARGEST["frames"]:
            raise DamagedTensors("its frames do not follow one another")


def posed(body: "BodyModel", motion: Motion, vertices: np.ndarray | None = None) -> "BodyOutput":
    """The body in every frame of a motion, in camera space.

    Args:
        vertices: int64 (N,), the only vertices wanted.
    """
    import torch

    with torch.no_grad():
        return body.forward(
            torch.from_numpy(motion.betas)[None],
            torch.from_numpy(motion.pose),
            torch.from_numpy(motion.expression),
            torch.from_numpy(motion.transl),
            vertices=None if vertices is None else torch.from_numpy(vertices),
        )
