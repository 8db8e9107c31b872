# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CPU rasteriser: projection, binning and blending as one autograd function."""

import threading
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from .arguments import Scene
from .binning import Bins, bin_splats
from .compositing import SPLAT_GRADIENTS, blend_tiles, blend_tiles_backward, gather_gradients
from .projection import project_gaussians, project_gaussians_backward
from .threads import ranges, run_pieces

Array = NDArray[Any]

# More pieces than threads, so that a thread held up by another program does not hold up the image.
_PIECES = 16


class _Splats(NamedTuple):
    """The Gaussians as one camera sees them; see ``project_gaussians``."""

    means2d: Array
    conics: Array
    depths: Array
    opacities: Array
    radii: Array


class _View(NamedTuple):
    """What the backward pass needs of one image."""

    splats: _Splats
    bins: Bins
    transmittance: Array
    last_slot: Array


class _Scratch(threading.local):
    """Rows of gradients, kept between steps: fresh memory for them costs more than their use."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, np.dtype[Any]], Array] = {}

    def take(self, name: str, shape: tuple[int, int], dtype: np.dtype[Any]) -> Array:
        size = shape[0] * shape[1]
        buffer = self._buffers.get((name, dtype))
        if buffer is None or buffer.size < size:
            buffer = np.empty(size + size // 4, dtype)
            self._buffers[name, dtype] = buffer
        return buffer[:size].reshape(shape)


_scratch = _Scratch()


def rasterize_numba(scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
    """Renders on the CPU; returns features (B, H, W, C), alpha and depth (B, H, W, 1)."""
    features, alpha, depth = _Rasterize.apply(
        scene.means, scene.quats, scene.scales, scene.opacities, scene.features, scene.background,
        scene.viewmats, scene.Ks, scene.width, scene.height, scene.near, scene.antialiased,
    )  # fmt: skip
    return features, alpha, depth


def _of_image(tensor: Tensor, image: int) -> Array:
    """One image's part of a (B or 1, ...) tensor, shared when there is only one."""
    return tensor[image if tensor.shape[0] > 1 else 0].detach().numpy()


def _tile_pieces(bins: Bins) -> list[Array]:
    """Deals the tiles into pieces of like work: by falling number of slots, in turn."""
    heaviest_first = np.argsort(-np.diff(bins.tile_offsets), kind="stable")
    pieces = (np.ascontiguousarray(heaviest_first[i::_PIECES]) for i in range(_PIECES))
    return [piece for piece in pieces if piece.size]


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, features: Tensor,
        background: Tensor, viewmats: Tensor, Ks: Tensor,
        width: int, height: int, near: float, antialiased: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        inputs = tuple(
            t.contiguous()
            for t in (means, quats, scales, opacities, features, background, viewmats, Ks)
        )
        batch, channels = viewmats.shape[0], features.shape[-1]
        images = means.new_empty((batch, height, width, channels))
        alphas = means.new_empty((batch, height, width, 1))
        depths = means.new_empty((batch, height, width, 1))
        views = []
        for b in range(batch):
            part = [_of_image(t, b) for t in inputs]
            splats = _project(part, width, height, near, antialiased)
            view = _blend(part, splats, width, height, images[b].numpy(), depths[b, ..., 0].numpy())
            alphas[b, ..., 0] = torch.from_numpy(1.0 - view.transmittance)
            views.append(view)
        ctx.save_for_backward(*inputs)
        ctx.views = views
        ctx.size = width, height, antialiased
        return images, alphas, depths

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_images: Tensor, grad_alphas: Tensor, grad_depths: Tensor
    ) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        means, quats, scales, opacities, features, background = inputs[:6]
        grads = [torch.zeros_like(t) for t in (means, quats, scales, opacities, features)]
        grad_background = torch.zeros_like(background) if ctx.needs_input_grad[5] else None
        # One memory layout only: every other one would be compiled anew.
        grad_images, grad_alphas, grad_depths = (
            grad.contiguous() for grad in (grad_images, grad_alphas, grad_depths)
        )
        for b, view in enumerate(ctx.views):
            part = [_of_image(t, b) for t in inputs]
            grad_outputs = tuple(
                grad.numpy()
                for grad in (grad_images[b], grad_alphas[b, ..., 0], grad_depths[b, ..., 0])
            )
            _backward_of_view(part, view, ctx.size, grad_outputs, [_of_image(t, b) for t in grads])
            if grad_background is not None:
                shown = torch.from_numpy(view.transmittance)[..., None] * grad_images[b]
                grad_background[b if len(grad_background) > 1 else 0] += shown.sum((0, 1))
        return (*grads, grad_background, None, None, None, None, None, None)


