# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An acted plate in a plate's place: what is laid over plates then follows the acted performer.

A take's edit is drawn in the acted pose, steadied along the acted plate's own motion, and laid on
with the acted matte, without knowing of it.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...body.motion import Motion
from ...footage.plate import Plate
from ...images import as_png, to_codes
from ...storage import make_folder, write_bytes
from ..data.shots import Track
from .acted_plate import ActedPlate
from .clean_plate import CleanPlate

# Less than this share of a picture is nothing to tell.
_VISIBLE = 0.0002


class ActedTrack(Track):
    """A track whose performer acts otherwise, with mattes of what is acted.

    Args:
        track: the plate's.
        motion: the acted motion.
        mattes: a folder of acted mattes; frames without one have the track's.
    """

    def __init__(self, track: Track, motion: Motion, mattes: Path) -> None:
        vars(self).update(vars(track))
        self.motion = motion
        self._mattes = OrderedDict()
        self._acted = mattes

    def matte(self, frame: int) -> np.ndarray:
        """The matte of a frame's window, which may have been acted since it was last read."""
        self._mattes.pop(frame, None)
        return super().matte(frame)

    def matte_path(self, frame: int) -> Path:
        """Where the matte of a frame's window lies."""
        acted = self._acted / f"matte.{frame:04d}.png"
        return acted if acted.exists() else super().matte_path(frame)


@dataclass(frozen=True)
class ActedPart:
    """What of a frame is acted.

    Attributes:
        touched: bool (H, W), what may differ from the plate.
        filled, invented: uint8 (H, W), as in `ActedFrame`, 255 for 1.
        plate: uint8 (H, W, 3), as it was.
    """

    touched: np.ndarray
    filled: np.ndarray
    invented: np.ndarray
    plate: np.ndarray


class ActedStream:
    """The frames of a plate, acted.

    Args:
        plate: the shot's.
        actor: acts the frames.
        clean: the plate without the performer.
        mattes: the folder for the acted mattes, of which an `ActedTrack` knows.
    """

    def __init__(self, plate: Plate, actor: ActedPlate, clean: CleanPlate, mattes: Path) -> None:
        self._plate, self._actor, self._clean = plate, actor, clean
        self._mattes = mattes
        self._acted: dict[int, ActedPart] = {}
        self._invented: dict[int, float] = {}

    def frames(
        self, numbers: Iterable[int], whole: bool = False
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Frames as `Plate.frames` gives them, acted."""
        make_folder(self._mattes)
        for frame, image in self._plate.frames(numbers, whole):
            acted = self._actor.frame(frame, image, self._clean)
            if acted is None:
                yield frame, image
                continue
            write_bytes(self._mattes / f"matte.{frame:04d}.png", as_png(acted.matte))
            codes = (to_codes(each) for each in (acted.filled, acted.invented, image))
            self._acted[frame] = ActedPart(acted.touched, *codes)
            self._invented[frame] = float(acted.invented.mean())
            yield frame, acted.image

    def part(self, frame: int) -> ActedPart | None:
        """What of a frame that was given out is acted; None if it is played as tracked. Those of
        frames before it are forgotten."""
        self._acted = {at: each for at, each in self._acted.items() if at >= frame}
        return self._acted.get(frame)

    def note(self) -> str:
        """What was invented, in a sentence; empty if nothing was."""
        found = {frame: share for frame, share in self._invented.items() if share > _VISIBLE}
        if not found:
            return ""
        worst = max(found, key=lambda frame: found[frame])
        return (
            f"Background that no frame shows was invented in {len(found)} frames, most in frame"
            f" {worst} ({100 * found[worst]:.1f} % of the picture); the layer Invented shows where."
        )
