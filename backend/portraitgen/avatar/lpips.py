# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""LPIPS on VGG16 (Zhang et al. 2018), without torchvision; the trunk's weights are the user's.

The five small heads (7 KB, BSD-2-Clause) ship with us.
"""

import hashlib
import io
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import AvatarError
from ..storage import read_bytes

_HEADS = Path(__file__).parent / "data" / "lpips_vgg_heads.safetensors"
_LAYERS: tuple[int | str, ...] = (
    64, 64, "tap", 128, 128, "tap", 256, 256, 256, "tap",
    512, 512, 512, "tap", 512, 512, 512, "tap",
)  # fmt: skip
_MEAN, _DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
# torchvision names its file by the first digits of its digest.
_PICKLE_DIGEST = "397923af"
# Bytes; torchvision's file has half as many.
_LARGEST = 1 << 30
_REMEDY = "give vgg16-397923af.pth from torchvision, or the same tensors as .safetensors"


class Lpips(nn.Module):
    """The perceptual distance of two images; its weights never learn.

    Args:
        trunk: VGG16's state, as torchvision names it (`features.0.weight` ...).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, trunk: dict[str, Tensor]) -> None:
        super().__init__()
        blocks: list[nn.Sequential] = []
        layers: list[nn.Module] = []
        index, channels = 0, 3
        for step in _LAYERS:
            if isinstance(step, str):
                blocks.append(nn.Sequential(*layers))
                layers = [nn.MaxPool2d(2)]
                index += 1
                continue
            convolution = nn.Conv2d(channels, step, 3, padding=1)
            convolution.load_state_dict(
                {name: trunk[f"features.{index}.{name}"] for name in ("weight", "bias")}
            )
            layers += [convolution, nn.ReLU()]
            index, channels = index + 2, step
        self.blocks = nn.ModuleList(blocks)
        heads = load_file(str(_HEADS))
        for number in range(len(blocks)):
            self.register_buffer(f"head{number}", heads[f"head{number}"].view(1, -1, 1, 1))
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(1, 3, 1, 1))
        self.requires_grad_(False)

    @classmethod
    def load(cls, path: Path) -> "Lpips":
        """Reads the trunk from safetensors, or from torchvision's own file.

        A pickle is opened only as plain tensors, and only if its digest is torchvision's.

        Raises:
            AvatarError: if the file is missing, damaged or another one.
        """
        try:
            if path.suffix == ".safetensors":
                return cls(load_file(str(path)))
            data = read_bytes(path, _LARGEST)
            if not hashlib.sha256(data).hexdigest().startswith(_PICKLE_DIGEST):
                raise AvatarError("these are not torchvision's VGG16 weights", path, _REMEDY)
            return cls(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))
        except (OSError, SafetensorError, KeyError, RuntimeError) as error:
            raise AvatarError(
                f"the VGG16 weights cannot be read ({error})", path, _REMEDY
            ) from error

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """The distance (B,) of images (B, 3, H, W) in 0..1, each side 16 pixels or more."""
        a, b = ((image * 2 - 1 - self.mean) / self.deviation for image in (first, second))
        total = first.new_zeros(len(first))
        for number, block in enumerate(self.blocks):
            a, b = block(a), block(b)
            apart = (_unit(a) - _unit(b)).square()
            total = total + (apart * self.get_buffer(f"head{number}")).sum(1).mean((1, 2))
        return total


def _unit(features: Tensor) -> Tensor:
    return features / (features.norm(dim=1, keepdim=True) + 1e-10)
