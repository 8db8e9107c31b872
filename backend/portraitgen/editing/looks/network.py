# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of a look: a small U-Net at half resolution that adds to a map of colours."""

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...avatar.renderer import half_precision

CHANNELS = (32, 48, 64)
PLACE_CHANNELS = 8
PLACE_ROWS, PLACE_COLUMNS = 192, 384
MULTIPLE = 8
"""Sides of pictures are multiples of it: two halvings of half the resolution."""

_TERMS = 10


@dataclass(frozen=True)
class Guides:
    """What a network is shown beside colours and coverage.

    Attributes:
        normals: the tracked body's normals.
        place: where on the body a pixel lies, through a texture that is learned with the look.
    """

    normals: bool = False
    place: bool = False

    @classmethod
    def of(cls, names: tuple[str, ...]) -> "Guides":
        """By the names that a file tells."""
        return cls("normals" in names, "place" in names)

    @property
    def names(self) -> tuple[str, ...]:
        """As a file tells them."""
        return tuple(name for name in ("normals", "place") if getattr(self, name))

    @property
    def channels(self) -> int:
        """Planes of guides at half resolution: coverage, and normals."""
        return 1 + 3 * self.normals


class LookNetwork(nn.Module):
    """Colours and guides to colours: a quadratic map of colours and what the U-Net adds.

    About 1.3 GMAC at 256 x 256, and 215 000 weights without the texture of places.
    """

    colours: Tensor

    def __init__(self, guides: Guides) -> None:
        super().__init__()
        self.guides = guides
        self.register_buffer("colours", torch.zeros(_TERMS, 3))
        with torch.no_grad():
            self.colours[1:4] = torch.eye(3)
        self.place = (
            nn.Parameter(0.01 * torch.randn(1, PLACE_CHANNELS, PLACE_ROWS, PLACE_COLUMNS))
            if guides.place
            else None
        )
        width = 12 + guides.channels + PLACE_CHANNELS * guides.place
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for channels in CHANNELS:
            self.down.append(_block(width, channels))
            width = channels
        for channels in CHANNELS[-2::-1]:
            self.up.append(_block(width + channels, channels))
            width = channels
        self.out = nn.Conv2d(width, 12, 1)
        nn.init.zeros_(self.out.weight)
        if self.out.bias is not None:
            nn.init.zeros_(self.out.bias)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, picture: Tensor, guides: Tensor, places: Tensor) -> Tensor:
        """The edited picture, (B, 3, H, W), not clipped.

        Args:
            picture: (B, 3, H, W) in 0..1; sides are multiples of `MULTIPLE`.
            guides: (B, G, H / 2, W / 2), as `Guides.channels` counts them.
            places: (B, H / 2, W / 2, 2), in the texture of places, -1..1; beyond it nothing is
                known.
        """
        seen = [nn.functional.pixel_unshuffle(picture, 2), guides]
        if self.place is not None:
            # One row of patches: the texture need not be there once a patch.
            count, height, width, _ = places.shape
            strip = places.reshape(1, count * height, width, 2)
            found = nn.functional.grid_sample(self.place, strip, align_corners=False)
            seen.append(found.reshape(PLACE_CHANNELS, count, height, width).transpose(0, 1))
        half = half_precision(picture.device.type, torch.is_grad_enabled())
        with torch.autocast(picture.device.type, half) if half else nullcontext():
            added = self._trunk(torch.cat(seen, dim=1)).float()
        return self.mapped(picture) + added

    def _trunk(self, seen: Tensor) -> Tensor:
        level = seen.contiguous(memory_format=torch.channels_last)
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

    def mapped(self, picture: Tensor) -> Tensor:
        """The map of colours alone, (B, 3, H, W) in 0..1."""
        return torch.einsum("bchw,cd->bdhw", _terms(picture), self.colours).clamp(0, 1)

    @torch.no_grad()
    def fit_colours(self, before: Tensor, after: Tensor) -> None:
        """Finds the map of colours in closed form, by least squares.

        Args:
            before, after: (N, 3), colours of the pairs in 0..1.
        """
        terms = _terms(before.T[None, :, :, None])[0, :, :, 0].T.double()
        # What the pairs do not tell stays as it is.
        own = torch.zeros(_TERMS, 3, dtype=torch.float64)
        own[1:4] = torch.eye(3, dtype=torch.float64)
        ridge = 1e-4 * len(terms) * torch.eye(_TERMS, dtype=torch.float64)
        left, right = terms.T @ terms + ridge, terms.T @ after.double() + ridge @ own
        self.colours.copy_(torch.linalg.solve(left, right).float())


def _terms(picture: Tensor) -> Tensor:
    """(B, 3, H, W) as the terms of a quadratic, (B, 10, H, W)."""
    red, green, blue = picture[:, 0:1], picture[:, 1:2], picture[:, 2:3]
    squares = [red * red, green * green, blue * blue, red * green, green * blue, red * blue]
    return torch.cat([torch.ones_like(red), red, green, blue, *squares], dim=1)


def _block(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1),
        nn.LeakyReLU(0.1),
        nn.Conv2d(outside, outside, 3, padding=1),
        nn.LeakyReLU(0.1),
    )
