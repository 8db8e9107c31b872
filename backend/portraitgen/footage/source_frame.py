# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A frame exactly as the plate stores it, so that unedited pixels can be given back untouched."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class SourceFrame:
    """One frame in the plate's own codes, upright.

    Attributes:
        pixels: (H, W, C) uint8, uint16, float16 or float32: all channels of the file, in its own
            colour space. Integer codes below 16 bits are spread over the type's full range.
        channels: the C channel names.
        rgb: the positions of red, green and blue among them.
        bit_depth: significant bits of a code (8, 10, 12, 16, 32).
        formats: the C channels' types in the file ("uint8", "half", "float"...).
        attributes: what the file says beside its pixels (time code, camera, chromaticities...):
            name -> (OpenImageIO's TypeDesc, value).
    """

    pixels: np.ndarray
    channels: tuple[str, ...]
    rgb: tuple[int, int, int]
    bit_depth: int
    formats: tuple[str, ...]
    attributes: dict[str, tuple[Any, Any]]

    def encoded(self) -> np.ndarray:
        """Red, green and blue as float32 (H, W, 3): codes over the full code, floats as stored."""
        if self.rgb == (0, 1, 2):
            codes = self.pixels[..., :3]
        else:
            codes = self.pixels[..., list(self.rgb)]
        if codes.dtype.kind == "u":
            return np.divide(codes, np.float32(np.iinfo(codes.dtype).max), dtype=np.float32)
        return codes.astype(np.float32)

    def replaced(self, encoded: np.ndarray, where: np.ndarray) -> "SourceFrame":
        """The frame with new colours in some pixels; every other value keeps its bits.

        Args:
            encoded: (H, W, 3) float32 in the plate's own colour space, as `encoded` returns it.
            where: (H, W) bool, the pixels to replace.
        """
        pixels = self.pixels.copy()
        values = encoded[where]
        if pixels.dtype.kind == "u":
            # Rounded to the significant codes first, so that a 10-bit file holds what was meant.
            steps = np.float32((1 << min(self.bit_depth, 8 * pixels.itemsize)) - 1)
            full = np.iinfo(pixels.dtype).max
            codes = np.rint(np.clip(values, 0, 1) * steps)
            values = np.rint(codes.astype(np.float64) / steps * full)
        elif pixels.dtype == np.float16:
            values = np.clip(values, -65504, 65504)
        for position, channel in enumerate(self.rgb):
            pixels[where, channel] = values[:, position].astype(pixels.dtype)
        return dataclasses.replace(self, pixels=pixels)
