# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hangs the body under the tracked head: torso, arms and hands from body and hand landmarks.

The head's place in space is known; all frames are solved at once for the torso's orientation, the
neck's bend and the arms that meet the landmarks seen, stay near a relaxed stance where none are,
and move smoothly; and for how broad shoulders and how long arms are, which a face does not tell.
"""

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from ..body.camera import Camera
from ..body.model import BodyModel, rodrigues
from .body_landmarks import steady_landmarks
from .silhouette import HEAD, changed, shape_precision

NECK = 12
_NECK_SHARE = 0.4
_LEFT_SHOULDER, _RIGHT_SHOULDER = 16, 17
# SMPL-X joint -> MediaPipe's body landmark.
_SEEN = {16: 11, 17: 12, 18: 13, 19: 14, 20: 15, 21: 16}
_ARMS = (13, 14, 16, 17, 18, 19)
# SMPL-X's wrist and finger joints -> MediaPipe's hand landmarks: wrist, then three joints each of
# index, middle, pinky, ring and thumb.
_HAND_MARKS = (0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3)
_HAND_JOINTS = (
    (20, *range(25, 40)),
    (21, *range(40, 55)),
)
_HAND_WEIGHT = 0.25
_STEPS, _STRIDE = 100, 0.045
# A deviation of shape costs as much as so many landmarks 2 cm off, in the whole shot; a neck that
# bends by a radian beyond its share of the head's turn, in its frame.
_SHAPE, _STIFF = 3.0, 20.0
_HANGING = np.radians(38)
_VISIBLE = 0.5


def hang_body(
    body: BodyModel,
    betas: np.ndarray,
    head_rotation: np.ndarray,
    head_joint: np.ndarray,
    pose_landmarks: np.ndarray,
    hand_landmarks: np.ndarray,
    camera: Camera,
    smoothing: float = 1.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Identity, pose and translation of the whole body.

    Args:
        betas: (S,) or (S + E,), the identity of the head, which stays as it is.
        head_rotation: (F, 3, 3), the head's orientation in camera space.
        head_joint: (F, 3), where the head joint lies, metres.
        pose_landmarks: (F, 33, 3), plate pixels and visibility; NaN where unseen.
        hand_landmarks: (F, 2, 21, 2), plate pixels of left and right; NaN where unseen.
        camera: of the plate.
        smoothing: how strongly landmarks are stilled, times the usual.

    Returns:
        betas as given, pose (F, 55, 3) axis-angle, and transl (F, 3).
    """
    frames = len(head_rotation)
    target_head = torch.from_numpy(head_rotation).float()
    place = torch.from_numpy(head_joint).float()
    rest = body.rest_joints(torch.from_numpy(betas).float())
    spread = _shape_steps(body)
    changes = (spread @ body.joint_directions[: body.n_shape]).view(len(spread), -1, 3)
    targets = _Targets(*steady_landmarks(pose_landmarks, hand_landmarks, smoothing))
    scale = camera.fx / place[:, 2]

    turned = torch.tensor([*_ARMS, *(_HAND_JOINTS[0] + _HAND_JOINTS[1] if targets.hands else ())])
    upright = torch.zeros(frames, 3)
    upright[:, 0] = np.pi
    relaxed = torch.zeros(frames, len(turned), 3)
    relaxed[:, _ARMS.index(_LEFT_SHOULDER), 2] = -_HANGING
    relaxed[:, _ARMS.index(_RIGHT_SHOULDER), 2] = _HANGING
    torso = torch.zeros(frames, 3, requires_grad=True)
    bend = torch.zeros(frames, 3, requires_grad=True)
    limbs = relaxed.clone().requires_grad_(True)
    shape = torch.zeros(len(spread), requires_grad=True)
    optimiser = torch.optim.Adam(
        [{"params": [torso, bend, limbs], "lr": _STRIDE}, {"params": [shape], "lr": 0.1}]
    )
    # Steps that stay long leave every frame somewhere round its place.
    shorter = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _STEPS, _STRIDE / 50)
    base = rodrigues(upright)
    stiffness = torch.ones(len(turned), 1)
    stiffness[:2] = 6.0  # Collars move little.
    stiffness[len(_ARMS) :] = 0.3
    still = stiffness.sqrt()
    for _ in range(_STEPS):
        optimiser.zero_grad()
        turn = base @ rodrigues(torso)
        joints = rest + torch.tensordot(shape, changes, 1)
        places = _places(body, joints, turn, bend, target_head, place, turned, limbs)
        fit = targets.misfit(places, camera, scale)
        # The torso stays upright and faces the camera where nothing else tells how it is turned.
        prior = 1.5 * (torso * torch.tensor([2.0, 1.0, 2.0])).square().sum()
        prior = prior + (stiffness * (limbs - relaxed)).square().sum()
        prior = prior + _STIFF * bend.square().sum() + _SHAPE * shape.square().sum()
        for each, of_pace, of_jerks in ((torso, 60, 60), (bend, 60, 60), (still * limbs, 10, 60)):
            prior = prior + of_pace * each.diff(dim=0).square().sum()
            prior = prior + of_jerks * each.diff(n=2, dim=0).square().sum()
        (fit + prior).backward()
        optimiser.step()
        shorter.step()
    with torch.no_grad():
        turn = base @ rodrigues(torso)
        joints = rest + torch.tensordot(shape, changes, 1)
        pose = _assemble(turn, bend, target_head, turned, limbs)
        transl = place - _chain(body, joints, rodrigues(pose))[:, HEAD]
        betas = changed(betas, (shape @ spread).numpy())
    return betas, pose.numpy(), transl.numpy()


