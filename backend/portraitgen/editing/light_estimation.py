# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The light that a shot was taken in, from how brightness changes between places close together.

How bright a place is says little of the light: hair is dark in any. But neighbours mostly are of
one material, as in Retinex (Land and McCann 1971), so what brightness changes between them is
light; where skin meets hair or cloth it is not, and a robust fit leaves those pairs out. The light
is a sum of lights all around, none of them negative, so that it stays sensible where no surface
faced it.
"""

from collections.abc import Iterable

import cv2
import numpy as np
from scipy.optimize import nnls

from .light import Light, lobes

_LIGHTS = 48
_PAIRS, _FEWEST = 3000, 100
# Of the picture's side: how far apart pairs lie, and how far pores and weave are averaged.
_NEAR, _FAR, _GRAIN = 0.012, 0.04, 0.004
_BLACK, _UNLIT = 2e-3, 0.05
_ROUNDS, _SPREAD, _DAMPING = 12, 1.5, 1.0
_MEAN_KEPT = 1e6


def fitted_light(pictures: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Light | None:
    """The light of a shot, as one channel; 1 is what it gives the performer on the mean.

    Args:
        pictures: of some frames: linear luminance (H, W), unit normals (H, W, 3) in camera space,
            and where both are the performer's, bool (H, W).

    Returns:
        None if too little of the performer is seen.
    """
    generator = np.random.default_rng(0)
    pairs = [_pairs(*each, generator) for each in pictures]
    values, normals = (np.concatenate([pair[part] for pair in pairs], axis=1) for part in (0, 1))
    if values.shape[1] < _FEWEST:
        return None
    directions = _all_around(_LIGHTS)
    basis = [np.insert(lobes(each, directions), 0, 1, axis=1).astype(float) for each in normals]
    first, second = np.maximum(values, _BLACK)
    # Of two places of one material, brightness times the other's light is the same.
    crossed = first[:, None] * basis[1] - second[:, None] * basis[0]
    mean = (basis[0].mean(0) + basis[1].mean(0)) / 2
    damping = np.diag([0.0] + [_DAMPING] * _LIGHTS)
    gains = np.zeros(_LIGHTS + 1)
    gains[0] = 1
    for _ in range(_ROUNDS):
        lit = [np.maximum(each @ gains, _UNLIT) for each in basis]
        error = crossed / np.sqrt(first * second * lit[0] * lit[1])[:, None]
        apart = error @ gains
        spread = 1.48 * np.median(np.abs(apart)) + 1e-3
        weight = 1 / (1 + (apart / (_SPREAD * spread)) ** 2)
        normal = (error * weight[:, None]).T @ error / len(error) + spread**2 * damping
        normal += _MEAN_KEPT * np.outer(mean, mean) + 1e-9 * np.eye(len(mean))
        root = np.linalg.cholesky(normal)
        gains, _ = nnls(root.T, np.linalg.solve(root, _MEAN_KEPT * mean))
    return Light(gains[:1], directions, gains[1:, None])


def _pairs(
    luminance: np.ndarray, normals: np.ndarray, known: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Luminance (2, N) and normals (2, N, 3) of places close together."""
    side = max(luminance.shape)
    smooth = cv2.GaussianBlur(luminance.astype(np.float32), (0, 0), max(_GRAIN * side, 0.5))
    here = np.argwhere(known)
    if len(here):
        here = here[generator.integers(0, len(here), _PAIRS)]
    around = generator.uniform(0, 2 * np.pi, len(here))
    away = side * generator.uniform(_NEAR, _FAR, len(here))
    there = np.rint(here + away[:, None] * np.stack([np.sin(around), np.cos(around)], axis=1))
    there = np.clip(there, 0, np.array(known.shape) - 1).astype(int)
    both = known[there[:, 0], there[:, 1]]
    ends = [tuple(each[both].T) for each in (here, there)]
    return np.stack([smooth[end] for end in ends]), np.stack([normals[end] for end in ends])


def _all_around(count: int) -> np.ndarray:
    """Directions (count, 3) spread evenly over the sphere (a Fibonacci lattice)."""
    step = np.arange(count) + 0.5
    height, turn = 1 - 2 * step / count, np.pi * (1 + 5**0.5) * step
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)
