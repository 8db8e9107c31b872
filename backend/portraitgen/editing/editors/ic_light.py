# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""IC-Light: another light, told in words and by a direction, or by a background picture."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ...errors import EditError, ModelError
from ...models.store import Weights, find_weights
from ...settings import option
from ..diffusion import (
    load_pipeline,
    noise_of,
    predicts_noise,
    read_picture,
    resized,
    text_embedding,
)
from ..editor import EditorInfo, EditRequest
from ..unet import UNetEditor

_GREY = 0.5
_LIGHTS = {
    "none": "The prompt alone decides",
    "left": "Light comes from the picture's left",
    "right": "Light comes from the picture's right",
    "top": "Light comes from above",
    "bottom": "Light comes from below",
}
_REMEDY = "give iclight_sd15_fc.safetensors or iclight_sd15_fbc.safetensors"


@dataclass(frozen=True)
class ICLightOptions:
    """The new light."""

    prompt: str = option("", "The light and the place, in words: sunlight through a window")
    added: str = option("best quality", "What is added to the prompt")
    negative: str = option(
        "lowres, bad anatomy, bad hands, cropped, worst quality", "What to keep away from"
    )
    light: str = option("none", "Side of the picture that the light comes from", choices=_LIGHTS)
    background: str = option(
        "", "A picture whose light the performer takes on; for ic-light-fbc", path=True
    )
    guidance: float = option(2.0, "How closely to follow the words", minimum=1, maximum=20)
    steps: int = option(25, "Denoising steps", unit="steps", minimum=1, maximum=200)
    noise: float = option(
        0.9, "Noise put on the rendering at full strength", minimum=0.02, maximum=1
    )
    second: float = option(
        1.5, "How much larger a second pass is, 1 for none", minimum=1, maximum=3
    )
    second_noise: float = option(
        0.5, "Noise put on the first pass for the second", minimum=0.02, maximum=1
    )
    size: int = option(
        512, "Longer side to work at, 0 for the window's own", unit="px", minimum=0, maximum=2048
    )
    model: str = option("ic-light-fc", "ic-light-fc, ic-light-fbc, or a file", path=True)
    base: str = option(
        "stable-diffusion-v1-5", "The Stable Diffusion 1.5 under it, by name or folder", path=True
    )


class ICLight(UNetEditor):
    """Zhang et al. (2025): Stable Diffusion 1.5, its U-Net moved by an offset to every weight.

    fc is shown the performer on grey; fbc a background besides. Both are latents, scaled, beside
    the noisy ones. With a side given, a ramp of light from there takes the rendering's place to
    the degree of the strength.
    """

    info: ClassVar[EditorInfo] = EditorInfo(
        id="ic-light",
        label="IC-Light",
        description="Another light, told in words, by a side or by a background picture",
        needs=("ic-light-fc or ic-light-fbc", "stable-diffusion-v1-5", "diffusers"),
        licence="CreativeML Open RAIL-M",
        memory_gb=4.0,
        starts_from_render=True,
    )
    Options = ICLightOptions
    pipelines = ("StableDiffusionPipeline",)
    channels = 4

    def __init__(self, options: ICLightOptions) -> None:
        self._second = False
        self._background: np.ndarray | None = None
        if options.background:
            self._background = read_picture(options.background, self.info.id)
        super().__init__(options)

    def find(self) -> list[Weights]:
        """The base's weights and the offset's."""
        return [self.found_pipeline(self.options.base), find_weights(self.options.model)]

    def prepare(self, samples: Sequence[EditRequest]) -> None:
        """Loads the weights, and looks whether they have the background that they need."""
        super().prepare(samples)
        self._takes_background(self.pipeline())

    def _load(self) -> Any:
        base, offset = self.weights
        pipeline = load_pipeline(
            self.pipelines[0],
            base.path,
            torch.float32,
            self.channels,
            safety_checker=None,
            feature_extractor=None,
            image_encoder=None,
            requires_safety_checker=False,
        )
        if not predicts_noise(pipeline):
            raise ModelError("its U-Net does not predict noise", base.path, "give 1.5's weights")
        merge_offset(pipeline.unet, read_offset(offset.path), offset.path)
        return pipeline.to(self.dtype())

    def words(self) -> str:
        """The prompt, with what is added to it."""
        prompt, added = super().words(), self.options.added.strip()
        return f"{prompt}, {added}" if prompt and added else prompt

    def _edit(self, request: EditRequest) -> np.ndarray:
        first = super()._edit(request)
        if self.options.second <= 1:
            return first
        self._second = True
        try:
            return super()._edit(replace(request, rendered=first))
        finally:
            self._second = False

    def _size(self, request: EditRequest) -> tuple[int, int]:
        height, width = super()._size(request)
        scale = self.options.second if self._second else 1.0
        return round(height * scale), round(width * scale)

    def _sampler(self) -> Any:
        """DPM-Solver++ (Lu et al. 2022) with noise and Karras' levels, with the very numbers of
        IC-Light's own programs, whose schedule of betas is the linear one."""
        from diffusers import DPMSolverMultistepScheduler

        return DPMSolverMultistepScheduler(
            num_train_timesteps=1000,
            beta_start=0.00085,
            beta_end=0.012,
            algorithm_type="sde-dpmsolver++",
            use_karras_sigmas=True,
            steps_offset=1,
        )

    def alphas(self) -> Tensor:
        """The cumulative products of the sampler's own schedule."""
        alphas: Tensor = self._sampler().alphas_cumprod
        return alphas

    def noise_share(self, request: EditRequest) -> float:
        """How far up the schedule an edit begins, 0 to 1."""
        noise = self.options.second_noise if self._second else self.options.noise
        return float(noise * request.strength)

    def _sampled(self, request: EditRequest, predict: Callable[[Tensor, int], Tensor]) -> Tensor:
        sampler, share = self._sampler(), self.noise_share(request)
        total = max(1, round(self.options.steps / max(share, 1e-3)))
        sampler.set_timesteps(total)
        first = max(total - max(1, int(total * share)), 0)
        timesteps = sampler.timesteps[first:]
        sampler.set_begin_index(first)
        clean = self._latent(self._begin(request)).float()
        latents = sampler.add_noise(clean, noise_of(request, clean), timesteps[:1])
        for index, t in enumerate(timesteps):
            self.check()
            # Its own noise lies on the body too, another at each step.
            drawn = noise_of(replace(request, seed=request.seed + 7919 * (index + 1)), clean)
            predicted = predict(latents, int(t))
            latents = sampler.step(predicted, t, latents, variance_noise=drawn).prev_sample
        return latents

    def _condition(self, request: EditRequest) -> Tensor:
        images = self._shown(self.pipeline(), request)
        shown = torch.cat([self._latent(image) for image in images], dim=1)
        return torch.cat([shown, shown])

    def _embeddings(self) -> Tensor:
        texts = (self.words(), self.options.negative)
        return torch.cat([text_embedding(self.pipeline(), text) for text in texts])

    def _guided(self, drawn: Tensor) -> Tensor:
        words, negative = drawn.chunk(2)
        return negative + self.options.guidance * (words - negative)

    def _shown(self, pipeline: Any, request: EditRequest) -> list[np.ndarray]:
        """What the U-Net sees beside the noise: the performer on grey, and for fbc a background."""
        matte = request.matte[..., None]
        shown = [request.source * matte + _GREY * (1 - matte)]
        if self._takes_background(pipeline) and self._background is not None:
            height, width = request.source.shape[:2]
            shown.append(filling(self._background, (height, width)))
        return shown

    def _takes_background(self, pipeline: Any) -> bool:
        """Whether the weights are fbc's, which need a background picture."""
        takes = pipeline.unet.config.in_channels == 3 * pipeline.vae.config.latent_channels
        if takes and self._background is None:
            raise EditError(
                "these weights need a background picture",
                self.info.id,
                'give one as background="...", or use the model ic-light-fc',
            )
        return bool(takes)

    def _begin(self, request: EditRequest) -> np.ndarray:
        """The rendering, or a ramp of light from a side in its place."""
        if self.options.light == "none" or self._second:
            return request.rendered
        height, width = request.rendered.shape[:2]
        across, down = np.linspace(1, 0, width), np.linspace(1, 0, height)[:, None]
        ramp = {"left": across, "right": across[::-1], "top": down, "bottom": down[::-1]}
        lit = np.broadcast_to(ramp[self.options.light], (height, width))[..., None]
        mixed = request.rendered + request.strength * (lit - request.rendered)
        return np.asarray(mixed, np.float32)


