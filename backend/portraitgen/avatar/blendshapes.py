# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Personalised bases: how this performer moves and shades beyond the body model's own units.

After the blendshape avatars (GaussianBlendshapes, Ma et al. 2024): a few fields of displacement
and of colour, learned with the avatar, whose weights follow from expression and pose by one small
network, so that creases, the bulge of a cheek and the shade they throw come back with the
expression that makes them.
"""

import torch
from torch import Tensor, nn

COUNT = 20
_HIDDEN = 32
# Neck, head and jaw.
_JOINTS = (12, 15, 22)


class PersonalBases(nn.Module):
    """What a body's vertices and its Gaussians gain by what the performer does.

    Args:
        vertices: how many there are.
        gaussians: how many there are.
        units: how many expression values.
    """

    def __init__(self, vertices: int, gaussians: int, units: int) -> None:
        super().__init__()
        self.fields = nn.Parameter(torch.zeros(COUNT, vertices, 3))
        self.tints = nn.Parameter(torch.zeros(COUNT, gaussians, 3))
        self.network = nn.Sequential(
            nn.Linear(units + 3 * len(_JOINTS), _HIDDEN),
            nn.Tanh(),
            nn.Linear(_HIDDEN, COUNT),
            nn.Tanh(),
        )

    def weights(self, pose: Tensor, expression: Tensor) -> Tensor:
        """How far each field counts, (B, COUNT); arguments as `forward` takes them."""
        acted = torch.cat([*(pose[:, joint] for joint in _JOINTS), expression], dim=1)
        # What the weights would gain by another pose is no reason to refine it.
        weights: Tensor = self.network(acted.detach())
        return weights

    def forward(self, pose: Tensor, expression: Tensor) -> tuple[Tensor, Tensor]:
        """Displacements in the rest pose, (B, V, 3), metres, and colours to add, (B, N, 3).

        Args:
            pose: (B, 55, 3), axis-angle.
            expression: (B, E).
        """
        weights = self.weights(pose, expression)
        return (
            torch.einsum("bk,kvc->bvc", weights, self.fields),
            torch.einsum("bk,knc->bnc", weights, self.tints),
        )
