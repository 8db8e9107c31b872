# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the synthetic performer does: turns, talks, blinks, smiles, looks around."""

import numpy as np

from portraitgen.body.camera import Camera
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion

FPS = 25
_NECK, _HEAD, _EYES = 12, 15, (23, 24)
_SPINE = (3, 6, 9)
_SHOULDERS = {16: -0.75, 17: 0.75}
_BLINK_SECONDS = (0.42, 1.38, 2.9, 4.1, 5.6)
_SHAPES = 24


def act(body: BodyModel, frames: range, identity: int) -> Motion:
    """The performance over some frames, in camera space.

    Args:
        body: the open body model.
        frames: frame numbers; the first is the start of the performance.
        identity: picks the person; 0 is close to the mean.

    Returns:
        The motion, all frames valid.
    """
    generator = np.random.default_rng(identity)
    count = len(frames)
    seconds = np.arange(count) / FPS
    # The directions that matter most; far ones make faces lopsided.
    betas = np.zeros(body.n_shape, np.float32)
    betas[:_SHAPES] = generator.normal(0, 0.6 if identity else 0.25, _SHAPES)
    phase = generator.uniform(-0.4, 0.4, 8)

    pose = np.zeros((count, 55, 3), np.float32)
    # The body looks along +z with y up, the camera along +z with y down: half a turn about x.
    pose[:, 0, 0] = np.pi
    yaw = np.radians(15) * np.sin(2 * np.pi * seconds / 2.3 + phase[0])
    pitch = np.radians(5) * np.sin(2 * np.pi * seconds / 1.7 + 1.0 + phase[1])
    roll = np.radians(4) * np.sin(2 * np.pi * seconds / 2.9 + 0.5 + phase[2])
    turn = np.stack([pitch, yaw, roll], axis=1)
    pose[:, _NECK] = 0.4 * turn
    pose[:, _HEAD] = 0.6 * turn
    for joint in _SPINE:
        pose[:, joint, 1] = np.radians(1.5) * np.sin(2 * np.pi * seconds / 3.1 + phase[3])
    gaze = np.radians(9) * np.sin(2 * np.pi * seconds / 1.3 + phase[4])
    for joint in _EYES:
        pose[:, joint, 1] = gaze - 0.3 * yaw

    talk = 0.5 + 0.5 * np.sin(2 * np.pi * seconds * 2.6 + phase[5])
    talk *= 0.35 + 0.35 * np.sin(2 * np.pi * seconds * 0.9 + phase[6])
    smile = np.clip(np.sin(2 * np.pi * (seconds - 0.9) / 3.6), 0, 1) * 0.7
    brow = np.clip(np.sin(2 * np.pi * (seconds - 0.2) / 2.4), 0, 1) ** 2 * 0.7
    blink = np.zeros(count)
    for moment in _BLINK_SECONDS:
        blink = np.maximum(blink, np.clip(1.5 - np.abs(seconds - moment) / 0.06, 0, 1))

    expression = np.zeros((count, body.n_expression), np.float32)
    acted = {
        "jawOpen": 0.55 * np.clip(talk, 0, 1),
        "mouthSmileLeft": smile,
        "mouthSmileRight": smile,
        "cheekSquintLeft": 0.4 * smile,
        "cheekSquintRight": 0.4 * smile,
        "browInnerUp": brow,
        "browOuterUpLeft": 0.7 * brow,
        "browOuterUpRight": 0.7 * brow,
        "mouthFunnel": 0.3 * np.clip(np.sin(2 * np.pi * seconds / 1.1), 0, 1) * (1 - smile),
        "eyeBlinkLeft": body.blink_closed * blink,
        "eyeBlinkRight": body.blink_closed * blink,
    }
    for name, values in acted.items():
        expression[:, body.expression_names.index(name)] = values
    for joint, angle in _SHOULDERS.items():
        pose[:, joint, 2] = angle * 0.15

    motion = Motion(
        frames=np.asarray(frames, np.int64),
        betas=betas,
        transl=np.zeros((count, 3), np.float32),
        pose=pose,
        expression=expression,
        valid=np.ones(count, bool),
        fixed=np.zeros(count, bool),
    )
    return _before_camera(body, motion, seconds)


def camera(size: int) -> Camera:
    """The camera of the performance: square, a long portrait lens."""
    focal = 2.5 * size
    return Camera(focal, focal, size / 2, size / 2, size, size)


def _before_camera(body: BodyModel, motion: Motion, seconds: np.ndarray) -> Motion:
    """Moves the performer so that head and shoulders fill the frame, with a slight sway."""
    import torch

    rest = np.zeros((1, 55, 3), np.float32)
    rest[:, 0, 0] = np.pi
    output = body.forward(
        torch.from_numpy(motion.betas)[None],
        torch.from_numpy(rest),
        torch.zeros(1, body.n_expression),
        torch.zeros(1, 3),
    )
    head = output.joints[0, _HEAD].numpy()
    sway = np.stack(
        [
            0.012 * np.sin(2 * np.pi * seconds / 2.7),
            0.004 * np.sin(2 * np.pi * seconds / 1.9),
            0.010 * np.sin(2 * np.pi * seconds / 3.3),
        ],
        axis=1,
    )
    motion.transl[:] = np.array([0.0, 0.01, 1.15]) - head + sway
    return motion
