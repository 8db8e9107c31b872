# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tiny random models in the layouts of the real ones, built in a second and saved to disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn


def spread(*networks: nn.Module, deviation: float = 0.25) -> None:
    """Weights wide enough that the output depends on every input."""
    for network in networks:
        for weight in network.parameters():
            if weight.ndim > 1:
                nn.init.normal_(weight, std=deviation / max(1.0, weight[0].numel() / 32) ** 0.5)


def byte_alphabet() -> list[str]:
    """The printable stand-ins of all bytes that GPT-2's tokenizers use."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in plain]
    return letters + [chr(256 + number) for number in range(256 - len(plain))]


def clip_tokenizer() -> Any:
    from transformers import CLIPTokenizer

    letters = byte_alphabet()
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def clip_text_encoder(tokenizer: Any) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    end = tokenizer.eos_token_id
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=2,
        max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=end,
        pad_token_id=end,
    )
    return CLIPTextModel(config)


def unet(channels: int) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        block_out_channels=(16, 32),
        layers_per_block=1,
        sample_size=16,
        in_channels=channels,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=8,
        norm_num_groups=8,
    )


def vae() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        latent_channels=4,
        sample_size=64,
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )


def stable_diffusion(folder: Path, kind: str, channels: int) -> Path:
    """A pipeline with the parts of Stable Diffusion 1.5, a U-Net of so many input channels."""
    import diffusers

    torch.manual_seed(channels)
    tokenizer = clip_tokenizer()
    parts: dict[str, Any] = {
        "vae": vae(),
        "text_encoder": clip_text_encoder(tokenizer),
        "unet": unet(channels),
    }
    spread(*parts.values())
    scheduler = diffusers.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        clip_sample=False,
    )
    pipeline = getattr(diffusers, kind)(
        **parts,
        tokenizer=tokenizer,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def light_offset(path: Path, base: Path, channels: int) -> Path:
    """An offset file as IC-Light's: one tensor for each of the U-Net's, more input channels."""
    from diffusers import UNet2DConditionModel

    state: Mapping[str, torch.Tensor] = UNet2DConditionModel.from_pretrained(
        base, subfolder="unet"
    ).state_dict()
    generator = torch.Generator().manual_seed(channels)
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    first = shapes["conv_in.weight"]
    shapes["conv_in.weight"] = (first[0], channels, *first[2:])
    save_file(
        {
            key: 0.05 * torch.randn(shape, generator=generator).half()
            for key, shape in shapes.items()
        },
        str(path),
    )
    return path
