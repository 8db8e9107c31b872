# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key frames of an edit at the plate's size, at which their editor sees them.

The avatar learns an edit at its own size. What is finer is carried from the key frames when frames
are rendered (`compositing/key_detail.py`), so they are edited as large as the plate shows them.
"""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from ...editing.editor import Editor, EditRequest
from ...editing.overlays import PlateOverlay
from ...footage.matte import foreground_colours
from ...images import to_float
from ...shot import Shot
from ..compositing.frame_windows import normals_at
from ..compositing.key_detail import sharpened
from ..data.crops import LARGEST, load_crops
from ..data.edit_mask import EditMask
from ..data.shots import Track
from ..run.progress import Reporter


def key_side(track: Track, frames: Sequence[int], size: int) -> int:
    """The side at which key frames are edited, at least the avatar's `size`."""
    return max(size, *(min(LARGEST, round(track.box(frame).side)) for frame in frames))


def shows_keys(editor: Editor, edits_frames: bool, base: str) -> bool:
    """Whether rendered frames take their detail from the key frames: not what lies on the plate,
    and not what builds on another take, which the plate does not show."""
    return not (isinstance(editor, PlateOverlay) or edits_frames or base)


class KeyWindows:
    """The windows of key frames, larger than the avatar's.

    Args:
        frames: the key frames.
        size: of the avatar's windows.
        side: of these.
    """

    def __init__(
        self,
        shot: Shot,
        track: Track,
        frames: Sequence[int],
        size: int,
        side: int,
        parts: EditMask,
        reporter: Reporter,
    ) -> None:
        self._parts, self._size, self.side = parts, size, side
        self._windows = load_crops(shot, track, frames, side, reporter)

    def request(self, small: EditRequest, before: np.ndarray | None) -> EditRequest:
        """A key frame as the editor is shown it, (N, N).

        Args:
            small: the same at the avatar's size.
            before: float32 (M, M, 3), as it was edited before; the avatar's rendering has the
                detail of that, or of the plate if there is none so large.
        """
        row = self._windows.row(small.frame)
        codes, mattes = self._windows.images[row], self._windows.mattes[row]
        image, matte = to_float(codes), to_float(mattes)
        source = to_float(foreground_colours(codes, mattes))
        surface = self._parts.surface(small.frame, self._windows.cameras[row])
        if before is None or before.shape[0] <= self._size:
            before = source
        return replace(
            small,
            rendered=sharpened(small.rendered, before, matte, self._size),
            source=source,
            matte=matte,
            mask=self._parts.mask(surface, image, matte),
            surface=surface,
            normals=normals_at(small.normals, self.side),
        )


def at_size(picture: np.ndarray, side: int) -> np.ndarray:
    """A square picture, float32 (N, N, 3), at another size."""
    if picture.shape[0] == side:
        return picture
    how = cv2.INTER_AREA if picture.shape[0] > side else cv2.INTER_CUBIC
    resized: np.ndarray = cv2.resize(picture, (side, side), interpolation=how)
    return resized.clip(0, 1)
