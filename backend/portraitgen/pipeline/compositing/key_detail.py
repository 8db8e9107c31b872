# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fine detail of a take's edited key frames, laid over what its avatar shows.

An avatar knows an edit at its own size, which a plate is some times larger than. What all key
frames agree on, broad colours, comes from it; what is finer comes from the key frames themselves,
edited at the plate's size. It is carried over the tracked body from the key frames that look most
like a frame, and the plate tells where the skin slipped on the way, and where a key frame shows
something else: there the avatar stays as it is. Mouths are not mixed: lips come from the one key
frame whose lips are most alike.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ...body.camera import Box
from ...body.model import BodyModel
from ...body.motion import Motion
from ...body.surface import Surface, places_in
from ...editing.hole_filling import filled_outward
from ...editing.schedule import POSES, pose_space
from ...footage.crop import CompositeLayer, crop, place
from ...footage.optical_flow import alike, carried, dense_flow, trusted
from ...images import to_codes, to_float, to_grey
from ..data.crops import load_matte
from ..data.edit_mask import EditMask
from ..data.shots import Track

# Skin is followed in pictures of this side; what is found is smooth and enlarged.
_SIDE = 512
COARSE = 1.5
"""What an edit shows more coarsely than so many of the avatar's pixels comes from the avatar."""

# So many key frames show in a frame, each the more the more it looks like it.
_SHOWN, _SHARP, _NEAR = 3, 4.0, 0.15
_BEYOND = (0.006, 0.02, 0.06)
_SEEN, _SMOOTH, _SOFT = 0.05, 0.012, 0.006
_SAME_COLOUR = 24.0
_SURE = 0.35
_GLANCING = 0.05
# How sharply the mouth most alike is chosen, metres; a head that turns by so much of `pose_space`
# counts as much as lips that lie a metre apart.
_LIPS, _CHOSEN, _TURN = 0.0004, 16.0, 200.0
# How far the mouth reaches round the lips, and how softly, of a window's side.
_ROUND, _BETWEEN = 0.02, 0.01


@dataclass(frozen=True)
class _Key:
    """A key frame: its window of the plate, uint8 (F, F, 3), the body in it, the detail that its
    edit has there, float16 (N, N, 3), where that is the performer's, (F, F), and its lips."""

    window: np.ndarray
    surface: Surface
    fine: np.ndarray
    cover: np.ndarray
    lips: np.ndarray


