# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries corrections of some frames to the frames between them.

What a tracker gets wrong changes slowly, so that what an artist adds in two frames is added, in
shares, in those between: turns in the joint's own space, the rest as differences.
"""

from dataclasses import replace

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation

from ..body.motion import Motion


def blend_corrections(
    motion: Motion, corrected: Motion, anchors: np.ndarray, first: int, last: int, ease: int = 0
) -> Motion:
    """The frames of a range follow the corrected ones among them.

    Outside the anchors a correction fades until it is gone just beyond the range; where the range
    ends with the shot it lasts.

    Args:
        motion: as it was before.
        corrected: the same frames, right at the anchors.
        anchors: ascending rows that are right, fixed ones among them; those outside the range
            are left alone.
        first, last: rows, the range.
        ease: fade within so many frames of the outermost anchors instead, wherever the range ends.

    Returns:
        `corrected` with the other rows of the range blended.
    """
    inside = anchors[(anchors >= first) & (anchors <= last)]
    if not len(inside):
        return corrected
    before = inside[0] - ease if ease else first - 1
    after = inside[-1] + ease if ease else last + 1
    fades_in, fades_out = bool(ease or before >= 0), bool(ease or after < len(motion))
    places = [before] * fades_in + inside.tolist() + [after] * fades_out
    rows = np.setdiff1d(np.arange(first, last + 1), inside)

    def shares(differences: np.ndarray) -> np.ndarray:
        """Differences (anchors, ...) at the rows in between."""
        none = [np.zeros_like(differences[:1])]
        known = np.concatenate(none * fades_in + [differences] + none * fades_out)
        if len(places) == 1:
            return np.repeat(known, len(rows), axis=0)
        at = np.clip(rows, places[0], places[-1])
        values: np.ndarray = PchipInterpolator(places, known)(at)
        return values

    turned = _turned(motion.pose[inside], corrected.pose[inside])
    pose, transl, expression = (
        getattr(corrected, name).copy() for name in ("pose", "transl", "expression")
    )
    moved = corrected.transl[inside] - motion.transl[inside]
    transl[rows] = motion.transl[rows] + shares(moved)
    pose[rows] = _turn(motion.pose[rows], shares(turned))
    acted = corrected.expression[inside] - motion.expression[inside]
    low = np.minimum(motion.expression.min(0), corrected.expression[inside].min(0))
    high = np.maximum(motion.expression.max(0), corrected.expression[inside].max(0))
    expression[rows] = np.clip(motion.expression[rows] + shares(acted), low, high)
    return replace(corrected, pose=pose, transl=transl, expression=expression)


def _turned(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The turns (N, J, 3) that lead from poses to others, in the joints' own space."""
    return _vectors(_rotations(before).inv() * _rotations(after), before.shape)


def _turn(pose: np.ndarray, turns: np.ndarray) -> np.ndarray:
    changed = _vectors(_rotations(pose) * _rotations(turns), pose.shape)
    # A joint that is not turned keeps its own of several equal vectors, to the bit.
    same = np.abs(turns).max(-1, keepdims=True) < 1e-9
    return np.where(same, pose, changed).astype(pose.dtype)


def _rotations(vectors: np.ndarray) -> Rotation:
    return Rotation.from_rotvec(np.asarray(vectors, np.float64).reshape(-1, 3))


def _vectors(rotations: Rotation, shape: tuple[int, ...]) -> np.ndarray:
    vectors: np.ndarray = rotations.as_rotvec().reshape(shape)
    return vectors
