# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chooses the backend behind ``rasterize`` and packs extras beside the features."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from portraitgen.errors import RasterError

from . import Backend, Raster
from .arguments import Scene, check_scene, with_batch


def render(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    features: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    background: Tensor | None,
    extras: Tensor | None,
    antialiased: bool,
    near: float,
    backend: Backend,
) -> Raster:
    """``rasterize`` without defaults; see there."""
    scene = check_scene(
        means, quats, scales, opacities, features, viewmats, Ks, width, height,
        background, antialiased, near,
    )  # fmt: skip
    if extras is None:
        return Raster(*_rasterize(scene, backend))
    count, batch = scene.means.shape[-2], viewmats.shape[0]
    extras = with_batch("extras", extras, (count, "E"), batch, means)
    packed = replace(
        scene,
        features=_side_by_side(scene.features, extras),
        background=_side_by_side(scene.background, means.new_zeros(1, extras.shape[-1])),
    )
    blended, alpha, depth = _rasterize(packed, backend)
    channels = scene.features.shape[-1]
    return Raster(blended[..., :channels], alpha, depth, blended[..., channels:])


def _side_by_side(first: Tensor, second: Tensor) -> Tensor:
    batch = max(first.shape[0], second.shape[0])
    parts = [tensor.expand(batch, *tensor.shape[1:]) for tensor in (first, second)]
    return torch.cat(parts, dim=-1)


def _rasterize(scene: Scene, backend: Backend) -> tuple[Tensor, Tensor, Tensor]:
    if backend == "reference":
        from .reference import rasterize_reference

        return rasterize_reference(scene)
    if backend == "gsplat":
        from .gsplat_backend import rasterize_gsplat

        return rasterize_gsplat(scene)
    if backend == "warp":
        from .warp_backend import rasterize_warp

        return rasterize_warp(scene)
    if backend == "numba":
        return _rasterize_on_cpu(scene)
    if backend != "auto":
        raise RasterError(
            f"there is no such backend: {backend!r}",
            "backend",
            "choose auto, numba, gsplat, warp or reference",
        )
    if scene.means.is_cuda and scene.means.dtype == torch.float32:
        from .choice import choose

        chosen = choose(scene.means.device)
        if chosen.on_device:
            return _rasterize(scene, chosen.backend)
    return _rasterize_on_cpu(scene)


def _rasterize_on_cpu(scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
    """numba, for tensors of any device; moving them back and forth keeps the gradients."""
    from .numba_backend import rasterize_numba

    device = scene.means.device
    moved: dict[str, Any] = {
        name: v.cpu() for name, v in vars(scene).items() if isinstance(v, Tensor)
    }
    features, alpha, depth = rasterize_numba(replace(scene, **moved))
    return features.to(device), alpha.to(device), depth.to(device)