class KeyDetail:
    """The detail of key frames.

    Args:
        body: the shot's body model.
        track, parts: where the body was in the key frames.
        size: of the avatar's windows.
    """

    def __init__(self, body: BodyModel, track: Track, parts: EditMask, size: int) -> None:
        self._track, self._parts, self._size = track, parts, size
        self._mouth = _Mouth(body)
        self._dense = dense_flow("medium")
        self._keys: dict[int, _Key] = {}
        self._space = pose_space(track.motion)

    @property
    def empty(self) -> bool:
        """Whether no key frame has detail that the avatar lacks."""
        return not self._keys

    def add(self, frame: int, image: np.ndarray, edited: np.ndarray) -> None:
        """Takes a key frame up, unless it is no finer than the avatar.

        Args:
            frame: its number.
            image: float32 (H, W, 3), its plate.
            edited: float32 (N, N, 3), its window edited.
        """
        box, sides = self._track.box(frame), edited.shape[0]
        if sides <= self._size:
            return
        side = min(_SIDE, sides)
        window, _ = crop(to_codes(image), box, side)
        matte = to_float(load_matte(self._track, frame, sides))
        surface = self._parts.surface(frame, self._track.camera.window(box, side))
        self._keys[frame] = _Key(
            window,
            surface,
            fine_detail(edited, matte, COARSE * sides / self._size).astype(np.float16),
            to_float(load_matte(self._track, frame, side)),
            self._mouth.lips(surface),
        )

    def apply(
        self,
        frame: int,
        image: np.ndarray,
        box: Box,
        parts: EditMask,
        motion: Motion,
        beauty: np.ndarray,
        laid: CompositeLayer,
    ) -> CompositeLayer:
        """A frame's edit with the detail of its key frames.

        Args:
            frame: its number.
            image: float32 (H, W, 3), the plate.
            box: the frame's window.
            parts, motion: where the body is in the frame.
            beauty: float32 (S, S, 3), what the avatar shows in the window.
            laid: that at the plate's resolution.
        """
        side = min(_SIDE, max(1, round(box.side)))
        window, _ = crop(to_codes(image), box, side)
        surface = parts.surface(frame, self._track.camera.window(box, side))
        pose = pose_space(motion.rows(np.array([motion.index(frame)])))[0]
        total = np.zeros((*laid.cover.shape, 5), np.float32)
        face, lips = self._near(pose), self._nearest_lips(pose, surface)
        mouth = self._mouth.mask(surface)
        for number in sorted(face.keys() | lips.keys()):
            key = self._keys[number]
            places, surety, facing = self._followed(key, surface, window)
            share = face.get(number, 0.0) * (1 - mouth) + lips.get(number, 0.0) * mouth
            total += _laid_out(key, places, share * surety, facing, box, laid)
        fine = total[..., :3] / np.maximum(total[..., 3:4], 1e-4)
        height, width = image.shape[:2]
        own = place(beauty.astype(np.float32), box, width, height)[0]
        coarse = cv2.GaussianBlur(own, (0, 0), COARSE * box.side / self._size)
        sure = np.clip(total[..., 4:] / _SURE, 0, 1)
        colours = laid.colours + sure * (coarse + fine - laid.colours)
        return replace(laid, colours=np.clip(colours, 0, 1).astype(np.float32))

    def _near(self, pose: np.ndarray) -> dict[int, float]:
        """The key frames that a frame looks like most, by its row of `pose_space`, (D,), and how
        much of each shows."""
        frames = sorted(self._keys)
        rows = [self._track.motion.index(frame) for frame in frames]
        apart = np.linalg.norm(self._space[rows] - pose, axis=1)
        alike = ((apart.min() + _NEAR) / (apart + _NEAR)) ** _SHARP
        # One that comes or goes does so from nothing.
        alike -= np.sort(alike)[-_SHOWN - 1] if len(alike) > _SHOWN else 0
        alike /= alike.max()
        return {each: float(share) for each, share in zip(frames, alike, strict=True) if share > 0}

    def _nearest_lips(self, pose: np.ndarray, surface: Surface) -> dict[int, float]:
        """The key frame whose lips are most like a frame's, and how much of it shows; two where
        both are, so that one gives way to the other within a frame or two."""
        frames, lips = sorted(self._keys), self._mouth.lips(surface)
        turned = self._space[[self._track.motion.index(frame) for frame in frames]] - pose
        turn = np.linalg.norm(turned[:, :POSES], axis=1)
        apart = np.array([_distance(self._keys[frame].lips, lips) for frame in frames])
        apart += turn / _TURN
        share = ((apart.min() + _LIPS) / (apart + _LIPS)) ** _CHOSEN
        return {each: float(one) for each, one in zip(frames, share, strict=True) if one > _SEEN}

    def _followed(
        self, key: _Key, surface: Surface, window: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where each pixel of a frame's window lies in a key frame's, (F, F, 2), how surely,
        (F, F), and how squarely it was seen there, (F, F)."""
        places, seen = places_in(key.surface, surface)
        side = window.shape[0]
        own = np.dstack(np.meshgrid(*[np.arange(side, dtype=np.float32)] * 2))
        known = (seen > 0).astype(np.float32)
        away = np.where(known[..., None] > 0, places - own, 0).astype(np.float32)
        # Hair and clothes beyond the body move as what is next to them.
        sigmas = [share * side for share in _BEYOND]
        filled, cover = filled_outward(
            np.dstack([away, seen]) * known[..., None], known, sigmas, 4.0, False
        )
        filled /= np.maximum(cover, 1e-3)[..., None]
        away, facing = filled[..., :2], filled[..., 2]
        shown = carried(key.window, away)
        grey = [to_grey(each) for each in (window, shown)]
        slip, back = self._dense(grey[0], grey[1]), self._dense(grey[1], grey[0])
        surety = trusted(slip, back) * alike(carried(shown, slip), window, _SAME_COLOUR)
        # What is trusted says how its surroundings slipped: skin does so smoothly.
        slip = _blurred(slip, surety + 1e-3, _SMOOTH * side)
        surety *= alike(carried(shown, slip), window, _SAME_COLOUR)
        places = own + slip + carried(away, slip)
        surety *= carried(key.cover, places - own) * (cover > _SEEN)
        return places, cv2.GaussianBlur(surety, (0, 0), _SOFT * side), carried(facing, slip)


class _Mouth:
    """Where a body's mouth is, and how its lips stand."""

    def __init__(self, body: BodyModel) -> None:
        def faces(*names: str) -> np.ndarray:
            known = [body.parts[name].numpy() for name in names if name in body.parts]
            return np.any(known, axis=0) if known else np.zeros(len(body.faces), bool)

        self._inside = faces("lips", "mouth", "teeth", "tongue")
        corners = body.faces.numpy()
        self._lips = np.unique(corners[faces("lips")])
        self._still = np.setdiff1d(np.unique(corners[faces("face")]), self._lips)

    def lips(self, surface: Surface) -> np.ndarray:
        """The lips as they stand in a face that does not move, metres (L, 3)."""
        here, there = surface.vertices[self._still], surface.rest[self._still]
        if not len(here):
            return np.zeros((0, 3))
        middle, goal = here.mean(0), there.mean(0)
        left, _, right = np.linalg.svd((here - middle).T @ (there - goal))
        # A turn, never a reflection.
        left[:, -1] *= np.sign(np.linalg.det(left @ right))
        placed: np.ndarray = (surface.vertices[self._lips] - middle) @ (left @ right)
        return placed

    def mask(self, surface: Surface) -> np.ndarray:
        """Where the mouth shows, softly, float32 (F, F)."""
        seen = surface.face >= 0
        mouth = np.zeros(seen.shape, np.float32)
        mouth[seen] = self._inside[surface.face[seen]]
        side = seen.shape[0]
        width = 2 * max(1, round(_ROUND * side)) + 1
        wide = cv2.dilate(mouth, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)))
        return cv2.GaussianBlur(wide, (0, 0), _BETWEEN * side)


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    """How far apart two mouths' lips (L, 3) lie on the mean, metres."""
    return float(np.linalg.norm(first - second, axis=1).mean()) if len(first) else 0.0


