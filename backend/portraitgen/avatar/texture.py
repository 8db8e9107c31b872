# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The neural Gaussian texture: Gaussians that ride on the body's triangles.

After PortraitGen (Gao et al. 2024), section 3.1: every texel holds a feature, an opacity, a scale
and a rotation; the deforming triangle under it carries place, orientation and size.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..body.geometry import triangle_frames
from ..body.model import BodyModel
from ..body.uv import Texels

FEATURES = 32
HARMONICS = 8
# Hair and clothes stand off the body: their texels begin spread over this depth, metres.
_DEPTH = {"scalp": 0.022, "torso": 0.010, "arms": 0.010}
_START_OPACITY = 2.0
_THICKNESS = 0.35


@dataclass(frozen=True)
class Gaussians:
    """Gaussians in camera space, ready to be splatted; shapes as `raster.rasterize` takes them."""

    means: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    features: Tensor
    normals: Tensor


class NeuralGaussianTexture(nn.Module):
    """Learnable texels on a body.

    Args:
        body: the body model.
        texels: where they sit.

    Attributes:
        sampling: (N,), metres that a pixel spanned at each in the nearest frame it was learned
            from; 0 if nothing is known of it, as in older avatars.
    """

    face_corners: Tensor
    barycentric: Tensor
    rest_scale: Tensor
    sampling: Tensor

    def __init__(self, body: BodyModel, texels: Texels) -> None:
        super().__init__()
        count = len(texels.face)
        corners = body.faces[texels.face]
        self.register_buffer("face_corners", corners, persistent=False)
        self.register_buffer("barycentric", texels.barycentric, persistent=False)
        # A texel covers its share of surface: radius of a disc of that area.
        radius = torch.sqrt(texels.area / torch.pi)
        rest = body.template[corners]
        self.register_buffer("rest_scale", _triangle_size(rest), persistent=False)
        # Colours come from projection; what the network reads besides starts different at each.
        self.features = nn.Parameter(0.1 * torch.randn(count, FEATURES))
        # How the first three features change with the direction they are seen from.
        self.harmonics = nn.Parameter(torch.zeros(count, HARMONICS, 3))
        self.opacity = nn.Parameter(torch.full((count,), _START_OPACITY))
        scale = torch.log(radius)[:, None].repeat(1, 3)
        scale[:, 2] += torch.log(torch.tensor(_THICKNESS))
        self.scale = nn.Parameter(scale)
        rotation = torch.zeros(count, 4)
        rotation[:, 0] = 1
        self.rotation = nn.Parameter(rotation)
        offset = torch.zeros(count, 3)
        layer = (torch.arange(count) * 0.6180339887) % 1
        for part, depth in _DEPTH.items():
            if part in body.parts:
                chosen = body.parts[part][texels.face]
                offset[chosen, 2] = layer[chosen] * depth
        self.offset = nn.Parameter(offset)
        self.register_buffer("sampling", torch.zeros(count))

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *rest: Any, **named: Any
    ) -> None:
        state_dict.setdefault(f"{prefix}sampling", torch.zeros_like(self.sampling))
        super()._load_from_state_dict(state_dict, prefix, *rest, **named)

    def carriers(self, vertices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What carries the Gaussians on a posed body, by the triangle under each.

        Args:
            vertices: (B, V, 3).

        Returns:
            The place on the triangle (B, N, 3), its frame (B, N, 3, 3) as `triangle_frames` gives
            it, and how far it is stretched (B, N).
        """
        corners = vertices[:, self.face_corners]
        stretch = (_triangle_size(corners) / self.rest_scale).clamp(0.3, 3.0)
        return (corners * self.barycentric[..., None]).sum(-2), triangle_frames(corners), stretch

    def forward(
        self,
        vertices: Tensor,
        eyes: Tensor | None = None,
        channels: int = FEATURES,
        tints: Tensor | None = None,
    ) -> Gaussians:
        """The Gaussians on a posed body.

        Args:
            vertices: (B, V, 3), camera space.
            eyes: (B, 3), from where they are seen; the origin if None.
            channels: how many of the features are wanted, at least three.
            tints: (B, N, 3), added to the first three; none if None.
        """
        centre, frames, stretch = self.carriers(vertices)
        lifted = (frames @ (self.offset * stretch.detach()[..., None])[..., None])[..., 0]
        carried = matrix_to_quaternion(frames.detach())
        local = nn.functional.normalize(self.rotation, dim=-1)
        batch = len(vertices)
        means = centre + lifted
        towards = -means.detach() if eyes is None else eyes[:, None] - means.detach()
        seen_from = (frames.detach().mT @ nn.functional.normalize(towards, dim=-1)[..., None])[
            ..., 0
        ]
        basis = spherical_harmonics(seen_from)
        colour = self.features[:, :3] + (basis[..., None] * self.harmonics).sum(-2)
        if tints is not None:
            colour = colour + tints
        rest = self.features[:, 3:channels].expand(batch, -1, -1)
        return Gaussians(
            means,
            multiply_quaternions(carried, local.expand(batch, -1, -1)),
            torch.exp(self.scale) * stretch.detach()[..., None],
            torch.sigmoid(self.opacity).expand(batch, -1),
            torch.cat([colour, rest], dim=-1),
            frames[..., 2].detach(),
        )


def spherical_harmonics(direction: Tensor) -> Tensor:
    """The eight real spherical harmonics of degrees 1 and 2 of unit directions, (..., 8)."""
    x, y, z = direction.unbind(-1)
    first = [0.4886025 * y, 0.4886025 * z, 0.4886025 * x]
    second = [
        1.0925484 * x * y,
        1.0925484 * y * z,
        0.3153916 * (3 * z * z - 1),
        1.0925484 * x * z,
        0.5462742 * (x * x - y * y),
    ]
    return torch.stack(first + second, dim=-1)


def _triangle_size(corners: Tensor) -> Tensor:
    """The square root of each triangle's doubled area, (...,)."""
    edges = corners[..., 1:, :] - corners[..., :1, :]
    return (
        torch.linalg.cross(edges[..., 0, :], edges[..., 1, :]).norm(dim=-1).clamp_min(1e-12).sqrt()
    )


def multiply_quaternions(first: Tensor, second: Tensor) -> Tensor:
    """Hamilton product of quaternions wxyz (..., 4)."""
    aw, ax, ay, az = first.unbind(-1)
    bw, bx, by, bz = second.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        dim=-1,
    )


