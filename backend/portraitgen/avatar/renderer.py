# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The neural renderer: splatted features to colours, at half resolution for most of its work."""

from contextlib import nullcontext
from functools import cache

import torch
from torch import Tensor, nn

from .cuda_graphs import Graphs
from .texture import FEATURES


class NeuralRenderer(nn.Module):
    """A small U-Net between a pixel-unshuffle and a pixel-shuffle, added to the first features.

    The first three features are kept close to the image itself (the stable loss), so the network
    has only to add what they miss, and begins by adding nothing.

    Args:
        channels: of each level of the trunk, the finest first.
    """

    def __init__(self, channels: tuple[int, ...] = (32, 48, 64)) -> None:
        super().__init__()
        self.graphs = Graphs()
        self.down = nn.ModuleList()
        width = 4 * (FEATURES + 1)
        for count in channels:
            self.down.append(_block(width, count))
            width = count
        self.up = nn.ModuleList()
        for count in channels[-2::-1]:
            self.up.append(_block(width + count, count))
            width = count
        self.out = nn.Conv2d(width, 4 * 3, 1)
        nn.init.zeros_(self.out.weight)
        if self.out.bias is not None:
            nn.init.zeros_(self.out.bias)
        for parameter in self.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    @property
    def fresh(self) -> bool:
        """Whether it adds nothing, as at its beginning."""
        return not any(each.any() for each in self.out.parameters())

    def forward(self, features: Tensor, alpha: Tensor) -> Tensor:
        """Colours, multiplied by alpha.

        Args:
            features: (B, 32, H, W), accumulated; H and W multiples of 8.
            alpha: (B, 1, H, W).

        Returns:
            (B, 3, H, W).
        """
        (colours,) = self.graphs(self._draw, self.parameters(), features, alpha)
        return colours

    def _draw(self, features: Tensor, alpha: Tensor) -> tuple[Tensor]:
        half = half_precision(features.device.type, torch.is_grad_enabled())
        return (self.drawn_in(half, features, alpha),)

    def drawn_in(self, half: torch.dtype | None, features: Tensor, alpha: Tensor) -> Tensor:
        """What `forward` gives, multiplied in a type of half precision, or in float32."""
        # Every weight is read once, and a graph must not keep a copy of it.
        kind = features.device.type
        reduced = torch.autocast(kind, half, cache_enabled=False) if half else nullcontext()
        with reduced:
            added = self._trunk(torch.cat([features, alpha], dim=1)).float()
        return features[:, :3] + added * alpha

    def _trunk(self, seen: Tensor) -> Tensor:
        packed = nn.functional.pixel_unshuffle(seen, 2)
        level = packed.contiguous(memory_format=torch.channels_last)
        kept = []
        for index, block in enumerate(self.down):
            if index:
                level = nn.functional.avg_pool2d(level, 2)
            level = block(level)
            kept.append(level)
        for block, skip in zip(self.up, kept[-2::-1], strict=True):
            wide = nn.functional.interpolate(level, scale_factor=2, mode="nearest")
            level = block(torch.cat([wide, skip], dim=1))
        return nn.functional.pixel_shuffle(self.out(level), 2)


class PaperRenderer(nn.Module):
    """The renderer of PortraitGen (3.2), to repeat its figures with: five 3x3 convolutions at full
    resolution, then 1x1 and a sigmoid.

    148 000 parameters and 77 GFLOP a frame of 512 x 512, five times ours. It gives the colours
    whole, so that an avatar has to be trained with it from the first step on.
    """

    fresh = False

    def __init__(self) -> None:
        super().__init__()
        self.graphs = Graphs()
        widths = (FEATURES, 128, 64, 32, 32, 32)
        layers: list[nn.Module] = []
        for inside, outside in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 3, 1), nn.Sigmoid())

    def forward(self, features: Tensor, alpha: Tensor) -> Tensor:
        """Colours, multiplied by alpha; as `NeuralRenderer.forward`."""
        (colours,) = self.graphs(self._draw, self.parameters(), features, alpha)
        return colours

    def _draw(self, features: Tensor, alpha: Tensor) -> tuple[Tensor]:
        kind = features.device.type
        half = half_precision(kind, torch.is_grad_enabled())
        reduced = torch.autocast(kind, half, cache_enabled=False) if half else nullcontext()
        with reduced:
            colours = self.layers(features).float()
        return (colours * alpha,)


@cache
def half_precision(kind: str, learning: bool) -> torch.dtype | None:
    """The type in which a kind of device multiplies about twice as quickly; None if it has none.

    On CUDA float16 for pictures, which every card has; its gradients would vanish unless they were
    scaled, so that learning takes bfloat16, on cards that have it.
    """
    if kind == "cuda":
        if not learning:
            return torch.float16
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    if kind == "cpu":
        able: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
        return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else None
    return None


def _block(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(outside, outside, 3, padding=1),
        nn.LeakyReLU(0.2),
    )
