# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CUDA rasteriser: gsplat (Ye et al., 2025; Apache-2.0), called in one pass."""

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor

from portraitgen.errors import RasterError

from .arguments import Scene
from .conventions import BLUR_VARIANCE, FAR_PLANE, TILE_SIZE


def rasterize_gsplat(scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
    """Renders on CUDA; returns features (B, H, W, C), alpha and depth (B, H, W, 1).

    Raises:
        RasterError: the tensors are not float32 on CUDA, or gsplat is missing or cannot compile.
    """
    if not scene.means.is_cuda or scene.means.element_size() != 4:
        raise RasterError(
            f"gsplat needs float32 tensors on CUDA, got {scene.means.dtype} on {scene.means.device}",
            "backend gsplat",
            "move them, or use the numba backend",
        )
    rasterization = _load_gsplat()
    channels = scene.features.shape[-1]
    per_gaussian = (scene.means, scene.quats, scene.scales, scene.opacities, scene.features)
    viewmats, Ks, backgrounds = scene.viewmats, scene.Ks, scene.background
    batch = viewmats.shape[0]
    backgrounds = backgrounds.expand(batch, channels)
    if all(tensor.shape[0] == 1 for tensor in per_gaussian):
        # One set of Gaussians and B cameras.
        per_gaussian = tuple(tensor[0] for tensor in per_gaussian)
    else:
        # B sets of Gaussians with one camera each: gsplat's axes are (batch, cameras, ...).
        per_gaussian = tuple(t.expand(batch, *t.shape[1:]).contiguous() for t in per_gaussian)
        viewmats, Ks, backgrounds = viewmats[:, None], Ks[:, None], backgrounds[:, None]
    means, quats, scales, opacities, features = per_gaussian
    blended, alpha, _ = rasterization(
        means,
        quats,
        scales,
        opacities,
        features,
        viewmats,
        Ks,
        scene.width,
        scene.height,
        near_plane=scene.near,
        far_plane=FAR_PLANE,
        eps2d=BLUR_VARIANCE,
        tile_size=TILE_SIZE,
        packed=False,  # packing costs a wait for the GPU
        backgrounds=backgrounds.contiguous(),
        render_mode="RGB+D",
        rasterize_mode="antialiased" if scene.antialiased else "classic",
        channel_chunk=channels + 1,  # features and depth in one pass
    )
    size = (batch, scene.height, scene.width)
    blended = blended.reshape(*size, channels + 1)
    return blended[..., :channels], alpha.reshape(*size, 1), blended[..., channels:]


@functools.cache
def _load_gsplat() -> Callable[..., Any]:
    """gsplat's ``rasterization``, its kernels compiled; the outcome is remembered by callers."""
    try:
        from gsplat import rasterization
        from gsplat.cuda._backend import _C
    except ImportError as error:
        raise RasterError(
            f"gsplat cannot be imported ({error})",
            "backend gsplat",
            "install the backend's cuda extra: pip install 'portraitgen[cuda]'",
        ) from error
    except (RuntimeError, OSError) as error:
        raise _cannot_compile(str(error)) from error
    if _C is None:
        raise _cannot_compile("it found no CUDA toolkit")
    return rasterization  # type: ignore[no-any-return]


def _cannot_compile(reason: str) -> RasterError:
    first_line = reason.strip().splitlines()[0] if reason.strip() else "no reason given"
    return RasterError(
        f"gsplat could not compile its CUDA kernels: {first_line}",
        "backend gsplat",
        "install nvcc of torch's CUDA version, a C++ compiler and ninja, and set "
        "TORCH_CUDA_ARCH_LIST to your card's architecture",
    )
