# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise that lies on the body: what an editor draws at random goes with the performer.

A point of the skin starts from the same noise in every frame, so that a diffusion model paints it
alike, while every value stays independent of all others, as the model expects: noise that is
warped or interpolated is not (Chang et al., "How I Warped Your Noise", 2024).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..body.surface import Surface

_GOLDEN = 0x9E3779B97F4A7C15
_MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_MANTISSA = 11


def surface_noise(shape: Sequence[int], seed: int, surface: Surface | None, like: Tensor) -> Tensor:
    """Gaussian noise in float32, the same on every device for a seed.

    The body at rest is cut into cubes about as large as a value's footprint on it; each takes one
    value a channel, from its place. Where several values see the same cube the nearest to its
    middle has it, and the others, as those beside the body, are drawn by their place in the
    picture.

    Args:
        shape: (1, ..., H, W); all that comes before H and W are channels.
        seed: of all of it.
        surface: the body in the picture that the noise fills, None if it is unknown.
        like: a tensor on the device that the noise is for.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    drawn = torch.randn(tuple(shape), generator=generator)
    if surface is not None:
        planes = drawn.view(-1, shape[-2] * shape[-1])
        where, cells = _owners(surface, shape[-2], shape[-1])
        planes[:, torch.from_numpy(where)] = torch.from_numpy(_gaussians(cells, len(planes), seed))
    return drawn.to(like.device)


def _owners(surface: Surface, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Which values show the body, flat (N,), and each one's own cube of it, int64 (N, 3)."""
    rows = ((np.arange(height) + 0.5) * surface.face.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * surface.face.shape[1] / width).astype(int)
    at = np.ix_(rows, columns)
    face, depth = surface.face[at].ravel(), surface.depth[at].ravel()
    shown = np.flatnonzero(face >= 0)
    if not len(shown):
        return shown, np.empty((0, 3), np.int64)
    corners = surface.rest[surface.faces[face[shown]]]
    weights = surface.barycentric[at].reshape(-1, 3)[shown]
    points = (corners * weights[..., None]).sum(1).astype(np.float64)
    footprint = np.median(depth[shown]) / surface.camera.fx * surface.face.shape[1] / width
    # Whole octaves: a performer who comes a little nearer keeps the cubes.
    side = 2.0 ** np.rint(np.log2(footprint))
    cells = np.floor(points / side).astype(np.int64)
    nearest = np.argsort(np.abs(points / side - cells - 0.5).max(1), kind="stable")
    _, first = np.unique(cells[nearest], axis=0, return_index=True)
    owners = nearest[first]
    return shown[owners], cells[owners]


def _gaussians(cells: np.ndarray, channels: int, seed: int) -> np.ndarray:
    """A value for each cube and channel, float32 (C, N), by hashing and Box and Muller's map."""
    state = np.full(len(cells), np.uint64(seed))
    for axis in range(3):
        state = _hash(state ^ cells[:, axis].astype(np.uint64))
    values = np.empty((channels, len(cells)), np.float32)
    for channel in range(channels):
        first = _hash(state + np.uint64(2 * channel + 1))
        second = _hash(state + np.uint64(2 * channel + 2))
        radius = np.sqrt(-2 * np.log1p(-_uniform(first)))
        values[channel] = radius * np.cos(2 * np.pi * _uniform(second))
    return values


def _hash(state: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele et al. 2014) of every value, uint64."""
    mixed = state + np.uint64(_GOLDEN)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(_MIX[0])
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(_MIX[1])
    return mixed ^ (mixed >> np.uint64(31))


def _uniform(state: np.ndarray) -> np.ndarray:
    """0 to below 1, float64."""
    return (state >> np.uint64(_MANTISSA)).astype(np.float64) * 2.0**-53
