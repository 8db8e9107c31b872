# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All of a shot's plate, frame by frame, for editors that look at it closely."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Protocol

import numpy as np

from ...editing.editor import EditRequest
from ...footage.crop import crop
from ...images import to_float
from ...shot import Shot
from ..run.progress import Reporter, Stage
from .crops import load_matte, painting_side
from .edit_mask import EditMask
from .shots import Track, plate_of


class FrameSource(Protocol):
    """A plate, or what stands in its place."""

    def frames(
        self, numbers: Iterable[int], whole: bool = False
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Frames as `Plate.frames` gives them."""
        ...


# Enough for pores and stubble, too few for most of a codec's blocks.
_PIXELS_PER_METRE = 1200


def watched(
    shot: Shot, track: Track, parts: EditMask, frames: Sequence[int], reporter: Reporter
) -> Iterator[EditRequest]:
    """The windows of some frames, all of one size, with the body and without normals."""
    side = _side(track, parts, frames[0])
    stage = Stage(reporter, "watch plate", len(frames))
    with closing(plate_of(shot, reporter)) as plate:
        for count, (frame, image) in enumerate(plate.frames_uint8(frames), 1):
            box = track.box(frame)
            window, _ = crop(image, box, side)
            picture = to_float(window)
            matte = to_float(load_matte(track, frame, side))
            yield parts.of_plate(frame, picture, matte, track.camera.window(box, side))
            stage.step(count)


def _side(track: Track, parts: EditMask, frame: int) -> int:
    """At which the skin shows its texture, as far as the plate has it."""
    box = track.box(frame)
    whole = painting_side(box)
    drawn = parts.surface(frame, track.camera.window(box, whole)).pixels_per_metre
    return max(1, min(whole, round(whole * _PIXELS_PER_METRE / drawn)))
