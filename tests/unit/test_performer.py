# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The synthetic performer stays one person from wherever it is seen."""

import numpy as np

from portraitgen.body.camera import orbit
from portraitgen.body.model import BodyModel
from synthetic.acting import act, camera
from synthetic.render import Performer


def test_another_camera_sees_the_same_performer_under_the_same_lights() -> None:
    body = BodyModel.load()
    motion, lens = act(body, range(1, 3), 0), camera(96)
    performer = Performer(body, motion, light="left")
    plain = performer.render(2, lens)
    assert np.array_equal(performer.seen_from(np.eye(4)).render(2, lens).rgb, plain.rgb)

    # Rolled by a quarter about the line of sight, the picture is the same, rolled.
    roll = np.diag([1.0, 1.0, 1.0, 1.0])
    roll[:2, :2] = [[0, -1], [1, 0]]
    rolled = performer.seen_from(roll).render(2, lens)
    inside = (plain.alpha[..., 0] > 0.9) & (np.rot90(rolled.alpha[..., 0]) > 0.9)
    assert inside.sum() > 0.9 * (plain.alpha > 0.9).sum()
    skin = inside & (np.abs(np.rot90(rolled.normals)[..., 2] + 1) < 0.6)
    apart = np.abs(np.rot90(rolled.rgb) - plain.rgb)[skin].mean()
    assert apart < 0.03, apart

    # From the light's side more of the lit cheek shows: the picture grows brighter.
    bright = []
    for degrees in (-30, 30):
        view = orbit(plain.vertices.mean(0), degrees)
        seen = performer.seen_from(view).render(2, lens)
        bright.append(float(seen.rgb[seen.alpha[..., 0] > 0.9].mean()))
    assert max(bright) > 1.15 * min(bright)
