# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaves out the Gaussians that never show, hidden, transparent, or outside every window, and those
that never lie on the performer."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..body.camera import orbit
from ..frames import spread
from ..raster import rasterize
from .training import Trainer

_LOOKS, _PLACES = 24, 96
# A Gaussian that covers less than this much of a pixel in no look is left out.
_COVER = 0.02
# The least coverage of the matte that is the performer.
_ON = 0.1
# From the plate's camera, and from as many degrees round the performer as a free view should
# stay whole.
_TURNS = (0.0, 40.0, -40.0)


def showing(trainer: Trainer) -> Tensor:
    """Which Gaussians to keep, bool (N,): all but what never shows in the frames that an avatar
    learned from, nor in views to either side, and what lies beside the performer whenever a window
    holds it."""
    avatar = trainer.avatar
    most = torch.zeros(avatar.gaussian_count, device=avatar.betas.device)
    for cover in _covers(trainer):
        most = torch.maximum(most, cover)
    return (most > _COVER) & ~_strays(trainer)


@torch.no_grad()
def _strays(trainer: Trainer) -> Tensor:
    """Which Gaussians are in a window, but in none on the performer, bool (N,)."""
    avatar, data = trainer.avatar, trainer.data
    held, there = torch.zeros((2, avatar.gaussian_count), dtype=torch.bool).to(avatar.betas.device)
    for row in spread(data.trained, _LOOKS):
        parameters = trainer.parameters_of(row)
        vertices = avatar.pose_vertices(parameters, avatar.personal(parameters)[0])
        places = (
            avatar.texture(vertices, channels=3).means[0] @ data.intrinsics([row], data.size)[0].T
        )
        at = (places[:, :2] / places[:, 2:]).floor().long()
        inside = ((at >= 0) & (at < data.size)).all(1)
        at = at.clamp(0, data.size - 1)
        held |= inside
        # A splat reaches beyond its centre by a pixel or two.
        matte = nn.functional.max_pool2d(data.target([row], data.size)[1], 5, 1, 2)[0, 0]
        there |= inside & (matte[at[:, 1], at[:, 0]] > _ON)
    return held & ~there


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
