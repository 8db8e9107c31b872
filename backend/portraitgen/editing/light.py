# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Light on a performer, and a light that moves over a shot."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..bounded_json import parse_json
from ..errors import EditError
from ..frames import spread
from ..schema import Data
from ..storage import MAX_JSON, read_bytes

LIGHT_FILE = "light.json"
"""Where a take keeps the light that Blender gave it."""

WRAP = 0.2
"""How far light reaches round a surface beyond its edge, as a share of the cosine: lights have a
size, and skin scatters what it takes in."""

_MOMENTS = 48


def lobes(normals: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """How squarely surfaces (M, 3) face lights (N, 3), float32 (M, N): 1 for straight on."""
    cosine = normals.astype(np.float32) @ directions.astype(np.float32).T
    return np.maximum((cosine + np.float32(WRAP)) / np.float32(1 + WRAP), 0)


@dataclass(frozen=True)
class Light:
    """Lights far away, and a light that comes from everywhere.

    Attributes:
        even: (C,), linear, what the light from everywhere gives.
        directions: (N, 3), unit, towards the lights, in camera space.
        colours: (N, C), linear, what each light gives a surface that faces it.
    """

    even: np.ndarray
    directions: np.ndarray
    colours: np.ndarray

    def on(self, normals: np.ndarray) -> np.ndarray:
        """What surfaces with unit normals (..., 3) are lit with, float32 (..., C)."""
        facing = lobes(normals.reshape(-1, 3), self.directions)
        lit = facing @ self.colours.astype(np.float32) + self.even.astype(np.float32)
        return lit.reshape(*normals.shape[:-1], -1)


def key_and_fill(direction: np.ndarray, key: np.ndarray, fill: np.ndarray, ratio: float) -> Light:
    """A key light and a fill from everywhere.

    Args:
        direction: (3,), unit, towards the key.
        key, fill: (3,), linear colours.
        ratio: of key to fill.
    """
    return Light(fill / (1 + ratio), direction[None], key[None] * (ratio / (1 + ratio)))


@dataclass(frozen=True)
class LightRecord(Data):
    """light.json, as Blender writes it: a light's directions and colours by frame."""

    frames: tuple[int, ...]
    directions: tuple[tuple[float, ...], ...]
    colours: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class SceneLight:
    """A light over the frames of a shot.

    Attributes:
        frames: (N,), ascending.
        directions: (N, 3), unit, from the performer towards the light, in the plate camera's space
            (x right, y down, z forward).
        colours: (N, 3), linear, what it gives the performer; 1 is its brightest.
    """

    frames: np.ndarray
    directions: np.ndarray
    colours: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> "SceneLight":
        """Reads the light of a take or of an edit.

        Raises:
            EditError: if there is none, or it cannot be used.
        """
        path, remedy = folder / LIGHT_FILE, "press Light from Scene in Blender, or choose a preset"
        try:
            told = LightRecord.parse(parse_json(read_bytes(path, MAX_JSON)))
            frames = np.array(told.frames, np.int64)
            directions = np.array(told.directions, np.float64).reshape(-1, 3)
            colours = np.array(told.colours, np.float64).reshape(-1, 3)
        except FileNotFoundError:
            raise EditError("the take has no light of the scene", path, remedy) from None
        except (OSError, ValueError, OverflowError) as error:
            raise EditError(f"the light cannot be read ({error})", path, remedy) from None
        length = np.linalg.norm(directions, axis=1, keepdims=True)
        usable = (
            len(frames) == len(directions) == len(colours) > 0
            and bool((np.diff(frames) > 0).all())
            and bool(np.isfinite(directions).all() and np.isfinite(colours).all())
            and bool((length > 0).all() and (colours >= 0).all())
        )
        if not usable:
            raise EditError("the light's frames cannot be used", path, remedy)
        return cls(frames, directions / length, colours)

    @property
    def moves(self) -> bool:
        """Whether it is not the same in all frames."""
        values = np.concatenate([self.directions, self.colours], axis=1)
        return bool(np.ptp(values, axis=0).max() > 1e-3)

    def at(self, frame: float, fill: np.ndarray, ratio: float) -> Light:
        """The light of a frame with a fill (3,); between its frames the light goes on evenly."""
        direction, colour = (
            np.array([np.interp(frame, self.frames, column) for column in each.T])
            for each in (self.directions, self.colours)
        )
        direction = direction / max(float(np.linalg.norm(direction)), 1e-9)
        return key_and_fill(direction, colour, fill, ratio)

    def mean(self, fill: np.ndarray, ratio: float) -> Light:
        """The mean light over its frames."""
        each = [
            self.at(float(frame), fill, ratio) for frame in spread(self.frames.tolist(), _MOMENTS)
        ]
        return Light(
            np.mean([light.even for light in each], axis=0),
            np.concatenate([light.directions for light in each]),
            np.concatenate([light.colours for light in each]) / len(each),
        )
