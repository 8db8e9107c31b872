# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paint whose truth is known in every frame: a round blue patch on a cheek."""

import numpy as np
import torch

from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion

from .render import Paint

_CHEEK, _RADIUS, _RIM = 425, 0.022, 0.004
_COLOUR = (0.02, 0.08, 0.45)


def cheek_patch(body: BodyModel, motion: Motion) -> Paint:
    """The patch for a performer of the motion's identity."""
    rest = body.forward(
        torch.from_numpy(motion.betas)[None],
        torch.zeros(1, 55, 3),
        torch.zeros(1, body.n_expression),
        torch.zeros(1, 3),
    )
    points = body.landmarks.on(rest.vertices[0].numpy(), body.faces.numpy())
    cheek = points[list(body.landmarks.indices).index(_CHEEK)]

    def paint(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        away = np.linalg.norm(at - cheek, axis=1)
        return np.broadcast_to(_COLOUR, at.shape), np.clip((_RADIUS - away) / _RIM, 0, 1)

    return paint
