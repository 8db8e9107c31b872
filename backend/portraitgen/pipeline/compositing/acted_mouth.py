# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inside of a mouth that opens wider than the shot ever showed it.

Of teeth, tongue and the hollow behind them a shot shows a little, and an avatar learns the rest by
chance. What no frame shows takes the colours that the shot shows of the same part.
"""

from contextlib import suppress
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ...body.model import BodyModel
from ...editing.colour import LUMA
from ...errors import FootageError
from ...footage.crop import crop
from ...footage.plate import Plate
from ...frames import spread
from ...images import to_float
from ..data.avatars import surface_of
from ..data.shots import Track

PARTS = ("mouth", "teeth", "tongue")

_BESIDE, _OPENS = ("lips", "eyes"), "jawOpen"

# Frames that are looked at, of those many in which the mouth is open widest; the side of their
# windows; how many pixels of a part tell its colour, and how many a frame that a face is seen.
_FRAMES, _WIDEST, _SIDE, _ENOUGH, _SURE = 12, 48, 384, 40, 1.7
# What a part looks like that no frame shows, over the colour of lips, and of the white of eyes.
_USUAL = {"mouth": (0.40, 0.30, 0.30), "teeth": (1.0, 0.96, 0.88), "tongue": (0.75, 0.55, 0.55)}
_GREY = np.full(3, 0.5, np.float32)
# How bright a part is among what a shot shows of it, per cent: lips cast shadows on teeth, and are
# themselves mistaken for what lies behind them.
_BRIGHT = {"mouth": 35, "teeth": 75, "tongue": 35}


@dataclass(frozen=True)
class Mouth:
    """What a shot shows of the inside of a mouth.

    Attributes:
        kind: int (F,), which of `PARTS` a face is, -1 for all others.
        shown: float32 (F,), how surely frames showed a face, 0 to 1.
        colours: float32 (3, 3), of each part, 0..1.
    """

    kind: np.ndarray
    shown: np.ndarray
    colours: np.ndarray

    @classmethod
    def of(cls, track: Track, plate: Plate, body: BodyModel) -> "Mouth":
        """Looks at frames in which the mouth stands open widest."""
        kind = np.full(len(body.faces), -1)
        nowhere = torch.zeros(len(kind), dtype=torch.bool)
        parts = {name: body.parts.get(name, nowhere).numpy() for name in (*PARTS, *_BESIDE)}
        for row, name in enumerate(PARTS):
            kind[parts[name]] = row
        counts = np.zeros(len(kind), np.float32)
        pixels: dict[str, list[np.ndarray]] = {name: [] for name in parts}
        for frame in _widest(track, body):
            # A frame that is damaged is told where it is rendered.
            with suppress(FootageError):
                box = track.box(frame)
                window = to_float(crop(plate.read_uint8(frame), box, _SIDE)[0])
                face = surface_of(track, body, frame, track.camera.window(box, _SIDE)).face
                counts += np.bincount(face[face >= 0], minlength=len(kind))
                labels = np.where(face >= 0, kind[face], -1)
                for row, name in enumerate(PARTS):
                    # The border of a part may be another's.
                    inner = cv2.erode((labels == row).astype(np.uint8), np.ones((3, 3))) > 0
                    pixels[name].append(window[inner])
                for name in _BESIDE:
                    pixels[name].append(window[(face >= 0) & parts[name][face]])
        looked = max(len(pixels[PARTS[0]]), 1)
        none = np.empty((0, 3), np.float32)
        seen = {name: np.concatenate([none, *found]) for name, found in pixels.items()}
        lips, eyes = (seen[name] for name in _BESIDE)
        lip, white = _typical(lips, 50, _GREY), _typical(eyes, 85, _GREY)
        colours = []
        for name in PARTS:
            usual = np.clip((white if name == "teeth" else lip) * _USUAL[name], 0, 1)
            share = min(len(seen[name]) / _ENOUGH, 1.0)
            shown = _typical(seen[name], _BRIGHT[name], usual)
            colours.append(share * shown + (1 - share) * usual)
        return cls(kind, np.clip(counts / (_SURE * looked), 0, 1), np.array(colours, np.float32))

    def filled(self, drawn: np.ndarray, face: np.ndarray) -> np.ndarray:
        """A drawn window (S, S, 3) with the parts' colours where no frame showed them."""
        labels = np.where(face >= 0, self.kind[face], -1)
        inside = labels >= 0
        flat = self.colours[np.maximum(labels, 0)]
        # What is sure and what is not pass into each other, within the mouth.
        sigma = max(1.0, face.shape[0] / 256)
        both = np.stack([np.where(inside, 1 - self.shown[face], 0), inside], axis=-1)
        doubt, weight = np.moveaxis(cv2.GaussianBlur(both, (0, 0), sigma), -1, 0)
        doubt = np.where(inside, doubt / np.maximum(weight, 1e-6), 0)
        filled: np.ndarray = drawn + doubt[..., None] * (flat - drawn)
        return filled.astype(np.float32)


def _widest(track: Track, body: BodyModel) -> list[int]:
    """Frames in which the mouth stands open widest, not all of one moment."""
    frames = track.tracked(track.frames)
    if _OPENS not in body.expression_names:
        return spread(frames, _FRAMES)
    opening = track.motion.expression[:, body.expression_names.index(_OPENS)]
    by_frame = dict(zip(track.motion.frames.tolist(), opening.tolist(), strict=True))
    return spread(sorted(frames, key=lambda frame: -by_frame[frame])[:_WIDEST], _FRAMES)


def _typical(pixels: np.ndarray, percent: float, otherwise: np.ndarray) -> np.ndarray:
    """The colour (3,) of those pixels (N, 3) that are brighter than so many of them."""
    if not len(pixels):
        return otherwise
    light = pixels @ LUMA
    low, high = np.percentile(light, (percent - 10, percent + 10))
    found: np.ndarray = pixels[(light >= low) & (light <= high)].mean(0)
    return found
