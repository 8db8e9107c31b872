# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rasteriser in plain torch, every Gaussian at every pixel: slow, short, and the measure.

Differentiated by autograd and sharing nothing with the other backends but the constants. Memory
grows as width x height x N: for tests and small pictures only.
"""

import torch
from torch import Tensor

from .arguments import Scene
from .conventions import (
    BLUR_VARIANCE,
    FAR_PLANE,
    MAX_ALPHA,
    MAX_EXTENT,
    MIN_ALPHA,
    MIN_TRANSMITTANCE,
    VIEW_MARGIN,
)


def rasterize_reference(scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
    """Renders on any device; returns features (B, H, W, C), alpha and depth (B, H, W, 1)."""
    images = []
    for b in range(scene.viewmats.shape[0]):
        means, quats, scales, opacities, features, background = (
            tensor[b if tensor.shape[0] > 1 else 0]
            for tensor in (
                scene.means,
                scene.quats,
                scene.scales,
                scene.opacities,
                scene.features,
                scene.background,
            )
        )
        viewmat, K = scene.viewmats[b], scene.Ks[b]
        means2d, covariances, depths, compensations, near_enough = _project(
            means, quats, scales, viewmat, K, scene
        )
        if scene.antialiased:
            opacities = opacities * compensations
        visible = near_enough & _touches_image(means2d, covariances, opacities, scene)
        order = torch.argsort(depths.detach(), stable=True)
        order = order[visible[order]]
        weights, transmittance = _weights(
            means2d[order], covariances[order], opacities[order], scene
        )
        image = weights.T @ features[order] + transmittance[:, None] * background
        depth = weights.T @ depths[order]
        images.append((image, 1.0 - transmittance, depth))
    size = (scene.height, scene.width)
    image, alpha, depth = (torch.stack(kind) for kind in zip(*images, strict=True))
    return (
        image.unflatten(1, size),
        alpha.unflatten(1, size)[..., None],
        depth.unflatten(1, size)[..., None],
    )


def _project(
    means: Tensor, quats: Tensor, scales: Tensor, viewmat: Tensor, K: Tensor, scene: Scene
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Centres (N, 2), blurred covariances (N, 2, 2), depths, compensations, in depth range (N,)."""
    camera_means = means @ viewmat[:3, :3].T + viewmat[:3, 3]
    in_range = (camera_means[:, 2] > scene.near) & (camera_means[:, 2] < FAR_PLANE)
    x, y, depths = camera_means.unbind(-1)
    z = torch.where(in_range, depths, torch.ones_like(depths))  # keeps gradients finite

    w, i, j, k = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rotations = torch.stack(
        [
            1 - 2 * (j * j + k * k), 2 * (i * j - w * k), 2 * (i * k + w * j),
            2 * (i * j + w * k), 1 - 2 * (i * i + k * k), 2 * (j * k - w * i),
            2 * (i * k - w * j), 2 * (j * k + w * i), 1 - 2 * (i * i + j * j),
        ],
        dim=-1,
    ).unflatten(-1, (3, 3))  # fmt: skip
    axes = viewmat[:3, :3] @ (rotations * scales[:, None, :])

    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    margin_x, margin_y = VIEW_MARGIN * scene.width / fx, VIEW_MARGIN * scene.height / fy
    slope_x = torch.clamp(x / z, -(cx / fx + margin_x), (scene.width - cx) / fx + margin_x)
    slope_y = torch.clamp(y / z, -(cy / fy + margin_y), (scene.height - cy) / fy + margin_y)
    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [fx / z, zero, -fx * slope_x / z, zero, fy / z, -fy * slope_y / z], dim=-1
    ).unflatten(-1, (2, 3))
    screen_axes = jacobian @ axes
    sharp = screen_axes @ screen_axes.transpose(-1, -2)
    blurred = sharp + BLUR_VARIANCE * torch.eye(2, dtype=sharp.dtype, device=sharp.device)
    ratio = torch.linalg.det(sharp) / torch.linalg.det(blurred)
    compensations = torch.where(ratio > 0, ratio, torch.ones_like(ratio)).sqrt() * (ratio > 0)
    means2d = torch.stack([fx * x / z + cx, fy * y / z + cy], dim=-1)
    return means2d, blurred, depths, compensations, in_range


def _touches_image(means2d: Tensor, covariances: Tensor, opacities: Tensor, scene: Scene) -> Tensor:
    """Whether a splat's box, as far as it reaches the cut, overlaps the image; (N,)."""
    with torch.no_grad():
        sigma_max = torch.log((opacities / MIN_ALPHA).clamp_min(1.0))
        extent = (2 * sigma_max).sqrt().clamp_max(MAX_EXTENT)
        variances = torch.stack([covariances[:, 0, 0], covariances[:, 1, 1]], dim=-1)
        radii = torch.ceil(extent[:, None] * variances.sqrt())
        image_size = means2d.new_tensor([scene.width, scene.height])
        overlaps = ((means2d + radii > 0) & (means2d - radii < image_size)).all(-1)
        return overlaps & (opacities >= MIN_ALPHA)


def _weights(
    means2d: Tensor, covariances: Tensor, opacities: Tensor, scene: Scene
) -> tuple[Tensor, Tensor]:
    """Blending weights (N, pixels) of Gaussians in order of depth, and what is left (pixels,)."""
    ys, xs = torch.meshgrid(
        torch.arange(scene.height, dtype=means2d.dtype, device=means2d.device) + 0.5,
        torch.arange(scene.width, dtype=means2d.dtype, device=means2d.device) + 0.5,
        indexing="ij",
    )
    offsets = means2d[:, None] - torch.stack([xs, ys], dim=-1).reshape(1, -1, 2)
    conics = torch.linalg.inv(covariances)
    sigma = 0.5 * torch.einsum("npi,nij,npj->np", offsets, conics, offsets)
    alphas = (opacities[:, None] * torch.exp(-sigma)).clamp_max(MAX_ALPHA)
    alphas = torch.where((sigma >= 0) & (alphas >= MIN_ALPHA), alphas, torch.zeros_like(alphas))
    after = torch.cumprod(1 - alphas, dim=0)
    stopped = torch.cummax((after <= MIN_TRANSMITTANCE).int(), dim=0).values.bool()
    # Nothing is blended once the stop is met, so the transmittance freezes before it.
    alphas = torch.where(stopped, torch.zeros_like(alphas), alphas)
    after = torch.cumprod(1 - alphas, dim=0)
    ones = torch.ones_like(xs).reshape(1, -1)
    before = torch.cat([ones, after])
    return alphas * before[:-1], before[-1]
