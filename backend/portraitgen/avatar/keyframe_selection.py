# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pivot frames: the few that stand for all a performer does in a shot."""

import numpy as np
from scipy.cluster.vq import kmeans2

from ..body.motion import Motion

COUNT = 8
_NECK, _HEAD, _JAW = 12, 15, 22
# A radian of the head's turn counts like two whole units of expression.
_TURN = 2.0


def pivot_frames(motion: Motion) -> list[int]:
    """The frames nearest the centres of k-means over yaw, pitch, neck, jaw and expression.

    Args:
        motion: of the tracked frames.

    Returns:
        At most `COUNT` frames, ascending.
    """
    head = motion.pose[:, _HEAD] + motion.pose[:, 0]
    acted = np.concatenate(
        [
            _TURN * head[:, :2],
            _TURN * motion.pose[:, _NECK],
            motion.pose[:, _JAW],
            motion.expression,
        ],
        axis=1,
    ).astype(np.float64)
    different = len(np.unique(acted, axis=0))
    if different <= COUNT:
        _, first = np.unique(acted, axis=0, return_index=True)
        return sorted(int(frame) for frame in motion.frames[first])
    centres, label = kmeans2(acted, COUNT, minit="++", seed=0)
    nearest = [
        rows[np.linalg.norm(acted[rows] - centre, axis=1).argmin()]
        for index, centre in enumerate(centres)
        if len(rows := np.flatnonzero(label == index))
    ]
    return sorted(int(frame) for frame in motion.frames[nearest])
