# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a 2D editor is: one image in, one image out, the structure kept.

Here is what edits key frames, which an avatar then learns. An editor that is needed again while
frames are rendered derives from one of the classes of `overlays` instead of from `Editor`.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from ..errors import EditError

if TYPE_CHECKING:
    # What an editor is, is told without waiting for torch.
    from ..body.surface import Surface
    from ..models.store import Weights

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
        generative: whether weights that were trained on other pictures draw what it makes, which
            every picture then says of itself; None if that is so where it needs anything.
        starts_from_render: it refines the avatar's own rendering round after round, as the
            diffusion editors do; otherwise it edits the plate, once a frame.
    """

    id: str
    label: str
    description: str
    needs: tuple[str, ...] = ()
    licence: str = "GPL-3.0-or-later"
    commercial: bool = True
    memory_gb: float = 0.0
    starts_from_render: bool = False
    generative: bool | None = None

    @property
    def draws_with_weights(self) -> bool:
        """`generative`, decided."""
        return bool(self.needs) if self.generative is None else self.generative


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
        again: how often the frame was edited before, where each edit draws anew.
    """

    frame: int
    rendered: np.ndarray
    source: np.ndarray
    matte: np.ndarray
    normals: np.ndarray
    strength: float = 1.0
    seed: int = 0
    mask: np.ndarray | None = field(default=None)
    surface: "Surface | None" = field(default=None)
    again: int = 0

    @property
    def noise_seed(self) -> int:
        """The seed of the noise, the same for all frames that are edited together."""
        return (self.seed + 1_000_003 * self.again) % 2**63


class Editor:
    """Base class: subclasses give `info`, `Options` and `_edit`; the rest has sensible defaults.

    A job calls, in this order: `use_take`, `wanted_frames`, `state`, `prepare`, then `edit` for
    each key frame.

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

    def prepare(self, samples: Sequence[EditRequest]) -> None:
        """Looks at some frames of the shot before the first edit, so that all are edited alike."""

    def commercial(self) -> bool:
        """Whether what it makes with these options may be used commercially."""
        return self.info.commercial

    def opened(self) -> Sequence["Weights"]:
        """The weights that it draws with; an edit keeps the digests of their files, and pictures
        name them."""
        return ()

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
        """The edit itself: of `source`, or of `rendered` if it starts from the rendering.

        Returns:
            float32 (H, W, 3) in 0..1; `edit` sees to the mask, to strength 0 and to bounds.
        """
        raise NotImplementedError


@runtime_checkable
class SeesAnchor(Protocol):
    """An editor that can look at another picture while it edits."""

    def agree_with(self, anchor: EditRequest | None) -> None:
        """Told the frame that all others are to look like, its edit in the place of the rendering;
        None for none."""
        ...


def show_anchor(editor: object, anchor: EditRequest | None) -> None:
    """Tells an editor the frame that all others are to look like, if it can look at one."""
    if isinstance(editor, SeesAnchor):
        editor.agree_with(anchor)
