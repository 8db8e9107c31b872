# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks what ``rasterize`` was given and brings it into one form for all backends."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from portraitgen.errors import RasterError


@dataclass(frozen=True)
class Scene:
    """Gaussians and cameras with a leading axis everywhere: B, or 1 for what all images share."""

    means: Tensor  # (B or 1, N, 3)
    quats: Tensor  # (B or 1, N, 4) wxyz
    scales: Tensor  # (B or 1, N, 3)
    opacities: Tensor  # (B or 1, N)
    features: Tensor  # (B or 1, N, C)
    background: Tensor  # (B or 1, C)
    viewmats: Tensor  # (B, 4, 4)
    Ks: Tensor  # (B, 3, 3)
    width: int
    height: int
    near: float
    antialiased: bool


def check_scene(
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
    antialiased: bool,
    near: float,
) -> Scene:
    """The arguments of ``rasterize`` as a ``Scene``, or a RasterError that quotes what is wrong."""
    for name, size in (("width", width), ("height", height)):
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise RasterError(
                f"the image size must be whole pixels, at least 1, got {size!r}",
                name,
                "pass a positive int",
            )
    if not (math.isfinite(near) and near > 0):
        raise RasterError(
            f"the near plane must lie in front of the camera, got {near!r}",
            "near",
            "pass a positive distance in metres",
        )
    _check_kind(means, "means", means)
    _check_shape("viewmats", viewmats, ("B", 4, 4), means)
    batch = viewmats.shape[0]
    _check_shape("Ks", Ks, (batch, 3, 3), means)
    for name, camera in (("viewmats", viewmats), ("Ks", Ks)):
        if camera.requires_grad:
            raise RasterError(
                "cameras get no gradient",
                name,
                "move the Gaussians instead: transform means and quats before rasterising",
            )
    count = means.shape[-2] if means.ndim in (2, 3) else -1
    per_gaussian = {
        "means": with_batch("means", means, (count, 3), batch, means),
        "quats": with_batch("quats", quats, (count, 4), batch, means),
        "scales": with_batch("scales", scales, (count, 3), batch, means),
        "opacities": with_batch("opacities", opacities, (count,), batch, means),
        "features": with_batch("features", features, (count, "C"), batch, means),
    }
    channels = features.shape[-1]
    if channels < 1:
        raise RasterError(
            f"at least one channel is needed, got shape {tuple(features.shape)}", "features"
        )
    if background is None:
        background = means.new_zeros((channels,))
    return Scene(
        **per_gaussian,
        background=with_batch("background", background, (channels,), batch, means),
        viewmats=viewmats,
        Ks=Ks,
        width=width,
        height=height,
        near=float(near),
        antialiased=bool(antialiased),
    )


def _check_kind(tensor: Tensor, name: str, means: Tensor) -> None:
    """Every tensor has the dtype, float32 or float64, and the device of ``means``."""
    if not isinstance(tensor, Tensor):
        raise RasterError(f"expected a torch tensor, got {type(tensor).__name__}", name)
    if tensor.dtype not in (torch.float32, torch.float64) or tensor.dtype != means.dtype:
        expected = "float32 or float64" if tensor is means else f"{means.dtype} as means"
        raise RasterError(f"expected {expected}, got {tensor.dtype}", name, "convert it")
    if tensor.device != means.device:
        raise RasterError(
            f"expected a tensor on {means.device} as means, got {tensor.device}", name, "move it"
        )


def _check_shape(name: str, tensor: Tensor, expected: tuple[int | str, ...], means: Tensor) -> None:
    """Compares sizes; a letter stands for any size."""
    _check_kind(tensor, name, means)
    fits = tensor.ndim == len(expected) and all(
        isinstance(want, str) or want == got
        for want, got in zip(expected, tensor.shape, strict=True)
    )
    if not fits:
        raise RasterError(f"expected shape {_shape(expected)}, got {tuple(tensor.shape)}", name)


def with_batch(
    name: str, tensor: Tensor, shape: tuple[int | str, ...], batch: int, means: Tensor
) -> Tensor:
    """Accepts ``shape`` (shared by all images) or ``(batch, *shape)``; returns the latter kind."""
    _check_kind(tensor, name, means)
    shared = tensor.ndim == len(shape)
    sizes = tensor.shape if shared else tensor.shape[1:]
    fits = (shared or tensor.ndim == len(shape) + 1 and tensor.shape[0] == batch) and all(
        isinstance(want, str) or want == got for want, got in zip(shape, sizes, strict=True)
    )
    if not fits:
        raise RasterError(
            f"expected shape {_shape(shape)} or {_shape((batch, *shape))}, "
            f"got {tuple(tensor.shape)}",
            name,
        )
    return tensor[None] if shared else tensor


def _shape(sizes: tuple[int | str, ...]) -> str:
    """Written as Python writes a tuple; letters bare, N for a count that is not known."""
    names = ["N" if size == -1 else str(size) for size in sizes]
    return f"({names[0]},)" if len(names) == 1 else f"({', '.join(names)})"
