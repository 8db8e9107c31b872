# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plate's grain, measured, and as much of it laid on what was drawn as that lacks.

As grain is matched in compositing: its strength by brightness, by colour channel and by size
(three octaves), how alike the channels are, and other grain in every frame. It is measured where a
picture has the least structure, since everything else in it only adds to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ...footage.crop import CompositeLayer

_SIGMAS = (0.8, 1.6, 3.2)
_BLOCK = 16
_BINS = 8
# Of the blocks of a brightness, the share with the least structure; fewer blocks tell nothing.
_FLAT, _LEAST = 0.2, 8
# The spread of the flattest fifth of blocks of pure grain, by octave: they are so by chance, too.
_CHANCE = (0.99, 0.96, 0.87)
_ROUNDS = 40
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
class Grain:
    """How strong grain is.

    Attributes:
        strength: (octaves, bins of brightness, channels), standard deviations of display-referred
            values; NaN where a picture has nothing flat of that brightness.
        alike: (3, 3), how the channels' grain correlates.
    """

    strength: np.ndarray
    alike: np.ndarray

    @classmethod
    def measured(
        cls, pictures: Sequence[np.ndarray], mask: Sequence[np.ndarray] | None = None
    ) -> "Grain":
        """The grain of some pictures, float32 (H, W, 3), where their masks, bool (H, W), hold."""
        rows = []
        for index, picture in enumerate(pictures):
            rows.append(_blocks(picture, mask[index] if mask is not None else None))
        luma, spreads, products = (np.concatenate(each) for each in zip(*rows, strict=True))
        octaves = len(_SIGMAS)
        strength = np.full((octaves, _BINS, 3), np.nan)
        alike = np.eye(3)
        shares = []
        structure = spreads.mean(2)
        for band in range(_BINS):
            held = np.flatnonzero((luma * _BINS).astype(int).clip(0, _BINS - 1) == band)
            if len(held) < _LEAST / _FLAT:
                continue
            # The coarsest octave tells structure best.
            flat = held[np.argsort(structure[held, -1])[: max(_LEAST, int(_FLAT * len(held)))]]
            strength[:, band] = np.median(spreads[flat], axis=0)
            strength[:, band] /= np.array(_CHANCE)[:, None]
            shares.append(products[flat])
        if shares:
            total = np.concatenate(shares).mean(0)
            root = np.sqrt(np.maximum(np.diag(total), 1e-12))
            alike = total / root[:, None] / root[None]
        return cls(strength, alike)

    def filled(self) -> np.ndarray:
        """The strength with what no block told taken from the nearest brightness; 0 if none did."""
        found = self.strength.copy()
        known = np.flatnonzero(np.isfinite(found[0, :, 0]))
        if not len(known):
            return np.zeros_like(found)
        for band in range(_BINS):
            found[:, band] = found[:, known[np.abs(known - band).argmin()]]
        return found


def _octaves(picture: np.ndarray) -> list[np.ndarray]:
    """What a picture holds in each octave."""
    found, before = [], picture
    for sigma in _SIGMAS:
        after = cv2.GaussianBlur(picture, (0, 0), sigma)
        found.append(before - after)
        before = after
    return found


def _blocks(
    picture: np.ndarray, mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The brightness of blocks (N,), the spread of each octave in them (N, octaves, 3), and how
    the channels' finest octaves go together (N, 3, 3)."""
    height, width = (each // _BLOCK * _BLOCK for each in picture.shape[:2])

    def cropped(values: np.ndarray) -> np.ndarray:
        channels = values.shape[2] if values.ndim == 3 else 1
        inside = values[:height, :width].reshape(
            height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK, channels
        )
        return inside.swapaxes(1, 2).reshape(-1, _BLOCK**2, channels)

    colours = cropped(picture)
    luma = colours.mean(1) @ _LUMA
    # What is clipped has lost its grain.
    usable = (colours.max((1, 2)) < 0.98) & (colours.min((1, 2)) > 0.004)
    if mask is not None:
        usable &= cropped(mask.astype(np.float32)).min((1, 2)) > 0.5
    octaves = [cropped(each)[usable] for each in _octaves(picture)]
    spreads = np.stack([each.std(1) for each in octaves], axis=1)
    fine = octaves[0] - octaves[0].mean(1, keepdims=True)
    products = np.einsum("nia,nib->nab", fine, fine) / fine.shape[1]
    return luma[usable], spreads, products


@lru_cache(maxsize=1)
def _overlaps() -> np.ndarray:
    """How much of an octave's noise each other octave measures: (3, 3, 3), for each octave that
    measures the products of those that were mixed, each made of unit spread."""
    noise = np.random.default_rng(0).standard_normal((256, 256, 1)).astype(np.float32)
    made = [each / each.std() for each in _octaves(noise[..., 0])]
    seen = [_octaves(each) for each in made]
    count = len(_SIGMAS)
    overlaps = np.empty((count, count, count))
    for measured in range(count):
        rows = np.stack([seen[mixed][measured].ravel() for mixed in range(count)])
        overlaps[measured] = rows @ rows.T / rows.shape[1]
    return overlaps


def mixed_as(wanted: np.ndarray) -> np.ndarray:
    """How much of each octave's noise gives measured strengths, both (octaves, ...): the octaves'
    filters reach into one another."""
    overlaps = _overlaps()
    gains = wanted.astype(np.float64).copy()
    for _ in range(_ROUNDS):
        power = np.einsum("abc,b...,c...->a...", overlaps, gains, gains)
        gains *= np.sqrt(wanted / np.maximum(np.sqrt(np.maximum(power, 0)), 1e-12))
    return gains


class GrainMatch:
    """Lays the plate's grain on what was drawn.

    Args:
        plate: the plate's.
        share: how much of what is lacking is laid on.
    """

    def __init__(self, plate: Grain, share: float) -> None:
        self._share, self._plate = share, plate.filled()
        values, vectors = np.linalg.eigh(plate.alike)
        self._mixing = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T

    def apply(self, frame: int, laid: CompositeLayer) -> np.ndarray:
        """The colours of a layer with grain, float32 (h, w, 3)."""
        own = Grain.measured([laid.colours], [laid.cover > 0.5]).filled()
        lacking = self._share * np.sqrt(np.maximum(self._plate**2 - own**2, 0))
        if not lacking.any():
            return laid.colours
        lacking = mixed_as(lacking)
        rng = np.random.default_rng(frame & 0xFFFFFFFF)
        shape = laid.colours.shape
        noise = rng.standard_normal(shape).astype(np.float32) @ self._mixing.astype(np.float32).T
        luma = cv2.GaussianBlur(laid.colours, (0, 0), _SIGMAS[-1]) @ _LUMA
        place = np.clip(luma * _BINS - 0.5, 0, _BINS - 1)
        centres = np.arange(_BINS)
        result = laid.colours.copy()
        for band, octave in enumerate(_octaves(noise)):
            octave = octave / max(float(octave.std()), 1e-9)
            for channel in range(3):
                strength = np.interp(place, centres, lacking[band, :, channel])
                result[..., channel] += strength.astype(np.float32) * octave[..., channel]
        return np.clip(result, 0, 1)
