# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is shown of an avatar where its own edge and the plate's differ."""

import numpy as np
import torch

from portraitgen.avatar.avatar import AvatarOutput
from portraitgen.pipeline.data.pictures import carried_on

SIZE = 256
RED, BLUE = (0.8, 0.2, 0.1), (0.1, 0.2, 0.8)


def _drawn(alpha: np.ndarray) -> AvatarOutput:
    """A red left half and a blue right half through a coverage."""
    colours = np.empty((SIZE, SIZE, 3), np.float32)
    colours[:, : SIZE // 2], colours[:, SIZE // 2 :] = RED, BLUE
    cover = torch.from_numpy(alpha)[None, None]
    painted = torch.from_numpy(colours).permute(2, 0, 1)[None] * cover
    return AvatarOutput(painted, cover, painted, cover, None, torch.zeros(1, 1, 3))


def _disc(radius: float) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    distance = np.hypot(x, y)
    return np.clip(radius - distance, 0, 1).astype(np.float32), distance


def test_colours_go_on_beyond_the_edge_and_fade_out_far_away() -> None:
    alpha, distance = _disc(60)
    colours, reach = carried_on(_drawn(alpha))
    inside, near, far = distance < 58, (distance > 61) & (distance < 68), distance > 110
    assert (reach[inside] == 1).all() and reach[near].min() > 0.9 and reach[far].max() < 0.01
    left = np.arange(SIZE)[None] < SIZE // 2 - 12
    right = np.arange(SIZE)[None] > SIZE // 2 + 12
    for side, colour in ((left, RED), (right, BLUE)):
        assert np.abs(colours[inside & side] - colour).max() < 1e-4
        assert np.abs(colours[near & side] - colour).max() < 0.08


def test_specks_of_thin_coverage_take_the_colour_beside_them() -> None:
    alpha, distance = _disc(60)
    drawn = _drawn(alpha)
    ring = torch.from_numpy((distance > 60) & (distance < 64))
    drawn.alpha[0, 0][ring] = 0.02
    drawn.premultiplied[0, :, ring] = 0.0
    colours, _ = carried_on(drawn)
    off_the_seam = np.abs(np.arange(SIZE) - SIZE // 2)[None] > 12
    shown = colours[(distance > 61) & (distance < 63) & off_the_seam]
    assert shown.max(axis=1).min() > 0.6, "black specks"
