# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives a fresh texture the colours that the frames show where its texels are seen."""

from collections.abc import Sequence

import numpy as np
import torch

from ..body.camera import Camera
from ..body.geometry import rasterize_mesh
from .avatar import Avatar, FrameParameters
from .dataset import TrainingSet

_BEHIND = 0.008
_GREY = 0.5


@torch.no_grad()
def project_colours(avatar: Avatar, data: TrainingSet, rows: Sequence[int]) -> None:
    """Sets the first three features to the texels' mean colours over some rows."""
    total = np.zeros((avatar.gaussian_count, 3))
    weight = np.zeros(avatar.gaussian_count)
    for row in rows:
        parameters = FrameParameters(
            data.pose[row : row + 1], data.expression[row : row + 1], data.transl[row : row + 1]
        ).on(avatar.betas.device)
        vertices = avatar.pose_vertices(parameters, avatar.personal(parameters)[0])
        gaussians = avatar.texture(vertices)
        means = gaussians.means[0].cpu().numpy()
        normals = gaussians.normals[0].cpu().numpy()
        K = data.Ks[row].cpu().numpy()
        camera = Camera(K[0, 0], K[1, 1], K[0, 2], K[1, 2], data.size, data.size)
        _, _, depth = rasterize_mesh(vertices[0].cpu().numpy(), avatar.faces.numpy(), camera)
        pixels = camera.project(means).astype(np.float32)
        at = np.clip(pixels.astype(int), 0, data.size - 1)
        view = means / np.linalg.norm(means, axis=1, keepdims=True)
        facing = np.clip(-(view * normals).sum(1), 0, 1)
        inside = ((pixels >= 0) & (pixels < data.size)).all(1)
        seen = inside & (means[:, 2] < depth[at[:, 1], at[:, 0]] + _BEHIND)
        colours = data.colours[row].cpu().numpy()[at[:, 1], at[:, 0]]
        share = seen * facing**2 * (data.mattes[row].cpu().numpy()[at[:, 1], at[:, 0]] / 255)
        total += share[:, None] * colours / 255
        weight += share
    known = weight > 0.05
    average = total[known].sum(0) / max(weight[known].sum(), 1e-6) if known.any() else _GREY
    filled = np.where(known[:, None], total / np.maximum(weight, 1e-6)[:, None], average)
    avatar.texture.features[:, :3] = torch.from_numpy(filled.astype(np.float32)).to(
        avatar.betas.device
    )
