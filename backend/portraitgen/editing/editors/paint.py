# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artist's own paint on some frames, carried over the body to every other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from ...body.camera import Camera
from ...body.surface import Surface, carry
from ...errors import EditError
from ...path_mapping import given_path
from ...settings import option
from ..colour import LUMA
from ..editor import EditorInfo, EditRequest
from ..overlays import PlateOverlay
from ..paint_layers import SURE, PaintedFrames
from ..texture_registration import Slips, slipped

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


class Paint(PlateOverlay):
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
        generative=False,
    )
    Options = PaintOptions

    def __init__(self, options: PaintOptions) -> None:
        super().__init__(options)
        self._folder = given_path(options.folder) if options.folder else None
        self._painted: dict[int, _Painted] = {}
        self._slips: dict[int, dict[int, np.ndarray]] = {}

    def use_take(self, folder: Path) -> None:
        """Looks into the take's own folder unless another was given."""
        if self._folder is None:
            self._folder = folder / _FOLDER

    def kept_files(self) -> dict[str, Path]:
        """The painted frames, as they were given out and as they are."""
        folder = self._frames().folder
        return {f"{_FOLDER}/{path.name}": path for path in sorted(folder.glob("[!.]*.png"))}

    def overlay(self, request: EditRequest) -> tuple[np.ndarray, np.ndarray]:
        """The paint itself, where the painted frames saw the body: the avatar's texture is coarser
        than a brush, and its face is not the plate's."""
        colour, cover = self._carried(request)
        return colour, request.strength * cover

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

    def watch(self, shot: Iterable[EditRequest]) -> None:
        """Finds how skin slips over the body where it is painted."""
        watched: dict[int, Slips] = {}
        for request in shot:
            for frame, each in self._painted.items():
                if frame not in watched:
                    side = request.matte.shape[0]
                    watched[frame] = Slips(each.cover, each.surface, side)
                watched[frame].show(request)
        self._slips = {frame: each.from_frame(frame) for frame, each in watched.items()}

    def learned(self) -> dict[str, object]:
        """The slips of each painted frame's paint in each frame."""
        return {
            "slips": {
                str(painted): {str(frame): slip.tolist() for frame, slip in slips.items()}
                for painted, slips in self._slips.items()
            }
        }

    def restore(self, folder: Path, learned: Mapping[str, Any]) -> None:
        """Takes them up, and the copies of the painted frames that the edit keeps."""
        self._folder = folder / _FOLDER
        self._slips = {
            int(painted): {int(frame): np.array(slip) for frame, slip in slips.items()}
            for painted, slips in learned.get("slips", {}).items()
        }

    def _read(self, sample: EditRequest) -> _Painted:
        if sample.surface is None:
            raise EditError("the frame is not tracked", f"frame {sample.frame}", "paint another")
        image, cover = self._frames().read(sample.frame, sample.matte.shape[0])
        return _Painted(sample.surface, image, cover * sample.matte, _light(sample))

    def _edit(self, request: EditRequest) -> np.ndarray:
        colour, cover = self.overlay(request)
        painted: np.ndarray = request.source + cover[..., None] * (colour - request.source)
        return painted

    def _carried(self, request: EditRequest) -> tuple[np.ndarray, np.ndarray]:
        """The paint (H, W, 3) as it lies in a frame, and its cover (H, W)."""
        if request.surface is None:
            return request.source, np.zeros(request.matte.shape, np.float32)
        own = self._painted.get(request.frame)
        if own is not None:
            return _resampled(own, request.surface.camera)
        light = _light(request)
        total = np.zeros((*request.matte.shape, 4), np.float32)
        weight = np.zeros(request.matte.shape, np.float32)
        for frame, each in self._painted.items():
            paint = np.dstack([each.image * each.cover[..., None], each.cover])
            slip = self._slips.get(frame, {}).get(request.frame)
            if slip is not None:
                paint = slipped(paint, slip)
            packed = np.dstack([paint, each.light])
            carried, surety = carry(packed, each.surface, request.surface)
            ratio = np.clip(light / np.maximum(carried[..., 4], 0.02), _DARKEST, _BRIGHTEST)
            shaded = carried[..., :3] * (1 + self.options.shade * (ratio - 1))[..., None]
            total += surety[..., None] * np.dstack([shaded, carried[..., 3]])
            weight += surety
        # Where no painted frame saw the body, there is no paint; it fades out at that border.
        cover = total[..., 3] / np.maximum(weight, 1e-6)
        colour = total[..., :3] / np.maximum(total[..., 3:], 1e-6)
        return colour, cover * np.clip(weight / SURE, 0, 1)


def _resampled(own: _Painted, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Paint and cover of a painted frame in another part of its own plate, or at another size."""
    given = own.surface.camera
    if given == camera:
        return own.image, own.cover
    scale = given.fx / camera.fx
    # cv2 puts pixel centres at whole numbers, we at +0.5.
    left = given.cx - 0.5 + scale * (0.5 - camera.cx)
    top = given.cy - 0.5 + scale * (0.5 - camera.cy)
    packed = cv2.warpAffine(
        np.dstack([own.image * own.cover[..., None], own.cover]),
        np.array([[scale, 0, left], [0, scale, top]]),
        (camera.width, camera.height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    cover = packed[..., 3]
    return packed[..., :3] / np.maximum(cover, 1e-6)[..., None], cover


def _light(request: EditRequest) -> np.ndarray:
    """The performer's brightness without its detail, float32 (H, W)."""
    grey = request.source @ LUMA
    sigma = _SHADE * max(grey.shape)
    over = cv2.GaussianBlur((grey * request.matte).astype(np.float32), (0, 0), sigma)
    under = cv2.GaussianBlur(request.matte.astype(np.float32), (0, 0), sigma)
    return over / np.maximum(under, 1e-3)
