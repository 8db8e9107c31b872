# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The windows of a plate at its own resolution, for editors that edit every frame by itself.

What such an editor makes flickers as what it is given does: noise that comes and goes tips a tone
or a relief over a threshold. So not its result is steadied, which would be soft, but the picture
and the normals that it is given, along the plate's motion.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ...body.camera import Box
from ...editing.editor import EditRequest
from ...footage.crop import crop, place
from ...footage.matte import enlarged, foreground_colours
from ...images import to_codes, to_float
from ..data.crops import load_matte
from ..data.edit_mask import EditMask
from ..data.shots import Track
from .deflicker import Along, Deflicker, deflickered, near

# From this cover on the plate shows nothing but the performer.
_SOLID = 0.99
# Motion is smooth: it is found at no more than this side and enlarged.
_FLOW_SIDE = 512
_KNOWN = 0.5


@dataclass(frozen=True)
class _Seen:
    """A frame of the plate: all of it, float32 (H, W, 3), its window uint8 (N, N, 3), the
    performer's own colours in it, float32 (N, N, 3), coverage (N, N), and normals (S, S, 3)."""

    image: np.ndarray
    box: Box
    window: np.ndarray
    own: np.ndarray
    matte: np.ndarray
    normals: np.ndarray


class FrameWindows:
    """The frames about one, as editors of frames are given them.

    Args:
        track: where the windows and the mattes lie.
        parts: where the body is.
        share: how much the frames beside one count when it is steadied; 0 steadies nothing.
    """

    def __init__(self, track: Track, parts: EditMask, share: float) -> None:
        self._track, self._parts = track, parts
        self._share = share
        self._flow = Deflicker(share)
        self._seen: dict[int, _Seen] = {}

    def show(self, frame: int, image: np.ndarray, normals: np.ndarray) -> None:
        """Takes a frame up.

        Args:
            frame: its number.
            image: float32 (H, W, 3), the plate.
            normals: (S, S, 3), of the performer in the frame's window.
        """
        box = self._track.box(frame)
        side = max(1, round(box.side))
        window, _ = crop(image, box, side)
        codes = to_codes(window)
        matte = matte_at_plate(load_matte(self._track, frame), codes)
        own = to_float(foreground_colours(codes, matte))
        cover = to_float(matte)
        own = np.where((cover > _SOLID)[..., None], window, own)
        self._seen[frame] = _Seen(image, box, codes, own, cover, normals)

    def forget(self, before: int) -> None:
        """Lets go of the frames before one."""
        self._seen = {frame: each for frame, each in self._seen.items() if frame >= before}

    def matte(self, frame: int) -> np.ndarray:
        """The performer's coverage of a frame's window, float32 (N, N)."""
        return self._seen[frame].matte

    def request(self, frame: int, strength: float) -> tuple[EditRequest, np.ndarray]:
        """What an editor is given of a frame, (N, N), and the performer's colours in it that
        nothing steadied, float32 (N, N, 3)."""
        seen = self._seen[frame]
        side = seen.matte.shape[0]
        source, normals = seen.own, normals_at(seen.normals, side)
        if self._share > 0:
            along = self._along(frame)
            source = deflickered(frame, self._pictures(frame, "own"), along)
            known = np.linalg.norm(normals, axis=-1, keepdims=True) > _KNOWN
            facing = {
                at: normals_at(each, side) * 0.5 + 0.5
                for at, each in self._pictures(frame, "normals").items()
            }
            mean = deflickered(frame, facing, along) * 2 - 1
            length = np.linalg.norm(mean, axis=-1, keepdims=True)
            normals = np.where(known, mean / np.maximum(length, 1e-6), 0).astype(np.float32)
        camera = self._track.camera.window(seen.box, side)
        request = self._parts.of_plate(frame, source, seen.matte, camera, strength)
        return replace(request, normals=normals), seen.own

    def _along(self, frame: int) -> Along:
        """Where the frames beside one show what its window shows."""
        seen = self._seen[frame]
        side = seen.matte.shape[0]
        small = min(side, _FLOW_SIDE)
        pictures = self._pictures(frame, "window")
        if small < side:
            pictures = {
                at: cv2.resize(each, (small, small), interpolation=cv2.INTER_AREA)
                for at, each in pictures.items()
            }
        along = self._flow.along(frame, pictures, seen.box)
        if small == side:
            return along
        size, scale = (side, side), side / small
        return [
            (at, scale * cv2.resize(flow, size), cv2.resize(surety, size))
            for at, flow, surety in along
        ]

    def _pictures(self, frame: int, name: str) -> dict[int, np.ndarray]:
        """One of the pictures of the frames about one, as its own window shows them."""
        seen = self._seen[frame]
        side = seen.matte.shape[0]
        found = {frame: getattr(seen, name)}
        for at in near(frame, self._seen):
            other = self._seen[at]
            found[at] = getattr(other, name)
            if other.box != seen.box:
                found[at] = _seen_from(seen.box, side, found[at], other)
        return found


def _seen_from(box: Box, side: int, picture: np.ndarray, other: _Seen) -> np.ndarray:
    """A picture of another window as it lies in a window; beyond it there is the plate.

    Args:
        box, side: of the window.
        picture: (N, N, 3), of the other.
    """
    whole = other.image
    if picture.dtype == np.uint8:
        return crop(to_codes(whole), box, side)[0]
    if picture is other.normals:
        whole = np.full_like(whole, 0.5)
        picture = picture * 0.5 + 0.5
    placed, rows, columns = place(picture, other.box, whole.shape[1], whole.shape[0])
    whole = whole.copy()
    whole[rows, columns] = placed
    seen = crop(whole, box, side)[0]
    return seen * 2 - 1 if picture is not other.own else seen


def normals_at(normals: np.ndarray, side: int) -> np.ndarray:
    """Normals (S, S, 3) at another size, unit, 0 where they are unknown."""
    if normals.shape[0] == side:
        return normals
    known = (np.linalg.norm(normals, axis=-1) > _KNOWN).astype(np.float32)
    larger = cv2.resize(normals, (side, side), interpolation=cv2.INTER_LINEAR)
    larger = larger / np.maximum(np.linalg.norm(larger, axis=-1, keepdims=True), 1e-6)
    there = cv2.resize(known, (side, side), interpolation=cv2.INTER_LINEAR) > _KNOWN
    result: np.ndarray = np.where(there[..., None], larger, 0).astype(np.float32)
    return result


def matte_at_plate(matte: np.ndarray, window: np.ndarray) -> np.ndarray:
    """A window's matte at the plate's resolution, uint8 (N, N).

    Args:
        matte: uint8 (S, S), as the track keeps it.
        window: uint8 (N, N, 3), the window of the plate.
    """
    side = window.shape[0]
    if side > matte.shape[0]:
        return enlarged(matte, window)
    return cv2.resize(matte, (side, side), interpolation=cv2.INTER_AREA)
