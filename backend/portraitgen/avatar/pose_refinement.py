# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Corrections of the tracked motion that are learned together with the avatar."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..body.motion import Motion
from .avatar import FrameParameters
from .dataset import rows_of

_REFINED_JOINTS = (9, 12, 15)


class Refinement(nn.Module):
    """Small corrections of the tracked motion, trained with the avatar.

    Args:
        motion: the tracked motion; frames the artist fixed get none.
        bounds: the least and the greatest value of an expression.
        steady: (S, S), from `steady_shapes`.
    """

    _free: Tensor
    _joints: Tensor
    _steady: Tensor

    def __init__(self, motion: Motion, bounds: tuple[float, float], steady: Tensor) -> None:
        super().__init__()
        self._bounds = bounds
        count = len(motion)
        self.identity = nn.Parameter(torch.zeros(len(motion.betas)))
        self.pose = nn.Parameter(torch.zeros(count, len(_REFINED_JOINTS), 3))
        self.expression = nn.Parameter(torch.zeros(count, motion.expression.shape[1]))
        self.transl = nn.Parameter(torch.zeros(count, 3))
        self.register_buffer("_joints", torch.tensor(_REFINED_JOINTS), persistent=False)
        self.register_buffer("_steady", steady, persistent=False)
        self.register_buffer("_free", torch.from_numpy(~motion.fixed).float(), persistent=False)

    @property
    def shape(self) -> Tensor:
        """What is added to the identity, (S,)."""
        return self._steady @ self.identity

    def apply_to(self, parameters: FrameParameters, rows: Sequence[int]) -> FrameParameters:
        """The corrected parameters of some rows."""
        free = rows_of(self._free, rows)[:, None]
        pose, joints = parameters.pose.clone(), self._joints
        pose[:, joints] = pose[:, joints] + rows_of(self.pose, rows) * free[..., None]
        expression = parameters.expression + rows_of(self.expression, rows) * free
        return FrameParameters(
            pose,
            expression.clamp(*self._bounds),
            parameters.transl + rows_of(self.transl, rows) * free,
        )

    def penalty(self, rows: Sequence[int]) -> Tensor:
        """How far some rows strayed, weighted by how sure the track is of each kind."""
        return (
            rows_of(self.pose, rows).square().mean() * 20
            + rows_of(self.expression, rows).square().mean()
            + rows_of(self.transl, rows).square().mean() * 200
        )


def steady_shapes(head: Tensor, shifts: Tensor) -> Tensor:
    """Takes from a change of identity what moves, turns or scales the head as a whole.

    A texture can slide over the surface, so that pictures do not tell where the head is as well as
    landmarks do; without this the body under the avatar creeps away from the face.

    Args:
        head: (N, 3), the head's vertices.
        shifts: (S, N, 3), how each shape direction moves them.

    Returns:
        (S, S), a projection.
    """
    about = (head - head.mean(0)).double()
    moved = shifts.double()
    mean = moved.mean(1)
    turned = torch.linalg.cross(about.expand_as(moved), moved, dim=2).mean(1)
    scaled = (about * moved).sum(2).mean(1, keepdim=True)
    whole = torch.cat([mean, turned, scaled], dim=1)
    found, _ = torch.linalg.qr(whole)
    identity = torch.eye(len(whole), dtype=torch.float64, device=head.device)
    return (identity - found @ found.T).to(head.dtype)
