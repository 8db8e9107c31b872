# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a pipeline of diffusers lies on a card: whole, part by part, in 8 bits, layer by layer.

What each way takes is reckoned from the headers of the files that are loaded, before any of them
is. The fastest that the card has room for is taken; where the reckoning was wrong and the card's
memory ends, the next one is.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from ..models.pipelines import check_pipeline, read_header, weight_files

Placement = Literal["whole", "parts", "eight-bit", "layers"]
PLACEMENTS: tuple[Placement, ...] = ("whole", "parts", "eight-bit", "layers")
"""From the fastest to the one that takes the least memory."""

SAYINGS: dict[Placement, str] = {
    "whole": "whole on the card",
    "parts": "on the card part by part, the others in the machine's memory",
    "eight-bit": "on the card part by part, its transformer's weights in 8 bits",
    "layers": "on the card layer by layer, which is slow",
}
MEMORY_CHOICES = {"auto": "The fastest of the others that there is room for"} | {
    name: f"It lies {told}" for name, told in SAYINGS.items()
}
"""What an option of placement may be, and what each does."""
# What pictures take while they go through, a constant and a share of a megapixel, in bytes.
_BASE, _A_MEGAPIXEL = 0.7e9, 2.5e9
_NETWORK = ("transformer", "unet")
_LAYER = re.compile(r"^(.*?\.\d+)\.")


@dataclass(frozen=True)
class Needs:
    """What the networks of a pipeline take in memory at their working precision, in bytes.

    Attributes:
        parts: each network; largest_layer: the largest layer of any.
    """

    parts: dict[str, int]
    largest_layer: int

    def of(self, placement: Placement, size: int) -> float:
        """Bytes of the card that a placement takes for a picture whose longer side is `size`."""
        working = _BASE + _A_MEGAPIXEL * (size / 1024) ** 2
        if placement == "whole":
            return sum(self.parts.values()) + working
        if placement == "parts":
            return max(self.parts.values()) + working
        if placement == "eight-bit":
            halves = (n // 2 if name in _NETWORK else n for name, n in self.parts.items())
            return max(halves) + working
        # Two layers, of which one is on its way, and the decoder of pictures, which stays.
        return 2 * self.largest_layer + self.parts.get("vae", 0) + working


def needs(pipeline: Path, kind: str, dtype: torch.dtype) -> Needs:
    """What a pipeline takes, from its files' headers.

    Args:
        pipeline: its folder or its one file.
        kind: the class in its model_index.json.
        dtype: that its weights have in memory.

    Raises:
        ModelError: if a file is damaged.
    """
    if pipeline.is_file():
        beginnings = {"first_stage_model": "vae", "cond_stage_model": "text_encoder"}
        files = {"": [pipeline]}
    else:
        beginnings = {}
        files = weight_files(pipeline, check_pipeline(pipeline, [kind]))
    parts: dict[str, int] = {}
    layers: dict[str, int] = {}
    for part, paths in files.items():
        for path in paths:
            for name, (_, shape) in read_header(path).items():
                owner = part or beginnings.get(name.partition(".")[0], "unet")
                taken = math.prod(shape) * dtype.itemsize
                parts[owner] = parts.get(owner, 0) + taken
                match = _LAYER.match(name)
                layer = f"{owner}/{match[1] if match else name}"
                layers[layer] = layers.get(layer, 0) + taken
    return Needs(parts, max(layers.values(), default=0))


def fitting(needed: Needs, size: int, free: int) -> Placement:
    """The fastest placement that a card with so many free bytes has room for."""
    return next((each for each in PLACEMENTS if needed.of(each, size) <= free), PLACEMENTS[-1])


def next_smaller(placement: Placement) -> Placement | None:
    """What takes less memory than a placement; None if nothing does."""
    place = PLACEMENTS.index(placement) + 1
    return PLACEMENTS[place] if place < len(PLACEMENTS) else None


def place(pipeline: Any, placement: Placement, device: torch.device) -> Any:
    """Puts a pipeline that was loaded on the CPU where it is to work.

    Args:
        placement: heeded on CUDA; elsewhere memory is shared, and it lies there whole.
    """
    pipeline.set_progress_bar_config(disable=True)
    if device.type != "cuda" or placement == "whole":
        return pipeline.to(device)
    if placement == "eight-bit":
        in_eight_bits(pipeline)
    if placement == "layers":
        pipeline.enable_group_offload(
            onload_device=device,
            offload_type="leaf_level",
            use_stream=True,
            low_cpu_mem_usage=True,
            exclude_modules=["vae"],
        )
    else:
        pipeline.enable_model_cpu_offload(device=device)
    return pipeline


def in_eight_bits(pipeline: Any) -> None:
    """Keeps the weights of the large network as float8 (e4m3); each layer works in the precision
    that it was loaded in. Needs no package besides diffusers."""
    for name in _NETWORK:
        if (network := getattr(pipeline, name, None)) is not None:
            network.enable_layerwise_casting(
                storage_dtype=torch.float8_e4m3fn, compute_dtype=network.dtype
            )
