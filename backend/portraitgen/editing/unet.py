# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the editors round the U-Net of Stable Diffusion 1 share: the loop, and the anchor in it."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .cross_frame_attention import places_in, shared_attention
from .diffusion import DiffusionEditor, ddim, noise_of, noised, plane, to_image, to_tensor
from .editor import EditRequest


class UNetEditor(DiffusionEditor):
    """Base class of editors that denoise a rendering part of the way back, with guidance.

    With an anchor, every step shows the U-Net the anchor beside the frame, as noisy as it is, and
    the frame's self-attention looks at both.

    Subclasses give `_condition`, `_embeddings` and `_guided`, and how the noise goes: `timesteps`
    for DDIM, or `_sampled` and `alphas`.
    """

    multiple = 8

    def timesteps(self, request: EditRequest, count: int) -> list[int]:
        """The timesteps of a frame's edit, falling, out of `count` of training."""
        raise NotImplementedError

    def start(self, request: EditRequest, t: int) -> Tensor:
        """The latent that an edit begins with, noised to a timestep."""
        clean = self._latent(self._begin(request))
        return noised(clean, t, self.alphas(), noise_of(request, clean))

    def alphas(self) -> Tensor:
        """The cumulative products of the noise schedule, one a timestep of training."""
        alphas: Tensor = self.pipeline().scheduler.alphas_cumprod
        return alphas

    def _sampled(self, request: EditRequest, predict: Callable[[Tensor, int], Tensor]) -> Tensor:
        """The edited latents (1, C, h, w), by what the U-Net predicts of latents at a timestep."""
        alphas = self.alphas()
        timesteps = self.timesteps(request, len(alphas))
        start = self.start(request, timesteps[0])
        return ddim(start, timesteps, alphas, predict, self.check)

    def _begin(self, request: EditRequest) -> np.ndarray:
        """The image that is noised."""
        return request.rendered

    def _condition(self, request: EditRequest) -> Tensor:
        """What the U-Net sees beside the noise, (G, C, h, w), once for every kind of guidance."""
        raise NotImplementedError

    def _embeddings(self) -> Tensor:
        """The words for every kind of guidance, (G, 77, C)."""
        raise NotImplementedError

    def _guided(self, drawn: Tensor) -> Tensor:
        """The noise (1, C, h, w) from what the U-Net drew, (G, C, h, w)."""
        raise NotImplementedError

    def _latent(self, image: np.ndarray) -> Tensor:
        """An image's latent (1, C, h, w), scaled."""
        vae = self.pipeline().vae
        mode: Tensor = vae.encode(to_tensor(image, plane(vae))).latent_dist.mode()
        return mode * vae.config.scaling_factor

    def _diffuse(self, request: EditRequest) -> np.ndarray:
        pipeline = self.pipeline()
        vae, unet, alphas = pipeline.vae, pipeline.unet, self.alphas()
        anchor, places = self.anchor_for(request), None
        shown, beside = [request], []
        if anchor is not None and anchor.surface is not None and request.surface is not None:
            places = places_in(anchor.surface, request.surface)
            agreed = self._latent(anchor.rendered)
            shown.append(anchor)
            beside.append((agreed, noise_of(anchor, agreed)))
        condition = torch.cat([self._condition(each) for each in shown])
        embeddings = self._embeddings().repeat(len(shown), 1, 1)
        guides = len(condition) // len(shown)

        def predict(x: Tensor, t: int) -> Tensor:
            noisy = [x, *(noised(clean, t, alphas, drawn) for clean, drawn in beside)]
            repeated = torch.cat([each.expand(guides, -1, -1, -1) for each in noisy])
            given = torch.cat([repeated.to(condition.dtype), condition], dim=1)
            drawn = unet(given, t, encoder_hidden_states=embeddings).sample
            return self._guided(drawn[:guides].float())

        with shared_attention(unet, places):
            latents = self._sampled(request, predict)
        return to_image(vae.decode((latents / vae.config.scaling_factor).to(vae.dtype)).sample)
