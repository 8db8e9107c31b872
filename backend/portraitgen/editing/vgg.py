# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first convolutions of VGG19 (Simonyan and Zisserman 2014), without torchvision."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import ModelError

# Places in torchvision's `features`, and how many channels each convolution gives.
_CONVOLUTIONS = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256}
_POOLS_BEFORE = (5, 10)
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Vgg19Trunk(nn.Module):
    """The first five convolutions of VGG19; its weights never learn.

    Args:
        state: its weights as torchvision names them, `features.0.weight` and so on; more than
            needed may be there.

    Raises:
        KeyError, RuntimeError: if a weight is missing or of another shape.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList()
        before = 3
        for place, channels in _CONVOLUTIONS.items():
            convolution = nn.Conv2d(before, channels, 3, padding=1)
            convolution.load_state_dict(
                {name: state[f"features.{place}.{name}"] for name in ("weight", "bias")}
            )
            self.convolutions.append(convolution)
            before = channels
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(1, 3, 1, 1))
        self.requires_grad_(False)

    @classmethod
    def load(cls, path: Path) -> "Vgg19Trunk":
        """Reads what it needs from a safetensors file.

        Raises:
            ModelError: if it is no such file or holds another network.
        """
        remedy = "run: portraitgen models fetch vgg19"
        try:
            with safe_open(str(path), framework="pt") as file:
                wanted = [f"features.{place}." for place in _CONVOLUTIONS]
                names = [name for name in file.keys() if name.startswith(tuple(wanted))]
                return cls({name: file.get_tensor(name).float() for name in names})
        except KeyError as error:
            raise ModelError(f"VGG19's {error} is missing in it", path, remedy) from error
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"VGG19 cannot be read from it ({reason})", path, remedy) from error

    def forward(self, image: Tensor) -> list[Tensor]:
        """What each convolution gives, before its ReLU.

        Args:
            image: (1, 3, H, W) in 0..1, each side 4 pixels or more.

        Returns:
            Five tensors (1, C, H / f, W / f) with f 1, 1, 2, 2, 4.
        """
        found: list[Tensor] = []
        x = (image - self.mean) / self.deviation
        for place, convolution in zip(_CONVOLUTIONS, self.convolutions, strict=True):
            if place in _POOLS_BEFORE:
                x = nn.functional.max_pool2d(x, 2)
            found.append(convolution(x))
            x = found[-1].relu()
        return found
