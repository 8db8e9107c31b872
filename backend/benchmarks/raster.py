# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the CPU rasteriser is, and how exact."""

import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from portraitgen.avatar.avatar import Avatar
from portraitgen.body.model import BodyModel
from portraitgen.body.uv import gaussian_texels
from portraitgen.pipeline.data.avatars import best_device, frame_parameters
from portraitgen.raster import Backend, Raster, rasterize
from synthetic.acting import act, camera

_CHANNELS = 32
_ROUNDS = 15


def measure(footage: Path | None, out: Path) -> dict[str, float]:
    """Times the numba backend on a bust-shaped scene and compares it with the dense reference.

    Returns:
        ``<n>_gaussians_<size>px_forward_ms`` and ``..._forward_backward_ms``: medians for 16 384
        Gaussians at 128, 256 and 512 pixels and 24 576 at 512, 32 channels, gradients from
        features, alpha and depth; ``avatar_24576_gaussians_512px_ms``, a whole frame of an avatar;
        ``threads``; and ``largest_error``, the greatest difference of any output, in float32 with
        2 000 Gaussians at 96 pixels, to the reference in float64.
    """
    figures: dict[str, float] = {"threads": torch.get_num_threads()}
    for count, size in ((16384, 128), (16384, 256), (16384, 512), (24576, 512)):
        forward, both = _timings(count, size)
        figures[f"{count}_gaussians_{size}px_forward_ms"] = forward
        figures[f"{count}_gaussians_{size}px_forward_backward_ms"] = both
    figures["largest_error"] = _largest_error()
    figures["avatar_24576_gaussians_512px_ms"] = _avatar_ms(24576, 512)
    return figures


@torch.no_grad()
def _avatar_ms(count: int, size: int) -> float:
    """The whole path from parameters to a picture: body, texture, rasteriser, network."""
    body = BodyModel.load()
    motion, device = act(body, range(1, _ROUNDS + 1), 0), best_device()
    avatar = Avatar(body, torch.from_numpy(motion.betas), gaussian_texels(body, count)).on(device)
    avatar.neural = True
    Ks = torch.from_numpy(camera(size).matrix())[None]
    times = []
    for frame in motion.frames.tolist():
        begun = time.perf_counter()
        avatar.render(frame_parameters(motion, [frame]), Ks, size).rgb.cpu()
        times.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(times)


def bust(count: int) -> list[Tensor]:
    """Means, quats, scales, opacities and features on two ellipsoids, head over shoulders.

    Discs that cover the surface as a neural texture's Gaussians do: about 2 m from the camera,
    0.55 m high, each a little wider than its share of the area.
    """
    generator = torch.Generator().manual_seed(0)
    parts = []
    for share, centre, radii in (
        (0.6, (0.0, -0.08, 2.0), (0.085, 0.125, 0.105)),
        (0.4, (0.0, 0.15, 2.0), (0.235, 0.110, 0.100)),
    ):
        n = int(count * share)
        # Fibonacci's spiral on the sphere, stretched.
        index = torch.arange(n) + 0.5
        polar = torch.acos(1 - 2 * index / n)
        azimuth = math.pi * (1 + math.sqrt(5)) * index
        unit = torch.stack(
            [polar.sin() * azimuth.cos(), polar.cos(), polar.sin() * azimuth.sin()], dim=-1
        )
        axes = torch.tensor(radii)
        normals = torch.nn.functional.normalize(unit / axes, dim=-1)
        # The rotation from z to the normal.
        quats = torch.stack(
            [1 + normals[:, 2], -normals[:, 1], normals[:, 0], torch.zeros(n)], dim=-1
        )
        spacing = math.sqrt(4 * math.pi * float(axes.square().mean()) / n)
        scales = torch.tensor([0.75, 0.75, 0.2]) * spacing
        spread = torch.exp(0.15 * torch.randn(n, 3, generator=generator))
        parts.append((unit * axes + torch.tensor(centre), quats, scales * spread))
    means, quats, scales = (torch.cat(kind) for kind in zip(*parts, strict=True))
    opacities = 0.3 + 0.65 * torch.rand(len(means), generator=generator)
    features = torch.randn(len(means), _CHANNELS, generator=generator)
    return [means, quats, scales, opacities, features]


