# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What our avatar is compared with: the same Gaussians with plainer or dearer ways to a picture."""

import torch
from torch import Tensor, nn

from ..avatar.avatar import Avatar
from ..avatar.texture import FEATURES, Gaussians, NeuralGaussianTexture
from ..body.model import BodyModel
from ..body.uv import Texels

_BANDS = 8


class ExplicitAvatar(Avatar):
    """The first three features are the picture: no network."""

    def __init__(self, body: BodyModel, betas: Tensor, texels: Texels) -> None:
        super().__init__(body, betas, texels)
        self.renderer = _FirstThree()  # type: ignore[assignment]


class SphericalAvatar(ExplicitAvatar):
    """Explicit 3D Gaussians (Kerbl et al. 2023): colour by spherical harmonics of degree 2."""

    def __init__(self, body: BodyModel, betas: Tensor, texels: Texels) -> None:
        super().__init__(body, betas, texels)
        corners = self.texture.face_corners
        self.texture = _SphericalTexture(body, texels)
        self.texture.face_corners = corners


class PaperAvatar(Avatar):
    """PortraitGen's own renderer: five convolutions at full resolution, 148k parameters."""

    def __init__(self, body: BodyModel, betas: Tensor, texels: Texels) -> None:
        super().__init__(body, betas, texels)
        self.renderer = _FullResolution()  # type: ignore[assignment]


class _FirstThree(nn.Module):
    def forward(self, features: Tensor, alpha: Tensor) -> Tensor:
        return features[:, :3]


class _FullResolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = (FEATURES, 128, 64, 32, 32, 32)
        layers: list[nn.Module] = []
        for inside, outside in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 3, 1), nn.Sigmoid())

    def forward(self, features: Tensor, alpha: Tensor) -> Tensor:
        colours: Tensor = self.layers(features)
        return colours * alpha


class _SphericalTexture(NeuralGaussianTexture):
    """Features 0 to 2 are the plain colour, 3 to 26 its change with the direction of view."""

    def forward(self, vertices: Tensor) -> Gaussians:
        plain = super().forward(vertices)
        view = nn.functional.normalize(-plain.means.detach(), dim=-1)
        local = _turned_back(plain.quats.detach(), view)
        basis = _harmonics(local)
        change = plain.features[..., 3 : 3 + 3 * _BANDS].unflatten(-1, (_BANDS, 3))
        colours = plain.features[..., :3] + (basis[..., None] * change).sum(-2)
        return Gaussians(
            plain.means,
            plain.quats,
            plain.scales,
            plain.opacities,
            colours,
            plain.normals,
        )


def _turned_back(quaternion: Tensor, vector: Tensor) -> Tensor:
    """Vectors (..., 3) seen from frames wxyz (..., 4)."""
    axis = -quaternion[..., 1:]
    cross = torch.linalg.cross(axis, vector)
    return vector + 2 * (quaternion[..., :1] * cross + torch.linalg.cross(axis, cross))


def _harmonics(direction: Tensor) -> Tensor:
    """The eight real spherical harmonics of degrees 1 and 2, (..., 8)."""
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
