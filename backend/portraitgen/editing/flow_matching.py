# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the flow-matching editors share: a start from the rendering, and pictures beside the plate.

Each picture is tokens that every layer attends to, so the anchor of a take is one more picture.
The pipelines of diffusers begin at pure noise. Here they begin part of the way: the rendering's
latents are mixed with noise as the schedule asks at that place, and only the schedule's tail is
run, with the shift that the whole of it would have had.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..images import as_pillow
from .diffusion import DiffusionEditor, noise_of, plane, read_picture, resized, to_tensor
from .editor import EditRequest

_TRY_ON = (
    "Dress the person of image 1 in the garment of image {number}."
    " Keep the person's face, hair, expression, pose and the background."
)
_AS_SHOWN = "Image {number} is the reference."
_AS_ANCHOR = (
    "Image {number} is another frame of the same shot, edited already: give image 1 exactly that"
    " look, and keep the pose and expression of image 1."
)


class FlowEditor(DiffusionEditor):
    """Base class of editors whose pipelines take several pictures, latents and sigmas.

    Their options hold `reference` and `garment`, pictures that go to the model after the plate.
    Subclasses give `_load`, `_latents`, `_packed`, `_shift` and `_guidance`.
    """

    half = torch.bfloat16

    def __init__(self, options: Any) -> None:
        self._pictures = [
            self._enlarged(read_picture(path, self.info.id))
            for path in (options.reference, options.garment)
            if path
        ]
        super().__init__(options)

    def _enlarged(self, image: np.ndarray) -> np.ndarray:
        """A picture with sides as long as the model needs them."""
        scale = max(1.0, self.smallest / min(image.shape[:2]))
        return resized(image, (round(image.shape[0] * scale), round(image.shape[1] * scale)))

    def words(self) -> str:
        """The prompt, with what the pictures are."""
        sentences = [self.options.prompt.strip()]
        if self.options.reference and sentences[0]:
            sentences.append(_AS_SHOWN.format(number=2))
        if self.options.garment:
            sentences.append(_TRY_ON.format(number=1 + len(self._pictures)))
        return " ".join(sentence for sentence in sentences if sentence)

    def _diffuse(self, request: EditRequest) -> np.ndarray:
        from diffusers import FlowMatchEulerDiscreteScheduler

        pipeline = self.pipeline()
        clean = self._latents(pipeline, to_tensor(request.rendered, self._plane(pipeline))).float()
        schedule = pipeline.scheduler
        sigmas = partial_sigmas(
            schedule, self.options.steps, request.strength, self._shift(pipeline, clean)
        )
        mixed = (1 - sigmas[0]) * clean + sigmas[0] * noise_of(request, clean)
        shown, words = [request.source, *self._pictures], self.words()
        if (anchor := self.anchor_for(request)) is not None:
            shown.append(anchor.rendered)
            words = f"{words} {_AS_ANCHOR.format(number=len(shown))}"
        # These sigmas are shifted already; the pipeline's own scheduler would shift them again.
        pipeline.scheduler = FlowMatchEulerDiscreteScheduler(
            num_train_timesteps=schedule.config.num_train_timesteps, shift=1.0
        )
        try:
            images = pipeline(
                image=[as_pillow(image) for image in shown],
                prompt=words,
                height=request.source.shape[0],
                width=request.source.shape[1],
                latents=self._packed(pipeline, mixed),
                sigmas=sigmas,
                num_inference_steps=len(sigmas),
                generator=torch.Generator("cpu").manual_seed(request.noise_seed),
                output_type="np",
                callback_on_step_end=self._stepped,
                **self._guidance(),
            ).images
        finally:
            pipeline.scheduler = schedule
        return np.asarray(images[0], np.float32)

    def _stepped(
        self, pipeline: Any, step: int, time: Any, values: dict[str, object]
    ) -> dict[str, object]:
        """Between two steps of the pipeline, the user may stop the job."""
        self.check()
        return values

    def _plane(self, pipeline: Any) -> Tensor:
        """Where and as what images go into the VAE."""
        return plane(pipeline.vae).to(pipeline._execution_device)

    def _latents(self, pipeline: Any, image: Tensor) -> Tensor:
        """The normalised latents of an image (1, 3, H, W), in the layout noise is drawn in."""
        raise NotImplementedError

    def _packed(self, pipeline: Any, latents: Tensor) -> Tensor:
        """Latents in the layout that the pipeline's call takes."""
        raise NotImplementedError

    def _shift(self, pipeline: Any, latents: Tensor) -> float:
        """The schedule's shift (mu) for an image of this size and all steps."""
        raise NotImplementedError

    def _guidance(self) -> dict[str, object]:
        """The call's arguments that tell how closely to follow the words."""
        raise NotImplementedError


def partial_sigmas(scheduler: Any, steps: int, strength: float, shift: float) -> list[float]:
    """The tail of a flow-matching schedule, from `strength` of its time on.

    Args:
        scheduler: the model's own; it stays as it is.
        steps: of the whole schedule.
        strength: above 0; 1 gives the whole schedule, 0.5 the second half of its steps.
        shift: the schedule's mu.

    Returns:
        Noise levels, falling, without the final 0; at most `steps` of them.
    """
    count = max(1, math.ceil(strength * steps - 1e-6))
    times = np.linspace(strength, 1 / steps, count) if count > 1 else np.array([strength])
    copy = type(scheduler).from_config(scheduler.config)
    copy.set_timesteps(sigmas=times.tolist(), mu=shift)
    return [float(sigma) for sigma in copy.sigmas[:-1]]
