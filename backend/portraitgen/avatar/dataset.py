# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an avatar is trained on: the windows of a shot, and what is known of them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..body.motion import Motion
from ..errors import AvatarError
from ..images import to_codes
from .avatar import FrameParameters


class TrainingSet:
    """Windows and what is known of them, a row a frame.

    Args:
        motion: the motion of exactly these frames.
        colours: uint8 (N, S, S, 3), the performer's own colours.
        mattes: uint8 (N, S, S).
        Ks: float32 (N, 3, 3), at size S.
        held_out: bool (N,), rows never trained on.

    Raises:
        AvatarError: if no row is left to train on.
    """

    def __init__(
        self,
        motion: Motion,
        colours: np.ndarray,
        mattes: np.ndarray,
        Ks: np.ndarray,
        held_out: np.ndarray,
    ) -> None:
        if held_out.all():
            raise AvatarError(
                "no frame is left to learn from",
                f"{len(held_out)} tracked, all held out",
                "give more tracked frames, or hold out fewer",
            )
        self.motion = motion
        self.size = colours.shape[1]
        self.colours = torch.from_numpy(np.ascontiguousarray(colours))
        self.mattes = torch.from_numpy(np.ascontiguousarray(mattes))
        self.Ks = torch.from_numpy(np.ascontiguousarray(Ks, np.float32))
        self.hold_out(held_out)
        self.pose = torch.from_numpy(motion.pose)
        self.expression = torch.from_numpy(motion.expression)
        self.transl = torch.from_numpy(motion.transl)

    def hold_out(self, rows: np.ndarray) -> None:
        """Keeps these rows alone, bool (N,), out of training."""
        self.held_out = rows
        self.trained = [int(row) for row in np.flatnonzero(~rows)]

    def on(self, device: torch.device) -> "TrainingSet":
        """This set with its tensors on a device."""
        for name, value in list(vars(self).items()):
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))
        return self

    def parameters(self, row: int) -> FrameParameters:
        """A row's motion as it was tracked."""
        one = slice(row, row + 1)
        return FrameParameters(self.pose[one], self.expression[one], self.transl[one])

    def replace(self, row: int, colours: np.ndarray) -> None:
        """Gives a row new colours, float32 (S, S, 3) in 0..1: an edit."""
        self.colours[row] = torch.from_numpy(to_codes(colours))

    def target(self, rows: Sequence[int], size: int) -> tuple[Tensor, Tensor]:
        """Colours times alpha (B, 3, s, s) and alpha (B, 1, s, s), area-averaged."""
        alpha = rows_of(self.mattes, rows).float()[:, None] / 255
        colour = rows_of(self.colours, rows).float().permute(0, 3, 1, 2) / 255 * alpha
        if size == self.size:
            return colour, alpha
        factor = self.size // size
        return nn.functional.avg_pool2d(colour, factor), nn.functional.avg_pool2d(alpha, factor)

    def intrinsics(self, rows: Sequence[int], size: int) -> Tensor:
        """K (B, 3, 3) at a smaller size."""
        K = rows_of(self.Ks, rows)
        K[:, :2] *= size / self.size
        return K


def rows_of(values: Tensor, rows: Sequence[int]) -> Tensor:
    """A copy of some rows (N, ...), by slices: a list would be sent to the GPU and waited for."""
    return torch.cat([values[row : row + 1] for row in rows])
