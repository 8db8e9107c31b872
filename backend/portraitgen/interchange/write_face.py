# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A performance as ARKit's weights, in the columns that Live Link Face records."""

import csv
import io
from fractions import Fraction

import numpy as np
from scipy.spatial.transform import Rotation

from ..body.model import BodyModel
from ..body.motion import ANY_VERTEX, Motion, posed
from .foreign_track import FLIPPED
from .layouts_face import ARKIT, EYE_REACH

_LEFT_EYE, _RIGHT_EYE, _HEAD = 23, 24, 15


def arkit_csv(body: BodyModel, motion: Motion, fps: Fraction) -> str:
    """The table as text: timecode, 52 weights, and the turns of head and eyes in radians.

    Args:
        body: the open body, whose units are ARKit's.
        motion: on it.
        fps: frames a second; timecodes count the frames' own numbers.
    """
    weights = np.clip(motion.expression + motion.neutral(body), 0, None)
    column = {name: weights[:, index] for index, name in enumerate(body.expression_names)}
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        column[name] = column[name] / body.blink_closed
    eyes = [_yaw_pitch(motion.pose[:, joint]) for joint in (_LEFT_EYE, _RIGHT_EYE)]
    for (yaw, pitch, _), side, sign in zip(eyes, ("Left", "Right"), (1, -1), strict=True):
        outward = sign * yaw / EYE_REACH[0]
        column[f"eyeLookOut{side}"] = np.maximum(outward, 0)
        column[f"eyeLookIn{side}"] = np.maximum(-outward, 0)
        column[f"eyeLookDown{side}"] = np.maximum(pitch / EYE_REACH[1], 0)
        column[f"eyeLookUp{side}"] = np.maximum(-pitch / EYE_REACH[1], 0)
    whole = posed(body, motion, ANY_VERTEX).rotations[:, _HEAD].numpy().astype(np.float64)
    head = _yaw_pitch(Rotation.from_matrix(FLIPPED @ whole).as_rotvec())
    turns = {
        f"{bone}{turn}": values
        for bone, three in (("Head", head), ("LeftEye", eyes[0]), ("RightEye", eyes[1]))
        for turn, values in zip(("Yaw", "Pitch", "Roll"), three, strict=True)
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [name[0].upper() + name[1:] for name in ARKIT]
    writer.writerow(["Timecode", "BlendShapeCount", *names, *turns])
    for row, frame in enumerate(motion.frames):
        values = [np.clip(column[name][row], 0, 1) for name in ARKIT]
        values += [each[row] for each in turns.values()]
        cells = [f"{value:.6f}" for value in values]
        writer.writerow([_timecode(int(frame), fps), len(cells), *cells])
    return text.getvalue()


def _yaw_pitch(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    angles = Rotation.from_rotvec(vectors).as_euler("YXZ")
    return angles[:, 0], angles[:, 1], angles[:, 2]


def _timecode(frame: int, fps: Fraction) -> str:
    rate = max(1, round(float(fps)))
    seconds, rest = divmod(max(frame, 0), rate)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours % 24:02d}:{minute:02d}:{second:02d}:{rest:02d}.000"
