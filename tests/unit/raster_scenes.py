# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small scenes that the raster tests share."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from portraitgen.raster import Raster, rasterize

NAMES = ("means", "quats", "scales", "opacities", "features")


@dataclass(frozen=True)
class Scene:
    means: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    features: Tensor
    viewmats: Tensor
    Ks: Tensor
    width: int
    height: int

    def render(self, **options: Any) -> Raster:
        return rasterize(**vars(self), **options)

    def but(self, **changes: Any) -> "Scene":
        return replace(self, **changes)

    def leaves(self) -> "Scene":
        """The same scene with everything that gets gradients ready to get them."""
        return self.but(**{n: getattr(self, n).detach().clone().requires_grad_() for n in NAMES})


def cloud(
    count: int = 60,
    channels: int = 3,
    width: int = 37,
    height: int = 29,
    views: int = 1,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    size: float = 0.06,
    most_opaque: float = 0.95,
) -> Scene:
    """Random Gaussians about two metres before the camera, some of them out of view."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    means = (uniform(count, 3) - 0.5) * torch.tensor([1.6, 1.4, 1.0]) + torch.tensor([0, 0, 2.0])
    viewmats = torch.eye(4, dtype=torch.float64).repeat(views, 1, 1)
    viewmats[:, 0, 3] = torch.arange(views) * 0.1
    K = torch.tensor([[40.0, 0, width / 2 + 1], [0, 44.0, height / 2 - 1], [0, 0, 1]])
    scene = Scene(
        means=means,
        quats=uniform(count, 4) - 0.5,
        scales=size * (0.3 + uniform(count, 3)),
        opacities=most_opaque * uniform(count),
        features=uniform(count, channels) * 2 - 1,
        viewmats=viewmats,
        Ks=K.repeat(views, 1, 1),
        width=width,
        height=height,
    )
    tensors = {k: v.to(dtype) for k, v in vars(scene).items() if isinstance(v, Tensor)}
    return scene.but(**tensors)


def loss(raster: Raster, seed: int = 1) -> Tensor:
    """A scalar to which every pixel of every output contributes differently."""
    generator = torch.Generator().manual_seed(seed)
    outputs = [raster.features, raster.alpha, raster.depth]
    total = torch.zeros((), dtype=raster.alpha.dtype)
    for output in outputs if raster.extras is None else [*outputs, raster.extras]:
        weights = torch.randn(output.shape, generator=generator, dtype=torch.float64)
        total = total + (output * weights.to(output.dtype)).sum()
    return total


def gradients(scene: Scene, **options: Any) -> dict[str, Tensor]:
    leaves = scene.leaves()
    inputs = {name: getattr(leaves, name) for name in NAMES}
    inputs |= {n: v for n, v in options.items() if isinstance(v, Tensor) and v.requires_grad}
    grads = torch.autograd.grad(loss(leaves.render(**options)), list(inputs.values()))
    return dict(zip(inputs, grads, strict=True))
