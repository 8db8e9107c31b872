# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plate's motion blur: how long its shutter was open, and the same blur on what was drawn.

A face that moves is blurred along its way and not across it. A still frame of the shot, carried
over the body to where the face moves, is blurred along the way until along and across differ as
they do in the plate: that is the shutter's share of a frame (0.5 is 180 degrees).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from ...body.model import BodyModel
from ...body.motion import posed
from ...body.surface import Surface, carry
from ...footage.crop import CompositeLayer
from ..data.shots import Track

# A face moves if it goes so far in a frame, and rests if it goes less; in plate pixels.
_MOVES, _RESTS = 6.0, 1.5
_PAIRS, _NEAR = 3, 48
_SHARES = np.linspace(0, 1, 21)
_SAMPLES = 17
_SURE = 0.3
_LEAST = 400


@dataclass(frozen=True)
class Pair:
    """A frame in which the face moves, one near it in which it rests, and the way it goes in the
    first, plate pixels (2,)."""

    moving: int
    resting: int
    way: np.ndarray


def pairs_of(body: BodyModel, track: Track) -> list[Pair]:
    """The fastest frames of a track that have a resting one near, fastest first; few if any."""
    motion = track.motion
    marks = body.faces.numpy()[np.asarray(body.landmarks.faces)[::8], 0]
    points = posed(body, motion, vertices=marks).vertices.double().numpy()
    places = track.camera.project(points).mean(1)
    if len(places) < 3:
        return []
    ways = np.gradient(places, axis=0)
    speeds = np.linalg.norm(ways, axis=1)
    tracked = set(track.tracked(track.frames))
    usable = np.array([int(frame) in tracked for frame in motion.frames])
    resting = np.flatnonzero(usable & (speeds < _RESTS))
    found: list[Pair] = []
    for row in np.argsort(-speeds):
        if speeds[row] < _MOVES or len(found) == _PAIRS:
            break
        near = resting[np.abs(resting - row) <= _NEAR] if usable[row] else resting[:0]
        if len(near):
            rest = near[np.abs(near - row).argmin()]
            found.append(Pair(int(motion.frames[row]), int(motion.frames[rest]), ways[row]))
    return found


def shutter_of(
    pairs: list[Pair],
    window: Callable[[int], tuple[np.ndarray, Surface]],
    scale: float,
) -> float | None:
    """The share of a frame in which the shutter was open, 0..1; None where nothing tells it.

    Args:
        window: gives a frame's window, float32 (S, S, 3), and the body in it.
        scale: pixels of the window over those of the plate.
    """
    shares = []
    for pair in pairs:
        moving, there = window(pair.moving)
        resting, here = window(pair.resting)
        carried, surety = carry(resting, here, there)
        sure = cv2.erode((surety > _SURE).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        if sure.sum() < _LEAST:
            continue
        way = pair.way * scale
        seen = _along_over_across(moving, way, sure)
        ratios = np.array(
            [_along_over_across(_smeared(carried, share * way), way, sure) for share in _SHARES]
        )
        # More blur, less detail along the way; noise must not make it turn back.
        falling = np.minimum.accumulate(ratios)
        shares.append(float(np.interp(-seen, -falling, _SHARES)))
    return float(np.median(shares)) if shares else None


def _along_over_across(picture: np.ndarray, way: np.ndarray, where: np.ndarray) -> float:
    """How much a picture changes along a way, over how much across it."""
    grey = cv2.GaussianBlur(picture.mean(-1), (0, 0), 0.8)
    down, right = np.gradient(grey)
    x, y = way / max(float(np.linalg.norm(way)), 1e-9)
    along, across = x * right + y * down, x * down - y * right
    return float(np.abs(along[where]).mean() / max(float(np.abs(across[where]).mean()), 1e-9))


def _smeared(picture: np.ndarray, way: np.ndarray) -> np.ndarray:
    """A picture (H, W, C) blurred evenly along a way, pixels (2,)."""
    field = np.broadcast_to(way.astype(np.float32), (*picture.shape[:2], 2))
    return smeared(picture, field)


def smeared(picture: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """A picture blurred along the way of each of its pixels.

    Args:
        picture: float32 (H, W, C).
        ways: float32 (H, W, 2), how far each goes while the shutter is open, pixels, y down.
    """
    if np.abs(ways).max() < 0.5:
        return picture
    rows, columns = np.indices(picture.shape[:2], np.float32)
    total = np.zeros_like(picture)
    for share in np.linspace(-0.5, 0.5, _SAMPLES, dtype=np.float32):
        total += cv2.remap(
            picture,
            columns + share * ways[..., 0],
            rows + share * ways[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return total / _SAMPLES


def frames_of(pairs: list[Pair]) -> Iterator[int]:
    """The frames of some pairs, ascending."""
    yield from sorted({frame for pair in pairs for frame in (pair.moving, pair.resting)})


class MotionBlur:
    """Blurs what was drawn as the plate's shutter does.

    Args:
        vectors: gives how the performer moves in a frame, as the Vector pass tells it.
        share: of a frame, in which the shutter is open.
    """

    def __init__(
        self, vectors: Callable[[int, np.ndarray, CompositeLayer], np.ndarray], share: float
    ) -> None:
        self._vectors, self._share = vectors, share

    def apply(self, frame: int, image: np.ndarray, laid: CompositeLayer) -> np.ndarray:
        """The colours of a layer over its plate, blurred, float32 (h, w, 3)."""
        moved = self._vectors(frame, image, laid)
        # From the frame before to the one after, a frame's share of it, with y down.
        ways = (moved[..., :2] + moved[..., 2:]) * np.float32(-0.5 * self._share) * (1, -1)
        return smeared(laid.colours, ways.astype(np.float32))
