# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Corrections of the tracked motion that are learned together with the avatar."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..body.motion import Motion
from .avatar import FrameParameters

_REFINED_JOINTS = (9, 12, 15)


class Refinement(nn.Module):
    """Small corrections of the tracked motion, trained with the avatar.

    Args:
        motion: the tracked motion; frames the artist fixed get none.
        bounds: the least and the greatest value of an expression.
    """

    _free: Tensor

    def __init__(self, motion: Motion, bounds: tuple[float, float]) -> None:
        super().__init__()
        self._bounds = bounds
        count = len(motion)
        self.identity = nn.Parameter(torch.zeros(len(motion.betas)))
        self.pose = nn.Parameter(torch.zeros(count, len(_REFINED_JOINTS), 3))
        self.expression = nn.Parameter(torch.zeros(count, motion.expression.shape[1]))
        self.transl = nn.Parameter(torch.zeros(count, 3))
        self.register_buffer("_free", torch.from_numpy(~motion.fixed).float(), persistent=False)

    def apply_to(self, parameters: FrameParameters, rows: Sequence[int]) -> FrameParameters:
        """The corrected parameters of some rows."""
        chosen = list(rows)
        free = self._free[chosen][:, None]
        pose = parameters.pose.clone()
        joints = list(_REFINED_JOINTS)
        pose[:, joints] = pose[:, joints] + self.pose[chosen] * free[..., None]
        expression = parameters.expression + self.expression[chosen] * free
        return FrameParameters(
            pose, expression.clamp(*self._bounds), parameters.transl + self.transl[chosen] * free
        )

    def penalty(self, rows: Sequence[int]) -> Tensor:
        """How far some rows strayed, weighted by how sure the track is of each kind."""
        chosen = list(rows)
        return (
            self.pose[chosen].square().mean() * 20
            + self.expression[chosen].square().mean()
            + self.transl[chosen].square().mean() * 200
        )
