# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Self-attention that looks at an anchor frame, too, where it shows the same part of the body.

After the shared attention of multi-view editors (DGE, Chen et al. 2024), whose epipolar lines a
performer who moves would break: here the tracked body says which places belong together.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..body.surface import Surface, carry

# A token sees the anchor's tokens within this distance of where its place lies in the anchor.
_REACH = 2.5
_SEEN = 0.05


def places_in(anchor: Surface, frame: Surface) -> np.ndarray:
    """Where every pixel of a frame lies in the anchor, float32 (H, W, 2), 0..1, NaN where the
    anchor does not show it."""
    height, width = anchor.face.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    whole = np.stack([(x + 0.5) / width, (y + 0.5) / height], axis=2)
    places, surety = carry(whole, anchor, frame)
    places[surety < _SEEN] = np.nan
    return places


class SharedAttention:
    """A processor for the self-attention of diffusers' U-Nets.

    The batch holds a frame's images first, then as many of the anchor. The anchor attends to
    itself, as ever; a frame's tokens to their own frame and to the anchor's tokens about the same
    place of the body, or to all of the anchor where it shows no such place.

    Args:
        places: from `places_in`.
    """

    def __init__(self, places: np.ndarray) -> None:
        self._places = places
        self._masks: dict[int, Tensor] = {}

    def __call__(self, attn: Any, hidden_states: Tensor, *args: object, **more: object) -> Tensor:
        """The attention's output, (B, N, C) as its input."""
        batch, tokens, _ = hidden_states.shape
        query, key, value = (
            layer(hidden_states).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for layer in (attn.to_q, attn.to_k, attn.to_v)
        )
        attend = nn.functional.scaled_dot_product_attention
        half = batch // 2
        if tokens not in self._masks:
            self._masks[tokens] = self._mask(tokens).to(hidden_states.device)
        frame = attend(
            query[:half],
            torch.cat([key[:half], key[half:]], dim=2),
            torch.cat([value[:half], value[half:]], dim=2),
            attn_mask=self._masks[tokens],
        )
        anchor = attend(query[half:], key[half:], value[half:])
        joined = torch.cat([frame, anchor]).transpose(1, 2).flatten(2).to(hidden_states.dtype)
        out: Tensor = attn.to_out[1](attn.to_out[0](joined))
        return out

    def _mask(self, tokens: int) -> Tensor:
        """What each of a frame's tokens may look at, bool (N, 2N)."""
        whole, across = self._places.shape[:2]
        likely = (tokens * whole / across) ** 0.5
        rows_of = [count for count in range(1, tokens + 1) if tokens % count == 0]
        height = min(rows_of, key=lambda count: abs(count - likely))
        width = tokens // height
        rows = ((np.arange(height) + 0.5) * whole / height).astype(int)
        columns = ((np.arange(width) + 0.5) * across / width).astype(int)
        there = torch.from_numpy(self._places[np.ix_(rows, columns)].reshape(-1, 1, 2))
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        grid = torch.stack([x, y], dim=2).reshape(1, -1, 2) + 0.5
        apart = (there * torch.tensor([width, height]) - grid).norm(dim=2)
        near = (apart < _REACH) | apart.isnan()
        return torch.cat([torch.ones_like(near), near], dim=1)


@contextmanager
def shared_attention(unet: Any, places: np.ndarray | None) -> Iterator[None]:
    """A U-Net whose self-attention is shared with an anchor, for the time of a `with`.

    Args:
        unet: a UNet2DConditionModel.
        places: from `places_in`; None leaves the U-Net as it is.
    """
    if places is None:
        yield
        return
    kept: Mapping[str, Any] = dict(unet.attn_processors)
    shared = SharedAttention(places)
    unet.set_attn_processor(
        {name: shared if "attn1" in name else each for name, each in kept.items()}
    )
    try:
        yield
    finally:
        unet.set_attn_processor(dict(kept))
