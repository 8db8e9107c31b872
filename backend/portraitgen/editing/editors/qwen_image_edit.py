# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Qwen-Image-Edit: edits in words by a large model, with further pictures if wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from ...settings import option
from ..diffusion import load_pipeline
from ..editor import EditorInfo
from ..flow_matching import FlowEditor
from ..placement import MEMORY_CHOICES


@dataclass(frozen=True)
class QwenImageEditOptions:
    """The words, and the pictures that go with them."""

    prompt: str = option("", "What to do, in words; the plate is image 1")
    negative: str = option(" ", "What to keep away from")
    reference: str = option("", "A picture that the words speak of, as image 2", path=True)
    garment: str = option("", "A garment that the performer is to wear", path=True)
    steps: int = option(
        40, "Denoising steps at full strength", unit="steps", minimum=1, maximum=200
    )
    guidance: float = option(4.0, "How closely to follow the words", minimum=1, maximum=20)
    size: int = option(
        1024, "Longer side to work at, 0 for the window's own", unit="px", minimum=0, maximum=2048
    )
    memory: str = option(
        "auto",
        "How it lies on the card, from fast to small; auto: the fastest there is room for",
        choices=MEMORY_CHOICES,
    )
    model: str = option(
        "qwen-image-edit-2511",
        "The model's name, or a folder in the layout of diffusers",
        path=True,
    )


class QwenImageEdit(FlowEditor):
    """Alibaba's Qwen-Image-Edit 2509 and 2511 through QwenImageEditPlusPipeline."""

    info: ClassVar[EditorInfo] = EditorInfo(
        id="qwen-image-edit",
        label="Qwen-Image-Edit",
        description="Edits in words by a large model, with a garment or a reference picture",
        needs=("qwen-image-edit-2511 or qwen-image-edit-2509", "diffusers"),
        licence="Apache-2.0",
        memory_gb=42.0,
        starts_from_render=True,
    )
    Options = QwenImageEditOptions
    pipelines = ("QwenImageEditPlusPipeline",)
    multiple = 16

    def _load(self) -> Any:
        folder = self.weights[0].path
        pipeline = load_pipeline(self.pipelines[0], folder, self.dtype(), processor=None)
        pipeline.processor = PictureReader(folder)
        pipeline.text_encoder.register_forward_pre_hook(_picture_tokens, with_kwargs=True)
        return pipeline

    def _latents(self, pipeline: Any, image: Tensor) -> Tensor:
        encoded: Tensor = pipeline._encode_vae_image(image[:, :, None], None)
        return encoded.transpose(1, 2)

    def _packed(self, pipeline: Any, latents: Tensor) -> Tensor:
        channels, height, width = latents.shape[-3:]
        packed: Tensor = pipeline._pack_latents(latents, 1, channels, height, width)
        return packed

    def _shift(self, pipeline: Any, latents: Tensor) -> float:
        from diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_plus import calculate_shift

        facts = pipeline.scheduler.config
        return calculate_shift(
            latents.shape[-2] * latents.shape[-1] // 4,
            facts.get("base_image_seq_len", 256),
            facts.get("max_image_seq_len", 4096),
            facts.get("base_shift", 0.5),
            facts.get("max_shift", 1.15),
        )

    def _guidance(self) -> dict[str, object]:
        return {
            "true_cfg_scale": self.options.guidance,
            "negative_prompt": self.options.negative if self.options.guidance > 1 else None,
        }


def _picture_tokens(
    encoder: Any, given: tuple[Any, ...], named: dict[str, object]
) -> tuple[tuple[Any, ...], dict[str, object]]:
    """Tells the text encoder which of its tokens are a picture's.

    Qwen2.5-VL gives a picture's tokens their places in its rows and columns (M-RoPE, Wang et al.
    2024, 2.1). transformers 5 does so only when it is told `mm_token_type_ids`, which the pipeline
    of diffusers 0.42 leaves out: all tokens then lie in one line, silently.
    """
    if named.get("image_grid_thw") is not None and named.get("mm_token_type_ids") is None:
        pictures = named["input_ids"] == encoder.config.image_token_id
        named = {**named, "mm_token_type_ids": pictures.int()}
    return given, named


class PictureReader:
    """Words and pictures as the text encoder takes them, without the parts that read movies.

    The processor of transformers does the same, but cannot be loaded without torchvision.

    Args:
        folder: of the pipeline.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import Qwen2Tokenizer, Qwen2VLImageProcessor

        self._pictures = Qwen2VLImageProcessor.from_pretrained(
            folder / "processor", local_files_only=True
        )
        self._tokenizer = Qwen2Tokenizer.from_pretrained(
            folder / "tokenizer", local_files_only=True
        )

    def __call__(
        self, text: Sequence[str], images: Sequence[Any], padding: bool, return_tensors: str
    ) -> Any:
        """Token ids and pixels; every picture's place in the words is as long as its tokens."""
        from transformers import BatchFeature

        pixels = self._pictures(images=list(images), return_tensors=return_tensors)
        merged = self._pictures.merge_size**2
        lengths = [int(grid.prod()) // merged for grid in pixels["image_grid_thw"]]
        mark = "<|image_pad|>"
        written = []
        for line in text:
            pieces = line.split(mark)
            joined = pieces[0]
            for length, piece in zip(lengths, pieces[1:], strict=True):
                joined += mark * length + piece
            written.append(joined)
        tokens = self._tokenizer(written, padding=padding, return_tensors=return_tensors)
        return BatchFeature(data={**tokens, **pixels})
