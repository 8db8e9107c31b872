# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What our avatar is compared with: the same Gaussians with plainer or dearer ways to a picture."""

from torch import Tensor, nn

from portraitgen.avatar.avatar import Avatar
from portraitgen.avatar.texture import FEATURES
from portraitgen.body.model import BodyModel
from portraitgen.body.uv import Texels


class NeuralAvatar(Avatar):
    """Ours with its network from the first step on, as edits train it."""

    def __init__(self, body: BodyModel, betas: Tensor, texels: Texels) -> None:
        super().__init__(body, betas, texels)
        self.neural = True


class SphericalAvatar(Avatar):
    """Explicit 3D Gaussians (Kerbl et al. 2023): spherical harmonics of degree 2 and no more."""

    def __init__(self, body: BodyModel, betas: Tensor, texels: Texels) -> None:
        super().__init__(body, betas, texels)
        self.bases.tints.requires_grad_(False)


class PaperAvatar(NeuralAvatar):
    """PortraitGen's own: features and five convolutions at full resolution, 148k parameters."""

    def __init__(self, body: BodyModel, betas: Tensor, texels: Texels) -> None:
        super().__init__(body, betas, texels)
        self.texture.harmonics.requires_grad_(False)
        self.bases.tints.requires_grad_(False)
        self.renderer = _FullResolution()  # type: ignore[assignment]


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
