# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rasteriser on CUDA: gsplat (Ye et al., 2025; Apache-2.0), called so that it pads little."""

import contextlib
import functools
import sys
from collections.abc import Callable

import torch
from torch import Tensor

from portraitgen.errors import RasterError

from .arguments import Scene
from .conventions import BLUR_VARIANCE, FAR_PLANE, TILE_SIZE

# The counts of channels that gsplat 1.5 compiles its kernels for.
_COMPILED = (1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 64, 65)
# What a pass more costs, in channels: it walks the lists of splats again.
_PASS_COST = 8

Rasterization = Callable[..., tuple[Tensor, Tensor, dict[str, object]]]


def rasterize_gsplat(scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
    """Renders on CUDA; returns features (B, H, W, C), alpha and depth (B, H, W, 1).

    Raises:
        RasterError: the tensors are not float32 on CUDA, or gsplat is missing or cannot compile.
    """
    reason = reason_against_gsplat(scene)
    if reason is not None:
        raise reason
    rasterization = _find_gsplat()
    assert not isinstance(rasterization, RasterError)
    return call_gsplat(rasterization, scene)


def reason_against_gsplat(scene: Scene) -> RasterError | None:
    """Why gsplat cannot render the scene; None when it can. Compiles gsplat on first use."""
    means = scene.means
    if not means.is_cuda or means.dtype != torch.float32:
        return RasterError(
            f"gsplat needs float32 tensors on CUDA, got {means.dtype} on {means.device}",
            "backend",
            "move them there, or use the numba backend",
        )
    found = _find_gsplat()
    return found if isinstance(found, RasterError) else None


def channels_a_pass(channels: int) -> int:
    """How many channels gsplat is to blend at once so that it pads as little as it can.

    Its kernels are compiled for some counts of channels only; others are padded to a power of
    two, 36 to 64 for instance, which takes more time than a second pass for what 33 leave over.
    """
    if channels in _COMPILED:
        return channels
    below = max(each for each in _COMPILED if each <= channels)
    two = below + _padded(channels - below) + _PASS_COST
    return below if channels <= 2 * below and two < _padded(channels) else channels


def _padded(channels: int) -> int:
    return channels if channels in _COMPILED else 1 << (channels - 1).bit_length()


def call_gsplat(rasterization: Rasterization, scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
    """Calls ``gsplat.rasterization`` so that it pads little and waits for nothing."""
    channels = scene.features.shape[-1]
    batch = scene.viewmats.shape[0]
    chunk = channels_a_pass(channels + 1)
    per_gaussian = [scene.means, scene.quats, scene.scales, scene.opacities, scene.features]
    cameras = [scene.viewmats, scene.Ks, scene.background.expand(batch, channels).contiguous()]
    if all(tensor.shape[0] == 1 for tensor in per_gaussian):
        # One set of Gaussians seen by B cameras.
        per_gaussian = [tensor[0] for tensor in per_gaussian]
    else:
        # B sets of Gaussians with one camera each: gsplat's leading axes are (batch, camera).
        per_gaussian = [t.expand(batch, *t.shape[1:]).contiguous() for t in per_gaussian]
        cameras = [tensor[:, None] for tensor in cameras]
    viewmats, Ks, backgrounds = cameras
    blended, alpha, _ = rasterization(
        *per_gaussian,
        viewmats,
        Ks,
        scene.width,
        scene.height,
        near_plane=scene.near,
        far_plane=FAR_PLANE,
        eps2d=BLUR_VARIANCE,
        tile_size=TILE_SIZE,
        packed=False,
        backgrounds=backgrounds,
        render_mode="RGB+D",
        rasterize_mode="antialiased" if scene.antialiased else "classic",
        channel_chunk=chunk,
    )
    size = (batch, scene.height, scene.width)
    blended = blended.reshape(*size, channels + 1)
    return blended[..., :channels], alpha.reshape(*size, 1), blended[..., channels:]


@functools.cache
def _find_gsplat() -> Rasterization | RasterError:
    """gsplat's ``rasterization`` with its kernels compiled, or why there is none.

    Either is remembered: a compilation that fails takes minutes, too.
    """
    try:
        # gsplat reports its compilation on stdout, which belongs to the worker's protocol.
        with contextlib.redirect_stdout(sys.stderr):
            from gsplat import rasterization
            from gsplat.cuda._backend import _C
    except ImportError as error:
        return RasterError(
            f"gsplat cannot be imported ({error})",
            "backend",
            "install the backend's cuda extra: pip install 'portraitgen[cuda]'",
        )
    except Exception as error:  # noqa: BLE001 - each step of the compilation fails in its own way.
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        return _cannot_compile(reason)
    if _C is None:
        return _cannot_compile("no CUDA toolkit was found")
    found: Rasterization = rasterization
    return found


def _cannot_compile(reason: str) -> RasterError:
    return RasterError(
        f"gsplat could not compile its CUDA kernels ({reason})",
        "backend",
        "install nvcc of torch's CUDA version, a C++ compiler and ninja, and set "
        "TORCH_CUDA_ARCH_LIST to your card's architecture",
    )
