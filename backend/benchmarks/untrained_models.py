# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""InstructPix2Pix that has learned nothing: what an edit costs follows from the shapes alone."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from portraitgen.editing.editors.instruct_pix2pix import InstructPix2Pix, InstructPix2PixOptions
from portraitgen.models.store import Weights


@dataclass(frozen=True)
class Shapes:
    """How large the networks are.

    Attributes:
        unet, vae: channels of each level, the finest first.
        words: channels of the text's embedding.
        groups: of the norms.
        size: longer side of the picture, pixels.
    """

    unet: tuple[int, ...] = (320, 640, 1280, 1280)
    vae: tuple[int, ...] = (128, 256, 512, 512)
    words: int = 768
    groups: int = 32
    size: int = 512


TINY = Shapes(unet=(16, 32, 32, 32), vae=(8, 8, 8, 8), words=32, groups=4, size=64)
"""For a machine without a GPU."""


class Unlearned(InstructPix2Pix):
    """Random weights in the shapes of Stable Diffusion 1.5, random numbers for words.

    The words' encoder, which takes a hundredth of an edit, is left out.
    """

    def __init__(self, shapes: Shapes, device: torch.device) -> None:
        torch.manual_seed(0)
        self._networks = networks(shapes, device)
        half = torch.float16 if device.type == "cuda" else torch.float32
        for network in (self._networks.unet, self._networks.vae):
            network.to(half).requires_grad_(False).eval()
        self._words = torch.randn(3, 77, shapes.words, device=device, dtype=half)
        # Strong guidance would blow up what means nothing; it costs the same.
        options = InstructPix2PixOptions(
            prompt="anything", guidance=1.0, image_guidance=1.0, size=shapes.size
        )
        super().__init__(options)

    def find(self) -> list[Weights]:
        """None are needed."""
        return []

    def pipeline(self) -> Any:
        """The parts of a pipeline that an edit runs through."""
        return self._networks

    def _embeddings(self) -> Tensor:
        return self._words


def networks(shapes: Shapes, device: torch.device) -> SimpleNamespace:
    """U-Net, autoencoder and noise schedule with fresh weights, on a device."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from diffusers.utils import logging

    logging.set_verbosity_error()
    levels = len(shapes.vae)
    with device:
        unet = UNet2DConditionModel(
            in_channels=8,
            block_out_channels=shapes.unet,
            cross_attention_dim=shapes.words,
            attention_head_dim=8,
            norm_num_groups=shapes.groups,
        )
        vae = AutoencoderKL(
            block_out_channels=shapes.vae,
            layers_per_block=2,
            norm_num_groups=shapes.groups,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
        )
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    return SimpleNamespace(unet=unet, vae=vae, scheduler=scheduler)
