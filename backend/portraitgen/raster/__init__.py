# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Differentiable rasterisation of 3D Gaussians: one function, four backends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Backend = Literal["auto", "numba", "gsplat", "warp", "reference"]


@dataclass(frozen=True)
class Raster:
    """What ``rasterize`` returns."""

    features: Tensor
    """(B, H, W, C) blended features over the background."""
    alpha: Tensor
    """(B, H, W, 1) coverage, 0 to 1."""
    depth: Tensor
    """(B, H, W, 1) metres along the camera's axis, accumulated: divide by alpha for the mean."""
    extras: Tensor | None = None
    """(B, H, W, E) blended extras; None when none were given."""


def rasterize(
    means: Tensor,  # (B, N, 3) or (N, 3)
    quats: Tensor,  # (B, N, 4) or (N, 4)
    scales: Tensor,  # (B, N, 3) or (N, 3)
    opacities: Tensor,  # (B, N) or (N,)
    features: Tensor,  # (B, N, C) or (N, C)
    viewmats: Tensor,  # (B, 4, 4)
    Ks: Tensor,  # (B, 3, 3)
    width: int,
    height: int,
    *,
    background: Tensor | None = None,  # (B, C) or (C,)
    extras: Tensor | None = None,  # (B, N, E) or (N, E)
    antialiased: bool = False,
    near: float = 0.01,
    backend: Backend = "auto",
) -> Raster:
    """Renders Gaussians into B images, differentiably.

    3D Gaussian Splatting (Kerbl et al., 2023) with arbitrary feature channels, in gsplat 1.5's
    conventions (see ``conventions``). Whatever has no leading B is shared by all images. Gradients
    reach means, quats, scales, opacities, features, extras and background, from all outputs; the
    cameras get none. On the CPU the result, gradients included, is the same to the bit on any
    number of threads. Gaussians with values that are not finite are not drawn.

    Args:
        means: centres in world space, metres.
        quats: orientations, wxyz, of any length but zero.
        scales: standard deviations along the Gaussian's axes, metres, positive.
        opacities: 0 to 1.
        features: any C >= 1 channels, blended without clamping.
        viewmats: world to camera, OpenCV axes.
        Ks: pinhole matrices in pixels, pixel centres at +0.5.
        width: of the images in pixels.
        height: of the images in pixels.
        background: features behind everything; None is zero.
        extras: further values per Gaussian, normals for instance, blended over zero and returned
            apart from the features.
        antialiased: keep the energy of splats thinner than a pixel (Mip-Splatting,
            Yu et al., 2024).
        near: nearest depth drawn, metres.
        backend: "auto" takes numba for tensors on the CPU and for CUDA tensors the faster of
            gsplat and our kernels in Warp, as `choice` has measured them; where neither can be
            used it says so once and computes on the CPU. "reference" is plain torch, dense, slow.

    Returns:
        The ``Raster``, on the device and in the dtype (float32 or float64) of ``means``.

    Raises:
        RasterError: a shape, dtype, device or option does not fit; or the backend asked for by
            name cannot be used.

    Example:
        A red Gaussian two metres before a camera of 9 x 9 pixels:

        >>> import torch
        >>> shown = rasterize(
        ...     means=torch.tensor([[0.0, 0.0, 2.0]]),
        ...     quats=torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        ...     scales=torch.full((1, 3), 0.1),
        ...     opacities=torch.tensor([0.8]),
        ...     features=torch.tensor([[1.0, 0.0, 0.0]]),
        ...     viewmats=torch.eye(4)[None],
        ...     Ks=torch.tensor([[[20.0, 0, 4.5], [0, 20, 4.5], [0, 0, 1]]]),
        ...     width=9,
        ...     height=9,
        ... )
        >>> [f"{channel:.2f}" for channel in shown.features[0, 4, 4]]
        ['0.80', '0.00', '0.00']
    """
    from .dispatch import render

    return render(
        means, quats, scales, opacities, features, viewmats, Ks, width, height,
        background, extras, antialiased, near, backend,
    )  # fmt: skip
