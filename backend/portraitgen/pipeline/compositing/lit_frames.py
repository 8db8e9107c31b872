# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The performer as another renderer lit and drew them, in the place of what the avatar shows."""

import hashlib
from collections.abc import Sequence

import numpy as np

from ...body.camera import Box
from ...errors import FootageError
from ...footage.colour import from_rec709
from ...footage.crop import crop
from ...footage.exr import read_linear
from ...footage.plate import Plate
from ...path_mapping import given_path
from ...storage import entries, file_digest

_LEAST_ALPHA = 1e-4
# Less of the avatar's outline in common is another pose, or another camera.
_IN_COMMON = 0.85


class LitFrames:
    """Pictures of a performer alone, seen through the plate's camera, one for each frame.

    They are EXR files NAME.####.exr of the frames' own numbers: linear Rec.709 with alpha, as large
    as the plate.

    Args:
        text: their folder.
        plate: which they are laid over; frames: those that are needed.

    Raises:
        FootageError: if one is missing.
    """

    def __init__(self, text: str, plate: Plate, frames: Sequence[int]) -> None:
        self._plate, self._folder = plate, given_path(text)
        found = {}
        for path in entries(self._folder):
            number = path.stem.rpartition(".")[2]
            if path.suffix.lower() == ".exr" and number.lstrip("-").isdecimal():
                found[int(number)] = path
        missing = [frame for frame in frames if frame not in found]
        if missing:
            raise FootageError(
                f"there is no picture of frame {missing[0]}",
                self._folder,
                "render the performer in every frame that is rendered here",
            )
        # Of all, whichever are rendered: parts of one render meet in one version.
        digests = [f"{number} {file_digest(found[number])}" for number in sorted(found)]
        self.digest = hashlib.sha256("\n".join(digests).encode()).hexdigest()
        self._paths = found
        self._worst = (1.0, 0)

    def window(self, frame: int, box: Box, size: int) -> tuple[np.ndarray, np.ndarray]:
        """What a frame's window shows.

        Returns:
            Colours display-referred in the plate's space, multiplied by alpha, float32 (S, S, 3),
            and alpha (S, S).

        Raises:
            FootageError: if the picture cannot be read, or is not as large as the plate.
        """
        drawn = read_linear(self._paths[frame], self._plate.width, self._plate.height)
        alpha = drawn[..., 3:].clip(0, 1)
        colours = drawn[..., :3] / np.maximum(alpha, _LEAST_ALPHA)
        shown = from_rec709(colours.astype(np.float32), self._plate.space) * alpha
        whole = np.concatenate([shown, alpha], axis=2).astype(np.float32)
        window, inside = crop(whole, box, size)
        if inside is not None:
            window *= inside[..., None]
        return window[..., :3].clip(0, 1), window[..., 3].clip(0, 1)

    def compare(self, frame: int, alpha: np.ndarray, expected: np.ndarray) -> None:
        """Keeps how much of its outline a frame has in common with the avatar's, (S, S) each."""
        both = np.minimum(alpha, expected).sum()
        share = float(both / max(np.maximum(alpha, expected).sum(), 1e-6))
        self._worst = min(self._worst, (share, frame))

    def note(self) -> str:
        """What is to be said of them, empty if they are where the performer is."""
        share, frame = self._worst
        if share > _IN_COMMON:
            return ""
        return (
            f"In frame {frame} the lit performer covers what the take's does to {share:.0%} alone;"
            " it was posed otherwise, or seen through another camera."
        )
