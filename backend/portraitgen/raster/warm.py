# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiles the rasteriser's kernels ahead of time, into the cache that later runs read."""

import torch

from . import rasterize


def compile_kernels(device: torch.device) -> None:
    """Draws a few Gaussians, with and without gradients, so that their kernels lie in the cache."""
    means = torch.tensor([[0.0, 0.0, 1.0], [0.1, 0.0, 1.2]], device=device)
    quats = torch.tensor([[1.0, 0.0, 0.0, 0.0]], device=device).expand(2, 4).contiguous()
    scales, opacities = (
        torch.full((2, 3), 0.05, device=device),
        torch.full((2,), 0.5, device=device),
    )
    camera = torch.tensor([[16.0, 0.0, 8.0], [0.0, 16.0, 8.0], [0.0, 0.0, 1.0]], device=device)
    for leaf in (means, quats, scales, opacities):
        leaf.requires_grad_()
    for extras in (None, torch.zeros(2, 3, device=device)):
        features = torch.ones(2, 3, device=device, requires_grad=True)
        drawn = rasterize(
            means,
            quats,
            scales,
            opacities,
            features,
            torch.eye(4, device=device)[None],
            camera[None],
            16,
            16,
            extras=extras,
        )
        (drawn.features.sum() + drawn.alpha.sum() + drawn.depth.sum()).backward()
