# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passes for compositors that the tracked body tells: its parts, and how they move."""

from dataclasses import dataclass

import cv2
import numpy as np

from ...body.surface import Surface
from ...editing.hole_filling import filled_outward
from ...editing.part_segmentation import PARTS, face_labels, part_labels, tones_of
from ...footage.crop import CompositeLayer, crop, place
from ...footage.cryptomatte import attributes, layer_names, ranked
from ...footage.exr import LAYER
from ...images import to_float
from ..data.edit_mask import EditMask
from ..data.shots import Track

CRYPTO = "CryptoPart"
VECTOR = "Vector"
PERFORMER = "performer"
"""What is covered by the matte and is none of the parts."""

_LARGEST = 1024
_MOVED = 512
# How far motion is carried to hair and clothes off the body, in shares of the window.
_REACH = (0.004, 0.02, 0.1)


@dataclass(frozen=True)
class PartPasses:
    """Layers of a frame, float32 (h, w, C), and what the file's header says of them."""

    layers: dict[str, np.ndarray]
    attributes: dict[str, str]


class PassMaker:
    """Makes the passes of a take's frames.

    Args:
        track: by which the performer moves.
        parts: where the body is.
        faces: the body model's parts, name -> bool (F,), and how many faces it has.
        wanted: of `passes.PASSES`.
    """

    def __init__(
        self,
        track: Track,
        parts: EditMask,
        faces: tuple[dict[str, np.ndarray], int],
        wanted: frozenset[str],
    ) -> None:
        self._track, self._parts, self._wanted = track, parts, wanted
        self._labels = face_labels(*faces) if "parts" in wanted else None
        self._posed: dict[int, np.ndarray] = {}

    def of(self, frame: int, image: np.ndarray, laid: CompositeLayer) -> PartPasses:
        """The passes of a frame.

        Args:
            image: float32 (H, W, 3), the plate; laid: where the frame's layers lie on it, and how
                far the performer covers it.
        """
        layers: dict[str, np.ndarray] = {}
        told: dict[str, str] = {}
        if self._labels is not None:
            layers |= self._cryptomatte(frame, image, laid)
            told = attributes(f"{LAYER}.{CRYPTO}", [*PARTS, PERFORMER])
        if "motion" in self._wanted:
            layers[VECTOR] = self.vectors(frame, image, laid)
        return PartPasses(layers, told)

    def _surface(self, frame: int, side: int) -> Surface:
        camera = self._track.camera.window(self._track.box(frame), side)
        surface = self._parts.surface(frame, camera)
        self._posed[frame] = surface.vertices
        for old in [each for each in self._posed if abs(each - frame) > 1]:
            del self._posed[old]
        return surface

    def _cryptomatte(
        self, frame: int, image: np.ndarray, laid: CompositeLayer
    ) -> dict[str, np.ndarray]:
        height, width = image.shape[:2]
        box = self._track.box(frame)
        side = min(_LARGEST, max(1, round(box.side)))
        window, _ = crop(image, box, side)
        whole = to_float(self._track.matte(frame))
        matte = cv2.resize(whole, (side, side), interpolation=cv2.INTER_LINEAR)
        surface = self._surface(frame, side)
        assert self._labels is not None
        tones = tones_of([surface], [window], [matte], self._labels)
        drawn = part_labels(surface, window, matte, self._labels, tones)
        shares = []
        for part in range(len(PARTS)):
            # One sample a pixel; a pixel's width of softness stands for the others.
            soft = cv2.GaussianBlur((drawn == part).astype(np.float32), (0, 0), 0.6)
            shares.append(place(soft, box, width, height)[0])
        total = np.maximum(np.stack(shares).sum(0), 1.0)
        cover = laid.cover
        covers = {
            part: (share / total * cover).astype(np.float32)
            for part, share in zip(PARTS, shares, strict=True)
        }
        rest = cover - np.stack(list(covers.values())).sum(0)
        covers[PERFORMER] = np.where(rest > 1e-3, rest, 0).astype(np.float32)
        return dict(zip(layer_names(CRYPTO), ranked(covers), strict=True))

    def vectors(self, frame: int, image: np.ndarray, laid: CompositeLayer) -> np.ndarray:
        """How the performer moves, as Blender's Vector pass tells it: the place in the frame
        before minus that in this one, and that in this one minus the place in the frame after, in
        pixels, y up; 0 where there is no such frame."""
        height, width = image.shape[:2]
        box = self._track.box(frame)
        side = min(_MOVED, max(1, round(box.side)))
        surface = self._surface(frame, side)
        seen = surface.face >= 0
        known = seen.astype(np.float32)
        corners = surface.faces[surface.face[seen]]
        weights = surface.barycentric[seen][..., None]

        def places(vertices: np.ndarray) -> np.ndarray:
            points = (vertices[corners] * weights).sum(1).astype(np.float64)
            found: np.ndarray = self._track.camera.project(points)
            return found

        here = places(surface.vertices)
        moved = np.zeros((side, side, 4), np.float32)
        for at, step in ((0, -1), (2, 1)):
            if frame + step in self._track.frames:
                there = places(self._vertices(frame + step))
                moved[seen, at : at + 2] = -step * (there - here) * (1, -1)
        # Hair and clothes off the body move as what lies beside them.
        sigmas = [max(0.5, share * side) for share in _REACH]
        filled, reached = filled_outward(moved * known[..., None], known, sigmas, 2, False)
        filled = filled / np.maximum(reached, 1e-4)[..., None]
        # `place` takes values of 0..1.
        most = max(float(np.abs(filled).max()), 1e-6)
        placed, _, _ = place(filled / most * 0.5 + 0.5, box, width, height)
        vectors: np.ndarray = (placed * 2 - 1) * most
        return np.where(laid.cover[..., None] > 0, vectors, 0).astype(np.float32)

    def _vertices(self, frame: int) -> np.ndarray:
        """The posed body of a frame."""
        if frame not in self._posed:
            camera = self._track.camera.window(self._track.box(frame), 1)
            self._posed[frame] = self._parts.surface(frame, camera).vertices
        return self._posed[frame]
