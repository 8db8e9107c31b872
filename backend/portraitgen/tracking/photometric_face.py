# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lays the tracked face on the plate's own pixels: head and expression of every frame.

Pores, brows and creases stay on the skin. Hair, eyes, the open mouth and the cheek behind a nose
lie beside it. Landmarks remain the prior: they know where a head is, pixels how it moved.
"""

from dataclasses import replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ..body.model import BodyModel
from ..body.motion import ANY_VERTEX, Motion, posed
from .bodyfit import NECK
from .photometric_alignment import Alignment, Looks, Patch, Pictures, Scales, Workers
from .silhouette import HEAD
from .smoothing import smooth, smooth_rotations

_JAW, _EYES = 22, (23, 24)
_POINTS = 2500
# How far landmarks may be off, one deviation each: turn, place across and along the line of sight,
# and the value of a facial unit that runs from 0 to 1; they see a jaw best of all.
_TURN, _ACROSS, _ALONG, _UNIT, _JAW_UNIT = np.radians(1.5), 0.001, 0.01, 0.2, 0.05
_LARGEST_TURN = 0.03
# How strongly what pixels tell of each frame is stilled, as landmarks are in the solve.
_STILL_TURN, _STILL_ACROSS, _STILL_DEPTH, _STILL_UNIT = 0.35, 0.25, 30.0, 0.06
# What it costs to use a unit that landmarks see at rest, so that curves stay few; but brows, of
# which they see little.
_AT_REST, _SPARING = 0.02, 6.0
# The skin round landmarks, of a body whose face is not labelled, metres.
_AROUND = 0.03
# Lids cover what they would be aligned by, eyes have joints of their own, tongues are not skin.
_LEFT_ALONE = ("eyeBlink", "eyeLook", "tongueOut", "jawForward")


class FaceAlignment(Alignment):
    """Head, place and expression in every frame; necks, lids and gaze stay."""

    scales = Scales(fine=(0.001, 0.6), coarse=(0.003, 1.8), edge=(0.001, 1.0), away=(0.002, 1.5))
    rounds = 8

    def __init__(
        self, body: BodyModel, motion: Motion, pictures: Pictures, workers: Workers
    ) -> None:
        follows = body.weights[:, HEAD] + body.weights[:, _JAW]
        surface = (follows[body.faces] > 0.9).all(1).numpy() & _skin(body)
        patch = Patch(body, surface, _POINTS)
        super().__init__(body, motion, pictures, workers, patch)
        moved = body.directions.view(len(body.directions), -1, 3)[body.n_shape :]
        # How facial units move the points in the head's space.
        self._units = patch.at(moved.numpy()).transpose(2, 1, 0).copy()
        names = body.expression_names
        self._free = np.array([not name.startswith(_LEFT_ALONE) for name in names])
        self._low, self._high = body.expression_bounds
        named = [self._low == 0 and not name.startswith("brow") for name in names]
        self._resting = (motion.expression < _AT_REST) & np.array(named)
        units = [self._high * (_JAW_UNIT if name.startswith("jaw") else _UNIT) for name in names]
        deviations = [*[_TURN] * 3, _ACROSS, _ACROSS, _ALONG, *units]
        self._prior = np.array(deviations) ** -2.0

    def _solved(
        self, motion: Motion, looks: Looks, row: int, error: np.ndarray, weight: np.ndarray
    ) -> np.ndarray:
        """Turn, shift (camera space) and facial units, (6 + E,)."""
        face, tracked, slope = looks.patch, self._tracked, looks.slope[row]
        turned, place = face.rotations[row, HEAD], face.joints[row, HEAD]
        turn = np.cross(face.points[row] - place, slope)
        local = slope @ turned
        units = sum(local[:, axis : axis + 1] * self._units[axis] for axis in range(3))
        root = np.sqrt(weight)[:, None]
        jacobian = torch.from_numpy(np.concatenate([turn, slope, units], axis=1) * root).float()
        residual = torch.from_numpy(error * root[:, 0]).float()
        normal = (jacobian.T @ jacobian).double().numpy() + np.diag(self._prior)
        present = motion.expression[row]
        strayed = np.concatenate(
            [
                Rotation.from_matrix(turned @ tracked.rotations[row, HEAD].T).as_rotvec(),
                place - tracked.joints[row, HEAD],
                present - self._start.expression[row],
            ]
        )
        pull = (jacobian.T @ residual).double().numpy() + self._prior * strayed
        pull[6:] += _SPARING * self._resting[row]
        push = pull[6:]
        held = (present <= self._low) & (push > 0) | (present >= self._high) & (push < 0)
        moving = np.concatenate([np.ones(6, bool), ~held & self._free])
        step = np.zeros(len(pull))
        step[moving] = -np.linalg.solve(normal[np.ix_(moving, moving)], pull[moving])
        step[:3] = step[:3].clip(-_LARGEST_TURN, _LARGEST_TURN)
        return step

    def _stilled(self, motion: Motion, weights: np.ndarray) -> Motion:
        """Heads and units as they move; depth, which pixels hardly show, far more slowly."""
        output = posed(self._body, motion, ANY_VERTEX)
        heads = output.rotations[:, HEAD].double().numpy()
        places = output.joints[:, HEAD].double().numpy()
        when = weights, motion.frames
        depth = smooth(places[:, 2:], _STILL_DEPTH, *when)
        ray = smooth(places[:, :2] / places[:, 2:], _STILL_ACROSS, *when)
        turns = smooth_rotations(heads, _STILL_TURN, *when) @ heads.transpose(0, 2, 1)
        acted = smooth(motion.expression, _STILL_UNIT, *when) - motion.expression
        steps = [
            Rotation.from_matrix(turns).as_rotvec(),
            np.concatenate([ray * depth, depth], axis=1) - places,
            np.where(self._free, acted, 0),
        ]
        return self._moved(motion, np.concatenate(steps, axis=1))

    def _moved(self, motion: Motion, steps: np.ndarray) -> Motion:
        """Every head turned about its joint and shifted; necks and eyes stay."""
        units = (motion.expression + steps[:, 6:]).clip(self._low, self._high)
        before = posed(self._body, motion, ANY_VERTEX)
        neck = before.rotations[:, NECK].double().numpy()
        turns = Rotation.from_rotvec(steps[:, :3]).as_matrix()
        head = turns @ before.rotations[:, HEAD].double().numpy()
        pose = motion.pose.copy()
        pose[:, HEAD] = Rotation.from_matrix(neck.transpose(0, 2, 1) @ head).as_rotvec()
        for eye in _EYES:
            gaze = before.rotations[:, eye].double().numpy()
            pose[:, eye] = Rotation.from_matrix(head.transpose(0, 2, 1) @ gaze).as_rotvec()
        moved = replace(motion, pose=pose, expression=units.astype(np.float32))
        back = self._head_shift(before, moved)
        transl = motion.transl + back + steps[:, 3:6]
        return replace(moved, transl=transl.astype(np.float32))


def _skin(body: BodyModel) -> np.ndarray:
    """The faces of a body that are skin of the face, bool (F,)."""
    if "face" in body.parts:
        chosen: np.ndarray = (body.parts["face"] | body.parts["lips"]).numpy()
        return chosen
    vertices, faces = body.template.numpy(), body.faces.numpy()
    middles, marks = vertices[faces].mean(1), body.landmarks.on(vertices, faces)
    near: np.ndarray = (
        np.linalg.norm(middles[:, None] - marks[None], axis=2).min(1, initial=np.inf) < _AROUND
    )
    return near
