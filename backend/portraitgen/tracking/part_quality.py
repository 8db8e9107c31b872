# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far each part of a tracked body lies from where the plate shows it.

A face that is followed to a per cent says nothing of the arm beside it. Each part is judged by
the landmarks that belong to it; a part that no landmark shows is a guess, and has no number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..body.camera import Camera
from ..body.model import BodyModel
from ..body.motion import Motion, posed
from ..records import FrameQuality
from .body_landmarks import steady_landmarks

EARS = {"left_ear": (7, 1.0), "right_ear": (8, -1.0)}
"""Ears, MediaPipe's landmark of each, and the side of the body's x axis on which it lies."""
# Joints of the body, and MediaPipe's landmarks of them.
_JOINTS = {
    "shoulders": ((16, 11), (17, 12)),
    "left_arm": ((18, 13),),
    "right_arm": ((19, 14),),
    "left_forearm": ((20, 15),),
    "right_forearm": ((21, 16),),
}
# Of each hand: the wrist, and the first joint of every finger.
_HANDS = {
    "left_hand": (0, ((20, 0), (25, 5), (28, 9), (31, 17), (34, 13), (37, 2))),
    "right_hand": (1, ((21, 0), (40, 5), (43, 9), (46, 17), (49, 13), (52, 2))),
}
PARTS = ("face", *EARS, *_JOINTS, *_HANDS)
"""In the order in which they are told."""

_HEAD = 15
_EAR = 0.02
_SEEN = 0.5
# MediaPipe's outer corners of the eyes.
_CORNERS = (33, 263)


def part_residuals(
    body: BodyModel, motion: Motion, camera: Camera, pose: np.ndarray, hands: np.ndarray
) -> dict[str, np.ndarray]:
    """The distance of each part from its landmarks, face excepted.

    Args:
        motion: the track; camera: of the plate.
        pose: (F, 33, 3), plate pixels and visibility; hands: (F, 2, 21, 2); NaN where unseen.

    Returns:
        For every part (F,), per cent of the eye distance; NaN where nothing shows it.
    """
    pose, hands = steady_landmarks(pose, hands)
    ears = {part: _ear(body, side) for part, (_, side) in EARS.items()}
    wanted = np.concatenate(list(ears.values()))
    made = posed(body, motion, vertices=wanted)
    joints = made.joints.double().numpy()
    places, points = camera.project(joints), camera.project(made.vertices.double().numpy())
    scale = camera.fx * _eye_distance(body) / np.maximum(joints[:, _HEAD, 2], 1e-3) / 100
    visible = np.nan_to_num(pose[..., 2]) >= _SEEN

    def off(place: np.ndarray, mark: int) -> np.ndarray:
        far = np.linalg.norm(place - pose[:, mark, :2], axis=1) / scale
        return np.where(visible[:, mark], far, np.nan)

    found, at = {}, 0
    for part, (mark, _) in EARS.items():
        count = len(ears[part])
        found[part] = off(points[:, at : at + count].mean(1), mark)
        at += count
    for part, pairs in _JOINTS.items():
        found[part] = _mean([off(places[:, joint], mark) for joint, mark in pairs])
    for part, (side, pairs) in _HANDS.items():
        far = [
            np.linalg.norm(places[:, joint] - hands[:, side, mark], axis=1) / scale
            for joint, mark in pairs
        ]
        found[part] = _mean(far)
    return found


def with_parts(
    quality: Sequence[FrameQuality], residuals: Mapping[str, np.ndarray]
) -> tuple[FrameQuality, ...]:
    """The quality of frames with that of each part; what is guessed has no number."""
    rows = []
    for row, each in enumerate(quality):
        told = {
            part: round(float(values[row]), 2)
            for part, values in residuals.items()
            if part not in each.guessed and np.isfinite(values[row])
        }
        if each.landmark_residual_percent is not None:
            told = {"face": round(each.landmark_residual_percent, 2)} | told
        rows.append(replace(each, parts=told))
    return tuple(rows)


def mean_parts(quality: Sequence[FrameQuality]) -> dict[str, float]:
    """The mean of each part over the frames that show it."""
    found = {}
    for part in PARTS:
        values = [each.parts[part] for each in quality if part in each.parts]
        if values:
            found[part] = round(float(np.mean(values)), 2)
    return found


def _ear(body: BodyModel, side: float) -> np.ndarray:
    """The vertices round the point of the head that stands out farthest to a side."""
    rest = body.template.numpy()
    head = np.flatnonzero(body.weights.numpy()[:, _HEAD] > _SEEN)
    tip = rest[head[(side * rest[head, 0]).argmax()]]
    found: np.ndarray = head[np.linalg.norm(rest[head] - tip, axis=1) < _EAR]
    return found


def _eye_distance(body: BodyModel) -> float:
    """Metres between the outer corners of the mean person's eyes."""
    marks = body.landmarks
    rows = [int(np.flatnonzero(np.asarray(marks.indices) == each)[0]) for each in _CORNERS]
    corners = body.faces.numpy()[np.asarray(marks.faces)[rows]]
    weights = np.asarray(marks.barycentric)[rows]
    points = (body.template.numpy()[corners] * weights[..., None]).sum(1)
    return float(np.linalg.norm(points[0] - points[1]))


def _mean(rows: list[np.ndarray]) -> np.ndarray:
    """The mean of what is known, NaN where nothing is."""
    stacked = np.stack(rows)
    known = np.isfinite(stacked)
    count = known.sum(0)
    total = np.where(known, stacked, 0).sum(0)
    result: np.ndarray = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return result
