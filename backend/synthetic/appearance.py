# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the synthetic performer looks: skin, brows, lips, eyes, hair, clothes and the room behind.

Colours are linear Rec.709. Everything is a function of the rest pose, so that it moves with the
body and is the same in every frame and from every side.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import map_coordinates

from portraitgen.body.model import BodyModel

# MediaPipe's indices round the lips' outer edge and round each brow.
_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
_BROWS = (
    (70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
    (300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
)
_MAP_SIZE = 1024
_MAP_METRES = 0.30


@dataclass(frozen=True)
class Palette:
    """The colours of one person, linear RGB."""

    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    cloth: np.ndarray
    room: np.ndarray

    @classmethod
    def of(cls, identity: int) -> "Palette":
        """The colours that go with an identity."""
        generator = np.random.default_rng(1000 + identity)
        skins = [(0.56, 0.33, 0.23), (0.42, 0.22, 0.14), (0.20, 0.10, 0.06), (0.64, 0.40, 0.30)]
        hairs = [
            (0.045, 0.025, 0.016),
            (0.015, 0.012, 0.011),
            (0.16, 0.09, 0.04),
            (0.02, 0.02, 0.02),
        ]
        irises = [(0.05, 0.11, 0.16), (0.07, 0.035, 0.015), (0.06, 0.10, 0.05)]
        cloths = [(0.05, 0.12, 0.17), (0.25, 0.05, 0.05), (0.07, 0.10, 0.05), (0.20, 0.18, 0.15)]
        rooms = [(0.22, 0.19, 0.16), (0.12, 0.15, 0.19), (0.20, 0.21, 0.20)]
        pick = [identity % 4, (identity * 3) % 4, identity % 3, (identity * 5) % 4, identity % 3]
        chosen = (skins[pick[0]], hairs[pick[1]], irises[pick[2]], cloths[pick[3]], rooms[pick[4]])
        wobble = generator.uniform(0.92, 1.08, (5, 3)) if identity else np.ones((5, 3))
        return cls(
            *(np.array(colour) * factor for colour, factor in zip(chosen, wobble, strict=True))
        )


class Materials:
    """Albedo and gloss of every point of the rest body.

    Args:
        body: the open body.
        rest: (V, 3) rest vertices of the identity, metres, y up, facing +z.
        palette: the person's colours.
    """

    def __init__(self, body: BodyModel, rest: np.ndarray, palette: Palette) -> None:
        self._palette = palette
        faces = body.faces.numpy()
        landmarks = body.landmarks
        corners = rest[faces[np.asarray(landmarks.faces)]]
        points = (corners * np.asarray(landmarks.barycentric)[..., None]).sum(1)
        self._centre = points[[33, 263]].mean(0)
        self._collar = float(rest[:, 1][_vertices(faces, body.parts["neck"])].min()) + 0.035
        self._lips = self._outline(points[list(_LIPS)], blur=4)
        brows = sum(self._brow(points[list(each)]) for each in _BROWS)
        self._brows = np.clip(brows, 0, 1)
        self._mottle = _noise(_MAP_SIZE, 4, seed=3) * 0.035 + _noise(_MAP_SIZE, 30, seed=4) * 0.04
        eyes = body.parts["eyes"].numpy()
        self._eyes = [rest[_vertices(faces, eyes & side)] for side in _sides(rest, faces)]

    def skin(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Albedo (N, 3) and gloss (N,) of skin and clothes at rest points (N, 3)."""
        x, y = self._to_map(points)
        facing = np.clip((points[:, 2] - self._centre[2] + 0.07) / 0.03, 0, 1)
        mottle = _sample(self._mottle, x, y, mode="grid-wrap")
        lips = _sample(self._lips, x, y) * facing
        brows = _sample(self._brows, x, y) * facing
        colour = self._palette.skin * (1 + mottle[:, None])
        down = (self._centre[1] - points[:, 1]) / 0.11
        # Warmer cheeks and nose, a cooler jaw: what makes skin read as skin.
        blush = np.exp(-((down - 0.45) ** 2) / 0.08) * facing
        colour = colour * (1 + blush[:, None] * np.array([0.16, -0.06, -0.06]))
        lip_colour = self._palette.skin * np.array([0.86, 0.46, 0.50])
        colour = colour + lips[:, None] * (lip_colour - colour)
        colour = colour + (0.85 * brows)[:, None] * (self._palette.hair - colour)
        gloss = 0.25 + 0.35 * lips
        cloth = points[:, 1] < self._collar - 0.25 * np.abs(points[:, 2] - self._centre[2] + 0.09)
        weave = 0.5 + 0.5 * np.sin(points[:, 1] * 900) * np.sin(points[:, 0] * 900)
        stripe = 0.75 + 0.5 * (np.sin(points[:, 1] * 160) > 0.2)
        fabric = self._palette.cloth * ((0.8 + 0.3 * weave) * stripe)[:, None]
        colour = np.where(cloth[:, None], fabric, colour)
        return colour, np.where(cloth, 0.02, gloss)

    def eyes(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Albedo and gloss of the eyeballs: sclera, iris with fibres, pupil."""
        colour = np.empty_like(points)
        for side, ball in zip((points[:, 0] > 0, points[:, 0] <= 0), self._eyes, strict=True):
            centre = ball.mean(0)
            radius = np.linalg.norm(ball - centre, axis=1).mean()
            local = (points[side] - centre) / radius
            angle = np.arctan2(np.hypot(local[:, 0], local[:, 1]), local[:, 2])
            around = np.arctan2(local[:, 1], local[:, 0])
            fibres = 1 + 0.35 * np.sin(around * 23) * np.sin(around * 7 + 1)
            iris = self._palette.iris * fibres[:, None]
            white = np.array([0.62, 0.58, 0.55]) * (1 - 0.12 * np.clip(angle - 0.7, 0, 1))[:, None]
            edge = np.clip((angle - 0.44) / 0.06, 0, 1)[:, None]
            pupil = np.clip((angle - 0.17) / 0.04, 0, 1)[:, None]
            colour[side] = (0.008 + pupil * (iris - 0.008)) * (1 - edge) + white * edge
        return colour, np.full(len(points), 1.6)

    def mouth(self, points: np.ndarray, teeth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Albedo and gloss inside the mouth; `teeth` (N,) tells enamel from flesh."""
        flesh = np.array([0.20, 0.045, 0.045])
        colour = np.where(teeth[:, None], np.array([0.62, 0.56, 0.47]), flesh)
        return colour * np.ones_like(points), np.where(teeth, 0.7, 0.3)

    def hair(self, points: np.ndarray, shell: float) -> tuple[np.ndarray, np.ndarray]:
        """Albedo (N, 3) and coverage (N,) of a hair shell, 0 at the scalp to 1 at the tips."""
        across = np.arctan2(points[:, 0], points[:, 2] - self._centre[2] + 0.10)
        along = points[:, 1] - self._centre[1]
        strands = np.sin(across * 160 + 3 * np.sin(along * 90)) + np.sin(across * 71 + along * 40)
        tone = 0.75 + 0.35 * np.sin(across * 47 + 2 * np.sin(along * 33)) + 0.5 * shell
        coverage = np.clip((strands * 0.5 + 1.75 - 1.7 * shell) * 2.2, 0, 1)
        return self._palette.hair * tone[:, None].clip(0.3), coverage

    def _to_map(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scale = _MAP_SIZE / _MAP_METRES
        x = (points[:, 0] - self._centre[0]) * scale + _MAP_SIZE / 2
        y = (self._centre[1] - points[:, 1]) * scale + _MAP_SIZE / 2
        return x.astype(np.float32), y.astype(np.float32)

    def _outline(self, points: np.ndarray, blur: float) -> np.ndarray:
        x, y = self._to_map(points)
        drawn = np.zeros((_MAP_SIZE, _MAP_SIZE), np.float32)
        outline = np.stack([x, y], axis=1).round().astype(np.int32)
        cv2.fillPoly(drawn, [outline], (1.0,))
        return cv2.GaussianBlur(drawn, (0, 0), blur)

    def _brow(self, points: np.ndarray) -> np.ndarray:
        shape = self._outline(points, blur=5)
        strokes = _noise(_MAP_SIZE, 2, seed=7, stretch=3)
        return np.clip(shape * (1.15 + 0.35 * strokes), 0, 1)


def room(width: int, height: int, palette: Palette) -> np.ndarray:
    """A room out of focus, linear (H, W, 3)."""
    generator = np.random.default_rng(11)
    y = np.linspace(0, 1, height)[:, None, None]
    picture = palette.room * (1.15 - 0.6 * y) * np.ones((height, width, 1))
    picture[:, int(width * 0.66) :] *= np.array([0.75, 0.85, 1.1])
    for _ in range(14):
        x, top = generator.uniform(0, width), generator.uniform(0, height)
        w, h = generator.uniform(0.04, 0.22, 2) * (width, height)
        tone = palette.room * generator.uniform(0.4, 1.9) * generator.uniform(0.8, 1.2, 3)
        corner = (int(x), int(top)), (int(x + w), int(top + 2 * h))
        cv2.rectangle(picture, *corner, tuple(float(each) for each in tone), -1)
    picture = cv2.GaussianBlur(picture, (0, 0), width * 0.02)
    for _ in range(9):
        centre = (int(generator.uniform(0, width)), int(generator.uniform(0, height * 0.6)))
        light = tuple(float(each) for each in palette.room * generator.uniform(1.5, 4.0))
        cv2.circle(picture, centre, int(width * generator.uniform(0.01, 0.03)), light, -1)
    return cv2.GaussianBlur(picture, (0, 0), width * 0.006)


def _vertices(faces: np.ndarray, chosen: object) -> np.ndarray:
    return np.unique(faces[np.asarray(chosen)])


def _sides(rest: np.ndarray, faces: np.ndarray) -> list[np.ndarray]:
    """The faces on the left and on the right of the body."""
    middle = rest[faces].mean(1)[:, 0]
    return [middle > 0, middle <= 0]


def _sample(
    picture: np.ndarray, x: np.ndarray, y: np.ndarray, mode: str = "constant"
) -> np.ndarray:
    """Bilinear samples (N,) of (H, W) at pixel positions."""
    return map_coordinates(picture, [y, x], order=1, mode=mode)


def _noise(size: int, grain: float, seed: int, stretch: float = 1.0) -> np.ndarray:
    """Smooth noise of unit deviation, (size, size)."""
    white = np.random.default_rng(seed).normal(size=(size, size)).astype(np.float32)
    smooth = cv2.GaussianBlur(white, (0, 0), sigmaX=grain, sigmaY=grain * stretch)
    return smooth / smooth.std()
