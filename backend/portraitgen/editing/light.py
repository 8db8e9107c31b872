# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Light from all around as spherical harmonics, and a lamp that moves over a shot."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import EditError

LIGHT_FILE = "light.json"
"""Where a take keeps the lamp that Blender gave it."""

LOBE = np.array([1, 2 / 3, 2 / 3, 2 / 3, 0.25, 0.25, 0.25, 0.25, 0.25])
"""Cosine lobe of each order over pi, turning radiance into irradiance."""

_AMBIENT = 0.282095


def basis(directions: np.ndarray) -> np.ndarray:
    """Real spherical harmonics to order two of unit vectors (N, 3), as (N, 9)."""
    x, y, z = directions[:, 0], directions[:, 1], directions[:, 2]
    return np.stack(
        [
            np.full_like(x, _AMBIENT),
            0.488603 * y,
            0.488603 * z,
            0.488603 * x,
            1.092548 * x * y,
            1.092548 * y * z,
            0.315392 * (3 * z * z - 1),
            1.092548 * x * z,
            0.546274 * (x * x - y * y),
        ],
        axis=1,
    )


def ambient(level: float) -> np.ndarray:
    """The harmonics (9,) of light that comes from everywhere."""
    return np.array([level / _AMBIENT, *([0.0] * 8)])


def key_and_fill(
    direction: np.ndarray, key: np.ndarray, fill: np.ndarray, ratio: float
) -> np.ndarray:
    """The harmonics (9, 3) of a key light and a fill from everywhere.

    Args:
        direction: (3,), unit, towards the key.
        key, fill: (3,), linear colours.
        ratio: of key to fill.
    """
    light = basis(direction[None])[0][:, None] * key * np.pi * ratio
    light[0] += fill / _AMBIENT
    return np.asarray(light / (1 + ratio))


@dataclass(frozen=True)
class SceneLight:
    """A lamp over the frames of a shot.

    Attributes:
        frames: (N,), ascending.
        directions: (N, 3), unit, from the performer towards the lamp, in the plate camera's space
            (x right, y down, z forward).
        colours: (N, 3), linear, what it gives the performer; 1 is its brightest.
    """

    frames: np.ndarray
    directions: np.ndarray
    colours: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> "SceneLight":
        """Reads the lamp of a take or of an edit.

        Raises:
            EditError: if there is none, or it cannot be used.
        """
        path, remedy = folder / LIGHT_FILE, "press Light from Scene in Blender, or choose a preset"
        try:
            facts = json.loads(path.read_text("utf-8"))
            frames = np.array(facts["frames"], np.int64)
            directions = np.array(facts["directions"], np.float64).reshape(-1, 3)
            colours = np.array(facts["colours"], np.float64).reshape(-1, 3)
        except FileNotFoundError:
            raise EditError("the take has no lamp of the scene", path, remedy) from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise EditError(f"the lamp cannot be read ({error})", path, remedy) from None
        length = np.linalg.norm(directions, axis=1, keepdims=True)
        usable = (
            len(frames) == len(directions) == len(colours) > 0
            and bool((np.diff(frames) > 0).all())
            and bool(np.isfinite(directions).all() and np.isfinite(colours).all())
            and bool((length > 0).all() and (colours >= 0).all())
        )
        if not usable:
            raise EditError("the lamp's frames cannot be used", path, remedy)
        return cls(frames, directions / length, colours)

    @property
    def moves(self) -> bool:
        """Whether it is not the same in all frames."""
        values = np.concatenate([self.directions, self.colours], axis=1)
        return bool(np.ptp(values, axis=0).max() > 1e-3)

    def harmonics(self, frame: float, fill: np.ndarray, ratio: float) -> np.ndarray:
        """The light of a frame with a fill (3,), (9, 3); between its frames the lamp goes on
        evenly."""
        direction, colour = (
            np.array([np.interp(frame, self.frames, column) for column in each.T])
            for each in (self.directions, self.colours)
        )
        direction = direction / max(float(np.linalg.norm(direction)), 1e-9)
        return key_and_fill(direction, colour, fill, ratio)

    def mean(self, fill: np.ndarray, ratio: float) -> np.ndarray:
        """The mean light over its frames, (9, 3)."""
        each = [self.harmonics(float(frame), fill, ratio) for frame in self.frames]
        return np.asarray(np.mean(each, axis=0))
