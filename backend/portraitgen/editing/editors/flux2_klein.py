# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""FLUX.2 klein: edits in words, with a garment, a style or any picture beside them."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ...settings import option
from ..diffusion import load_pipeline
from ..editor import EditorInfo
from ..flow_matching import FlowEditor
from ..placement import MEMORY_CHOICES


@dataclass(frozen=True)
class Flux2KleinOptions:
    """The words, and the pictures that go with them."""

    prompt: str = option("", "What to do, in words; the plate is image 1")
    reference: str = option("", "A picture that the words speak of, as image 2", path=True)
    garment: str = option("", "A garment that the performer is to wear", path=True)
    steps: int = option(4, "Denoising steps at full strength", unit="steps", minimum=1, maximum=100)
    guidance: float = option(
        1.0, "How closely to follow the words; only the undistilled models heed it", minimum=1
    )
    size: int = option(
        1024, "Longer side to work at, 0 for the window's own", unit="px", minimum=0, maximum=2048
    )
    memory: str = option(
        "auto",
        "How it lies on the card, from fast to small; auto: the fastest there is room for",
        choices=MEMORY_CHOICES,
    )
    model: str = option(
        "flux2-klein-4b", "The model's name, or a folder in the layout of diffusers", path=True
    )


class Flux2Klein(FlowEditor):
    """Black Forest Labs' FLUX.2 klein through Flux2KleinPipeline."""

    info: ClassVar[EditorInfo] = EditorInfo(
        id="flux2-klein",
        label="FLUX.2 klein",
        description="Edits in words, with a garment or a reference picture if wanted",
        needs=("flux2-klein-4b or flux2-klein-9b", "diffusers"),
        licence="Apache-2.0 (4B); the 9B model is for non-commercial use only",
        memory_gb=13.0,
        starts_from_render=True,
    )
    Options = Flux2KleinOptions
    pipelines = ("Flux2KleinPipeline",)
    multiple = 16
    smallest = 64

    def _load(self) -> Any:
        return load_pipeline(self.pipelines[0], self.weights[0].path, self.dtype())

    def _latents(self, pipeline: Any, image: Tensor) -> Tensor:
        encoded: Tensor = pipeline._encode_vae_image(image, None)
        return encoded

    def _packed(self, pipeline: Any, latents: Tensor) -> Tensor:
        return latents

    def _shift(self, pipeline: Any, latents: Tensor) -> float:
        from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu

        tokens = latents.shape[-2] * latents.shape[-1]
        return compute_empirical_mu(image_seq_len=tokens, num_steps=self.options.steps)

    def _guidance(self) -> dict[str, object]:
        return {"guidance_scale": self.options.guidance}
