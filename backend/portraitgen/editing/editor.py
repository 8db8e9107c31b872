# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a 2D editor is: one image in, one image out, the structure kept."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..body.surface import Surface
from ..errors import EditError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EditorInfo:
    """What people and programs want to know before they choose an editor.

    Attributes:
        id: its name on the command line and in take.json.
        label: its name in Blender.
        description: one sentence.
        needs: what must be there before it runs: models by name, programs; empty if nothing.
        licence: of the weights, or of the editor itself.
        commercial: whether results may be used commercially.
        memory_gb: of the accelerator, 0 if none is needed.
        starts_from_render: it refines the avatar's own rendering round after round, as the
            diffusion editors do; otherwise it edits the plate, once a frame.
        lies_on_plate: it changes the plate only here and there, by what `laid_over` gives; the
            avatar does not take the performer's place.
        edits_frames: it needs a picture of the performer, its normals and the body in it, and no
            other picture: over the plate every frame is edited by itself, at the plate's own
            resolution, and the avatar learns the edit for other views and for other takes.
        keeps_grain: of such, it gives the plate's own pixels other colours, and is given them as
            they are; the others are given pictures that are steadied along the plate's motion.
    """

    id: str
    label: str
    description: str
    needs: tuple[str, ...] = ()
    licence: str = "GPL-3.0-or-later"
    commercial: bool = True
    memory_gb: float = 0.0
    starts_from_render: bool = False
    lies_on_plate: bool = False
    edits_frames: bool = False
    keeps_grain: bool = False


@dataclass(frozen=True)
class EditRequest:
    """One frame to edit; images are float32 (H, W, 3) in 0..1, display-referred.

    Attributes:
        frame: its number.
        rendered: the avatar as it is now.
        source: the performer's own colours in the plate.
        matte: (H, W), the performer's coverage.
        normals: (H, W, 3), unit, camera space (x right, y down, z forward), 0 where unknown.
        strength: 0 leaves the image as it is, 1 is the editor's full effect.
        seed: of whatever is drawn at random.
        mask: (H, W), where the edit may act; None for everywhere.
        surface: the tracked body in the picture, None where it is unknown.
    """

    frame: int
    rendered: np.ndarray
    source: np.ndarray
    matte: np.ndarray
    normals: np.ndarray
    strength: float = 1.0
    seed: int = 0
    mask: np.ndarray | None = field(default=None)
    surface: Surface | None = field(default=None)


class Editor:
    """Base class: subclasses give `info`, `Options` and `_edit`.

    Args:
        options: an instance of the class's `Options`.

    Attributes:
        check: an edit that takes long calls it between its steps; it raises `Cancelled` once the
            user has asked to stop. Whoever runs the editor sets it.
        tell: an editor calls it with a sentence that the user should know: what was assumed, left
            out or done otherwise. Whoever runs the editor sets it.
    """

    info: ClassVar[EditorInfo]
    Options: ClassVar[type]

    def __init__(self, options: Any) -> None:
        self.options = options
        self.check: Callable[[], None] = lambda: None
        self.tell: Callable[[str], None] = _log.info

    def use_take(self, folder: Path) -> None:
        """Told the take's folder before anything else, for editors that keep files there."""

    def wanted_frames(self) -> list[int]:
        """Frames that must be among the key frames and the samples, if the take holds them."""
        return []

    def state(self) -> str:
        """What the edits depend on besides the options, such as files; a job whose state has
        changed begins anew instead of going on."""
        return ""

    def files(self) -> dict[str, Path]:
        """The user's files that rendering needs, by where the edit keeps its copies."""
        return {}

    @property
    def follows(self) -> bool:
        """Whether rendering a take needs its editor: for `follow`, or for `laid_over`."""
        return self.info.edits_frames

    def follow(self, request: EditRequest) -> np.ndarray:
        """What a frame shows beyond what the avatar has learned, such as a light that moves.

        Args:
            request: as for `edit`; rendered is the edited avatar.

        Returns:
            float32 (H, W, 3).
        """
        return request.rendered

    def laid_over(self, request: EditRequest) -> tuple[np.ndarray, np.ndarray]:
        """What lies over the plate in a frame, of an editor that lies on it or edits its frames.

        Args:
            request: as for `edit`, at any size; rendered is the plate. An editor that lies on the
                plate gets no normals.

        Returns:
            Colours, float32 (H, W, 3), and how far they cover the plate, (H, W).
        """
        if not self.info.edits_frames:
            raise NotImplementedError
        return self.edit(request), np.ones(request.matte.shape, np.float32)

    def use_edit(self, folder: Path) -> None:
        """Told the folder of a finished edit with the copies of `files`, before it is rendered."""
        self.use_take(folder)

    def learned(self) -> dict[str, Any]:
        """What it found out of the shot that rendering needs, JSON-ready; the edit keeps it."""
        return {}

    def recall(self, learned: Mapping[str, Any]) -> None:
        """Given back what `learned` told, before a finished edit is rendered."""

    def prepare(self, samples: Sequence[EditRequest]) -> None:
        """Looks at some frames of the shot before the first edit, so that all are edited alike."""

    def watch(self, shot: Iterable[EditRequest]) -> None:
        """Looks at all frames of the shot, in order and once, before the first edit, if it lies on
        the plate; each is the plate's window, without normals, at a size that shows the skin."""

    def agree_with(self, anchor: EditRequest | None) -> None:
        """Told the frame that all others are to look like, its edit in the place of the rendering;
        None for none. Editors that can look at another picture while they edit do so."""

    def commercial(self) -> bool:
        """Whether what it makes with these options may be used commercially."""
        return self.info.commercial

    def edit(self, request: EditRequest) -> np.ndarray:
        """The edited image, float32 (H, W, 3).

        Strength 0 and everything outside the mask give back the very bits of the image edited.

        Raises:
            EditError: if the editor gives back something that is no such image.
        """
        base = request.rendered if self.info.starts_from_render else request.source
        if request.strength == 0:
            return base
        edited = np.asarray(self._edit(request), np.float32)
        if edited.shape != base.shape or not np.isfinite(edited).all():
            raise EditError(
                f"the editor gave back an unusable image of shape {edited.shape}",
                f"{self.info.id}, frame {request.frame}",
                "report this to the editor's author",
            )
        edited = np.clip(edited, 0, 1)
        if request.mask is None:
            return edited
        mask = request.mask[..., None]
        return np.where(mask > 0, base + mask * (edited - base), base).astype(np.float32)

    def _edit(self, request: EditRequest) -> np.ndarray:
        raise NotImplementedError