def _laid_out(
    key: _Key,
    places: np.ndarray,
    surety: np.ndarray,
    facing: np.ndarray,
    box: Box,
    laid: CompositeLayer,
) -> np.ndarray:
    """A key frame's detail times its weight, that, and its surety, where an edit is laid,
    (h, w, 5)."""
    side, fine = places.shape[0], key.fine
    scale = side / box.side
    shift = scale / 2 - 0.5
    matrix = np.array(
        [
            [scale, 0, (laid.columns.start - box.x) * scale + shift],
            [0, scale, (laid.rows.start - box.y) * scale + shift],
        ]
    )
    size = (laid.cover.shape[1], laid.cover.shape[0])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    # Of those that are sure, the one that saw most of a place shows most.
    weight = surety * (_GLANCING + facing)
    packed = np.dstack([places, weight, surety]).astype(np.float32)
    out = cv2.warpAffine(packed, matrix, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
    larger = fine.shape[0] / side
    at = (out[..., :2] + 0.5) * larger - 0.5
    found = cv2.remap(fine.astype(np.float32), at[..., 0], at[..., 1], cv2.INTER_CUBIC)
    weight = np.maximum(out[..., 2:], 0)
    return np.dstack([weight[..., :1] * found, weight])


def fine_detail(picture: np.ndarray, matte: np.ndarray, sigma: float) -> np.ndarray:
    """What of a picture (H, W, 3) is finer than a blur, inside a matte (H, W), 0 outside."""
    detail: np.ndarray = matte[..., None] * (picture - _blurred(picture, matte, sigma))
    return detail


def sharpened(rendered: np.ndarray, by: np.ndarray, matte: np.ndarray, size: int) -> np.ndarray:
    """An avatar's rendering, float32 (S, S, 3), as large as a matte, with a picture's detail.

    Args:
        by: float32 (M, M, 3), the picture.
        size: at which the avatar was drawn.
    """
    side = matte.shape[0]
    own, by = (
        each
        if each.shape[0] == side
        else cv2.resize(each, (side, side), interpolation=cv2.INTER_CUBIC)
        for each in (rendered, by)
    )
    sigma = COARSE * side / size
    finer = fine_detail(by, matte, sigma) - fine_detail(own, matte, sigma)
    return np.clip(own + finer, 0, 1).astype(np.float32)


def _blurred(picture: np.ndarray, cover: np.ndarray, sigma: float) -> np.ndarray:
    """The mean of a picture (H, W, C) round each pixel, of what is covered, (H, W)."""
    total = cv2.GaussianBlur(picture * cover[..., None], (0, 0), sigma)
    share = cv2.GaussianBlur(cover, (0, 0), sigma)
    result: np.ndarray = total / np.maximum(share, 1e-4)[..., None]
    return result
