# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Face-aware editing: the head once more at full size, after PortraitGen (Gao et al. 2024), 3.4.

Image editors spend few pixels on a face that is small in the picture and change its expression.
Round any editor: the whole picture is edited, then a square about the head by itself, enlarged to
the picture's size, and pasted back through the mask of head and neck. Hands that are large enough
to be looked at follow in the same way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from ..body.camera import Box
from ..body.model import BodyModel
from ..body.surface import Surface
from .editor import Editor, EditRequest, show_anchor

HEAD_SQUARE = 1.7
"""Side of the square over the larger side of the head, or of a hand."""

_NECK, _HEAD = 12, (15, 22, 23, 24)
_HANDS = ((20, *range(25, 40)), (21, *range(40, 55)))
# A hand is worth an edit of its own if it covers as much of the picture.
_LARGE_HAND = 0.01
# A square as large as this share of the picture brings no pixels.
_WHOLE = 0.9
_SOFT = 0.015
_IN_MATTE = 0.5


@dataclass(frozen=True, eq=False)
class _Region:
    """A part of the body that is edited at full size.

    Attributes:
        vertices: bool (V,), what the square is laid about.
        faces: bool (F,), what is pasted back.
        least: the share of the picture it must cover.
    """

    vertices: np.ndarray
    faces: np.ndarray
    least: float


Square = tuple[int, int, int]


class FaceAware:
    """Edits pictures, and the head and large hands in them at full size.

    Args:
        editor: what edits all; prepared.
        body: the body model of the shot.
    """

    def __init__(self, editor: Editor, body: BodyModel) -> None:
        self._editor = editor
        self._anchor: EditRequest | None = None
        self._anchors: dict[_Region, EditRequest] = {}
        weights, faces = body.weights.numpy(), body.faces.numpy()

        def region(about: Sequence[int], besides: Sequence[int], least: float) -> _Region:
            extent = weights[:, about].sum(1)
            pasted = (extent + weights[:, besides].sum(1))[faces].mean(1)
            return _Region(extent > 0.5, pasted > 0.5, least)

        hands = [region(hand, (), _LARGE_HAND) for hand in _HANDS]
        self._regions = [region(_HEAD, (_NECK,), 0.0), *hands]

    def agree_with(self, anchor: EditRequest | None) -> None:
        """Told the frame that all others are to look like: as a whole, and part by part."""
        self._anchor, self._anchors = anchor, {}
        if anchor is not None and anchor.surface is not None:
            self._anchors = {
                region: _enlarged(anchor, square)
                for region, square in self._squares(anchor.surface)
            }

    def edit(self, request: EditRequest) -> np.ndarray:
        """The edited picture, float32 (H, W, 3); a part that fills it is not edited twice.

        Raises:
            EditError: as the editor does.
        """
        show_anchor(self._editor, self._anchor)
        edited = self._editor.edit(request)
        if request.surface is None or request.strength == 0:
            return edited
        squares = list(self._squares(request.surface))
        if not squares:
            return edited
        face = _nearest_faces(request.surface, request.matte)
        for region, square in squares:
            show_anchor(self._editor, self._anchors.get(region))
            near = self._editor.edit(_enlarged(request, square))
            share = _share(region.faces[face] & (face >= 0), square, request.mask)[..., None]
            x, y, side = square
            pasted = edited.copy()
            pasted[y : y + side, x : x + side] = _resized(near, side)
            edited = np.where(share > 0, edited + share * (pasted - edited), edited)
        return edited

    def _squares(self, surface: Surface) -> Iterator[tuple[_Region, Square]]:
        """What is edited at full size, each with left, top and side of the square about it."""
        height, width = surface.face.shape
        shown = surface.face[surface.face >= 0]
        for region in self._regions:
            if region.faces[shown].sum() <= region.least * surface.face.size:
                continue
            pixels = surface.camera.project(surface.vertices[region.vertices])
            low, high = pixels.min(0), pixels.max(0)
            side = round(HEAD_SQUARE * float((high - low).max()))
            if side > _WHOLE * min(height, width):
                continue
            corner = np.rint((low + high) / 2 - side / 2)
            left, top = np.clip(corner, 0, (width - side, height - side)).astype(int)
            yield region, (int(left), int(top), side)


def _nearest_faces(surface: Surface, matte: np.ndarray) -> np.ndarray:
    """The face of the body that each pixel belongs to, int (H, W), -1 on the ground.

    Hair reaches beyond the body: there the nearest part of the body decides.
    """
    on_body = surface.face >= 0
    nearest = distance_transform_edt(~on_body, return_distances=False, return_indices=True)
    return np.where(on_body | (matte > _IN_MATTE), surface.face[tuple(nearest)], -1)


def _share(region: np.ndarray, square: Square, mask: np.ndarray | None) -> np.ndarray:
    """How much of an enlarged part shows, float32 (H, W), softly.

    Args:
        region: bool (H, W), the part.
        square: that was enlarged.
        mask: as a request's.
    """
    size, (x, y, side) = region.shape[0], square
    inside = np.zeros(region.shape, np.float32)
    margin = round(2 * _SOFT * size)
    inside[y + margin : y + side - margin, x + margin : x + side - margin] = 1
    soft = cv2.GaussianBlur(region * inside, (0, 0), _SOFT * size)
    # What blurring carried out of the square was not edited.
    soft[:y] = soft[y + side :] = 0
    soft[:, :x] = soft[:, x + side :] = 0
    return soft * mask if mask is not None else soft


def _enlarged(request: EditRequest, square: Square) -> EditRequest:
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
        surface=surface.seen_by(surface.camera.window(Box(*square), size)),
    )


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    method = cv2.INTER_CUBIC if size > image.shape[0] else cv2.INTER_AREA
    resized: np.ndarray = cv2.resize(image, (size, size), interpolation=method)
    return resized
