# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the rasteriser's kernels ready ahead of time: in the cache of later runs, or here."""

import torch

from . import Raster, rasterize


def compile_kernels(device: torch.device) -> None:
    """Draws a few Gaussians, with and without gradients, so that their kernels lie in the cache."""
    for extras in (None, torch.zeros(2, 3, device=device)):
        drawn = _drawn(device, extras)
        (drawn.features.sum() + drawn.alpha.sum() + drawn.depth.sum()).backward()


def load_kernels() -> None:
    """Loads the kernels that draw on the CPU, on this thread alone: the process may fork then."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        for extras in (None, torch.zeros(2, 3)):
            _drawn(torch.device("cpu"), extras)
    torch.set_num_threads(count)


def _drawn(device: torch.device, extras: torch.Tensor | None) -> Raster:
    means = torch.tensor([[0.0, 0.0, 1.0], [0.1, 0.0, 1.2]], device=device)
    quats = torch.tensor([[1.0, 0.0, 0.0, 0.0]], device=device).expand(2, 4).contiguous()
    scales, opacities = (
        torch.full((2, 3), 0.05, device=device),
        torch.full((2,), 0.5, device=device),
    )
    camera = torch.tensor([[16.0, 0.0, 8.0], [0.0, 16.0, 8.0], [0.0, 0.0, 1.0]], device=device)
    for leaf in (means, quats, scales, opacities):
        leaf.requires_grad_()
    return rasterize(
        means,
        quats,
        scales,
        opacities,
        torch.ones(2, 3, device=device, requires_grad=True),
        torch.eye(4, device=device)[None],
        camera[None],
        16,
        16,
        extras=extras,
    )
