# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A frame exactly as the plate stores it, so that unedited pixels can be given back untouched."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..errors import FootageError
from .decoder_messages import FrameFacts

LARGEST_FLOAT = 65504.0
"""What half precision holds: where a file says more, or infinity, this is worked with."""


class DamagedFrame(FootageError):  # noqa: N818
    """A frame of a movie cannot be decoded, others can.

    Attributes:
        position: which, counted from 0 in the movie's own frames.
        runs: first and last positions, inclusive, of all that can be decoded.
    """

    def __init__(
        self,
        message: str,
        place: object = "",
        remedy: str = "",
        *,
        position: int,
        runs: list[tuple[int, int]],
    ) -> None:
        super().__init__(message, place, remedy)
        self.position = position
        self.runs = [(int(first), int(last)) for first, last in runs]


@dataclass(frozen=True)
class DataWindow:
    """All pixels that an EXR holds, where its display window is another rectangle.

    Attributes:
        pixels: (h, w, C), overscan included.
        x, y: of its upper left pixel, from the display window's.
        origin: of the display window itself, which need not be (0, 0).
    """

    pixels: np.ndarray
    x: int
    y: int
    origin: tuple[int, int]


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
            name -> (OpenImageIO's type as `image.type_code` writes it, value).
        window: the data window of an EXR where it is not the display window.
        file, part, parts: of an image file: where it lies, which part of it this is, of how many.
        notes: what had to be done to show it, one sentence each.
    """

    pixels: np.ndarray
    channels: tuple[str, ...]
    rgb: tuple[int, int, int]
    bit_depth: int
    formats: tuple[str, ...]
    attributes: Mapping[str, tuple[str, object]]
    window: DataWindow | None = None
    file: str = ""
    part: int = 0
    parts: int = 1
    notes: tuple[str, ...] = field(default=(), compare=False)

    def encoded(self) -> np.ndarray:
        """Red, green and blue as float32 (H, W, 3): codes over the full code, floats as stored.

        What is no number is 0, and infinity the largest number that half precision has.
        """
        if self.rgb == (0, 1, 2):
            codes = self.pixels[..., :3]
        else:
            codes = self.pixels[..., list(self.rgb)]
        if codes.dtype.kind == "u":
            return np.divide(codes, np.float32(np.iinfo(codes.dtype).max), dtype=np.float32)
        values = codes.astype(np.float32)
        if not np.isfinite(values).all():
            np.nan_to_num(values, copy=False, nan=0.0, posinf=LARGEST_FLOAT, neginf=-LARGEST_FLOAT)
        return values

    def replaced(self, encoded: np.ndarray, where: np.ndarray) -> "SourceFrame":
        """The frame with new colours in some pixels; every other value keeps its bits.

        Args:
            encoded: (H, W, 3) float32 in the plate's own colour space, as `encoded` returns it.
            where: (H, W) bool, the pixels to replace.
        """
        pixels = self.pixels.copy()
        rows = pixels.reshape(-1, pixels.shape[2])
        at = np.flatnonzero(where)
        values = np.take(encoded.reshape(-1, 3), at, axis=0)
        if pixels.dtype.kind == "u":
            # Rounded to the significant codes first, so that a 10-bit file holds what was meant.
            steps = np.float32((1 << min(self.bit_depth, 8 * pixels.itemsize)) - 1)
            full = np.iinfo(pixels.dtype).max
            values = np.rint(np.clip(values, 0, 1) * steps)
            if steps != full:
                values = np.rint(values.astype(np.float64) / steps * full)
        elif pixels.dtype == np.float16:
            values = np.clip(values, -LARGEST_FLOAT, LARGEST_FLOAT)
        values = values.astype(pixels.dtype)
        if self.rgb == tuple(range(pixels.shape[2])):
            rows[at] = values
        else:
            for position, channel in enumerate(self.rgb):
                rows[at, channel] = values[:, position]
        window = _with_display(self.window, pixels, where) if self.window else None
        return dataclasses.replace(self, pixels=pixels, window=window)

    def sent(self) -> tuple[FrameFacts, list[np.ndarray]]:
        """What goes to another process: its facts, and the arrays beside them."""
        names = [each.name for each in dataclasses.fields(FrameFacts) if each.name != "window"]
        given = {name: getattr(self, name) for name in names}
        if self.window is None:
            return FrameFacts(**given), [self.pixels]
        place = self.window.x, self.window.y, self.window.origin
        return FrameFacts(**given, window=place), [self.pixels, self.window.pixels]

    @classmethod
    def received(cls, facts: FrameFacts, arrays: list[np.ndarray]) -> "SourceFrame":
        """The inverse of `sent`."""
        names = [each.name for each in dataclasses.fields(FrameFacts)]
        given = {name: getattr(facts, name) for name in names}
        # JSON knows lists alone, what writes images tuples.
        given["attributes"] = {
            name: (kind, tuple(value) if isinstance(value, list) else value)
            for name, (kind, value) in facts.attributes.items()
        }
        if facts.window is not None:
            given["window"] = DataWindow(arrays[1], *facts.window)
        return cls(pixels=arrays[0], **given)


def _with_display(window: DataWindow, display: np.ndarray, where: np.ndarray) -> DataWindow:
    """The data window with the display window's new pixels, grown to hold all of them."""
    height, width = window.pixels.shape[:2]
    rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
    if not len(rows):
        return window
    left, top = min(window.x, int(columns[0])), min(window.y, int(rows[0]))
    right = max(window.x + width, int(columns[-1]) + 1)
    bottom = max(window.y + height, int(rows[-1]) + 1)
    grown = np.zeros((bottom - top, right - left, display.shape[2]), display.dtype)
    grown[window.y - top :, window.x - left :][:height, :width] = window.pixels
    down, across = np.nonzero(where)
    grown[down - top, across - left] = display[down, across]
    return DataWindow(grown, left, top, window.origin)
