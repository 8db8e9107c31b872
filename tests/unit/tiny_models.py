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


_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_UNET = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "down_blocks.0.resnets.0": "input_blocks.1.0",
    "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
    "down_blocks.1.resnets.0": "input_blocks.3.0",
    "down_blocks.1.attentions.0": "input_blocks.3.1",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    "up_blocks.0.resnets.0": "output_blocks.0.0",
    "up_blocks.0.attentions.0": "output_blocks.0.1",
    "up_blocks.0.resnets.1": "output_blocks.1.0",
    "up_blocks.0.attentions.1": "output_blocks.1.1",
    "up_blocks.0.upsamplers.0.conv": "output_blocks.1.2.conv",
    "up_blocks.1.resnets.0": "output_blocks.2.0",
    "up_blocks.1.resnets.1": "output_blocks.3.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}


def _moved(name: str, places: Mapping[str, str]) -> str:
    """A tensor's name with the beginning that the original code has."""
    for ours, theirs in places.items():
        if name.startswith(f"{ours}."):
            return theirs + name.removeprefix(ours)
    raise AssertionError(name)


def _original_unet(name: str) -> str:
    place = _moved(name, _UNET)
    for ours, theirs in _RESNET.items():
        if f".{ours}." in name and "resnets" in name:
            place = place.replace(ours, theirs)
    return f"model.diffusion_model.{place}"


def _original_vae(name: str) -> str:
    for side, last in (("encoder.down_blocks", None), ("decoder.up_blocks", 3)):
        if name.startswith(side):
            level, kind, *rest = name.removeprefix(f"{side}.").split(".")
            number = int(level) if last is None else last - int(level)
            at = side.split("_")[0]
            if kind == "resnets":
                place = f"{at}.{number}.block.{'.'.join(rest)}"
                return "first_stage_model." + place.replace("conv_shortcut", "nin_shortcut")
            sampled = {"downsamplers": "downsample", "upsamplers": "upsample"}[kind]
            return f"first_stage_model.{at}.{number}.{sampled}.{'.'.join(rest[1:])}"
    for ours, theirs in (
        ("mid_block.resnets.0", "mid.block_1"),
        ("mid_block.resnets.1", "mid.block_2"),
        ("mid_block.attentions.0", "mid.attn_1"),
        ("conv_norm_out", "norm_out"),
    ):
        name = name.replace(ours, theirs)
    if "attn_1" in name:
        for ours, theirs in _ATTENTION.items():
            name = name.replace(f"attn_1.{ours}.", f"attn_1.{theirs}.")
    return f"first_stage_model.{name}"


def original_file(path: Path, folder: Path) -> Path:
    """The pipeline of `stable_diffusion` in one file, under the names of the original code."""
    import diffusers
    from transformers import CLIPTextModel

    unet = diffusers.UNet2DConditionModel.from_pretrained(folder, subfolder="unet").state_dict()
    vae = diffusers.AutoencoderKL.from_pretrained(folder, subfolder="vae").state_dict()
    text = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder").state_dict()
    state = {_original_unet(name): value for name, value in unet.items()}
    for name, value in vae.items():
        place = _original_vae(name)
        # Its attention was made of convolutions.
        lines = "attn_1" in place and value.ndim == 2
        state[place] = value[:, :, None, None] if lines else value
    for name, value in text.items():
        inner = name.removeprefix("text_model.")
        state[f"cond_stage_model.transformer.text_model.{inner}"] = value
    save_file({name: value.contiguous() for name, value in state.items()}, str(path))
    return path


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


def qwen_tokenizer() -> Any:
    from transformers import Qwen2Tokenizer

    words = [*byte_alphabet(), "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    words += ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer = Qwen2Tokenizer(
        vocab={word: number for number, word in enumerate(words)},
        merges=[],
        model_max_length=2048,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens={word.strip("<|>"): word for word in words[-6:] if "end" not in word},
    )
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    return tokenizer


def klein(folder: Path) -> Path:
    """A pipeline with the parts of FLUX.2 klein."""
    import diffusers
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(3)
    tokenizer = qwen_tokenizer()
    encoder = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=28,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=8,
            max_position_embeddings=512,
        )
    )
    transformer = diffusers.Flux2Transformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=48,
        timestep_guidance_channels=256,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    )
    coder = diffusers.AutoencoderKLFlux2(
        sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 4, 4),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=2,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    spread(transformer, coder, encoder)
    diffusers.Flux2KleinPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15
        ),
        vae=coder,
        text_encoder=encoder,
        tokenizer=tokenizer,
        transformer=transformer,
        is_distilled=True,
    ).save_pretrained(folder, safe_serialization=True)
    return folder


def qwen_image_edit(folder: Path) -> Path:
    """A pipeline's folder with the parts of Qwen-Image-Edit 2509."""
    import json

    import diffusers
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2VLImageProcessorPil,
    )

    torch.manual_seed(4)
    tokenizer = qwen_tokenizer()
    ids = {
        f"{word}_token_id": tokenizer.convert_tokens_to_ids(f"<|{name}|>")
        for word, name in (
            ("image", "image_pad"),
            ("video", "video_pad"),
            ("vision_start", "vision_start"),
            ("vision_end", "vision_end"),
        )
    }
    encoder = Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config={
                "vocab_size": len(tokenizer),
                "hidden_size": 16,
                "intermediate_size": 16,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "max_position_embeddings": 4096,
                "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
            },
            vision_config={
                "depth": 2,
                "hidden_size": 16,
                "intermediate_size": 16,
                "num_heads": 2,
                "out_hidden_size": 16,
                "fullatt_block_indexes": [1],
            },
            **ids,
        )
    )
    transformer = diffusers.QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        axes_dims_rope=(8, 4, 4),
    )
    coder = diffusers.AutoencoderKLQwenImage(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    )
    spread(transformer, coder)
    spread(encoder, deviation=0.5)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.5, max_shift=0.9, shift_terminal=0.02
    )
    index: dict[str, object] = {"_class_name": "QwenImageEditPlusPipeline"}
    parts: dict[str, Any] = {
        "scheduler": scheduler,
        "vae": coder,
        "text_encoder": encoder,
        "tokenizer": tokenizer,
        "transformer": transformer,
        "processor": Qwen2VLImageProcessorPil(min_pixels=28 * 28, max_pixels=28 * 28 * 9),
    }
    for name, part in parts.items():
        part.save_pretrained(folder / name)
        library = type(part).__module__.split(".")[0]
        index[name] = [library, type(part).__name__]
    index["processor"] = ["transformers", "Qwen2VLProcessor"]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
