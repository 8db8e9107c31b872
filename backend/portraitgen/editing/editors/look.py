# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look: an edit that was learned from a few pairs of pictures, worn by any performer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...errors import EditError
from ...settings import option
from ...storage import file_digest
from ..editor import EditorInfo, EditRequest
from ..looks.library import look_path
from ..looks.look_file import Look, read_look
from ..looks.wearing import wear
from ..overlays import FrameEditor

LOOK_COPIES = {"look": "look.safetensors", "other": "other-look.safetensors"}
"""Where an edit keeps the looks that it wears, by their options."""
KEYED = "mix_keys"
"""The option that names frames of its own shot."""


@dataclass(frozen=True)
class LookOptions:
    """Which look is worn."""

    look: str = option("", "A look's file, or its name in the library", path=True)
    other: str = option("", "A second look to blend with, none by default", path=True)
    mix: float = option(0.0, "How much of the second look shows", minimum=0, maximum=1)
    mix_keys: str = option(
        "", "Keys of the mix by frame, as 1001:0,1050:1, in the place of the mix"
    )


class Worn(FrameEditor):
    """One look, or a blend of two.

    Raises:
        EditError: if a look is missing or cannot be used, or keys of the mix are none.
    """

    info: ClassVar[EditorInfo] = EditorInfo(
        id="look",
        label="Look",
        description="A look of your library, learned from a few pairs of pictures",
        needs=("a look, learned or given",),
    )
    Options = LookOptions

    def __init__(self, options: LookOptions) -> None:
        super().__init__(options)
        self._keys = _mix_keys(options.mix_keys)
        self._paths: dict[str, Path] = {}
        self._looks: dict[str, Look] = {}

    def _named(self) -> list[str]:
        return ["look", "other"] if self.options.other else ["look"]

    def _path(self, which: str) -> Path:
        if which not in self._paths:
            self._paths[which] = look_path(getattr(self.options, which))
        return self._paths[which]

    def _look(self, which: str) -> Look:
        if which not in self._looks:
            self._looks[which] = read_look(self._path(which))
        return self._looks[which]

    def state(self) -> str:
        """The looks' files."""
        return "+".join(file_digest(self._path(which)) for which in self._named())

    def kept_files(self) -> dict[str, Path]:
        """The looks."""
        return {LOOK_COPIES[which]: self._path(which) for which in self._named()}

    def restore(self, folder: Path, learned: Mapping[str, Any]) -> None:
        """Wears the copies that the edit keeps."""
        self._paths = {which: folder / LOOK_COPIES[which] for which in self._named()}
        self._looks.clear()

    def prepare(self, samples: Sequence[EditRequest]) -> None:
        """Says what a mix without a second look is worth."""
        if (self.options.mix or self._keys) and not self.options.other:
            self.tell("The mix has no effect: no second look is chosen.")

    def commercial(self) -> bool:
        """Whether the looks' makers allow it."""
        return all(self._look(which).facts.commercial for which in self._named())

    def _edit(self, request: EditRequest) -> np.ndarray:
        share = self._mix(request.frame)
        worn = self._worn("look", request) if share < 1 else 0 * request.source
        if share > 0:
            worn = worn + share * (self._worn("other", request) - worn)
        drawn: np.ndarray = request.source + request.strength * (worn - request.source)
        return drawn

    def _worn(self, which: str, request: EditRequest) -> np.ndarray:
        worn = wear(self._look(which), request)
        if not np.isfinite(worn).all():
            raise EditError(
                "what the look makes of a picture is beyond all numbers",
                self._path(which),
                "learn the look again, or ask for the file again",
            )
        return worn

    def _mix(self, frame: int) -> float:
        """How much of the second look shows in a frame; between keys it goes on evenly."""
        if not self.options.other:
            return 0.0
        if not self._keys:
            return float(self.options.mix)
        frames = sorted(self._keys)
        return float(np.interp(frame, frames, [self._keys[each] for each in frames]))


def shifted_keys(text: str, by: int) -> str:
    """Keys of a mix, so many frames later.

    Raises:
        EditError: if they are none.

    Example:
        >>> shifted_keys("1:0,50:1", 1000)
        '1001:0,1050:1'
    """
    return ",".join(f"{frame + by}:{share:g}" for frame, share in sorted(_mix_keys(text).items()))


def _mix_keys(text: str) -> dict[int, float]:
    keys = {}
    for part in text.split(",") if text.strip() else ():
        frame, _, share = part.partition(":")
        try:
            keys[int(frame)] = float(share)
        except ValueError:
            keys[0] = float("nan")
        if not all(0 <= each <= 1 for each in keys.values()):
            raise EditError(
                f"'{part.strip()[:40]}' is no key of the mix",
                "look",
                "write it as FRAME:SHARE, 0 to 1",
            )
    return keys
