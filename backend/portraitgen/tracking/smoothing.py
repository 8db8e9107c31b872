# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporal smoothing without lag, and bridges over gaps.

Penalised least squares on third differences (Whittaker 1923; Eilers 2003): what changes like a
cubic passes unharmed, what jitters from frame to frame does not. Frames count by their weight, so
that a frame not seen is bridged by the same solve.
"""

import numpy as np
from scipy.linalg import solveh_banded
from scipy.spatial.transform import Rotation

_ORDER = 3


def smooth(
    values: np.ndarray,
    strength: float,
    weights: np.ndarray | None = None,
    frames: np.ndarray | None = None,
) -> np.ndarray:
    """Smooths along the first axis.

    Args:
        values: (F, ...).
        strength: the penalty; 1 halves what has a period of about 7 frames, 0 changes nothing.
        weights: (F,), 0 where the value is to be bridged.
        frames: (F,), ascending, where some are left out between them.

    Returns:
        (F, ...), float64.
    """
    count = len(values)
    if frames is not None and count and frames[-1] - frames[0] >= count:
        at = frames - frames[0]
        every, seen = np.zeros((at[-1] + 1, *np.shape(values)[1:])), np.zeros(at[-1] + 1)
        every[at], seen[at] = values, 1 if weights is None else weights
        return smooth(every, strength, seen)[at]
    flat = np.asarray(values, np.float64).reshape(count, -1)
    weights = np.ones(count) if weights is None else np.asarray(weights, np.float64)
    if count <= _ORDER or not weights.any():
        return flat.reshape(np.shape(values))
    difference = np.diff(np.eye(_ORDER + 1), _ORDER, axis=0)[0]
    bands = np.zeros((_ORDER + 1, count))
    for a in range(_ORDER + 1):
        for b in range(a + 1):
            bands[a - b, b : b + count - _ORDER] += difference[a] * difference[b]
    # A trace of stiffness in the bridged frames keeps the system definite at the ends.
    bands *= max(strength, 1e-6)
    if np.count_nonzero(weights) < _ORDER:
        # Too few to fix a curve: what they leave open stays as still as it can.
        bands[0, 1:] += 1e-3
        bands[0, :-1] += 1e-3
        bands[1, : count - 1] -= 1e-3
    bands[0] += weights
    solved = solveh_banded(bands, weights[:, None] * flat, lower=True)
    return solved.reshape(np.shape(values))


def smooth_rotations(
    rotations: np.ndarray,
    strength: float,
    weights: np.ndarray | None = None,
    frames: np.ndarray | None = None,
) -> np.ndarray:
    """Smooths rotation matrices (F, 3, 3) through their quaternions on one hemisphere."""
    quaternions = Rotation.from_matrix(rotations).as_quat()
    flips = np.sign((quaternions[1:] * quaternions[:-1]).sum(1))
    flips[flips == 0] = 1
    quaternions[1:] *= np.cumprod(flips)[:, None]
    stilled = smooth(quaternions, strength, weights, frames)
    matrices: np.ndarray = Rotation.from_quat(stilled).as_matrix()
    return matrices


def bridge(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Fills the rows that are not known: linearly between neighbours, held at the ends.

    Args:
        values: (F, ...); rows that are not known may hold anything.
        known: bool (F,), at least one True.
    """
    rows = np.arange(len(values))
    flat = np.asarray(values, np.float64).reshape(len(values), -1).copy()
    for column in range(flat.shape[1]):
        flat[:, column] = np.interp(rows, rows[known], flat[known, column])
    return flat.reshape(np.shape(values))


def gaps(known: np.ndarray) -> list[tuple[int, int]]:
    """The runs of rows that are not known, as (first, last) rows."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], known, [True]]).astype(int)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
