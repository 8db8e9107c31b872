# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expression guidance: an edited key frame keeps the expression that its plate has.

Image editors smile where the performer does not. The avatar cannot tell that from paint and
learns it. Here the edited picture is bent back before it is learned: every landmark of its face
goes to where the plate has it, and what is between follows smoothly.
"""

import cv2
import numpy as np
from scipy.interpolate import RBFInterpolator

# Landmarks differ by as much, of the eye distance, in one face drawn two ways, and stay; from twice
# as much on they go the whole way.
_UNSURE = 0.015
_SMOOTHING, _NEIGHBOURS = 2.0, 40
# Bending fades out between the face's outline and so many times its extent.
_AROUND = 1.5
_FADE_PX = 3.0
_EYES = (33, 263)


def warp_to_landmarks(picture: np.ndarray, shown: np.ndarray, meant: np.ndarray) -> np.ndarray:
    """A picture whose face has the landmarks that it should have.

    Args:
        picture: float32 (H, W, 3).
        shown: (L, 2), MediaPipe's landmarks of the face in it, pixels.
        meant: (L, 2), where they should be.

    Returns:
        float32 (H, W, 3), unchanged beside the face.
    """
    moved = shown - meant
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    unsure = _UNSURE * np.linalg.norm(meant[_EYES[0]] - meant[_EYES[1]])
    moved = moved * np.clip(length / max(float(unsure), 1e-6) - 1, 0, 1)
    if not moved.any():
        return picture
    outline = cv2.convexHull(meant.astype(np.float32))[:, 0]
    ring = meant.mean(0) + _AROUND * (outline - meant.mean(0))
    height, width = picture.shape[:2]
    left, top = np.clip(np.floor(ring.min(0)), 0, (width - 1, height - 1)).astype(int)
    right, bottom = np.clip(np.ceil(ring.max(0)), 1, (width, height)).astype(int)
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    flow = RBFInterpolator(
        np.concatenate([meant, ring]),
        np.concatenate([moved, np.zeros_like(ring)]),
        neighbors=_NEIGHBOURS,
        smoothing=_SMOOTHING,
    )(np.stack([x, y], axis=2).reshape(-1, 2) + 0.5)
    inside = np.zeros((height, width), np.float32)
    cv2.fillConvexPoly(inside, np.rint(ring).astype(np.int32), (1.0,))
    fade = cv2.GaussianBlur(inside, (0, 0), _FADE_PX)[top:bottom, left:right, None]
    where = np.stack([x, y], axis=2) + fade * flow.reshape(*x.shape, 2).astype(np.float32)
    bent = cv2.remap(
        picture, where[..., 0], where[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    result = picture.copy()
    near = result[top:bottom, left:right]
    result[top:bottom, left:right] = np.where(fade > 0, np.clip(bent, 0, 1), near)
    return result
