# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames that an artist has painted over: pairs FRAME.base.png, as given out, and FRAME.png."""

import hashlib
from pathlib import Path

import cv2
import numpy as np

from ..body.surface import Surface, carry
from ..errors import EditError
from ..frames import is_frame_number
from ..images import read_channels, to_float
from ..storage import is_plain

_UNTOUCHED, _PAINTED = 2 / 255, 8 / 255
SURE = 0.08
"""Below this surety what is carried over the body fades out."""


class PaintedFrames:
    """The painted frames of a folder.

    Args:
        folder: may be missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        stems = [path.name.split(".")[0] for path in folder.glob("*.base.png")]
        self._stems = {
            int(stem): stem
            for stem in sorted(stems)
            if is_frame_number(stem) and (folder / f"{stem}.png").is_file()
        }
        self.frames = sorted(self._stems)

    def digest(self) -> str:
        """Changes when a picture does; empty without one."""
        if not self.frames:
            return ""
        whole = hashlib.sha256()
        for path in sorted(self.folder.glob("[!.]*.png")):
            if is_plain(path):
                whole.update(path.name.encode() + path.read_bytes())
        return whole.hexdigest()

    def read(self, frame: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """The paint of a frame, float32 (size, size, 3), and how far it covers, (size, size).

        Raises:
            EditError: if a picture cannot be read, or was saved at another size.
        """
        stem = self._stems[frame]
        base = _picture(self.folder / f"{stem}.base.png")[..., :3]
        painted = _picture(self.folder / f"{stem}.png")
        if painted.shape[:2] != base.shape[:2]:
            raise EditError(
                "the painted frame has another size than it was given out with",
                self.folder / f"{stem}.png",
                "save it at its own size",
            )
        # A layer of its own counts where it is opaque.
        painted = base + painted[..., 3:] * (painted[..., :3] - base)
        change = np.abs(painted - base).max(2)
        cover = np.clip((change - _UNTOUCHED) / (_PAINTED - _UNTOUCHED), 0, 1)
        cover = cv2.GaussianBlur(cover, (0, 0), max(0.4, base.shape[0] / 900))
        small = [
            cv2.resize(each, (size, size), interpolation=cv2.INTER_AREA)
            for each in (painted * cover[..., None], cover)
        ]
        cover = np.where(small[1] > 1e-3, small[1], 0).astype(np.float32)
        image = small[0] / np.maximum(small[1], 1e-3)[..., None]
        return image.astype(np.float32), cover


class PaintedMask:
    """Where paint lies on the body, whatever its colour.

    Args:
        covers: how far each painted frame is covered (H, W), and the body in that frame.
    """

    def __init__(self, covers: list[tuple[np.ndarray, Surface]]) -> None:
        self._covers = covers

    def seen_on(self, surface: Surface) -> np.ndarray:
        """The mask in another picture, float32 (H, W)."""
        total = np.zeros(surface.face.shape, np.float32)
        weight = total.copy()
        for cover, painted in self._covers:
            carried, surety = carry(cover[..., None], painted, surface)
            total += surety * carried[..., 0]
            weight += surety
        return total / np.maximum(weight, 1e-6) * np.clip(weight / SURE, 0, 1)


def _picture(path: Path) -> np.ndarray:
    """An 8-bit or 16-bit picture as float32 (H, W, 4) RGBA 0..1."""
    encoded = read_channels(path)
    if encoded is None or encoded.ndim != 3 or encoded.shape[2] not in (3, 4):
        raise EditError("the painted frame cannot be read", path, "save it as a colour PNG")
    picture = to_float(encoded)
    alpha = picture[..., 3:] if picture.shape[2] == 4 else np.ones_like(picture[..., :1])
    return np.concatenate([picture[..., :3], alpha], axis=2)
