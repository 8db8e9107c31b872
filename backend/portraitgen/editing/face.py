# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Face-aware editing: the head once more at full size, after PortraitGen (Gao et al. 2024), 3.4.

Image editors spend few pixels on a face that is small in the picture and change its expression.
Round any editor: the whole picture is edited, then a square about the head by itself, enlarged to
the picture's size, and pasted back through the mask of head and neck.
"""

from dataclasses import replace

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from ..body.camera import Box
from ..body.model import BodyModel
from ..body.surface import Surface
from .editor import Editor, EditRequest

HEAD_SQUARE = 1.7
"""Side of the square over the larger side of the head."""

_NECK, _HEAD = 12, (15, 22, 23, 24)
# A square as large as this share of the picture brings no pixels.
_WHOLE = 0.9
_SOFT = 0.015
_IN_MATTE = 0.5


class FaceAware:
    """Edits pictures, and the head in them at full size.

    Args:
        editor: what edits both; prepared.
        body: the body model of the shot.
    """

    def __init__(self, editor: Editor, body: BodyModel) -> None:
        self._editor = editor
        weights = body.weights.numpy()
        head = weights[:, _HEAD].sum(1)
        self._head = head > 0.5
        corners = body.faces.numpy()
        self._region = (head + weights[:, _NECK])[corners].mean(1) > 0.5

    def edit(self, request: EditRequest) -> np.ndarray:
        """The edited picture, float32 (H, W, 3); the head's part is skipped if it is large.

        Raises:
            EditError: as the editor does.
        """
        whole = self._editor.edit(request)
        square = self._square(request.surface) if request.surface else None
        if square is None or request.strength == 0:
            return whole
        near = self._editor.edit(_enlarged(request, square))
        share = self._share(request, square)[..., None]
        x, y, side = square
        pasted = whole.copy()
        pasted[y : y + side, x : x + side] = _resized(near, side)
        result: np.ndarray = np.where(share > 0, whole + share * (pasted - whole), whole)
        return result

    def _square(self, surface: Surface) -> tuple[int, int, int] | None:
        """Left, top and side of the square about the head; None if it is most of the picture."""
        height, width = surface.face.shape
        pixels = surface.camera.project(surface.vertices[self._head])
        low, high = pixels.min(0), pixels.max(0)
        side = round(HEAD_SQUARE * float((high - low).max()))
        if side > _WHOLE * min(height, width):
            return None
        corner = np.rint((low + high) / 2 - side / 2)
        left, top = np.clip(corner, 0, (width - side, height - side)).astype(int)
        return int(left), int(top), side

    def _share(self, request: EditRequest, square: tuple[int, int, int]) -> np.ndarray:
        """How much of the enlarged head shows, float32 (H, W): head, neck and hair, softly."""
        surface = request.surface
        assert surface is not None
        on_body = surface.face >= 0
        region = np.zeros(surface.face.shape, bool)
        region[on_body] = self._region[surface.face[on_body]]
        # Hair reaches beyond the body: there the nearest part of the body decides.
        nearest = distance_transform_edt(~on_body, return_distances=False, return_indices=True)
        region = region[tuple(nearest)] & (on_body | (request.matte > _IN_MATTE))
        size, (x, y, side) = region.shape[0], square
        inside = np.zeros(region.shape, np.float32)
        margin = round(2 * _SOFT * size)
        inside[y + margin : y + side - margin, x + margin : x + side - margin] = 1
        soft = cv2.GaussianBlur(region * inside, (0, 0), _SOFT * size)
        # What blurring carried out of the square was not edited.
        soft[:y] = soft[y + side :] = 0
        soft[:, :x] = soft[:, x + side :] = 0
        return soft * request.mask if request.mask is not None else soft


def _enlarged(request: EditRequest, square: tuple[int, int, int]) -> EditRequest:
    """A square of a request at the size of the whole."""
    x, y, side = square
    size = request.source.shape[0]

    def part(image: np.ndarray) -> np.ndarray:
        return np.clip(_resized(image[y : y + side, x : x + side], size), image.min(), image.max())

    surface = request.surface
    assert surface is not None
    return replace(
        request,
        rendered=part(request.rendered),
        source=part(request.source),
        matte=part(request.matte),
        normals=part(request.normals),
        mask=None if request.mask is None else part(request.mask),
        surface=Surface.of(
            surface.vertices, surface.faces, surface.camera.window(Box(*square), size)
        ),
    )


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    method = cv2.INTER_CUBIC if size > image.shape[0] else cv2.INTER_AREA
    resized: np.ndarray = cv2.resize(image, (size, size), interpolation=method)
    return resized
