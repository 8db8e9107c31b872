# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations between the backend's axis-angle vectors and Blender's quaternions and matrices."""

import numpy as np


def quaternions(axis_angle: np.ndarray) -> np.ndarray:
    """Axis-angle vectors (..., 3) in radians as quaternions wxyz (..., 4)."""
    vectors = np.asarray(axis_angle, np.float64)
    angle = np.linalg.norm(vectors, axis=-1, keepdims=True)
    share = np.where(angle > 1e-8, np.sin(angle / 2) / np.maximum(angle, 1e-12), 0.5)
    return np.concatenate([np.cos(angle / 2), vectors * share], axis=-1)


def axis_angles(rotations: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) as axis-angle vectors (..., 3) of at most pi."""
    quaternion = _quaternions_of(np.asarray(rotations, np.float64))
    quaternion = np.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    sine = np.linalg.norm(quaternion[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternion[..., :1])
    return quaternion[..., 1:] * np.where(sine > 1e-9, angle / np.maximum(sine, 1e-12), 2.0)


def turned(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The angles between axis-angle vectors (..., 3), radians: of a half turn there are two."""
    a, b = quaternions(first), quaternions(second)
    apart = np.minimum(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1))
    angles: np.ndarray = 4 * np.arcsin(np.minimum(apart / 2, 1))
    return angles


def _quaternions_of(m: np.ndarray) -> np.ndarray:
    """By the largest of the four components (Shepperd 1978), so that none is divided by ~0."""
    trace = np.trace(m, axis1=-2, axis2=-1)
    diagonal = [m[..., index, index] for index in range(3)]
    largest = np.stack([trace, *diagonal], axis=-1).argmax(axis=-1)
    xy, xz, yz = (m[..., a, b] + m[..., b, a] for a, b in ((0, 1), (0, 2), (1, 2)))
    x, y, z = (m[..., a, b] - m[..., b, a] for a, b in ((2, 1), (0, 2), (1, 0)))
    candidates = np.stack(
        [
            np.stack([1 + trace, x, y, z], -1),
            np.stack([x, 1 + 2 * diagonal[0] - trace, xy, xz], -1),
            np.stack([y, xy, 1 + 2 * diagonal[1] - trace, yz], -1),
            np.stack([z, xz, yz, 1 + 2 * diagonal[2] - trace], -1),
        ],
        axis=-2,
    )
    chosen = np.take_along_axis(candidates, largest[..., None, None], axis=-2)[..., 0, :]
    normal: np.ndarray = chosen / np.linalg.norm(chosen, axis=-1, keepdims=True)
    return normal


def continuous(quaternion: np.ndarray) -> np.ndarray:
    """Quaternions (T, J, 4) with signs such that neighbours in time lie on one hemisphere."""
    result = quaternion.copy()
    signs = np.where((result[1:] * result[:-1]).sum(-1) < 0, -1.0, 1.0)
    result[1:] *= np.cumprod(signs, axis=0)[..., None]
    return result
