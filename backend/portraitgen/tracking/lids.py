# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frames show shut eyes: how far lids stand apart, against what is usual for this performer.

A fit of the whole face leaves shut lids half open: few landmarks lie on them, priors hold back, and
smoothing flattens a blink of two frames. How far apart the lids' own landmarks are tells shut eyes
from open ones by a factor of four (Soukupova and Cech, "Real-Time Eye Blink Detection using Facial
Landmarks", 2016, measure the same).
"""

import numpy as np

# MediaPipe's landmarks of left and right eye: upper and lower lid, and the corners.
_UPPER = ((387, 386, 385), (160, 159, 158))
_LOWER = ((373, 374, 380), (144, 145, 153))
_CORNERS = ((263, 362), (33, 133))
# Shares of the usual gap: below the first eyes are shut, above the second they are not.
_SHUT, _OPEN = 0.34, 0.52
# Lids that differ by less blink together; an eye that shows so much less of its width than the
# other is turned away and tells nothing.
_WINK, _TURNED_AWAY = 0.4, 0.65


def shut_lids(face: np.ndarray, upright: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """How shut both lids are, 0 to 1; what lies between open and shut is not told apart.

    Args:
        face: (F, 478, 2), plate pixels; NaN where no face was found.
        upright: (F,), how much of a length up the head the picture shows, 0..1.
        scale: (F,), pixels a metre at the head's depth.

    Returns:
        float64 (F, 2), left and right; NaN where no face was found.
    """
    points = face.astype(np.float64)
    gaps, widths = [], []
    for upper, lower, corners in zip(_UPPER, _LOWER, _CORNERS, strict=True):
        apart = np.linalg.norm(points[:, upper] - points[:, lower], axis=2).mean(1)
        gaps.append(apart / (scale * np.maximum(upright, 0.5)))
        widths.append(np.linalg.norm(points[:, corners[0]] - points[:, corners[1]], axis=1))
    gap, width = np.stack(gaps, axis=1), np.stack(widths, axis=1)
    if np.isnan(gap).all():
        return gap
    share = gap / np.nanmedian(gap, axis=0)
    both = share.mean(1, keepdims=True)
    together = np.abs(share[:, :1] - share[:, 1:]) < _WINK
    share = np.where(together, both, share)
    hidden = width < _TURNED_AWAY * width[:, ::-1]
    share = np.where(hidden, share[:, ::-1], share)
    return np.clip((_OPEN - share) / (_OPEN - _SHUT), 0, 1)
