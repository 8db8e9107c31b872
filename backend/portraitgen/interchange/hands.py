# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands of SMPL-X files: principal components, and poses that count from a mean hand."""

from pathlib import Path

import numpy as np

from ..body.model import read_arrays
from .foreign_track import ForeignTrack

_FINGERS = slice(25, 55)


def mean_hands(model: Path | None) -> np.ndarray | None:
    """The mean pose of left and right hand in a model file, float64 (2, 45); None without."""
    if model is None:
        return None
    arrays = read_arrays(model)
    if not {"hands_meanl", "hands_meanr"} <= set(arrays):
        return None
    found = np.stack([arrays[f"hands_mean{side}"].ravel() for side in "lr"]).astype(np.float64)
    return found if found.shape == (2, 45) else None


def spread_hands(track: ForeignTrack, model: Path | None) -> None:
    """Turns components and mean-relative hands into joints that count from flat hands.

    Without the model's file such hands cannot be known: they are left out, and a note says so.
    """
    means = mean_hands(model)
    if track.hand_components is not None:
        arrays = read_arrays(model) if model is not None else {}
        axes = [arrays.get(f"hands_components{side}", np.zeros(0)) for side in "lr"]
        if any(each.shape[1:] != (45,) for each in axes):
            track.notes.append(
                f"hands are {track.hand_components.shape[2]} principal components, whose meaning"
                " stands in SMPL-X's file: fingers stay as they are tracked; --smplx-model gives it"
            )
            return
        count = track.hand_components.shape[2]
        for side in range(2):
            turned = track.hand_components[:, side] @ axes[side][:count]
            track.turn(slice(25 + 15 * side, 40 + 15 * side), turned.reshape(-1, 15, 3))
    if track.hands == "mean" and track.given[_FINGERS].any():
        if means is None:
            track.notes.append(
                "hands count from the mean hands of SMPL-X's file: fingers stay as they are"
                " tracked; --smplx-model gives it"
            )
            track.given[_FINGERS] = False
            return
        track.pose[:, _FINGERS] += means.reshape(30, 3)
