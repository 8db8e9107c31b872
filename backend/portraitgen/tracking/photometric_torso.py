# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lays the tracked torso on the plate's own pixels, under a head that stays where it is.

Collars, seams and folds stay on the body. Body landmarks see no more than shoulders, to a few
millimetres; where clothes show no detail, they are what is left.
"""

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from ..body.model import BodyModel
from ..body.motion import ANY_VERTEX, Motion, posed
from .bodyfit import NECK
from .photometric_alignment import Alignment, Looks, Patch, Pictures, Scales, Workers
from .silhouette import HEAD
from .smoothing import smooth_rotations

# What all frames show follows each of them: steps fall short, and reach farther than they seem to.
_STRIDE = 1.6
_PELVIS, _CHEST = 0, 9
# Pelvis, spine, neck and collars, which move as one but for the neck; and the upper arms.
_TORSO = (0, 3, 6, 9, 12, 13, 14)
_ARMS = {16: 13, 17: 14}
# Thighs and forearms, each with what it hangs on: they keep their direction.
_HANGING = {1: 0, 2: 0, 18: 16, 19: 17}
_FACES = 8000
# Points that so few frames show tell nothing of a movement.
_RARE = 0.1
# How far body landmarks may be off, one deviation each.
_TURN, _BEND, _SWING = np.radians(1.0), np.radians(3.0), np.radians(2.0)
_LARGEST = 0.03
# How strongly what pixels tell of each frame is stilled.
_STILL = 3.0


class TorsoAlignment(Alignment):
    """How torso, neck and upper arms are turned in every frame; the head stays where it is, and
    forearms and thighs keep their directions."""

    scales = Scales(fine=(0.002, 0.6), coarse=(0.008, 1.8), edge=(0.002, 1.0), away=(0.003, 1.5))
    rounds = 16

    def __init__(
        self, body: BodyModel, motion: Motion, pictures: Pictures, workers: Workers
    ) -> None:
        follows = body.weights[:, [*_TORSO, *_ARMS]].sum(1)
        surface = (follows[body.faces] > 0.7).all(1).numpy()
        patch = Patch(body, surface, _FACES, round_middles=True)
        super().__init__(body, motion, pictures, workers, patch)
        shown = self._seen.mean(0) > _RARE
        patch.keep(shown)
        self._seen, self._tracked = self._seen[:, shown], patch.posed(motion)
        self._turned = (_PELVIS, NECK, *_ARMS)
        self._follows = patch.at(body.weights[:, [NECK, *_ARMS]].numpy())
        self._prior = np.repeat([_TURN, _BEND, *[_SWING] * len(_ARMS)], 3) ** -2.0

    def _solved(
        self, motion: Motion, looks: Looks, row: int, error: np.ndarray, weight: np.ndarray
    ) -> np.ndarray:
        """Turns of torso, neck and upper arms in camera space, (12,)."""
        points, slope = looks.patch.points[row], looks.slope[row]
        rotations, joints = looks.patch.rotations[row], looks.patch.joints[row]
        neck, arms = self._follows[:, :1], self._follows[:, 1:]
        # The neck turns about the head's joint, the torso about the neck's, which follows, and
        # arms about the shoulders, which follow the torso.
        turn = np.cross(points - joints[NECK], (1 - self._follows.sum(1, keepdims=True)) * slope)
        bend = np.cross(points - joints[HEAD], neck * slope)
        bend = bend + np.cross(joints[NECK] - joints[HEAD], (1 - neck) * slope)
        swings = []
        for column, joint in enumerate(_ARMS):
            with_arm = arms[:, column : column + 1] * slope
            turn = turn + np.cross(joints[joint] - joints[NECK], with_arm)
            swings.append(np.cross(points - joints[joint], with_arm))
        root = np.sqrt(weight)[:, None]
        jacobian = np.concatenate([turn, bend, *swings], axis=1) * root
        tracked = self._tracked.rotations[row]
        strayed = np.stack([rotations[each] @ tracked[each].T for each in self._turned])
        away = Rotation.from_matrix(strayed).as_rotvec().ravel()
        pull = jacobian.T @ (error * root[:, 0]) + self._prior * away
        step: np.ndarray = -np.linalg.solve(jacobian.T @ jacobian + np.diag(self._prior), pull)
        return (_STRIDE * step).clip(-_LARGEST, _LARGEST)

    def _stilled(self, motion: Motion, weights: np.ndarray) -> Motion:
        """Trunks are heavy: they turn smoothly, under heads that move as they do."""
        found = posed(self._body, motion, ANY_VERTEX).rotations.double().numpy()
        steps = []
        for joint in self._turned:
            turns = found[:, joint]
            still = smooth_rotations(turns, _STILL, weights, motion.frames)
            steps.append(Rotation.from_matrix(still @ turns.transpose(0, 2, 1)).as_rotvec())
        return self._moved(motion, np.concatenate(steps, axis=1))

    def _moved(self, motion: Motion, steps: np.ndarray) -> Motion:
        before = posed(self._body, motion, ANY_VERTEX)
        was = before.rotations.double().numpy()
        steps = steps.reshape(len(steps), -1, 3)
        turn, bend, *swings = (
            Rotation.from_rotvec(steps[:, each]).as_matrix() for each in range(steps.shape[1])
        )
        pose = motion.pose.copy()

        def turned(joint: int, parent: np.ndarray, rotation: np.ndarray) -> np.ndarray:
            pose[:, joint] = Rotation.from_matrix(parent.transpose(0, 2, 1) @ rotation).as_rotvec()
            return rotation

        now = was.copy()
        now[:, _TORSO] = turn[:, None] @ was[:, _TORSO]
        whole = Rotation.from_matrix(now[:, _PELVIS]).as_rotvec()
        pose[:, _PELVIS] = _as_written(whole, motion.pose[:, _PELVIS])
        now[:, NECK] = turned(NECK, now[:, _CHEST], bend @ was[:, NECK])
        turned(HEAD, now[:, NECK], was[:, HEAD])
        for (joint, collar), swing in zip(_ARMS.items(), swings, strict=True):
            now[:, joint] = turned(joint, now[:, collar], swing @ was[:, joint])
        for joint, parent in _HANGING.items():
            turned(joint, now[:, parent], was[:, joint])
        moved = replace(motion, pose=pose)
        back = self._head_shift(before, moved)
        return replace(moved, transl=(motion.transl + back).astype(np.float32))


def _as_written(turns: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Axis-angles (F, 3), each the way round that is nearer to another: a body that faces the
    camera is turned by half a circle, where both ways are as short."""
    angles = np.linalg.norm(turns, axis=1, keepdims=True)
    others = turns * (1 - 2 * np.pi / np.maximum(angles, 1e-9))
    apart, others_apart = (((each - before) ** 2).sum(1) for each in (turns, others))
    return np.where((others_apart < apart)[:, None], others, turns)
