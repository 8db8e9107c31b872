# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaves out the Gaussians that never show: hidden, transparent, or outside every window."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ..body.camera import orbit
from ..body.model import BodyModel
from ..raster import rasterize
from .avatar import Avatar
from .training import Trainer

_LOOKS = 24
# A Gaussian that covers less than this much of a pixel in no look is left out.
_COVER = 0.02
# From the plate's camera, and from as many degrees round the performer as a free view should
# stay whole.
_TURNS = (0.0, 30.0, -30.0)


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
            centre = vertices[0].mean(0).cpu().numpy()
        for turn in _TURNS:
            view = torch.from_numpy(orbit(centre, turn)).to(vertices)
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
