# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaves out the Gaussians that never show: hidden, transparent, or outside every window."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..body.model import BodyModel
from ..raster import rasterize
from .avatar import Avatar
from .training import Trainer

_LOOKS = 24
# A Gaussian that covers less than this much of a pixel in no look is left out.
_COVER = 0.02
# From the plate's camera, and from as far round the performer as a free view should stay whole.
_TURNS = (0.0, math.radians(30), math.radians(-30))


def pruned(trainer: Trainer, body: BodyModel) -> Avatar:
    """The trained avatar without what never shows in its frames, nor in views to either side."""
    avatar = trainer.avatar
    most = torch.zeros(avatar.gaussian_count, device=avatar.betas.device)
    for cover in _covers(trainer):
        most = torch.maximum(most, cover)
    return avatar.kept(body, most > _COVER)


def _covers(trainer: Trainer) -> Iterator[Tensor]:
    """How many pixels each Gaussian makes up, (N,), in every look."""
    avatar, data = trainer.avatar, trainer.data
    rows = data.trained[:: max(1, len(data.trained) // _LOOKS)]
    for row in rows:
        with torch.no_grad():
            parameters = trainer.parameters_of(row)
            vertices = avatar.pose_vertices(parameters, avatar.personal(parameters)[0])
            gaussians = avatar.texture(vertices, channels=3)
            views = _round(vertices[0].mean(0))
        for view in views:
            # The gradient of the picture's sum by a Gaussian's colour is what it covers.
            colour = torch.zeros_like(gaussians.features, requires_grad=True)
            drawn = rasterize(
                gaussians.means,
                gaussians.quats,
                gaussians.scales,
                gaussians.opacities,
                colour,
                view[None],
                data.intrinsics([row], data.size),
                data.size,
                data.size,
            )
            (gradient,) = torch.autograd.grad(drawn.features[..., 0].sum(), colour)
            yield gradient[0, :, 0]


def _round(centre: Tensor) -> list[Tensor]:
    """Views (4, 4) of cameras on a circle about a point, upright."""
    views = []
    for turn in _TURNS:
        view = torch.eye(4, device=centre.device)
        cos, sin = math.cos(turn), math.sin(turn)
        view[0, 0], view[0, 2], view[2, 0], view[2, 2] = cos, sin, -sin, cos
        view[:3, 3] = centre - view[:3, :3] @ centre
        views.append(view)
    return views
