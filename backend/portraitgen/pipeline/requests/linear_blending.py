# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes up for how other renderers blend splats.

An avatar learns colours that are blended as they are displayed. A renderer that blends light turns
each splat's colour into light first, and what shows through others comes out brighter: up to a
hundredth on the mean, and tens of hundredths where dark lies over bright.
"""

import numpy as np
import torch
from torch import Tensor

from ...avatar.avatar import Avatar, FrameParameters
from ...avatar.texture import Gaussians
from ...frames import spread
from ...raster import rasterize
from ..data.avatars import frame_parameters
from ..data.shots import Track

_FRAMES, _ROUNDS = 5, 6
# What is missing in pixels is given back to splats by their share in them, a little more at once.
_STEP = 1.5
# Of a splat that has less than this of a pixel nothing is known.
_LEAST_SHARE = 0.05


@torch.no_grad()
def colour_shift(avatar: Avatar, track: Track, size: int) -> np.ndarray:
    """What has to be added to the Gaussians' colours for a renderer that blends light to show what
    the avatar shows, (N, 3), display-referred as sRGB.

    Args:
        avatar: on the CPU.
        track: whose frames it is seen in.
        size: side of the pictures in which it was learned.
    """
    chosen = spread(track.tracked(track.frames) or list(track.frames), _FRAMES)
    views = []
    for frame in chosen:
        parameters = frame_parameters(track.motion, [frame])
        window = track.camera.window(track.box(frame), size)
        views.append(_View(avatar, parameters, torch.from_numpy(window.matrix())[None], size))
    shift = torch.zeros(avatar.gaussian_count, 3)
    middle = views[len(views) // 2].gaussians.features[0]
    for _ in range(_ROUNDS):
        missing, share = torch.zeros_like(shift), torch.zeros(len(shift), 1)
        for view in views:
            more, seen = view.missing(shift)
            missing, share = missing + more, share + seen
        light = _light(middle + shift)
        wanted = (light + _STEP * missing / (share + _LEAST_SHARE)).clamp(0, 1)
        shift = shift + _displayed(wanted) - _displayed(light)
    return shift.numpy()


class _View:
    """A frame of the avatar, and the light that is to be seen in it."""

    def __init__(self, avatar: Avatar, parameters: FrameParameters, Ks: Tensor, size: int) -> None:
        self.gaussians: Gaussians = avatar.gaussians(parameters, None, 3)[0]
        self._place = torch.eye(4)[None], Ks, size, size
        self._scales = avatar.widened(self.gaussians, torch.eye(4)[None], Ks)
        shown, alpha = self._drawn(self.gaussians.features)
        self._wanted = _light(shown / alpha.clamp_min(1e-6)) * alpha

    def missing(self, shift: Tensor) -> tuple[Tensor, Tensor]:
        """The light that is missing in the pixels of each Gaussian, by its share in them, (N, 3),
        and the sum of these shares, (N, 1)."""
        light = _light(self.gaussians.features + shift)
        carried = torch.cat([light, torch.zeros_like(light[..., :1])], -1).requires_grad_()
        # What a splat's colour changes in the pixels is its share in them.
        with torch.enable_grad():
            shown, _ = self._drawn(carried)
            lacking = self._wanted - shown[..., :3].detach()
            weights = torch.cat([lacking, torch.ones_like(lacking[..., :1])], -1)
            (given,) = torch.autograd.grad((shown * weights).sum(), carried)
        return given[0, :, :3], given[0, :, 3:]

    def _drawn(self, features: Tensor) -> tuple[Tensor, Tensor]:
        made = self.gaussians
        drawn = rasterize(
            made.means, made.quats, self._scales, made.opacities, features, *self._place
        )
        return drawn.features, drawn.alpha


def _light(colours: Tensor) -> Tensor:
    """sRGB's values as light; there is none below 0 nor above 1."""
    kept = colours.clamp(0, 1)
    return torch.where(kept < 0.04045, kept / 12.92, ((kept + 0.055) / 1.055) ** 2.4)


def _displayed(light: Tensor) -> Tensor:
    curved = 1.055 * light.clamp_min(1e-9) ** (1 / 2.4) - 0.055
    return torch.where(light < 0.0031308, 12.92 * light, curved)
