# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mattes that an artist made: roto or a key, as a movie, an image sequence or the plate's alpha."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ..body.camera import Box
from ..errors import FootageError
from ..images import to_codes
from .crop import crop
from .plate import Plate, open_plate
from .source_frame import SourceFrame

_ALPHA = ("a", "alpha")
# An alpha that is nowhere less than this says nothing.
_SOLID = 0.999
_SAME_SHAPE = 0.01
_LARGEST = 2048


class GivenMattes:
    """The mattes of a plate, read from pictures of the same shape.

    The alpha of the pictures is the matte, or their brightness where they have none or where it
    covers all of the first frame. Values are taken as they are in the file, whatever its colours.

    Args:
        path: a movie, an image sequence or an image with alpha, as a plate may be.
        plate: whose mattes they are. Movies begin with the plate's first frame; sequences keep
            their numbers.
        frames: those that are needed.

    Raises:
        FootageError: if they cannot be read, lack a frame, or have another shape.
    """

    def __init__(self, path: Path, plate: Plate, frames: Sequence[int]) -> None:
        self._plate = open_plate(path)
        if self._plate.kind == "movie":
            self._plate.close()
            self._plate = open_plate(path, first=plate.first)
        self._size = (plate.width, plate.height)
        missing = [frame for frame in frames if frame not in self._plate.numbers]
        if missing:
            numbers = self._plate.numbers
            self.close()
            raise FootageError(
                f"the mattes hold frames {numbers[0]} to {numbers[-1]}, not {missing[0]}",
                path,
                "give a matte for every frame that is tracked, numbered as the plate's",
            )
        own, wanted = self._plate.width / self._plate.height, plate.width / plate.height
        if abs(own / wanted - 1) > _SAME_SHAPE:
            self.close()
            raise FootageError(
                f"the mattes are {self._plate.width} x {self._plate.height}, the plate is"
                f" {plate.width} x {plate.height}",
                path,
                "render them at the plate's size",
            )
        first = self._plate.read_native(frames[0])
        alpha = _alpha_of(first)
        self._by_alpha = alpha is not None and float(alpha.min()) < _SOLID
        what = "alpha" if self._by_alpha else "brightness"
        self.note = f"mattes are the {what} of {Path(path).name}"

    def read(self, frame: int) -> np.ndarray:
        """The matte of a frame, uint8 (H, W), as large as the plate."""
        native = self._plate.read_native(frame)
        cover = _alpha_of(native) if self._by_alpha else native.encoded().mean(-1)
        if cover is None:
            raise FootageError(
                f"frame {frame} has no alpha, as the first one has",
                self._plate.path,
                "write all frames alike",
            )
        codes = to_codes(cover)
        if codes.shape[::-1] == self._size:
            return codes
        shrinks = codes.shape[0] > self._size[1]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        return cv2.resize(codes, self._size, interpolation=how)

    def window(self, frame: int, box: Box) -> np.ndarray:
        """The matte of a portrait window at the plate's resolution, uint8 (N, N); nothing beyond
        the plate."""
        side = max(1, min(_LARGEST, round(box.side)))
        matte, inside = crop(self.read(frame), box, side)
        if inside is not None:
            matte[~inside] = 0
        return matte

    def digest(self) -> str:
        """Changes when the files do."""
        return self._plate.digest()

    def close(self) -> None:
        """Closes the files."""
        self._plate.close()


def _alpha_of(native: SourceFrame) -> np.ndarray | None:
    """The alpha of a frame, float32 (H, W), None if it has none."""
    for index, name in enumerate(native.channels):
        if name.lower().rsplit(".", 1)[-1] in _ALPHA:
            codes = native.pixels[..., index]
            if codes.dtype.kind == "u":
                return np.divide(codes, np.float32(np.iinfo(codes.dtype).max), dtype=np.float32)
            return np.nan_to_num(codes.astype(np.float32))
    return None
