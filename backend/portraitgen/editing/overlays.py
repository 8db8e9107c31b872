# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Editors that are asked again for every rendered frame, since no avatar can learn all they make.

| class | what it is asked for in each frame |
|---|---|
| `FrameEditor` | the frame itself, edited at the plate's own resolution |
| `PlateOverlay` | what lies over the plate here and there, such as paint |
| `AvatarOverlay` | what goes over the avatar's rendering, such as a light that moves |

An editor may be more than one of them.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .editor import Editor, EditRequest


class RenderedEditor(Editor):
    """Base class of the three: an edit keeps what rendering will need, and hands it back.

    At the end of an edit a job calls `kept_files` and `learned`. To render, a new instance is made
    of the same options and gets `restore`, then `prepare` with the wanted frames, if there are any.
    """

    def kept_files(self) -> dict[str, Path]:
        """The user's files that rendering needs, by the names that their copies have in the edit's
        folder."""
        return {}

    def learned(self) -> dict[str, object]:
        """What it found out of the shot that rendering needs, JSON-ready; the edit keeps it."""
        return {}

    def restore(self, folder: Path, learned: Mapping[str, Any]) -> None:
        """Takes up a finished edit before it is rendered.

        Args:
            folder: of the edit, with the copies of `kept_files`.
            learned: what `learned` told then; empty if nothing, as of edits of earlier versions.
        """


class FrameEditor(RenderedEditor):
    """Needs a picture of the performer, its normals and the body in it, and no other picture.

    Over the plate every frame is edited by itself, at the plate's own resolution; the avatar learns
    the edit for other views and for other takes.

    Attributes:
        keeps_grain: it gives the plate's own pixels other colours, and is given them as they are;
            the others are given pictures that are steadied along the plate's motion.
    """

    keeps_grain: ClassVar[bool] = False

    def edit_frame(self, request: EditRequest) -> np.ndarray:
        """A frame of the plate, edited; `edit` does so unless time matters.

        Args:
            request: as for `edit`, at any size.

        Returns:
            float32 (H, W, 3).
        """
        return self.edit(request)


class PlateOverlay(RenderedEditor):
    """Changes the plate only here and there; the avatar does not take the performer's place."""

    def watch(self, shot: Iterable[EditRequest]) -> None:
        """Looks at all frames of the shot, in order and once, after `prepare` and before the first
        edit; each is the plate's window, without normals, at a size that shows the skin."""

    def overlay(self, request: EditRequest) -> tuple[np.ndarray, np.ndarray]:
        """What lies over the plate in a frame.

        Args:
            request: as for `edit`, at any size, without normals; rendered is the plate.

        Returns:
            Colours, float32 (H, W, 3), and how far they cover the plate, (H, W).
        """
        raise NotImplementedError


class AvatarOverlay(RenderedEditor):
    """Adds to the avatar's rendering what changes from frame to frame."""

    def over_avatar(self, request: EditRequest) -> np.ndarray:
        """What a frame shows beyond what the avatar has learned.

        Args:
            request: as for `edit`; rendered is the edited avatar.

        Returns:
            float32 (H, W, 3).
        """
        raise NotImplementedError


FORMER = {
    "edits_frames": "derive from FrameEditor",
    "keeps_grain": "derive from FrameEditor and set keeps_grain in the class",
    "lies_on_plate": "derive from PlateOverlay",
    "follows": "derive from FrameEditor, PlateOverlay or AvatarOverlay",
    "follow": "derive from AvatarOverlay and name it over_avatar",
    "laid_over": "derive from PlateOverlay and name it overlay, or from FrameEditor and name it"
    " edit_frame",
    "files": "name it kept_files",
    "use_edit": "name it restore",
    "recall": "name it restore",
}
"""What editors of earlier versions said otherwise, and how to say it now."""