def read_offset(path: Path) -> dict[str, Tensor]:
    """The offsets of a file of IC-Light's, one tensor a key of the U-Net.

    Raises:
        ModelError: if it is no such file.
    """
    try:
        offset: dict[str, Tensor] = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise ModelError(f"the weights cannot be read ({error})", path, _REMEDY) from error
    if "conv_in.weight" not in offset:
        raise ModelError("the file holds no offsets to a U-Net", path, _REMEDY)
    return offset


def merge_offset(unet: Any, offset: Mapping[str, Tensor], place: object = "") -> None:
    """Adds an offset to every weight of a U-Net, whose first convolution is widened for it.

    The first convolution keeps its weights for the channels it had and 0 for the new ones, before
    its offset is added; sums are made in float32.

    Args:
        unet: a UNet2DConditionModel; changed in place.
        offset: one tensor a key of the U-Net's state.
        place: where the offset was read, for errors.

    Raises:
        ModelError: if keys or shapes do not fit; the U-Net then stays as it was.
    """
    old = unet.conv_in
    state = {key: value.float() for key, value in unet.state_dict().items()}
    strange = sorted(state.keys() ^ offset.keys())
    if strange:
        raise ModelError(
            f"{len(strange)} keys are not those of the base's U-Net, such as {strange[0]}",
            place,
            _REMEDY,
        )
    channels = offset["conv_in.weight"].shape[1]
    if channels not in (2 * old.in_channels, 3 * old.in_channels):
        raise ModelError(f"its U-Net takes {channels} channels", place, _REMEDY)
    widened = torch.zeros_like(offset["conv_in.weight"], dtype=torch.float32)
    widened[:, : old.in_channels] = state["conv_in.weight"]
    state["conv_in.weight"] = widened
    for key, value in state.items():
        if value.shape != offset[key].shape:
            raise ModelError(
                f"{key} is of shape {tuple(offset[key].shape)} instead of {tuple(value.shape)}",
                place,
                _REMEDY,
            )
    unet.conv_in = nn.Conv2d(channels, old.out_channels, old.kernel_size, old.stride, old.padding)
    unet.register_to_config(in_channels=channels)
    unet.load_state_dict({key: value + offset[key].float() for key, value in state.items()})


def filling(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image cut and resized so that it fills a size (height, width)."""
    scale = max(size[0] / image.shape[0], size[1] / image.shape[1])
    height = max(size[0], round(image.shape[0] * scale))
    width = max(size[1], round(image.shape[1] * scale))
    large = resized(image, (height, width))
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return large[top : top + size[0], left : left + size[1]]
