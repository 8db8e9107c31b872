# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artist's own paint on some frames, carried over the body to every other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from ...body.surface import Surface, carry
from ...errors import EditError
from ...settings import option
from ..editor import Editor, EditorInfo, EditRequest
from ..painted import SURE, PaintedFrames

_SHADE = 0.05
_DARKEST, _BRIGHTEST = 0.4, 2.5

_FOLDER = "paint"


@dataclass(frozen=True)
class PaintOptions:
    """Where the painted frames lie, and how the paint behaves."""

    folder: str = option("", "The folder of painted frames, the take's own by default", path=True)
    shade: float = option(
        1.0, "How much the paint follows the light on the performer", minimum=0, maximum=1
    )


@dataclass(frozen=True)
class _Painted:
    surface: Surface
    image: np.ndarray
    cover: np.ndarray
    light: np.ndarray


class Paint(Editor):
    """Each painted frame is a pair of pictures in one folder: FRAME.base.png as it was given out,
    and FRAME.png, painted over. Where they differ is paint.

    Raises:
        EditError: if nothing is painted, or a picture cannot be read.
    """

    info: ClassVar[EditorInfo] = EditorInfo(
        id="paint",
        label="Paint",
        description="Your own paint on one frame or more, carried to every frame and view",
        needs=("a frame that you have painted over",),
    )
    Options = PaintOptions

    def __init__(self, options: PaintOptions) -> None:
        super().__init__(options)
        self._folder = Path(options.folder).expanduser() if options.folder else None
        self._painted: dict[int, _Painted] = {}

    def use_take(self, folder: Path) -> None:
        """Looks into the take's own folder unless another was given."""
        if self._folder is None:
            self._folder = folder / _FOLDER

    def use_edit(self, folder: Path) -> None:
        """Looks into the copy that the edit keeps."""
        self._folder = folder / _FOLDER

    def files(self) -> dict[str, Path]:
        """The painted frames, as they were given out and as they are."""
        folder = self._frames().folder
        return {f"{_FOLDER}/{path.name}": path for path in sorted(folder.glob("*.png"))}

    @property
    def follows(self) -> bool:
        """The avatar's texture is coarser than a brush."""
        return True

    def follow(self, request: EditRequest) -> np.ndarray:
        """The paint itself over what the avatar learned of it, where the painted frames saw it."""
        return self._laid(request, request.rendered)

    def wanted_frames(self) -> list[int]:
        """The painted frames."""
        return self._frames().frames

    def state(self) -> str:
        """The painted pictures themselves."""
        return self._frames().digest()

    def _frames(self) -> PaintedFrames:
        return PaintedFrames(self._folder or Path(_FOLDER))

    def prepare(self, samples: Sequence[EditRequest]) -> None:
        """Reads the paint of the painted frames, which are among the samples."""
        wanted = self.wanted_frames()
        self._painted = {
            sample.frame: self._read(sample) for sample in samples if sample.frame in wanted
        }
        if not any(each.cover.any() for each in self._painted.values()):
            raise EditError(
                "no frame is painted",
                self._folder or self.info.id,
                "give a frame out with 'portraitgen paint', paint over it and save it",
            )

    def _read(self, sample: EditRequest) -> _Painted:
        if sample.surface is None:
            raise EditError("the frame is not tracked", f"frame {sample.frame}", "paint another")
        image, cover = self._frames().read(sample.frame, sample.matte.shape[0])
        return _Painted(sample.surface, image, cover * sample.matte, _light(sample))

    def _edit(self, request: EditRequest) -> np.ndarray:
        return self._laid(request, request.source)

    def _laid(self, request: EditRequest, under: np.ndarray) -> np.ndarray:
        """The paint over a picture of a request."""
        colour, cover = self._carried(request)
        amount = (request.strength * cover)[..., None]
        laid: np.ndarray = under + amount * (colour - under)
        return laid

    def _carried(self, request: EditRequest) -> tuple[np.ndarray, np.ndarray]:
        """The paint (H, W, 3) as it lies in a frame, and its cover (H, W)."""
        own = self._painted.get(request.frame)
        if own is not None:
            return own.image, own.cover
        if request.surface is None:
            return request.source, np.zeros(request.matte.shape, np.float32)
        light = _light(request)
        total = np.zeros((*request.matte.shape, 4), np.float32)
        weight = np.zeros(request.matte.shape, np.float32)
        for each in self._painted.values():
            packed = np.dstack([each.image * each.cover[..., None], each.cover, each.light])
            carried, surety = carry(packed, each.surface, request.surface)
            ratio = np.clip(light / np.maximum(carried[..., 4], 0.02), _DARKEST, _BRIGHTEST)
            shaded = carried[..., :3] * (1 + self.options.shade * (ratio - 1))[..., None]
            total += surety[..., None] * np.dstack([shaded, carried[..., 3]])
            weight += surety
        # Where no painted frame saw the body, there is no paint; it fades out at that border.
        cover = total[..., 3] / np.maximum(weight, 1e-6)
        colour = total[..., :3] / np.maximum(total[..., 3:], 1e-6)
        return colour, cover * np.clip(weight / SURE, 0, 1)


def _light(request: EditRequest) -> np.ndarray:
    """The performer's brightness without its detail, float32 (H, W)."""
    grey = request.source @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    sigma = _SHADE * grey.shape[0]
    over = cv2.GaussianBlur((grey * request.matte).astype(np.float32), (0, 0), sigma)
    under = cv2.GaussianBlur(request.matte.astype(np.float32), (0, 0), sigma)
    return over / np.maximum(under, 1e-3)
