# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stable Diffusion 1 and InstructPix2Pix from one .safetensors file, as most artists own them.

Such a file holds the weights under the names of the original code. diffusers turns them into its
own; what it would fetch besides, the parts' configuration and CLIP's vocabulary, lies here.
"""

import gzip
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch

_DATA = Path(__file__).parent / "data"
_START, _END = "<|startoftext|>", "<|endoftext|>"
_TOKENS = 77
_PARTS = {
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "safety_checker": [None, None],
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
}


def load_single_file(kind: Any, file: Path, dtype: torch.dtype, channels: int, **parts: Any) -> Any:
    """A pipeline of diffusers from one file, on the CPU.

    Args:
        kind: the pipeline's class.
        file: checked by `check_stable_diffusion_file` before.
        dtype: of its weights in memory.
        channels: that its U-Net takes.
        parts: replace or leave out (None) parts of the pipeline.
    """
    configurations = part_configurations()
    configurations["unet"] = {**configurations["unet"], "in_channels": channels}
    index = {"_class_name": kind.__name__, **_PARTS}
    with tempfile.TemporaryDirectory(prefix="portraitgen-") as name:
        folder = Path(name)
        (folder / "model_index.json").write_text(json.dumps(index))
        for part, configuration in configurations.items():
            (folder / part).mkdir()
            kept = "scheduler_config.json" if part == "scheduler" else "config.json"
            (folder / part / kept).write_text(json.dumps(configuration))
        return kind.from_single_file(
            str(file),
            config=str(folder),
            dtype=dtype,
            local_files_only=True,
            tokenizer=clip_tokenizer(),
            **parts,
        )


@cache
def _configurations() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_DATA / "stable_diffusion_1.json").read_text("utf-8"))
    return found


def part_configurations() -> dict[str, Any]:
    """The configuration of each part of Stable Diffusion 1, by part."""
    return dict(_configurations())


def clip_tokenizer() -> Any:
    """CLIP's tokenizer (Radford et al., 2021; MIT), from the list of its merges."""
    from transformers import CLIPTokenizer

    lines = gzip.decompress((_DATA / "clip_merges.txt.gz").read_bytes()).decode().splitlines()
    merges: Any = [tuple(line.split()) for line in lines]
    letters = _byte_letters()
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    words += ["".join(pair) for pair in merges] + [_START, _END]
    return CLIPTokenizer(
        vocab={word: number for number, word in enumerate(words)},
        merges=merges,
        model_max_length=_TOKENS,
        bos_token=_START,
        eos_token=_END,
        unk_token=_END,
        pad_token=_END,
    )


def _byte_letters() -> list[str]:
    """A printable letter for every byte, in the order of CLIP's vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(byte) for byte in plain] + [chr(256 + n) for n in range(256 - len(plain))]