def _project(part: list[Array], width: int, height: int, near: float, antialiased: bool) -> _Splats:
    means, quats, scales, opacities, _, _, viewmat, K = part
    count, dtype = means.shape[0], means.dtype
    splats = _Splats(
        np.empty((count, 2), dtype),
        np.empty((count, 3), dtype),
        np.empty(count, dtype),
        np.empty(count, dtype),
        np.empty((count, 2), np.int32),
    )

    def project(piece: tuple[int, int]) -> None:
        start, stop = piece
        project_gaussians(
            start, stop, means, quats, scales, opacities, viewmat, K, width, height, near,
            antialiased, *splats,
        )  # fmt: skip

    run_pieces(project, ranges(count, _PIECES))
    return splats


def _blend(
    part: list[Array], splats: _Splats, width: int, height: int, image: Array, depth_image: Array
) -> _View:
    features, background = part[4], part[5]
    bins = bin_splats(splats.means2d, splats.radii, splats.depths, width, height)
    transmittance = np.empty((height, width), image.dtype)
    last_slot = np.empty((height, width), np.int32)

    def blend(tiles: Array) -> None:
        blend_tiles(
            tiles, width, height, bins.tile_offsets, bins.slot_splats,
            splats.means2d, splats.conics, splats.opacities, splats.depths, features, background,
            image, depth_image, transmittance, last_slot,
        )  # fmt: skip

    run_pieces(blend, _tile_pieces(bins))
    return _View(splats, bins, transmittance, last_slot)


def _backward_of_view(
    part: list[Array],
    view: _View,
    size: tuple[int, int, bool],
    grad_outputs: tuple[Array, ...],
    grads: list[Array],
) -> None:
    """Adds one image's gradients to ``grads``: means, quats, scales, opacities, features."""
    means, quats, scales, opacities, features, background, viewmat, K = part
    grad_means, grad_quats, grad_scales, grad_opacities, grad_features = grads
    grad_image, grad_alpha, grad_depth = grad_outputs
    width, height, antialiased = size
    splats, bins, transmittance, last_slot = view
    slots, (count, channels), dtype = bins.slot_splats.size, features.shape, means.dtype
    slot_features = _scratch.take("slot features", (slots, channels), dtype)
    slot_gradients = _scratch.take("slot gradients", (slots, SPLAT_GRADIENTS), dtype)
    splat_gradients = _scratch.take("splat gradients", (count, SPLAT_GRADIENTS), dtype)

    def blend(tiles: Array) -> None:
        blend_tiles_backward(
            tiles, width, height, bins.tile_offsets, bins.slot_splats,
            splats.means2d, splats.conics, splats.opacities, splats.depths, features, background,
            transmittance, last_slot, grad_image, grad_alpha, grad_depth,
            slot_features, slot_gradients,
        )  # fmt: skip

    def gather(piece: tuple[int, int]) -> None:
        start, stop = piece
        gather_gradients(
            start, stop, bins.splat_offsets, bins.splat_slots, slot_features, slot_gradients,
            grad_features, splat_gradients,
        )  # fmt: skip
        project_gaussians_backward(
            start, stop, means, quats, scales, opacities, viewmat, K, width, height, antialiased,
            splats.radii, splat_gradients,
            grad_means, grad_quats, grad_scales, grad_opacities,
        )  # fmt: skip

    run_pieces(blend, _tile_pieces(bins))
    run_pieces(gather, ranges(count, _PIECES))
