# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artist's own paint on some frames, carried over the body to every other."""

import hashlib
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

_UNTOUCHED, _PAINTED = 2 / 255, 8 / 255
_SHADE = 0.05
_DARKEST, _BRIGHTEST = 0.4, 2.5
_SURE = 0.08


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
            self._folder = folder / "paint"

    def wanted_frames(self) -> list[int]:
        """The painted frames."""
        if self._folder is None or not self._folder.is_dir():
            return []
        bases = self._folder.glob("*.base.png")
        numbers = {path.name.split(".")[0] for path in bases}
        return sorted(
            int(number)
            for number in numbers
            if number.isdigit() and (self._folder / f"{number}.png").exists()
        )

    def state(self) -> str:
        """The painted pictures themselves."""
        digest = hashlib.sha256()
        if self._folder is not None and self.wanted_frames():
            for path in sorted(self._folder.glob("*.png")):
                digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()

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
        assert self._folder is not None
        if sample.surface is None:
            raise EditError("the frame is not tracked", f"frame {sample.frame}", "paint another")
        stem = next(
            path.name.split(".")[0]
            for path in self._folder.glob("*.base.png")
            if int(path.name.split(".")[0]) == sample.frame
        )
        base = _picture(self._folder / f"{stem}.base.png")[..., :3]
        painted = _picture(self._folder / f"{stem}.png")
        if painted.shape[:2] == base.shape[:2]:
            # A layer of its own counts where it is opaque.
            painted = base + painted[..., 3:] * (painted[..., :3] - base)
        else:
            raise EditError(
                "the painted frame has another size than it was given out with",
                self._folder / f"{stem}.png",
                "save it at its own size",
            )
        change = np.abs(painted - base).max(2)
        cover = np.clip((change - _UNTOUCHED) / (_PAINTED - _UNTOUCHED), 0, 1)
        cover = cv2.GaussianBlur(cover, (0, 0), max(0.4, base.shape[0] / 900))
        size = sample.matte.shape[::-1]
        small = [
            cv2.resize(each, size, interpolation=cv2.INTER_AREA)
            for each in (painted * cover[..., None], cover)
        ]
        cover = np.where(small[1] > 1e-3, small[1], 0)
        image = small[0] / np.maximum(small[1], 1e-3)[..., None]
        return _Painted(
            sample.surface,
            image.astype(np.float32),
            (cover * sample.matte).astype(np.float32),
            _light(sample),
        )

    def _edit(self, request: EditRequest) -> np.ndarray:
        colour, cover = self._carried(request)
        amount = (request.strength * cover)[..., None]
        painted: np.ndarray = request.source + amount * (colour - request.source)
        return painted

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
        return colour, cover * np.clip(weight / _SURE, 0, 1)


def _light(request: EditRequest) -> np.ndarray:
    """The performer's brightness without its detail, float32 (H, W)."""
    grey = request.source @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    sigma = _SHADE * grey.shape[0]
    over = cv2.GaussianBlur((grey * request.matte).astype(np.float32), (0, 0), sigma)
    under = cv2.GaussianBlur(request.matte.astype(np.float32), (0, 0), sigma)
    return over / np.maximum(under, 1e-3)


def _picture(path: Path) -> np.ndarray:
    """An 8-bit or 16-bit picture as float32 (H, W, 4) RGBA 0..1."""
    encoded = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if encoded is None or encoded.ndim != 3 or encoded.shape[2] not in (3, 4):
        raise EditError("the painted frame cannot be read", path, "save it as a colour PNG")
    top = 65535 if encoded.dtype == np.uint16 else 255
    picture = encoded.astype(np.float32) / top
    alpha = picture[..., 3:] if picture.shape[2] == 4 else np.ones_like(picture[..., :1])
    return np.concatenate([picture[..., 2::-1], alpha], axis=2)