def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) to quaternions wxyz (..., 4), each by its largest component."""
    m = matrix
    diagonal = torch.stack([m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]], dim=-1)
    trace = diagonal.sum(-1, keepdim=True)
    squares = torch.cat([1 + trace, 1 + 2 * diagonal - trace], dim=-1)
    root = squares.clamp_min(1e-12).sqrt()
    yz, zy = m[..., 2, 1] - m[..., 1, 2], m[..., 2, 1] + m[..., 1, 2]
    zx, xz = m[..., 0, 2] - m[..., 2, 0], m[..., 0, 2] + m[..., 2, 0]
    xy, yx = m[..., 1, 0] - m[..., 0, 1], m[..., 1, 0] + m[..., 0, 1]
    a, b, c, d = root.unbind(-1)
    candidates = torch.stack(
        [
            torch.stack([a, yz / a, zx / a, xy / a], dim=-1),
            torch.stack([yz / b, b, yx / b, xz / b], dim=-1),
            torch.stack([zx / c, yx / c, c, zy / c], dim=-1),
            torch.stack([xy / d, xz / d, zy / d, d], dim=-1),
        ],
        dim=-2,
    )
    best = squares.argmax(-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    return nn.functional.normalize(candidates.gather(-2, best)[..., 0, :], dim=-1)
