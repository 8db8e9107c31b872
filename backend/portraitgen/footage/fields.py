# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields that nothing in a plate names: told by its pictures, as they follow each other.

Lines of one field lie between those of the other like lines of a still picture where both are of
one moment, and like lines of two pictures where they are not. Film on video of 30 frames a second
(3:2 pulldown) shows some fields twice.
"""

import numpy as np

LOOKED_AT = 12
"""Pictures in a row that are looked at."""

EVERY = 60
"""Of so many pictures, some in a row are looked at, where all of a plate is read anyway."""

_COLUMNS = 128
# Mean difference of lines from which there is motion to tell it by.
_MOTION = 1 / 255
# Change of a pixel over three pictures from which it moves; how many must, at least.
_MOVES, _FEWEST = 8 / 255, 100
# Both wrong orders of the fields of one moment differ as much from the right one; of two moments,
# one differs no more than the picture itself.
_COMBED = 0.4
# One field stands still where the other moves by so much more.
_STILL = 3.0
_ENOUGH = 3
# Moving pictures without a sign of fields from which there seem to be none.
_SURE = 8

INTERLACED = (
    "two moments seem to share each frame (fields), though nothing in the plate says so;"
    " deinterlace it first"
)
ONE_FIELD = ", or read one field of it (--deinterlace)"
WHOLE = (
    "the movie says that its frames are interlaced; its first pictures show one moment each, as"
    " progressive video in interlaced files does; look at a part that moves, and read one field"
    " (--deinterlace) if they do not"
)
TELECINE = (
    "film seems to have been put on video here: some fields are shown twice and some frames mix two"
    " moments (3:2 pulldown); take the pulldown out first (inverse telecine, such as FFmpeg's"
    " fieldmatch and decimate)"
)


class FieldWatch:
    """Looks at the luma of pictures that follow each other."""

    def __init__(self) -> None:
        self._last: list[np.ndarray] = []
        self._moving = 0
        self._combed = 0
        self._repeated = [0, 0]
        self._steps = 0

    def look(self, luma: np.ndarray, most: float) -> None:
        """Takes the next picture.

        Args:
            luma: (H, W) of any type.
            most: what white is in it.
        """
        step = max(1, luma.shape[1] // _COLUMNS)
        lines = luma[: luma.shape[0] // 2 * 2, ::step].astype(np.float32) / np.float32(most)
        if self._last and self._last[0].shape != lines.shape:
            self._last.clear()
        self._last = [*self._last[-2:], lines]
        if len(self._last) > 1:
            self._look_at_repeats()
        if len(self._last) > 2:
            self._look_at_lines()

    def cut(self) -> None:
        """The next picture does not follow the one before."""
        self._last.clear()

    def told(self, flagged: bool, movie: bool = True) -> list[str]:
        """What to say of the pictures.

        Args:
            flagged: they say themselves that they are interlaced.
            movie: one field of them can be read.
        """
        repeats = sum(self._repeated)
        if min(self._repeated) > 0 and repeats >= _ENOUGH and repeats * 8 > self._steps:
            return [TELECINE]
        if not flagged and self._combed >= _ENOUGH and self._combed * 5 > self._moving:
            return [INTERLACED + ONE_FIELD if movie else INTERLACED]
        if flagged and self._combed == 0 and self._moving >= _SURE:
            return [WHOLE]
        return []

    def _look_at_repeats(self) -> None:
        before, now = self._last[-2:]
        moved = np.abs(now - before)
        upper, lower = (float(moved[parity::2].mean()) for parity in (0, 1))
        if max(upper, lower) < _MOTION:
            return
        self._steps += 1
        if upper > _STILL * lower:
            self._repeated[1] += 1
        elif lower > _STILL * upper:
            self._repeated[0] += 1

    def _look_at_lines(self) -> None:
        before, now, after = self._last
        moves = (np.abs(now - before) + np.abs(after - now))[1:-1] > _MOVES
        if np.count_nonzero(moves) < _FEWEST:
            return
        around = now[:-2] + now[2:]
        inside = float(np.abs(around - 2 * now[1:-1])[moves].mean())
        # Lines of another picture between those of this one: the field before and the field after,
        # where the upper is the first, and where the lower is.
        mixed = [before[1:-1].copy(), after[1:-1].copy()]
        mixed[0][1::2], mixed[1][1::2] = after[1:-1][1::2], before[1:-1][1::2]
        close, far = sorted(float(np.abs(around - 2 * each)[moves].mean()) for each in mixed)
        if far - min(inside, close) < _MOTION:
            return
        self._moving += 1
        if close - inside < _COMBED * (far - inside):
            self._combed += 1
