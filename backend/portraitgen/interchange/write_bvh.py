# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A performance as BVH: the skeleton at rest, and its turns in every frame."""

from fractions import Fraction

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ..body.model import BodyModel
from ..body.motion import Motion
from .foreign_track import FLIPPED

_CENTIMETRES = 100.0


def bvh(body: BodyModel, motion: Motion, fps: Fraction) -> str:
    """The file as text: y up, centimetres, degrees, channels in BVH's usual order (Z, X, Y).

    The camera's space is laid over to y up, so that the performer stands upright before an
    upright camera at the origin that looks along -z.
    """
    joints = body.rest_joints(torch.from_numpy(motion.betas)).numpy() * _CENTIMETRES
    children: dict[int, list[int]] = {}
    for joint, parent in enumerate(body.parents):
        children.setdefault(parent, []).append(joint)
    order: list[int] = []
    lines = ["HIERARCHY"]

    def write(joint: int, indent: str) -> None:
        order.append(joint)
        root = body.parents[joint] < 0
        offset = np.zeros(3) if root else joints[joint] - joints[body.parents[joint]]
        lines.append(f"{indent}{'ROOT' if root else 'JOINT'} {body.joint_names[joint]}")
        lines.append(f"{indent}{{")
        inner = indent + "\t"
        lines.append(f"{inner}OFFSET {_row(offset)}")
        turns = "Zrotation Xrotation Yrotation"
        place = "Xposition Yposition Zposition "
        lines.append(f"{inner}CHANNELS {f'6 {place}' if root else '3 '}{turns}")
        for child in children.get(joint, ()):
            write(child, inner)
        if joint not in children:
            own = joints[joint] - joints[body.parents[joint]]
            length = max(np.linalg.norm(own), 1e-6)
            lines.extend(
                [f"{inner}End Site", f"{inner}{{", f"{inner}\tOFFSET {_row(own / length * 2)}",
                 f"{inner}}}"]
            )  # fmt: skip
        lines.append(f"{indent}}}")

    write(0, "")
    count = len(motion)
    pose = motion.pose.astype(np.float64)
    over = Rotation.from_matrix(FLIPPED)
    pose[:, 0] = (over * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    angles = Rotation.from_rotvec(pose.reshape(-1, 3)).as_euler("ZXY", degrees=True)
    angles = angles.reshape(count, 55, 3)[:, order]
    places = (joints[0] / _CENTIMETRES + motion.transl) @ FLIPPED.T * _CENTIMETRES
    lines += ["MOTION", f"Frames: {count}", f"Frame Time: {float(1 / fps):.8f}"]
    lines += [
        f"{_row(place)} {_row(turns.ravel())}" for place, turns in zip(places, angles, strict=True)
    ]
    return "\n".join(lines) + "\n"


def _row(values: np.ndarray) -> str:
    return " ".join(f"{value:.6f}" for value in values)
