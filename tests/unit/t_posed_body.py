# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of SMPL-X's shapes and habits: level arms, another person, mixed directions, mean hands.

Made of the open body, so that what is right is known: its mesh is thinned, another person is
posed with level arms, and identity and expression are mixed into principal directions of their
own. The jaw's unit is left out, for in SMPL-X the jaw is a joint.
"""

from pathlib import Path

import numpy as np
import torch
from test_genuine_body import EXPRESSIONS, SHAPES, VERTICES, write_genuine

from portraitgen.body.model import BodyModel

_LEVEL = {16: (0, 0, 0.70), 17: (0, 0, -0.70), 18: (0.0, -0.25, 0.25), 19: (0.0, 0.25, -0.25)}


def write_t_posed(path: Path, components: tuple[int, int] = (SHAPES, EXPRESSIONS)) -> Path:
    """Writes the file; `components` are those of identity and of expression."""
    plain = write_genuine(path.with_name("plain.npz"))
    body = BodyModel.load(plain)
    with np.load(plain, allow_pickle=True) as stored:
        arrays = {name: stored[name] for name in stored.files}
    rng = np.random.default_rng(5)
    betas = torch.zeros(SHAPES)
    betas[:40] = torch.from_numpy(rng.normal(size=40)).float() * 0.7
    pose = torch.zeros(1, 55, 3)
    for joint, turn in _LEVEL.items():
        pose[0, joint] = torch.tensor(turn)
    posed = body.forward(betas[None], pose, torch.zeros(1, EXPRESSIONS), torch.zeros(1, 3))
    blended = torch.einsum("vj,jab->vab", body.weights, posed.rotations[0]).numpy()
    turned = np.einsum("vab,vbk->vak", blended, arrays["shapedirs"])
    names = [str(name) for name in BodyModel.load().expression_names]
    units = turned[:, :, SHAPES : SHAPES + len(names)].copy()
    units[:, :, names.index("jawOpen")] = 0
    mixed = np.linalg.qr(rng.normal(size=(len(names), len(names))))[0]
    identity = np.linalg.qr(rng.normal(size=(100, 100)))[0]
    directions = np.zeros((VERTICES, 3, sum(components)), np.float32)
    shapes, expressions = components
    count = min(shapes, 100)
    directions[:, :, :count] = (turned[:, :, :100] @ identity)[:, :, :count]
    count = min(expressions, len(names))
    directions[:, :, shapes : shapes + count] = 0.35 * (units @ mixed)[:, :, :count]
    template = posed.vertices[0].numpy()
    regressor = np.zeros((55, VERTICES), np.float32)
    for joint, at in enumerate(posed.joints[0].numpy()):
        near = np.argsort(np.linalg.norm(template - at, axis=1))[:60]
        system = np.vstack([template[near].T, np.ones(len(near))])
        regressor[joint, near] = np.linalg.lstsq(system, np.append(at, 1), rcond=None)[0]
    arrays |= {"v_template": template, "shapedirs": directions, "J_regressor": regressor}
    for side in "lr":
        curled = np.zeros((15, 3))
        curled[:, 2] = (0.25 if side == "l" else -0.25) * np.tile([1, 0.8, 0.5], 5)
        arrays[f"hands_mean{side}"] = curled.ravel()
        arrays[f"hands_components{side}"] = np.linalg.qr(rng.normal(size=(45, 45)))[0]
    np.savez(path, **arrays)
    plain.unlink()
    return path
