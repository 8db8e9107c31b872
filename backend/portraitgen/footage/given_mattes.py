# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mattes that an artist made: roto or a key, as a movie, an image sequence or the plate's alpha."""

from collections.abc import Sequence
from fractions import Fraction
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
# What colours differ by where they are none of a codec's rounding.
_COLOURED = 0.1
# Words of notes on what mattes are not read by: their colours, and results in their form.
_OF_NO_MATTER = ("is assumed", "full plates", "(OCIO)")


class GivenMattes:
    """The mattes of a plate, read from pictures of the same shape.

    The alpha of the pictures is the matte, or their brightness where they have none or where it
    covers all of the first, middle and last frame. Values are taken as they are in the file,
    whatever its colours.

    Attributes:
        note: what of the pictures is taken for mattes.
        notes: what makes one look at them.

    Args:
        path: a movie, an image sequence or an image with alpha, as a plate may be.
        plate: whose mattes they are. Movies begin with the plate's first frame; sequences keep
            their numbers.
        frames: those that are needed.

    Raises:
        FootageError: if they cannot be read, lack a frame, or have another shape.
    """

    def __init__(self, path: Path, plate: Plate, frames: Sequence[int]) -> None:
        self.notes: list[str] = []
        self._plate = open_plate(path)
        if self._plate.kind == "movie":
            self._plate.close()
            rate = self._rate_for(plate)
            self._plate = open_plate(path, first=plate.first, fps=rate)
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
        # A performer may fill the first frame, or come later.
        seen = dict.fromkeys((frames[0], frames[len(frames) // 2], frames[-1]))
        natives = [self._plate.read_native(frame) for frame in seen]
        alphas = [_alpha_of(native) for native in natives]
        self._by_alpha = any(each is not None and float(each.min()) < _SOLID for each in alphas)
        what = "alpha" if self._by_alpha else "brightness"
        self.note = f"mattes are the {what} of {Path(path).name}"
        if not self._by_alpha:
            self._look_at(np.stack([native.encoded() for native in natives]))
        self.notes += [
            f"of the mattes: {note}"
            for note in self._plate.notes
            if not any(word in note for word in _OF_NO_MATTER)
        ]

    def _look_at(self, shown: np.ndarray) -> None:
        """Notes what pictures (N, H, W, 3) have that are hardly mattes."""
        if float(np.ptp(shown)) < 1 - _SOLID:
            self.notes.append("the mattes are the same everywhere in the frames looked at")
        if float(np.ptp(shown, axis=-1).max()) > _COLOURED:
            self.notes.append(
                "the mattes are in colour, of which the mean is taken; write those of one person in"
                " grey"
            )

    def _rate_for(self, plate: Plate) -> Fraction | None:
        """The rate to read a movie of mattes at, None for its own: frames are the plate's one by
        one, unless another number of them lasts as long."""
        mattes = self._plate
        if plate.kind != "movie" or mattes.fps == plate.fps:
            return None
        counts = len(mattes.numbers), len(plate.numbers)
        apart = abs(counts[0] / mattes.fps - counts[1] / plate.fps)
        retimed = counts[0] != counts[1] and apart < 1 / min(mattes.fps, plate.fps)
        how = "they are read at the plate's" if retimed else "they are taken frame by frame"
        self.notes.append(
            f"the mattes have {mattes.fps} frames a second, the plate {plate.fps}; {how}"
        )
        return plate.fps if retimed else None

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
