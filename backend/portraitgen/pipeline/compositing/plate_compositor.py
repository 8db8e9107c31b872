# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of a take over their plates: the avatar drawn, steadied, and laid where it belongs."""

from collections import deque
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from ...avatar.avatar import Avatar, AvatarOutput
from ...body.camera import Box
from ...footage.crop import CompositeLayer, composite, composite_layer, crop, feather, place
from ...footage.matte import enlarged
from ...images import as_picture, to_codes, to_float
from ..data.avatars import frame_parameters
from ..data.crops import load_matte
from ..data.edit_mask import EditMask
from ..data.pictures import carried_on, outward
from ..data.plate_stream import FrameSource
from ..data.shots import Track
from .deflicker import REACH, Deflicker, deflickered
from .frame_windows import FrameWindows
from .grain import GrainMatch
from .key_detail import KeyDetail
from .lit_frames import LitFrames
from .motion_blur import MotionBlur
from .take_appearance import TakeAppearance


@dataclass(frozen=True)
class RenderedFrame:
    """What is written for a frame.

    Attributes:
        laid: the edit at the plate's resolution, where the window lies on the plate, (h, w).
        depth: float32 (h, w), metres, 0 outside.
        normals: float32 (h, w, 3), camera space.
        reconstruction: float32 (h, w, 3), the unedited avatar.
        beauty: float32 (S, S, 3), the edit as the avatar shows it in its window, over grey.
        over: float32 (H, W, 3), the full plate with the edit laid over it.
        touched: bool (H, W), the plate's pixels that changed.
        window: uint8 (S, S, 3), the plate in the frame's window.
        matte: uint8 (S, S), the performer's coverage of it.
    """

    laid: CompositeLayer
    depth: np.ndarray
    normals: np.ndarray
    reconstruction: np.ndarray
    beauty: np.ndarray
    over: np.ndarray
    touched: np.ndarray
    window: np.ndarray
    matte: np.ndarray


@dataclass(frozen=True)
class _Drawn:
    """A frame's window of the plate, uint8 (S, S, 3), and what the avatars show in it: the
    reconstruction's and the take's colours, and how far they can be believed."""

    window: np.ndarray
    plain: AvatarOutput
    edited: AvatarOutput
    reconstruction: np.ndarray
    rendered: np.ndarray
    reach: np.ndarray


