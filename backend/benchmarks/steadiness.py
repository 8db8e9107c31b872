# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How still a track holds, and how few curves it takes: what an animator sees of it."""

from collections.abc import Sequence

import numpy as np

from portraitgen.body.camera import Camera
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion, posed

_PARTS = {
    "head": (),
    "shoulders": (16, 17),
    "elbows": (18, 19),
    "hands": (20, 21, 28, 43),  # Wrists and the roots of the middle fingers.
}
# The torso's points: neck, collars and shoulders.
_TORSO = (12, 13, 14, 16, 17)
_ALTERNATES_OVER = 8
_FULL_HD = 1080
NOTICED = 0.1
"""A facial unit above this is a curve that an animator has to reckon with."""

SHUT = 0.9
"""The share of its way to the lower lid from which a lid is shut."""


def steadiness(body: BodyModel, motion: Motion, camera: Camera) -> dict[str, float]:
    """How much a track trembles.

    Returns:
        torso_alternates_px: the part of the torso's movement that turns round in every frame, in
        pixels of a plate 1080 pixels high or wide, whichever is less; for head, shoulders, elbows
        and hands, `_mm`, their acceleration across the line of sight, mm a frame squared, 99 % of
        all; head_depth_mm likewise along it; hands_percent of the face's width, the mean.
    """
    output = posed(body, motion)
    joints = output.joints.double().numpy()
    face = output.vertices[:, body.faces[body.parts["face"]].unique()].double().numpy()
    # What of a head no face moves.
    skull = output.vertices[:, body.faces[body.parts["scalp"]].unique()].double().numpy()
    scale = _FULL_HD / min(camera.width, camera.height)
    figures = {"torso_alternates_px": alternating(scale * camera.project(joints[:, list(_TORSO)]))}
    for part, chosen in _PARTS.items():
        places = skull if part == "head" else joints[:, list(chosen)]
        shaken = np.linalg.norm(np.diff(places[..., :2], 2, axis=0), axis=-1) * 1e3
        figures[f"{part}_mm"] = float(np.percentile(shaken, 99)) if len(shaken) else 0.0
        if part == "head":
            depth = np.abs(np.diff(places[..., 2].mean(1), 2)) * 1e3
            figures["head_depth_mm"] = float(np.percentile(depth, 99)) if len(depth) else 0.0
        if part == "hands":
            width = np.ptp(face[..., 0], axis=1).mean() * 1e3
            figures["hands_percent"] = float(100 * shaken.mean() / width) if len(shaken) else 0.0
    return figures


def alternating(places: np.ndarray) -> float:
    """The part of a movement (F, ..., 2) that turns round in every frame: its mean amplitude."""
    second = (2 * places[1:-1] - places[:-2] - places[2:]) / 4
    signs = (-1.0) ** np.arange(len(second)).reshape(-1, *[1] * (places.ndim - 1))
    if len(second) < _ALTERNATES_OVER:
        return 0.0
    sums = np.cumsum(np.concatenate([np.zeros_like(second[:1]), second * signs]), axis=0)
    means = (sums[_ALTERNATES_OVER:] - sums[:-_ALTERNATES_OVER]) / _ALTERNATES_OVER
    return float(np.linalg.norm(means, axis=-1).mean())


def calm_frames(motion: Motion) -> list[int]:
    """The tenth of a track's frames in which a face does least."""
    acted = motion.expression.sum(1)
    rows = np.argsort(acted, kind="stable")[: max(1, len(acted) // 10)]
    return [int(frame) for frame in np.sort(motion.frames[rows])]


def closed_lids(body: BodyModel, motion: Motion) -> np.ndarray:
    """How shut both lids are, the less shut one, in shares of what closes the mesh, (F,)."""
    lids = [body.expression_names.index(f"eyeBlink{side}") for side in ("Left", "Right")]
    closing = body.blink_closed - motion.neutral(body)[lids]
    shut: np.ndarray = (motion.expression[:, lids] / closing).min(1)
    return shut


def noticed_units(motion: Motion, frames: Sequence[int]) -> float:
    """How many facial units stand above a tenth in some frames, the mean."""
    rows = [motion.index(frame) for frame in frames]
    return float((motion.expression[rows] > NOTICED).sum(1).mean())
