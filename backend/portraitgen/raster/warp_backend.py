# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rasteriser in NVIDIA Warp (Apache-2.0), which brings its compiler: a card needs its driver.

On CUDA it stands in where gsplat's kernels cannot be compiled. Warp's CPU device runs the same
kernels, so that they are tested without a card; it is several times slower than numba.
"""

import contextlib
import functools
import os
import sys
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from portraitgen.errors import RasterError

from ..user_folders import user_cache_folder
from .arguments import Scene
from .conventions import TILE_SIZE

# Channels that are blended at once, depth among them; each count is compiled by itself. An avatar
# is drawn with 3 or 32 features, with or without 3 more for normals.
_PASSES = (4, 8, 36)
_MOST_SLOTS = 2**31 - 1


def rasterize_warp(scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
    """Renders on CUDA or the CPU; returns features (B, H, W, C), alpha and depth (B, H, W, 1).

    Sums over pixels are made in no fixed order on CUDA: gradients repeat to rounding, not to bits.

    Raises:
        RasterError: the tensors are not float32, Warp is missing, or there are more than 2^31
            overlaps of Gaussians and tiles.
    """
    reason = reason_against_warp(scene.means.dtype)
    if reason is not None:
        raise reason
    images, alphas, depths = _Rasterize.apply(
        scene.means, scene.quats, scene.scales, scene.opacities, scene.features, scene.background,
        scene.viewmats, scene.Ks, scene.width, scene.height, scene.near, scene.antialiased,
    )  # fmt: skip
    return images, alphas, depths


def reason_against_warp(dtype: torch.dtype) -> RasterError | None:
    """Why Warp cannot draw tensors of a type; None when it can."""
    if dtype != torch.float32:
        return RasterError(f"Warp draws float32 tensors, got {dtype}", "backend", "convert them")
    found = find_warp()
    return found if isinstance(found, RasterError) else None


@functools.cache
def find_warp() -> ModuleType | RasterError:
    """Warp, made ready, or why there is none; remembered."""
    try:
        import warp
    except (ImportError, OSError) as error:
        return RasterError(
            f"Warp cannot be imported ({error})",
            "backend",
            "install the backend's cuda extra: pip install 'portraitgen[cuda]'",
        )
    # It announces itself on stdout, which belongs to the worker's protocol.
    with contextlib.redirect_stdout(sys.stderr):
        warp.config.log_level = warp.LOG_WARNING
        if "WARP_CACHE_PATH" not in os.environ:
            warp.config.kernel_cache_dir = str(user_cache_folder() / "warp" / warp.__version__)
        try:
            warp.init()
        except (RuntimeError, OSError) as error:
            reason = str(error).strip().partition("\n")[0]
            return RasterError(f"Warp cannot start ({reason})", "backend", "update the driver")
    found: ModuleType = warp
    return found


def passes(channels: int) -> list[tuple[int, int]]:
    """How many channels go into each pass, and how wide it is compiled.

    The fewest passes there can be, the last of them as narrow as it can be.
    """
    most = _PASSES[-1]
    taken = [most] * (channels // most) + ([channels % most] if channels % most else [])
    return [(count, next(each for each in _PASSES if each >= count)) for count in taken]


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, features: Tensor,
        background: Tensor, viewmats: Tensor, Ks: Tensor,
        width: int, height: int, near: float, antialiased: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        inputs = tuple(
            t.detach().contiguous()
            for t in (means, quats, scales, opacities, features, background, viewmats, Ks)
        )
        with _Launcher(inputs, width, height, near, antialiased) as launcher:
            splats = launcher.project()
            view = launcher.bin(splats)
            image, transmittance, last_slot = launcher.blend(splats, view)
        ctx.save_for_backward(*inputs, *splats.values(), *view, transmittance, last_slot)
        ctx.names = tuple(splats)
        ctx.settings = width, height, near, antialiased
        channels = features.shape[-1]
        depth = image[..., channels:]
        return image[..., :channels].contiguous(), 1 - transmittance[..., None], depth.contiguous()

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_images: Tensor, grad_alphas: Tensor, grad_depths: Tensor
    ) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        inputs, rest = saved[:8], saved[8:]
        splats = dict(zip(ctx.names, rest[: len(ctx.names)], strict=True))
        ranges, slot_splats, transmittance, last_slot = rest[len(ctx.names) :]
        grads = torch.cat([grad_images, grad_depths], dim=-1)
        with _Launcher(inputs, *ctx.settings) as launcher:
            made = launcher.backward(
                splats,
                (ranges, slot_splats),
                (transmittance, last_slot),
                grads,
                grad_alphas[..., 0].contiguous(),
            )
        grad_background = None
        if ctx.needs_input_grad[5]:
            shown = (transmittance[..., None] * grad_images).sum((1, 2))
            grad_background = _as_given(shown, inputs[5])
        shaped = [_as_given(grad, given) for grad, given in zip(made, inputs[:5], strict=True)]
        return (*shaped, grad_background, None, None, None, None, None, None)


def _as_given(grad: Tensor, given: Tensor) -> Tensor:
    """Gradients (B, ...) summed over the images that share the tensor given."""
    return grad.sum(0, keepdim=True) if given.shape[0] < grad.shape[0] else grad


class _Launcher:
    """Launches the kernels for one batch on torch's device and stream."""

    def __init__(
        self,
        inputs: tuple[Tensor, ...],
        width: int,
        height: int,
        near: float,
        antialiased: bool,
    ) -> None:
        import warp

        from . import warp_kernels

        self._wp: Any = warp
        self._kernels: Any = warp_kernels
        self._inputs = inputs
        self._size = width, height
        self._near, self._antialiased = near, int(antialiased)
        means, viewmats = inputs[0], inputs[6]
        self._batch, self._count = viewmats.shape[0], means.shape[1]
        self._tiles_x = -(-width // TILE_SIZE)
        self._tiles = self._tiles_x * -(-height // TILE_SIZE)
        self._device = means.device
        self._scope = contextlib.ExitStack()

    def __enter__(self) -> "_Launcher":
        self._scope.enter_context(contextlib.redirect_stdout(sys.stderr))
        if self._device.type == "cuda":
            stream = self._wp.stream_from_torch(torch.cuda.current_stream(self._device))
            # Torch's own events order what lies on its stream.
            self._scope.enter_context(
                self._wp.ScopedStream(stream, sync_enter=False, sync_exit=False)
            )
        return self

    def __exit__(self, *error: object) -> None:
        self._scope.close()

    def project(self) -> dict[str, Tensor]:
        """The splats of all images, (B * N, ...)."""
        count = self._batch * self._count
        made = {
            "means2d": self._empty(count, 2),
            "conics": self._empty(count, 3),
            "depths": self._empty(count),
            "opacities": self._empty(count),
            "boxes": self._empty(count, 4, dtype=torch.int32),
            "touched": self._empty(count, dtype=torch.int32),
        }
        near = self._wp.float64(self._near)
        self._launch(
            self._kernels.project,
            count,
            [*self._gaussians(), *self._cameras(), near, self._antialiased],
            [
                self._array(tensor, kind)
                for tensor, kind in zip(
                    made.values(), ("vec2", "vec3", "float32", "float32", "vec4i", "int32"),
                    strict=True,
                )
            ],
        )  # fmt: skip
        return made

    def bin(self, splats: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The slots of every tile, (B * T, 2) first and past the last, and each slot's splat."""
        ends = splats["touched"].cumsum(0, dtype=torch.int64)
        slots = int(ends[-1]) if len(ends) else 0
        if slots > _MOST_SLOTS:
            raise RasterError(
                f"the Gaussians overlap {slots} tiles",
                "scales",
                "draw fewer frames at once, or smaller Gaussians",
            )
        ranges = torch.zeros(self._batch * self._tiles, 2, dtype=torch.int32, device=self._device)
        # The sort wants as much room again as it sorts.
        keys = self._empty(2 * slots, dtype=torch.int64)
        slot_splats = self._empty(2 * slots, dtype=torch.int32)
        if slots:
            key_array = self._array(keys, "int64")
            splat_array = self._array(slot_splats, "int32")
            self._launch(
                self._kernels.list_slots,
                len(ends),
                [
                    self._count,
                    self._tiles_x,
                    self._tiles,
                    self._array(splats["depths"], "float32"),
                    self._array(splats["boxes"], "vec4i"),
                    self._array(ends, "int64"),
                ],
                [key_array, splat_array],
            )
            self._wp.utils.radix_sort_pairs(key_array, splat_array, slots)
            self._launch(
                self._kernels.find_tiles,
                slots,
                [key_array, slots],
                [self._array(ranges, "vec2i")],
            )
        return ranges, slot_splats[:slots].clone()

    def blend(
        self, splats: dict[str, Tensor], view: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Features and depth (B, H, W, C + 1), transmittance (B, H, W) and the last slots."""
        width, height = self._size
        shape = (self._batch, height, width)
        transmittance = self._empty(*shape)
        last_slot = self._empty(*shape, dtype=torch.int32)
        drawn = []
        for wide, features, backgrounds, count in self._passes(splats):
            image = self._empty(*shape, wide)
            blend, _ = self._kernels.blending(wide)
            row = self._row(wide)
            self._launch(
                blend,
                self._batch * self._tiles * self._kernels.PIXELS,
                [
                    *self._binned(splats, view),
                    self._array(features, row),
                    self._array(backgrounds, row),
                ],
                [
                    self._array(image, row),
                    self._array(transmittance, "float32"),
                    self._array(last_slot, "int32"),
                ],
            )
            drawn.append(image[..., :count])
        return torch.cat(drawn, dim=-1), transmittance, last_slot

    def backward(
        self,
        splats: dict[str, Tensor],
        view: tuple[Tensor, Tensor],
        ends: tuple[Tensor, Tensor],
        grads: Tensor,
        grad_alphas: Tensor,
    ) -> list[Tensor]:
        """Gradients (B, N, ...) of means, quats, scales, opacities and features.

        Args:
            grads: (B, H, W, C + 1), of features and depth; grad_alphas: (B, H, W).
        """
        total, start = self._batch * self._count, 0
        geometry = self._zeros(total, self._kernels.GEOMETRY)
        rows = []
        for wide, features, backgrounds, count in self._passes(splats):
            grad = torch.nn.functional.pad(grads[..., start : start + count], (0, wide - count))
            # Alpha's own gradient belongs to the pixel, not to a pass: once is enough.
            alphas = grad_alphas if start == 0 else torch.zeros_like(grad_alphas)
            grad_features = self._zeros(total, wide)
            _, blend_backward = self._kernels.blending(wide)
            row = self._row(wide)
            self._launch(
                blend_backward,
                self._batch * self._tiles * self._kernels.PIXELS,
                [
                    *self._binned(splats, view),
                    self._array(features, row),
                    self._array(backgrounds, row),
                    self._array(ends[0], "float32"),
                    self._array(ends[1], "int32"),
                    self._array(grad.contiguous(), row),
                    self._array(alphas, "float32"),
                ],
                [self._array(grad_features, "float32"), self._array(geometry, "float32")],
            )
            rows.append(grad_features[:, :count])
            start += count
        channels = torch.cat(rows, dim=-1)
        made = [self._zeros(total, width) for width in (3, 4, 3)] + [self._zeros(total)]
        self._launch(
            self._kernels.project_backward,
            total,
            [
                *self._gaussians(),
                *self._cameras(),
                self._antialiased,
                self._array(splats["touched"], "int32"),
                self._array(geometry, "float32"),
                self._array(channels[:, -1].contiguous(), "float32"),
            ],
            [
                self._array(tensor, kind)
                for tensor, kind in zip(made, ("vec3", "vec4", "vec3", "float32"), strict=True)
            ],
        )
        made.append(channels[:, :-1])
        return [tensor.unflatten(0, (self._batch, self._count)) for tensor in made]

    def _passes(self, splats: dict[str, Tensor]) -> list[tuple[int, Tensor, Tensor, int]]:
        """For each pass its width, (B * N, width) features, (B, width) backgrounds, and how many
        of its channels count; depth is the last channel of the last."""
        features, background = self._inputs[4], self._inputs[5]
        channels = features.shape[-1]
        every = torch.cat(
            [
                features.expand(self._batch, -1, -1).reshape(-1, channels),
                splats["depths"][:, None],
            ],
            dim=-1,
        )
        behind = torch.nn.functional.pad(background.expand(self._batch, -1), (0, 1))
        found, start = [], 0
        for count, wide in passes(channels + 1):
            part = slice(start, start + count)
            spare = (0, wide - count)
            found.append(
                (
                    wide,
                    torch.nn.functional.pad(every[:, part], spare).contiguous(),
                    torch.nn.functional.pad(behind[:, part], spare).contiguous(),
                    count,
                )
            )
            start += count
        return found

    def _binned(self, splats: dict[str, Tensor], view: tuple[Tensor, Tensor]) -> list[Any]:
        ranges, slot_splats = view
        return [
            *self._size,
            self._tiles_x,
            self._tiles,
            self._array(ranges, "vec2i"),
            self._array(slot_splats, "int32"),
            self._array(splats["means2d"], "vec2"),
            self._array(splats["conics"], "vec3"),
            self._array(splats["opacities"], "float32"),
        ]

    def _gaussians(self) -> list[Any]:
        found: list[Any] = [self._count]
        for tensor, kind in zip(self._inputs[:4], ("vec3", "vec4", "vec3", "float32"), strict=True):
            stride = self._count if tensor.shape[0] > 1 else 0
            found += [self._array(tensor.flatten(0, 1), kind), stride]
        return found

    def _cameras(self) -> list[Any]:
        return [
            self._array(self._inputs[6], "mat44"),
            self._array(self._inputs[7], "mat33"),
            *self._size,
        ]

    def _row(self, wide: int) -> Any:
        return self._wp.types.vector(length=wide, dtype=self._wp.float32)

    def _array(self, tensor: Tensor, kind: Any) -> Any:
        """A tensor as Warp sees it, without a copy."""
        dtype = getattr(self._wp, kind) if isinstance(kind, str) else kind
        return self._wp.from_torch(tensor, dtype=dtype, requires_grad=False)

    def _empty(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(*shape, dtype=dtype, device=self._device)

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(*shape, device=self._device)

    def _launch(self, kernel: Any, threads: int, given: list[Any], made: list[Any]) -> None:
        if threads:
            self._wp.launch(
                kernel,
                dim=threads,
                inputs=given,
                outputs=made,
                device=self._wp.device_from_torch(self._device),
                block_dim=self._kernels.PIXELS,
            )
