# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hangs the body under the tracked head: torso, shoulders and arms from body landmarks.

The head's place in space is known; all frames are solved at once for the torso's orientation and
the arms that meet the landmarks seen, stay near a relaxed stance where none are, and move smoothly.
"""

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from ..body.camera import Camera
from ..body.model import BodyModel, rodrigues

NECK, HEAD = 12, 15
_NECK_SHARE = 0.4
_LEFT_SHOULDER, _RIGHT_SHOULDER = 16, 17
# SMPL-X joint -> MediaPipe's body landmark.
_SEEN = {16: 11, 17: 12, 18: 13, 19: 14, 20: 15, 21: 16}
_ARMS = (13, 14, 16, 17, 18, 19)
_STEPS = 160
_HANGING = np.radians(38)
_VISIBLE = 0.5


def hang_body(
    body: BodyModel,
    betas: np.ndarray,
    head_rotation: np.ndarray,
    head_joint: np.ndarray,
    pose_landmarks: np.ndarray,
    camera: Camera,
) -> tuple[np.ndarray, np.ndarray]:
    """Pose and translation of the whole body.

    Args:
        betas: (S,).
        head_rotation: (F, 3, 3), the head's orientation in camera space.
        head_joint: (F, 3), where the head joint lies, metres.
        pose_landmarks: (F, 33, 3), plate pixels and visibility; NaN where unseen.
        camera: of the plate.

    Returns:
        pose (F, 55, 3) axis-angle, and transl (F, 3).
    """
    frames = len(head_rotation)
    target_head = torch.from_numpy(head_rotation).float()
    place = torch.from_numpy(head_joint).float()
    joints = body.rest_joints(torch.from_numpy(betas).float())
    marks = list(_SEEN.values())
    points = torch.from_numpy(np.nan_to_num(pose_landmarks[:, marks, :2])).float()
    visible = np.nan_to_num(pose_landmarks[:, marks, 2])
    weight = torch.from_numpy(np.clip((visible - _VISIBLE) / (1 - _VISIBLE), 0, 1)).float()
    # The shoulders of the model and of the landmarks differ more than the elbows and wrists do.
    weight[:, :2] *= 0.6
    scale = camera.fx / place[:, 2]

    upright = torch.zeros(frames, 3)
    upright[:, 0] = np.pi
    # The torso follows the head a little where nothing else tells how it is turned.
    relaxed = torch.zeros(frames, len(_ARMS), 3)
    relaxed[:, _ARMS.index(_LEFT_SHOULDER), 2] = -_HANGING
    relaxed[:, _ARMS.index(_RIGHT_SHOULDER), 2] = _HANGING
    torso = torch.zeros(frames, 3, requires_grad=True)
    arms = relaxed.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([torso, arms], lr=0.03)
    base = rodrigues(upright)
    stiffness = torch.ones(len(_ARMS), 1)
    stiffness[:2] = 6.0  # Collars move little.
    for _ in range(_STEPS):
        optimiser.zero_grad()
        turn = base @ rodrigues(torso)
        pixels = _arm_pixels(body, joints, turn, target_head, place, arms, camera)
        error = (pixels - points) / scale[:, None, None]
        fit = (weight * torch.sqrt((error**2).sum(-1) + 1e-4)).sum() / 0.02
        prior = 1.5 * (torso * torch.tensor([2.0, 1.0, 2.0])).square().sum()
        prior = prior + (stiffness * (arms - relaxed)).square().sum()
        if frames > 1:
            prior = prior + 60 * torso.diff(dim=0).square().sum()
            prior = prior + 40 * arms.diff(dim=0).square().sum()
        (fit + prior).backward()
        optimiser.step()
    with torch.no_grad():
        turn = base @ rodrigues(torso)
        pose = _assemble(turn, target_head, arms)
        full = rodrigues(pose)
        transl = place - _chain(body, joints, full, frames)[:, HEAD]
    return pose.numpy(), transl.numpy()


def _arm_pixels(
    body: BodyModel,
    joints: Tensor,
    turn: Tensor,
    head: Tensor,
    place: Tensor,
    arms: Tensor,
    camera: Camera,
) -> Tensor:
    """Where the shoulders, elbows and wrists appear, (F, 6, 2)."""
    rotations = torch.eye(3).expand(len(turn), 55, 3, 3).clone()
    rotations[:, 0] = turn
    rotations[:, list(_ARMS)] = rodrigues(arms)
    neck = _split(turn, head)[0]
    rotations[:, NECK] = neck
    places = _chain(body, joints, rotations, len(turn))
    places = places - places[:, HEAD : HEAD + 1] + place[:, None]
    seen = places[:, list(_SEEN)]
    depth = seen[..., 2].clamp_min(0.1)
    x = camera.fx * seen[..., 0] / depth + camera.cx
    y = camera.fy * seen[..., 1] / depth + camera.cy
    return torch.stack([x, y], dim=-1)


def _split(turn: Tensor, head: Tensor) -> tuple[Tensor, Tensor]:
    """The head's turn on the torso shared between neck and head, as matrices."""
    relative = (turn.transpose(1, 2) @ head).detach().numpy().astype(np.float64)
    whole = Rotation.from_matrix(relative).as_rotvec()
    neck = torch.from_numpy(Rotation.from_rotvec(whole * _NECK_SHARE).as_matrix()).float()
    rest = torch.from_numpy(Rotation.from_rotvec(whole * (1 - _NECK_SHARE)).as_matrix()).float()
    return neck, rest


def _assemble(turn: Tensor, head: Tensor, arms: Tensor) -> Tensor:
    pose = torch.zeros(len(turn), 55, 3)
    pose[:, 0] = torch.from_numpy(Rotation.from_matrix(turn.double().numpy()).as_rotvec()).float()
    neck, rest = _split(turn, head)
    for joint, matrix in ((NECK, neck), (HEAD, rest)):
        vectors = Rotation.from_matrix(matrix.double().numpy()).as_rotvec()
        pose[:, joint] = torch.from_numpy(vectors).float()
    pose[:, list(_ARMS)] = arms
    return pose


def _chain(body: BodyModel, joints: Tensor, rotations: Tensor, frames: int) -> Tensor:
    """Joint places (F, 55, 3) with the pelvis where it rests."""
    turned, places = [rotations[:, 0]], [joints[0].expand(frames, 3)]
    for joint in range(1, 22):
        parent = body.parents[joint]
        bone = joints[joint] - joints[parent]
        turned.append(turned[parent] @ rotations[:, joint])
        places.append(places[parent] + turned[parent] @ bone)
    return torch.stack(places, dim=1)
