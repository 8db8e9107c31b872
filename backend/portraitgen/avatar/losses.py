# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What training asks for: likeness of images, and geometry that stays reasonable."""

from typing import Any

import torch
from torch import Tensor, nn

SCALE_CEILING = 0.03
"""Standard deviation above which a Gaussian is penalised, metres."""


def ssim(first: Tensor, second: Tensor, window: int = 11) -> Tensor:
    """Structural similarity (Wang et al. 2004) at every pixel, with a box window.

    Args:
        first, second: (B, C, H, W), 0..1.

    Returns:
        (B, C, H, W), 1 where they agree.
    """

    ones = torch.ones_like(first[:1, :1])
    inside = _box_sum(_box_sum(ones, window).mT, window).mT

    def mean(image: Tensor) -> Tensor:
        return _box_sum(_box_sum(image, window).mT, window).mT / inside

    mean_a, mean_b = mean(first), mean(second)
    variance_a = (mean(first * first) - mean_a * mean_a).clamp_min(0)
    variance_b = (mean(second * second) - mean_b * mean_b).clamp_min(0)
    covariance = mean(first * second) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a * mean_a + mean_b * mean_b + c1) * (variance_a + variance_b + c2)
    )


def _box_sum(image: Tensor, window: int) -> Tensor:
    """Sums over an odd window along the last axis, of what of it lies inside, (B, C, H, W).

    By running sums: torch's pooling reads every pixel as often as the window is long.
    """
    half = window // 2
    sums = image.cumsum(-1)
    none, all_of_it = torch.zeros_like(sums[..., :1]), sums[..., -1:]
    sums = torch.cat(
        [none.expand(*none.shape[:-1], half + 1), sums, all_of_it.expand(*none.shape[:-1], half)],
        dim=-1,
    )
    return sums[..., window:] - sums[..., :-window]


def gradient_pyramid(first: Tensor, second: Tensor, levels: int = 3) -> Tensor:
    """Mean difference of image gradients over scales: sharp edges without learned weights."""
    total = first.new_zeros(())
    for level in range(levels):
        if level:
            first, second = (nn.functional.avg_pool2d(image, 2) for image in (first, second))
        difference = first - second
        across = difference.diff(dim=3).abs().mean()
        down = difference.diff(dim=2).abs().mean()
        total = total + across + down
    return total / levels


def scale_excess(scales: Tensor) -> Tensor:
    """Mean squared excess over `SCALE_CEILING`; zero, not NaN, when none exceeds it."""
    return (scales - SCALE_CEILING).clamp_min(0).square().sum(-1).mean()


def psnr(first: Tensor, second: Tensor, mask: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of (B, 3, H, W) images inside a soft mask (B, 1, H, W)."""
    weight = mask.expand_as(first)
    error = ((first - second).square() * weight).sum() / weight.sum().clamp_min(1e-6)
    return float(-10 * torch.log10(error.clamp_min(1e-10)))


def laplacian(faces: Tensor, count: int) -> Tensor:
    """The uniform graph Laplacian of a mesh as a sparse (V, V) tensor."""
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = torch.cat([edges, edges.flip(1)]).unique(dim=0)
    degree = torch.bincount(edges[:, 0], minlength=count).clamp_min(1).float()
    values = -1 / degree[edges[:, 0]]
    diagonal = torch.arange(count)
    indices = torch.cat([edges, torch.stack([diagonal, diagonal], dim=1)]).T
    return torch.sparse_coo_tensor(
        indices,
        torch.cat([values, torch.ones(count)]),
        (count, count),
        check_invariants=True,
    ).coalesce()


class Product(torch.autograd.Function):
    """A constant sparse matrix times values, given its transpose.

    torch would sort the transpose anew in every backward pass, for which the CPU waits on a GPU.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transpose: Tensor, values: Tensor) -> Tensor:
        """(M, C) from matrix (M, N), transpose (N, M), both coalesced, and values (N, C)."""
        ctx.transpose = transpose
        return torch.sparse.mm(matrix, values)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[None, None, Tensor]:
        """The values' gradient."""
        return None, None, torch.sparse.mm(ctx.transpose, slopes[0])