class FrameRenderer:
    """Renders frames of one take of one track."""

    def __init__(
        self,
        track: Track,
        plain: Avatar,
        look: TakeAppearance,
        size: int,
        detail: float,
        steady: float,
        parts: EditMask,
        grain: GrainMatch | None = None,
        blur: MotionBlur | None = None,
        keys: KeyDetail | None = None,
        lit: LitFrames | None = None,
    ) -> None:
        self._keys, self._lit = keys, lit
        self._grain, self._blur = grain, blur
        self._track = track
        self._plain = plain
        self._look = look
        self._size = size
        self._detail = detail
        self._parts = parts
        self._steadier = Deflicker(steady)
        self._windows: FrameWindows | None = None
        # What lies on the plate moves with it.
        still = steady == 0 or look.keeps_performer or lit is not None
        if look.edits_frames:
            still = steady == 0 or look.keeps_grain
            self._windows = FrameWindows(track, parts, 0.0 if still else steady)
        self._reach = 0 if still else REACH
        self._tracked = set(track.tracked(track.frames))
        self._drawn: dict[int, _Drawn] = {}

    def ahead(
        self, plate: FrameSource, frames: Sequence[int], wanted: Container[int]
    ) -> Iterator[tuple[int, np.ndarray]]:
        """A plate's frames and their pictures; the avatars are drawn in each wanted one and in
        those beside it before it is given out."""
        reach = self._reach
        first = max(frames[0] - reach, self._track.frames[0])
        last = min(frames[-1] + reach, self._track.frames[-1])
        asked = set(frames)

        def is_drawn(frame: int) -> bool:
            return any(frame + step in wanted for step in range(-reach, reach + 1))

        numbers = [each for each in range(first, last + 1) if each in asked or is_drawn(each)]
        last = numbers[-1]
        waiting: deque[tuple[int, np.ndarray]] = deque()
        for frame, image in plate.frames(numbers, whole=True):
            if is_drawn(frame):
                self._draw(frame, image)
            if frame in asked:
                waiting.append((frame, image))
            while waiting and min(waiting[0][0] + reach, last) <= frame:
                oldest = waiting[0][0] - reach
                self._drawn = {at: each for at, each in self._drawn.items() if at >= oldest}
                if self._windows:
                    self._windows.forget(oldest)
                yield waiting.popleft()

    @torch.no_grad()
    def _draw(self, frame: int, image: np.ndarray) -> None:
        track, size = self._track, self._size
        box = track.box(frame)
        parameters = frame_parameters(track.motion, [frame])
        intrinsics = torch.from_numpy(track.camera.window(box, size).matrix())[None]
        plain = self._plain.render(parameters, intrinsics, size, normals=True)
        edited = plain
        if self._look.avatar is not self._plain and not self._look.keeps_performer:
            edited = self._look.avatar.render(parameters, intrinsics, size, normals=True)
        window, _ = crop(to_codes(image), box, size)
        reconstruction, reach = carried_on(plain)
        rendered = reconstruction if edited is plain else carried_on(edited)[0]
        if self._lit is not None:
            shown, alpha = self._lit.window(frame, box, size)
            self._lit.compare(frame, alpha, as_picture(edited.alpha)[..., 0])
            rendered, _ = outward(shown, alpha)
        self._drawn[frame] = _Drawn(window, plain, edited, reconstruction, rendered, reach)
        if self._windows:
            assert plain.normals is not None
            self._windows.show(frame, image, as_picture(plain.normals))

    def _steadied(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """The reconstruction's and the take's colours in a frame that was drawn."""
        if self._look.keeps_performer or self._lit is not None:
            # Lights of a scene may change from frame to frame.
            return self._drawn[frame].reconstruction, self._drawn[frame].rendered
        drawn = {at: each for at, each in self._drawn.items() if at == frame or at in self._tracked}
        along = self._steadier.along(frame, {at: each.window for at, each in drawn.items()})
        reconstruction = deflickered(
            frame, {at: each.reconstruction for at, each in drawn.items()}, along
        )
        if self._look.avatar is self._plain:
            return reconstruction, reconstruction
        rendered = deflickered(frame, {at: each.rendered for at, each in drawn.items()}, along)
        return reconstruction, rendered

    def render(
        self, frame: int, image: np.ndarray, mix: float, held: np.ndarray | None = None
    ) -> RenderedFrame:
        """One frame that `ahead` gave out, of which `mix` shows over its plate `image`, float32
        (H, W, 3); where `held`, (H, W), is 1, the plate stays before it."""
        track, size = self._track, self._size
        box = track.box(frame)
        camera = track.camera.window(box, size)
        drawn = self._drawn[frame]
        plain, edited, reach = drawn.plain, drawn.edited, drawn.reach
        if self._windows:
            whole = self._windows.matte(frame)
        else:
            whole = _at_plate_size(load_matte(track, frame), image, box)
        matte = whole * feather(box, whole.shape[0], image.shape[1], image.shape[0])
        small = load_matte(track, frame, size)
        alpha = to_float(small)
        mask = None
        if not self._parts.everywhere:
            surface = self._parts.surface(frame, camera)
            mask = self._parts.mask(surface, to_float(drawn.window), alpha)
        if mask is not None:
            # Beyond the edited parts the plate keeps its bits.
            alpha *= mask
            matte *= cv2.resize(mask, matte.shape[::-1], interpolation=cv2.INTER_LINEAR)
        alpha *= feather(box, size, image.shape[1], image.shape[0])
        reconstruction, rendered = self._steadied(frame)
        beauty = rendered
        if not self._look.keeps_performer:
            beauty = self._look.colours(frame, rendered, edited)
            # Where the avatar has nothing to show, its plate does.
            alpha *= reach
            matte *= cv2.resize(reach, matte.shape[::-1], interpolation=cv2.INTER_LINEAR)
        cover, rows, columns = place(matte, box, image.shape[1], image.shape[0])
        full = np.zeros(image.shape[:2], np.float32)
        full[rows, columns] = cover * mix
        if held is not None:
            full *= 1 - held
            alpha *= 1 - crop(held, box, size)[0]
        detail = 0.0 if self._look.keeps_performer else self._detail
        avatar = composite_layer(image, box, beauty, full, reference=reconstruction, detail=detail)
        if self._keys is not None:
            avatar = self._keys.apply(frame, image, box, self._parts, track.motion, beauty, avatar)
        if self._windows:
            request, own = self._windows.request(frame, self._look.strength)
            laid = self._look.of_frame(request, own, image, avatar)
        else:
            laid = self._look.over_plate(frame, image, whole, avatar)
        if self._blur is not None:
            laid = replace(laid, colours=self._blur.apply(frame, image, laid))
        if self._grain is not None:
            laid = replace(laid, colours=self._grain.apply(frame, laid))
        over, touched = composite(image, laid)
        if laid is not avatar:
            beauty, _ = crop(over, box, size)
        assert edited.normals is not None
        depth, normals = as_picture(edited.depth)[..., 0], as_picture(edited.normals)
        on_plate = (box, image.shape[1], image.shape[0])
        normals = place(normals * 0.5 + 0.5, *on_plate)[0]
        normals *= 2
        normals -= 1
        return RenderedFrame(
            laid,
            _depth_on_plate(depth, *on_plate),
            normals,
            place(as_picture(plain.rgb), *on_plate)[0],
            beauty * alpha[..., None] + 0.5 * (1 - alpha[..., None]),
            over,
            touched,
            drawn.window,
            small,
        )


def _depth_on_plate(depth: np.ndarray, box: Box, width: int, height: int) -> np.ndarray:
    """Depth at the plate's resolution: the empty outside is not mixed into the surface's edge."""
    there = (depth > 0).astype(np.float32)
    farthest = max(float(depth.max()), 1e-6)
    share = place(there, box, width, height)[0]
    mixed = place(depth / farthest, box, width, height)[0]
    values: np.ndarray = np.where(share > 0.5, mixed / np.maximum(share, 0.5) * farthest, 0)
    return values.astype(np.float32)


def _at_plate_size(matte: np.ndarray, image: np.ndarray, box: Box) -> np.ndarray:
    """A window's matte, float32 0..1, at the resolution of the plate if that is finer."""
    side = round(box.side)
    if side > matte.shape[0]:
        window, _ = crop(to_codes(image), box, side)
        matte = enlarged(matte, window)
    return to_float(matte)
