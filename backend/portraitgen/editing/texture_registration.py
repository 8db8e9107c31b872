# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How skin slips over the tracked body, which does not smile or turn quite as the performer does.

What every frame shows of a painted place is carried over the body into the painted frame, and
there aligned by its finest texture, pores and stubble, which stays on the skin where light and
folds do not (Lucas and Kanade 1981, an affine map, reweighted). Frames follow one another from the
painted one on, each compared with what those before it showed, since neighbours look alike.
"""

import cv2
import numpy as np

from ..body.surface import Surface, carry
from .colour import LUMA
from .editor import EditRequest

_AROUND = 0.012
"""How far round the paint texture is looked at, as a share of the picture's side."""
_LARGEST = 256
_FINE, _COARSE = 0.5, 2.0
_DARK, _SEEN, _KEPT = 0.02, 0.03, 0.95
_ROUNDS, _ENOUGH, _LEAST = 10, 0.01, 0.4
# The body is about right: how far skin slips, of the picture's side, and how much it stretches.
_SLIP, _STRETCH = 0.006, 0.15


class Slips:
    """The slips of one painted place.

    Args:
        cover: float32 (S, S), where the paint lies in its frame.
        surface: the body in that frame.
        side: of the square pictures that are shown, pixels.
    """

    def __init__(self, cover: np.ndarray, surface: Surface, side: int) -> None:
        cover = cv2.resize(cover, (side, side), interpolation=cv2.INTER_LINEAR)
        margin = max(2, round(_AROUND * side))
        wide = cv2.dilate((cover > 0.05).astype(np.uint8), np.ones((2 * margin + 1,) * 2, np.uint8))
        left, top, width, height = cv2.boundingRect(wide)
        rows, columns = slice(top, top + height), slice(left, left + width)
        camera = surface.camera.resized(side, side).part(rows, columns)
        shrunk = min(1.0, _LARGEST / max(width, height, 1))
        size = (max(1, round(width * shrunk)), max(1, round(height * shrunk)))
        self._there = surface.seen_by(camera.resized(*size))
        self._where = cv2.resize(wide[rows, columns].astype(np.float32), size)
        # Shares of the picture's side to pixels here, and back.
        scale = side * shrunk
        self._to_pixels = np.array(
            [[scale, 0, -left * shrunk - 0.5], [0, scale, -top * shrunk - 0.5], [0, 0, 1]]
        )
        self._unit = max(size) / 2
        y, x = np.mgrid[: size[1], : size[0]].astype(np.float32)
        self._x, self._y = x, y
        self._across = (x - size[0] / 2) / self._unit
        self._down = (y - size[1] / 2) / self._unit
        slip, stretch = _SLIP * scale, _STRETCH * self._unit
        self._prior = np.array([slip, slip, *[stretch] * 4]) ** -2.0
        self._seen: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def show(self, request: EditRequest) -> None:
        """Takes a frame's texture down."""
        if request.surface is None:
            return
        grey = np.log(np.maximum(request.source @ LUMA, _DARK))[..., None]
        carried, surety = carry(grey.astype(np.float32), request.surface, self._there)
        known = (surety > _SEEN).astype(np.float32)
        fine, coarse = (_mean(carried[..., 0], known, sigma) for sigma in (_FINE, _COARSE))
        inner = cv2.erode(known, np.ones((3, 3), np.uint8)) * self._where
        self._seen[request.frame] = ((fine - coarse).astype(np.float16), inner.astype(np.float16))

    def from_frame(self, painted: int) -> dict[int, np.ndarray]:
        """For each frame shown, where places of the painted frame slipped to, float64 (2, 3): an
        affine map of shares of the picture's side."""
        if painted not in self._seen:
            return {}
        frames = sorted(self._seen)
        start = frames.index(painted)
        found = {painted: np.zeros(6)}
        for order in (frames[start + 1 :], frames[:start][::-1]):
            slip = np.zeros(6)
            texture: np.ndarray = self._seen[painted][0].astype(np.float32)
            for frame in order:
                picture, where = (each.astype(np.float32) for each in self._seen[frame])
                slip = self._aligned(texture, picture, where, slip)
                found[frame] = slip
                texture = _KEPT * texture + (1 - _KEPT) * self._moved(picture, slip)
        return {frame: self._map(slip) for frame, slip in found.items()}

    def _aligned(
        self, texture: np.ndarray, picture: np.ndarray, where: np.ndarray, before: np.ndarray
    ) -> np.ndarray:
        """The slip of a picture against the texture, from that of the frame before."""
        chosen = where > 0.5
        if chosen.sum() < _LEAST * (self._where > 0.5).sum():
            return before  # Turned away: nothing says otherwise.
        slip = before
        for _ in range(_ROUNDS):
            moved = self._moved(picture, slip)
            down, across = np.gradient(moved)
            error = (texture - moved)[chosen]
            noise = 1.48 * float(np.median(np.abs(error))) + 1e-4
            weight = (1 / (1 + (error / (2 * noise)) ** 2))[:, None]
            x, y = self._across[chosen], self._down[chosen]
            along, upright = across[chosen], down[chosen]
            slope = np.stack([along, upright, along * x, along * y, upright * x, upright * y], 1)
            normal = (slope * weight).T @ slope + np.diag(noise**2 * self._prior)
            pull = (slope * weight).T @ error - noise**2 * self._prior * slip
            step = np.linalg.solve(normal, pull)
            slip = slip + step
            if np.abs(step).max() < _ENOUGH:
                break
        better = [_likeness(texture, self._moved(picture, each), chosen) for each in (before, slip)]
        return slip if better[1] >= better[0] else before

    def _moved(self, picture: np.ndarray, slip: np.ndarray) -> np.ndarray:
        x = self._x + slip[0] + slip[2] * self._across + slip[3] * self._down
        y = self._y + slip[1] + slip[4] * self._across + slip[5] * self._down
        return cv2.remap(
            picture,
            x.astype(np.float32),
            y.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def _map(self, slip: np.ndarray) -> np.ndarray:
        """A slip as an affine map of shares of the picture's side, (2, 3)."""
        linear = np.eye(3)
        linear[:2, :2] += slip[2:].reshape(2, 2) / self._unit
        middle = np.array([self._x.shape[1] / 2, self._x.shape[0] / 2])
        linear[:2, 2] = slip[:2] - slip[2:].reshape(2, 2) @ middle / self._unit
        return np.asarray(np.linalg.solve(self._to_pixels, linear @ self._to_pixels)[:2])


def slipped(picture: np.ndarray, by: np.ndarray) -> np.ndarray:
    """A square picture (S, S, C), every place where it slipped to.

    Args:
        by: (2, 3), as `Slips.from_frame` gives it.
    """
    side = picture.shape[0]
    # cv2 puts pixel centres at whole numbers, we at +0.5.
    linear = by[:, :2]
    offset = side * by[:, 2] + linear @ [0.5, 0.5] - 0.5
    return cv2.warpAffine(
        picture, np.column_stack([linear, offset]), (side, side), flags=cv2.INTER_LINEAR
    )


def _mean(grey: np.ndarray, known: np.ndarray, sigma: float) -> np.ndarray:
    over = cv2.GaussianBlur(grey * known, (0, 0), sigma)
    return np.asarray(over / np.maximum(cv2.GaussianBlur(known, (0, 0), sigma), 1e-3))


def _likeness(first: np.ndarray, second: np.ndarray, where: np.ndarray) -> float:
    """The correlation of two pictures."""
    a, b = (each[where] - each[where].mean() for each in (first, second))
    return float((a * b).sum() / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-9))
