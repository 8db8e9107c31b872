# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""InstructPix2Pix: an instruction in words, from the avatar's rendering, true to the plate."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ...errors import EditError, ModelError
from ...settings import option
from ..diffusion import (
    leading_timesteps,
    load_pipeline,
    plane,
    predicts_noise,
    text_embedding,
    to_tensor,
)
from ..editor import EditorInfo, EditRequest
from ..unet import UNetEditor


@dataclass(frozen=True)
class InstructPix2PixOptions:
    """The instruction, and how closely to follow it."""

    prompt: str = option("", "What to do, as an instruction: turn him into a bronze statue")
    negative: str = option("", "What to keep away from")
    guidance: float = option(12.0, "How closely to follow the words", minimum=1, maximum=30)
    image_guidance: float = option(2.0, "How closely to follow the plate", minimum=1, maximum=10)
    steps: int = option(10, "Denoising steps", unit="steps", minimum=1, maximum=200)
    noise_low: float = option(
        0.5, "Least noise put on the rendering at full strength", minimum=0.02, maximum=1
    )
    noise_high: float = option(
        0.8, "Most noise put on the rendering at full strength", minimum=0.02, maximum=1
    )
    size: int = option(
        512, "Longer side to work at, 0 for the window's own", unit="px", minimum=0, maximum=2048
    )
    model: str = option(
        "instruct-pix2pix", "The model's name, or a folder in the layout of diffusers", path=True
    )


class InstructPix2Pix(UNetEditor):
    """Brooks et al. (2023), run as Instruct-NeRF2NeRF and PortraitGen do.

    The rendering is noised to a timestep that is drawn for every edit between two bounds, and
    denoised under the plate and the words; the plate's latent is not scaled, the rendering's is.
    """

    info: ClassVar[EditorInfo] = EditorInfo(
        id="instruct-pix2pix",
        label="InstructPix2Pix",
        description="An instruction in words, as in the paper",
        needs=("instruct-pix2pix", "diffusers"),
        licence="MIT; made from Stable Diffusion 1.5 (CreativeML Open RAIL-M)",
        memory_gb=4.0,
        starts_from_render=True,
    )
    Options = InstructPix2PixOptions
    pipelines = ("StableDiffusionInstructPix2PixPipeline",)
    channels = 8

    def __init__(self, options: InstructPix2PixOptions) -> None:
        super().__init__(options)
        if options.noise_low > options.noise_high:
            raise EditError(
                f"noise_low ({options.noise_low}) is above noise_high ({options.noise_high})",
                self.info.id,
                "give the lower bound first",
            )

    def _load(self) -> Any:
        pipeline = load_pipeline(
            self.pipelines[0],
            self.weights[0].path,
            self.dtype(),
            self.channels,
            safety_checker=None,
            feature_extractor=None,
            image_encoder=None,
            requires_safety_checker=False,
        )
        needed = 2 * pipeline.vae.config.latent_channels
        if pipeline.unet.config.in_channels != needed or not predicts_noise(pipeline):
            raise ModelError(
                f"its U-Net is not one that takes {needed} channels and predicts noise",
                self.weights[0].path,
                "give the weights of InstructPix2Pix",
            )
        return pipeline

    def timesteps(self, request: EditRequest, count: int) -> list[int]:
        """The timesteps of a frame's edit, out of `count` of training."""
        seeds = [request.seed, request.frame & 0xFFFFFFFF, request.again]
        share = np.random.default_rng(seeds).uniform(
            self.options.noise_low, self.options.noise_high
        )
        return leading_timesteps(round(share * request.strength * count), self.options.steps)

    def _condition(self, request: EditRequest) -> Tensor:
        vae = self.pipeline().vae
        plate = vae.encode(to_tensor(request.source, plane(vae))).latent_dist.mode()
        return torch.cat([plate, plate, torch.zeros_like(plate)])

    def _embeddings(self) -> Tensor:
        words = text_embedding(self.pipeline(), self.options.prompt)
        negative = text_embedding(self.pipeline(), self.options.negative)
        return torch.cat([words, negative, negative])

    def _guided(self, drawn: Tensor) -> Tensor:
        both, image, nothing = drawn.chunk(3)
        return (
            nothing
            + self.options.guidance * (both - image)
            + self.options.image_guidance * (image - nothing)
        )