def _camera(size: int) -> tuple[Tensor, Tensor, int, int]:
    K = torch.tensor([[3.4 * size, 0, size / 2], [0, 3.4 * size, size / 2], [0, 0, 1]])
    return torch.eye(4)[None], K[None], size, size


def _timings(count: int, size: int) -> tuple[float, float]:
    """Median milliseconds of a forward pass, and of forward and backward."""
    leaves = [tensor.requires_grad_() for tensor in bust(count)]
    camera = _camera(size)
    grad_features = torch.ones(1, size, size, _CHANNELS)
    grad_map = torch.ones(1, size, size, 1)

    def forward() -> Raster:
        means, quats, scales, opacities, features = leaves
        return rasterize(
            means, quats, scales, opacities, features, *camera, antialiased=False, backend="numba"
        )

    def forward_backward() -> None:
        raster = forward()
        outputs = [raster.features, raster.alpha, raster.depth]
        torch.autograd.grad(outputs, leaves, [grad_features, grad_map, grad_map])

    with torch.no_grad():
        forward_ms = median_ms(forward)
    return forward_ms, median_ms(forward_backward)


def median_ms(function: Callable[[], object], rounds: int = _ROUNDS) -> float:
    """Median milliseconds of a function, once warm, until a GPU is done with it."""
    function()
    times = []
    for _ in range(rounds):
        _wait()
        start = time.perf_counter()
        function()
        _wait()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def largest_differences(
    backends: tuple[Backend, Backend], count: int, size: int, device: torch.device
) -> tuple[float, float]:
    """How far two backends are apart on one bust, in float32, outputs and gradients.

    Returns:
        The largest relative difference of any output or gradient: the norm of the difference over
        that of the second backend's; and that of its worst value, over the greatest.
    """
    grads = [torch.randn(1, size, size, channels) for channels in (_CHANNELS, 1, 1)]
    viewmat, K, width, height = _camera(size)
    camera = (viewmat.to(device), K.to(device), width, height)

    def made(backend: Backend) -> list[Tensor]:
        leaves = [tensor.to(device).requires_grad_() for tensor in bust(count)]
        means, quats, scales, opacities, features = leaves
        raster = rasterize(means, quats, scales, opacities, features, *camera, backend=backend)
        outputs = [raster.features, raster.alpha, raster.depth]
        slopes = torch.autograd.grad(outputs, leaves, [each.to(device) for each in grads])
        return [each.detach().double().cpu() for each in (*outputs, *slopes)]

    apart = [
        ((a - b).norm() / b.norm(), (a - b).abs().max() / b.abs().max())
        for a, b in zip(*(made(backend) for backend in backends), strict=True)
    ]
    return max(float(whole) for whole, _ in apart), max(float(worst) for _, worst in apart)


def _largest_error() -> float:
    single = bust(2000)
    viewmat, K, width, height = _camera(96)

    def render(tensors: list[Tensor], dtype: torch.dtype, backend: str) -> Raster:
        means, quats, scales, opacities, features = (tensor.to(dtype) for tensor in tensors)
        cameras = (viewmat.to(dtype), K.to(dtype), width, height)
        return rasterize(
            means, quats, scales, opacities, features, *cameras,
            backend="numba" if backend == "numba" else "reference",
        )  # fmt: skip

    got = render(single, torch.float32, "numba")
    expected = render(single, torch.float64, "reference")
    return max(
        float((getattr(got, name) - getattr(expected, name)).abs().max())
        for name in ("features", "alpha", "depth")
    )
