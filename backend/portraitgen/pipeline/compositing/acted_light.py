# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shading of what acts: the light of the shot stays where it is while surfaces turn in it.

The plate's own pixels are carried along with the surface, and the shot's light on them, too. By
what that light gives the surface as it is acted over what it gave as tracked, they are lit anew.
"""

from contextlib import suppress

import cv2
import numpy as np

from ...body.model import BodyModel
from ...editing.colour import LUMA, shoulder, to_display, to_linear
from ...editing.hole_filling import filled_outward
from ...editing.light import Light
from ...editing.light_estimation import fitted_light
from ...errors import FootageError
from ...footage.crop import crop
from ...footage.plate import Plate
from ...frames import spread
from ...images import to_float
from ..data.avatars import surface_of
from ..data.crops import load_matte
from ..data.shots import Track

# Frames that the light is fitted to, and the side of their windows, pixels.
_SEEN, _SIDE = 6, 256
# What the shot's light gives nowhere less than, as a share of its mean; and how much a surface may
# become brighter or darker, in logarithms.
_DARKEST, _MOST = 0.25, 0.8
# Of the changes, pixels of a window of 256, and how far they are carried beyond the body.
_SMOOTH, _BEYOND = 1.5, (2.5, 6.0, 15.0)


def light_of_shot(track: Track, plate: Plate, body: BodyModel) -> Light | None:
    """The light that a tracked shot was taken in, by some frames of it; None if too little of the
    performer is seen."""
    pictures = []
    for frame in spread(track.tracked(track.frames), _SEEN):
        # A frame that is damaged is told where it is rendered; the others have the same light.
        with suppress(FootageError):
            pictures.append(_seen(track, body, frame, plate.read_uint8(frame)))
    return fitted_light(pictures) if pictures else None


def _seen(
    track: Track, body: BodyModel, frame: int, image: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A frame's window as `fitted_light` takes it."""
    camera = track.camera.window(track.box(frame), _SIDE)
    normals = surface_of(track, body, frame, camera).normals()
    matte = to_float(load_matte(track, frame, _SIDE))
    known = (np.linalg.norm(normals, axis=-1) > 0.5) & (matte > 0.9)
    return to_linear(to_float(crop(image, track.box(frame), _SIDE)[0])) @ LUMA, normals, known


def shading_change(
    light: Light, before: np.ndarray, after: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """How many times brighter surfaces become that turn in a light, float32 (S, S).

    Args:
        before, after: (S, S, 3), unit normals in camera space of each pixel's surface.
        known: bool (S, S), where they are; what is seen elsewhere, as hair, changes as what is
            near.
    """
    gave, gives = (np.log(np.maximum(light.on(each)[..., 0], _DARKEST)) for each in (before, after))
    unit = known.shape[0] / 256
    weight = cv2.GaussianBlur(known.astype(np.float32), (0, 0), _SMOOTH * unit)
    change = cv2.GaussianBlur(((gives - gave) * known).astype(np.float32), (0, 0), _SMOOTH * unit)
    sigmas = [sigma * unit for sigma in _BEYOND]
    filled, share = filled_outward(change[..., None], weight, sigmas, 8.0, False)
    change = filled[..., 0] / np.maximum(share, 1e-3) * np.clip(share, 0, 1)
    return np.exp(np.clip(change, -_MOST, _MOST)).astype(np.float32)


def shaded(picture: np.ndarray, change: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) whose light changes by factors (H, W); what gets brighter rolls off
    before it clips."""
    linear = to_linear(picture)
    lit = linear * change[..., None]
    return to_display(np.minimum(lit, np.maximum(linear, shoulder(lit))))