def _shape_steps(body: BodyModel) -> Tensor:
    """Changes of identity that cost a deviation each and leave the head, (S, S)."""
    precision, directions = np.linalg.eigh(shape_precision(body, joints=False))
    return torch.from_numpy((directions / np.sqrt(precision)).T).float()


class _Targets:
    """Where joints were seen, and how much each counts."""

    def __init__(self, pose_landmarks: np.ndarray, hand_landmarks: np.ndarray) -> None:
        marks = list(_SEEN.values())
        visible = np.nan_to_num(pose_landmarks[:, marks, 2])
        weight = np.clip((visible - _VISIBLE) / (1 - _VISIBLE), 0, 1)
        # The shoulders of the model and of the landmarks differ more than elbows and wrists do.
        weight[:, :2] *= 0.6
        joints, points, weights = list(_SEEN), [pose_landmarks[:, marks, :2]], [weight]
        self.hands = not np.isnan(hand_landmarks).all()
        if self.hands:
            for side, hand in enumerate(_HAND_JOINTS):
                seen = hand_landmarks[:, side][:, list(_HAND_MARKS)]
                joints += hand
                points.append(seen)
                weights.append(_HAND_WEIGHT * ~np.isnan(seen[..., 0]))
        self._joints = joints
        self._points = torch.from_numpy(np.nan_to_num(np.concatenate(points, axis=1))).float()
        self._weights = torch.from_numpy(np.concatenate(weights, axis=1)).float()

    def misfit(self, places: Tensor, camera: Camera, scale: Tensor) -> Tensor:
        """Weighted distances on the picture in units of 2 cm at the head's depth, summed."""
        seen = places[:, self._joints]
        depth = seen[..., 2].clamp_min(0.1)
        x = camera.fx * seen[..., 0] / depth + camera.cx
        y = camera.fy * seen[..., 1] / depth + camera.cy
        error = (torch.stack([x, y], dim=-1) - self._points) / scale[:, None, None]
        return (self._weights * torch.sqrt((error**2).sum(-1) + 1e-4)).sum() / 0.02


def _places(
    body: BodyModel,
    joints: Tensor,
    turn: Tensor,
    bend: Tensor,
    head: Tensor,
    place: Tensor,
    turned: Tensor,
    limbs: Tensor,
) -> Tensor:
    """Where the joints lie in camera space when the head joint lies at its place."""
    rotations = torch.eye(3).expand(len(turn), 55, 3, 3).clone()
    rotations[:, 0] = turn
    rotations[:, turned] = rodrigues(limbs)
    rotations[:, NECK] = _neck(turn, head) @ rodrigues(bend)
    places = _chain(body, joints, rotations)
    return places - places[:, HEAD : HEAD + 1] + place[:, None]


def _neck(turn: Tensor, head: Tensor) -> Tensor:
    """The neck's share of the head's turn on the torso, as matrices."""
    relative = (turn.transpose(1, 2) @ head).detach().numpy().astype(np.float64)
    share = Rotation.from_matrix(relative).as_rotvec() * _NECK_SHARE
    return torch.from_numpy(Rotation.from_rotvec(share).as_matrix()).float()


def _assemble(turn: Tensor, bend: Tensor, head: Tensor, turned: Tensor, limbs: Tensor) -> Tensor:
    pose = torch.zeros(len(turn), 55, 3)
    neck = _neck(turn, head) @ rodrigues(bend)
    rest = (turn @ neck).transpose(1, 2) @ head
    for joint, matrix in ((0, turn), (NECK, neck), (HEAD, rest)):
        vectors = Rotation.from_matrix(matrix.double().numpy()).as_rotvec()
        pose[:, joint] = torch.from_numpy(vectors).float()
    pose[:, turned] = limbs
    return pose


def _chain(body: BodyModel, joints: Tensor, rotations: Tensor) -> Tensor:
    """Joint places (F, 55, 3) with the pelvis where it rests."""
    turned, places = [rotations[:, 0]], [joints[0].expand(len(rotations), 3)]
    for joint in range(1, len(body.parents)):
        parent = body.parents[joint]
        bone = joints[joint] - joints[parent]
        turned.append(turned[parent] @ rotations[:, joint])
        places.append(places[parent] + turned[parent] @ bone)
    return torch.stack(places, dim=1)
