# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plate as if the performer had acted otherwise.

The plate itself is the sharpest texture there is: each pixel of the acted performer shows the
plate where the tracked performer has the same point of its surface. The avatar tells where that
is: its Gaussians are drawn acted, and in place of a colour each carries how far away it lies as
tracked, so that hair and clothes, which no body model has, move as what was learned of them moves.
What the plate hides or shows otherwise than the track believes (an eye that was shut, the inside
of a mouth, a cheek that was turned away) the avatar fills, in the plate's colours and grain.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ...avatar.avatar import Avatar, FrameParameters
from ...body.camera import Box
from ...body.model import BodyModel
from ...body.motion import Motion
from ...editing.hole_filling import filled_outward
from ...editing.light import Light
from ...footage.crop import crop, place
from ...footage.matte import enlarged
from ...images import as_picture, to_codes, to_float
from ...raster import rasterize
from ..data.acting import Acting
from ..data.avatars import frame_parameters
from ..data.crops import load_matte
from ..data.shots import Track
from .acted_light import shaded, shading_change
from .acted_mesh import STILL, MeshMotion, pixel_grid
from .acted_mouth import Mouth
from .clean_plate import CleanPlate

_MULTIPLE = 8
_LARGEST = 768
# Side of the pictures on which what varies slowly is found.
_COARSE = 192
# From so much on a motion shows, plate pixels, and a change of light begins to.
_MOVING, _VISIBLE = 0.10, 0.015
# A point is hidden where something lies so far in front of it, metres.
_IN_FRONT, _IN_HAIR = 0.012, 0.035
# Over which hair and clothes move as one, pixels of a window of 256.
_LOOSE = 3.0
# Sampling a surface that was seen at less than this share of its size is blurred.
_STRETCHED = (0.15, 0.40)
# How far plate and avatar may differ where the track is right, in the plate's range.
_ALIKE_SKIN, _ALIKE_INSIDE = 0.14, 0.08
# How far lids reach round an eye, pixels of a window of 256.
_LID = 3.0
_COVERED = 0.02
_SOLID = 0.98
# A matte below this says that there is none of the performer.
_UNSURE = 0.1
_REACH = 4
# How far what was hidden may lie from what moved, pixels of a window of 256.
_FARTHEST = 12
# What is farther than this from all that moved, plate pixels, keeps its bits; hair and clothes may
# stand so far off the body, pixels of a window of 256, where it takes them along: by so many times
# as far as it moved.
_NEAR, _STANDS_OFF, _TAKES_ALONG = 2, 14, 8


@dataclass(frozen=True)
class ActedFrame:
    """A frame of the plate, acted.

    Attributes:
        image: float32 (H, W, 3); what did not move has the plate's bits.
        touched: bool (H, W), what may differ from the plate.
        matte: uint8 (S, S), the acted performer's, of the frame's window.
        filled: float32 (H, W), where the avatar stands for what the plate never showed.
        invented: float32 (H, W), where background came to light that no frame showed.
    """

    image: np.ndarray
    touched: np.ndarray
    matte: np.ndarray
    filled: np.ndarray
    invented: np.ndarray


@dataclass(frozen=True)
class _Drawn:
    """The avatar in a frame's window, float32 (S, S, C)."""

    rgb: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray


class ActedPlate:
    """Frames of a plate whose performer acts otherwise.

    Args:
        track: the avatar's.
        acted: the same frames as the performer shall act them.
        acting: how they differ.
        avatar: the unedited performer's.
        body: the body model.
        light: that the shot was taken in, in which what acts turns; None leaves its shading.
        mouth: what the shot shows of its inside.
    """

    def __init__(
        self,
        track: Track,
        acted: Motion,
        acting: Acting,
        avatar: Avatar,
        body: BodyModel,
        light: Light | None,
        mouth: Mouth,
    ) -> None:
        self._track, self._acted, self._acting = track, acted, acting
        self._avatar, self._body = avatar, body
        self._light, self._mouth = light, mouth
        parts = {
            "eyes": ("eyes",),
            "mouth": ("mouth", "teeth", "tongue"),
            "loose": ("scalp", "torso", "arms"),
        }
        inside = torch.zeros(len(body.faces), len(parts))
        for column, names in enumerate(parts.values()):
            for name in names:
                if name in body.parts:
                    inside[body.parts[name], column] = 1
        self._inside = inside[avatar.texel_faces.cpu()]
        # Where nothing is loose, the mesh tells best where lids and lips end.
        self._labels = np.where(inside.any(1).numpy(), inside.argmax(1).numpy() + 1, 0)

    @torch.no_grad()
    def frame(self, frame: int, image: np.ndarray, clean: CleanPlate) -> ActedFrame | None:
        """A frame acted, None if it is played as it was tracked.

        Args:
            image: float32 (H, W, 3), the plate.
            clean: the plate without the performer.
        """
        if self._acting.is_still(frame):
            return None
        track = self._track
        box = track.box(frame)
        height, width = image.shape[:2]
        side = int(min(-(-box.side // _MULTIPLE) * _MULTIPLE, _LARGEST))
        tracked = frame_parameters(track.motion, [frame])
        acted = frame_parameters(self._acted, [frame])
        K = torch.from_numpy(track.camera.window(box, side).matrix())[None]
        before, after = self._draw(tracked, K, side), self._draw(acted, K, side)
        splatted = self._correspondence(tracked, acted, K, side)
        loose = splatted.parts[..., 2]
        motion = _smooth_where_loose(splatted.motion, after.alpha, loose)
        old, new = (self._vertices(each, splatted.displaced) for each in (tracked, acted))
        meshed = MeshMotion.of(
            old, new, self._body.faces.numpy(), self._labels, track.camera.window(box, side)
        )
        motion = np.where(meshed.firm[..., None], meshed.motion, motion)
        inside = np.where(meshed.firm[..., None], meshed.inside, splatted.parts[..., :2])
        # All below is at the window's resolution on the plate.
        on_plate = _Window(box, side, width, height)
        window = on_plate.crop(image)
        small = load_matte(track, frame)
        whole = _at_window_size(small, image, box)
        matte = place(whole, box, width, height)[0]
        field, known = _carried_outward(motion, after.alpha)
        shift = on_plate.enlarge(field) * on_plate.scale
        there = pixel_grid(shift.shape[:2]) + shift
        shown = on_plate.enlarge(after.alpha)
        was, learned = on_plate.enlarge(before.rgb), on_plate.enlarge(after.rgb)
        now = on_plate.enlarge(self._mouth.filled(after.rgb, meshed.face))
        inside = np.clip(on_plate.enlarge(inside), 0, 1)
        # How surely the plate shows the same point. Hair has no one depth.
        slack = _IN_FRONT + on_plate.enlarge(loose).clip(0, 1) * (_IN_HAIR - _IN_FRONT)
        seen = _seen(on_plate.enlarge(splatted.depth), on_plate.enlarge(before.depth), there, slack)
        firm = on_plate.enlarge(meshed.firm)
        seen = seen + firm * (on_plate.enlarge(meshed.seen) - seen)
        own = on_plate.foreground(window, matte)
        warped = _sample(own, there, cv2.INTER_CUBIC)
        alike = _alike(warped, learned, inside.max(-1), on_plate.unit)
        change = on_plate.enlarge(self._shading_change(meshed))
        warped = shaded(warped, change)
        # Lids belong to the eye that they were mistaken for.
        wrong = cv2.dilate((1 - alike) * inside[..., 0], _disc(_LID * on_plate.unit))
        wrong = cv2.GaussianBlur(wrong, (0, 0), max(1.0, on_plate.unit))
        sure = seen * _unstretched(shift, firm) * alike * (1 - np.clip(wrong, 0, 1))
        known = np.clip(on_plate.enlarge(known), 0, 1)
        sure = 1 - shown * (1 - sure)
        moved_matte = _sample(matte, there, cv2.INTER_LINEAR)
        # What the plate has beyond the avatar, as colours that vary slowly, comes along.
        trust = sure * shown
        fill = now + _slow(warped - now, trust * (1 - inside.max(-1)) * (moved_matte > 0.9))
        fill = fill + _grain(window, was, matte, frame)
        weight = cv2.GaussianBlur(np.clip((sure - 0.1) / 0.5, 0, 1), (0, 0), 1.0)
        colour = weight[..., None] * warped + (1 - weight[..., None]) * np.clip(fill, 0, 1)
        cover = np.maximum(moved_matte * known, shown * (1 - weight))
        cover = np.where(known > 0.5, cover, matte)
        # Where nothing moved the plate stays.
        speed = np.linalg.norm(shift, axis=-1)
        much = np.maximum((speed - STILL) / (_MOVING - STILL), np.abs(change - 1) / _VISIBLE - 1)
        region = np.clip(much, 0, 1) * known
        # What comes to light lies beside what moved away.
        reach = min(float(speed.max()), _FARTHEST * on_plate.unit) + 2
        near = cv2.distanceTransform((speed < STILL).astype(np.uint8), cv2.DIST_L2, 3) < reach
        differs = (np.abs(now - was).max(-1) * shown > 0.02) & near
        region = np.maximum(region, (1 - weight) * differs * shown)
        region *= np.maximum(cover, matte) > _COVERED / 5
        region *= _beside(on_plate.enlarge(meshed.moved), on_plate.unit, on_plate.scale)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _REACH - 1,) * 2)
        region = cv2.GaussianBlur(cv2.dilate(region.astype(np.float32), kernel), (7, 7), 1.2)
        touched = region > 1e-3
        wanted = on_plate.whole(touched & (np.minimum(cover, matte) < 1 - 0.5 / 255)) > 0
        behind = clean.frame(frame, image, wanted)
        background = on_plate.crop(behind.image)
        made = background + cover[..., None] * (colour - background)
        # Where a matte is unsure, or its colours are, the plate knows better: what it has beyond
        # them comes along, so that what does not move stays as it is.
        beyond = window - background - matte[..., None] * (own - background)
        beyond *= np.clip(matte / _UNSURE, 0, 1)[..., None]
        made = made + (weight * known)[..., None] * _sample(beyond, there, cv2.INTER_LINEAR)
        result = image.copy()
        part = result[on_plate.rows, on_plate.columns]
        blended = window + region[..., None] * (np.clip(made, 0, 1) - window)
        part[touched] = blended[touched]
        acted_matte = matte + region * (cover - matte)
        window_matte, _ = crop(on_plate.whole(acted_matte), box, small.shape[0])
        invented = on_plate.crop(behind.invented) * region * np.clip(matte - cover, 0, 1)
        return ActedFrame(
            result,
            on_plate.whole(touched) > 0,
            to_codes(window_matte),
            on_plate.whole(region * cover * (1 - weight)),
            on_plate.whole(invented),
        )

    @torch.no_grad()
    def avatar_alone(self, frame: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """The acted avatar in a frame's window, float32 (S, S, 3), and its coverage, (S, S)."""
        camera = self._track.camera.window(self._track.box(frame), size)
        K = torch.from_numpy(camera.matrix())[None]
        drawn = self._draw(frame_parameters(self._acted, [frame]), K, size)
        return drawn.rgb, drawn.alpha

    def _draw(self, parameters: FrameParameters, K: torch.Tensor, side: int) -> _Drawn:
        drawn = self._avatar.render(parameters, K, side)
        return _Drawn(
            as_picture(drawn.rgb), as_picture(drawn.alpha)[..., 0], as_picture(drawn.depth)[..., 0]
        )

    def _correspondence(
        self, tracked: FrameParameters, acted: FrameParameters, K: torch.Tensor, side: int
    ) -> "_Splatted":
        """Where the tracked avatar has what each pixel of the acted one shows."""
        device = self._avatar.betas.device
        tracked, acted, K = tracked.on(device), acted.on(device), K.to(device)
        old, displaced = self._avatar.gaussians(tracked, None, 3)
        # What the avatar learned to do besides with an expression is no motion of what is tracked.
        new = self._avatar.placed(acted, displaced)

        def projected(means: torch.Tensor) -> torch.Tensor:
            seen = means @ K.mT
            return seen[..., :2] / seen[..., 2:].clamp_min(1e-3)

        apart = projected(old.means) - projected(new.means)
        carried = torch.cat(
            [apart, old.means[..., 2:], self._inside.to(device).expand(len(apart), -1, -1)], dim=-1
        )
        view = torch.eye(4, device=device)[None]
        drawn = rasterize(
            new.means, new.quats, new.scales, new.opacities, carried, view, K, side, side
        )
        alpha = drawn.alpha[0].clamp_min(1e-3)
        values = (drawn.features[0] / alpha).cpu().numpy()
        return _Splatted(values[..., :2], values[..., 2], values[..., 3:], displaced[0].cpu())

    def _shading_change(self, meshed: MeshMotion) -> np.ndarray:
        """How many times brighter what acts becomes, (S, S)."""
        if self._light is None:
            return np.ones(meshed.covered.shape, np.float32)
        # Eyes and the inside of mouths lie in hollows, where light is as it is round them.
        outer = meshed.covered & (meshed.inside.max(-1) == 0)
        before, after = meshed.normals
        return shading_change(self._light, before, after, outer)

    def _vertices(self, parameters: FrameParameters, displaced: torch.Tensor) -> np.ndarray:
        """The whole body as the avatar's mesh, (V, 3)."""
        offsets = torch.zeros(self._body.vertex_count, 3)
        offsets[self._avatar.vertices] = displaced
        if parameters.offsets is not None:
            offsets = offsets + parameters.offsets[0]
        posed = self._body.forward(
            self._avatar.betas.cpu()[None],
            parameters.pose,
            parameters.expression,
            parameters.transl,
            vertex_offsets=offsets,
        )
        return posed.vertices[0].numpy()


@dataclass(frozen=True)
class _Splatted:
    """What the acted avatar's Gaussians tell of each pixel; not multiplied by alpha.

    Attributes:
        motion: (S, S, 2), how far away the tracked avatar has the same point, window pixels.
        depth: (S, S), that point's.
        parts: (S, S, 3), how much of it are eyes, the mouth's inside, and hair and clothes.
        displaced: (V', 3), how the avatar's surface lies off the body's, as tracked.
    """

    motion: np.ndarray
    depth: np.ndarray
    parts: np.ndarray
    displaced: torch.Tensor


def _disc(radius: float) -> np.ndarray:
    size = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def _alike(warped: np.ndarray, now: np.ndarray, inside: np.ndarray, unit: float) -> np.ndarray:
    """Whether the warped plate shows what the avatar believes, (h, w): where the track took a lid
    for an eye it does not."""
    apart = np.abs(cv2.GaussianBlur(warped - now, (0, 0), unit)).max(-1)
    tolerance = _ALIKE_SKIN + inside * (_ALIKE_INSIDE - _ALIKE_SKIN)
    return np.exp(-(np.square(apart / tolerance) ** 2)).astype(np.float32)


class _Window:
    """A frame's window on its plate, and what it takes to compare pictures in it.

    Attributes:
        rows, columns: the part of the plate.
        scale: plate pixels to a pixel of the drawn window.
        unit: what a pixel of a window of 256 is, in plate pixels.
    """

    def __init__(self, box: Box, side: int, width: int, height: int) -> None:
        self._box, self._size = box, (width, height)
        empty = np.zeros((side, side), np.float32)
        _, self.rows, self.columns = place(empty, box, width, height)
        self.scale = box.side / side
        self.unit = box.side / 256
        shape = (self.rows.stop - self.rows.start, self.columns.stop - self.columns.start)
        step = side / box.side
        y = (np.arange(shape[0]) + 0.5 + self.rows.start - box.y) * step - 0.5
        x = (np.arange(shape[1]) + 0.5 + self.columns.start - box.x) * step - 0.5
        self._map = np.stack(np.meshgrid(x, y), axis=-1).astype(np.float32)

    def crop(self, image: np.ndarray) -> np.ndarray:
        """The plate's part."""
        return image[self.rows, self.columns]

    def whole(self, values: np.ndarray) -> np.ndarray:
        """The plate with values in its part and 0 elsewhere, float32 (H, W)."""
        made = np.zeros(self._size[::-1], np.float32)
        made[self.rows, self.columns] = values
        return made

    def enlarge(self, drawn: np.ndarray) -> np.ndarray:
        """What was drawn in the window, at the plate's resolution."""
        return _sample_at(drawn.astype(np.float32), self._map, cv2.INTER_LINEAR)

    def foreground(self, window: np.ndarray, matte: np.ndarray) -> np.ndarray:
        """The performer's own colours where the background shines through: its solid part's,
        carried outward."""
        if not ((matte > _COVERED) & (matte < _SOLID)).any():
            return window
        solid = (matte >= _SOLID).astype(np.float32)
        sigmas = [share * self.unit for share in (0.7, 1.5, 4)]
        filled, known = filled_outward(window * solid[..., None], solid, sigmas, 8.0, False)
        own = filled / np.maximum(known, 1e-3)[..., None]
        share = np.clip(known, 0, 1)[..., None]
        return (window + share * (own - window)).astype(np.float32)


def _at_window_size(matte: np.ndarray, image: np.ndarray, box: Box) -> np.ndarray:
    """A window's matte, float32 0..1, at the plate's resolution if that is finer."""
    side = round(box.side)
    if side > matte.shape[0]:
        window, _ = crop(to_codes(image), box, side)
        matte = enlarged(matte, window)
    return to_float(matte)


def _beside(moved: np.ndarray, unit: float, scale: float) -> np.ndarray:
    """Where something can have moved, bool (h, w): hair and clothes stand off what carries them.

    Args:
        moved: (h, w, 2), how far anything moved, and what hair and clothes lie on, window pixels.
        scale: plate pixels to a window pixel.
    """
    anything, carrying = (np.ascontiguousarray(moved[..., kind] > 0.01) for kind in (0, 1))
    away = cv2.distanceTransform((~anything).astype(np.uint8), cv2.DIST_L2, 5)
    near: np.ndarray = away < _NEAR
    if not carrying.any():
        return near
    still = (~carrying).astype(np.uint8)
    away, nearest = cv2.distanceTransformWithLabels(
        still, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    way = np.zeros(int(nearest.max()) + 1, np.float32)
    way[nearest[carrying]] = moved[..., 1][carrying] * scale
    reach = np.clip(_TAKES_ALONG * way[nearest], _NEAR, max(_NEAR, _STANDS_OFF * unit))
    return near | (away < reach)


def _carried_outward(motion: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Motion beyond the avatar's edge, and how far it can be believed, 1 falling to 0."""
    cover = np.clip((alpha - 0.3) / 0.5, 0, 1).astype(np.float32)
    far, known = _filled_coarsely(motion, cover, (1, 2.5, 6, 15), 8.0, False)
    share = cover[..., None]
    return motion * share + far * (1 - share), np.maximum(known, cover)


def _smooth_where_loose(motion: np.ndarray, alpha: np.ndarray, loose: np.ndarray) -> np.ndarray:
    """Hair and clothes are Gaussians of many depths, each of which moves a little otherwise; what
    is seen of them, and the skin that they end on, moves as their mean."""
    sigma = _LOOSE * alpha.shape[0] / 256
    cover = alpha.astype(np.float32)
    mean = cv2.GaussianBlur(motion * cover[..., None], (0, 0), sigma)
    mean = mean / np.maximum(cv2.GaussianBlur(cover, (0, 0), sigma), 1e-3)[..., None]
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(sigma / 2) + 1,) * 2)
    share = cv2.dilate(np.clip(loose * cover, 0, 1).astype(np.float32), kernel)
    share = cv2.GaussianBlur(share, (0, 0), sigma / 2)[..., None]
    return motion + np.clip(share, 0, 1) * (mean - motion)


def _filled_coarsely(
    values: np.ndarray, cover: np.ndarray, sigmas: Sequence[float], solid: float, smoothed: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Values carried to where they have no cover, found on a small picture: (H, W, C), not
    multiplied by how far they are known, and that, (H, W).

    Args:
        sigmas: in pixels of a picture of 256.
        solid, smoothed: as `filled_outward` takes them.
    """
    size = cover.shape[::-1]
    shrunk = max(1.0, max(size) / _COARSE)
    small = (max(1, round(size[0] / shrunk)), max(1, round(size[1] / shrunk)))
    weighed = cv2.resize(values * cover[..., None], small, interpolation=cv2.INTER_AREA)
    weight = cv2.resize(cover, small, interpolation=cv2.INTER_AREA)
    weighed = weighed.reshape(*weight.shape, -1)
    scaled = [sigma * _COARSE / 256 for sigma in sigmas]
    filled, known = filled_outward(weighed, weight, scaled, solid, smoothed)
    filled = filled / np.maximum(known, 1e-3)[..., None]
    large = [cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in (filled, known)]
    return large[0].reshape(*cover.shape, -1), np.clip(large[1], 0, 1)


def _sample(picture: np.ndarray, where: np.ndarray, how: int) -> np.ndarray:
    """A picture at pixel positions (h, w, 2), held to what it has."""
    found = _sample_at(picture, where.astype(np.float32), how)
    return np.clip(found, 0, 1) if how == cv2.INTER_CUBIC else found


def _sample_at(picture: np.ndarray, where: np.ndarray, how: int) -> np.ndarray:
    made: np.ndarray = cv2.remap(
        np.ascontiguousarray(picture, np.float32),
        np.ascontiguousarray(where[..., 0]),
        np.ascontiguousarray(where[..., 1]),
        how,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return made


def _seen(depth: np.ndarray, front: np.ndarray, there: np.ndarray, slack: np.ndarray) -> np.ndarray:
    """Whether points of a depth were in front as tracked, or no more than `slack` behind, 0..1."""
    there_front = _sample(front, there, cv2.INTER_LINEAR)
    behind = np.where(there_front > 0, depth - there_front, 0)
    return np.exp(-np.square(np.clip(behind, 0, None) / slack)).astype(np.float32)


def _unstretched(shift: np.ndarray, firm: np.ndarray) -> np.ndarray:
    """1 where the plate has as many pixels as are wanted of it, 0 where far fewer, (h, w)."""
    # The mesh's motion leaps at lids and lips, which is no stretch.
    smooth = cv2.medianBlur(shift.astype(np.float32), 5) if firm.any() else shift
    smooth = cv2.GaussianBlur(smooth, (0, 0), 1.5)
    across, down = np.gradient(smooth, axis=1), np.gradient(smooth, axis=0)
    a, b = 1 + across[..., 0], down[..., 0]
    c, d = across[..., 1], 1 + down[..., 1]
    total = a * a + b * b + c * c + d * d
    area = a * d - b * c
    least = np.sqrt(
        np.clip((total - np.sqrt(np.clip(total**2 - 4 * area**2, 0, None))) / 2, 0, None)
    )
    least = np.where(area > 0, least, 0)
    low, high = _STRETCHED
    return np.clip((least - low) / (high - low), 0, 1).astype(np.float32)


def _slow(values: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """What varies slowly among trusted values, carried over where none is trusted."""
    return _filled_coarsely(values, trust.astype(np.float32), (2.5, 6, 16, 40), 4.0, True)[0]


def _grain(window: np.ndarray, drawn: np.ndarray, matte: np.ndarray, frame: int) -> np.ndarray:
    """Noise as the plate has beyond the avatar, float32 (h, w, 1)."""
    solid = cv2.erode((matte > _SOLID).astype(np.uint8), np.ones((5, 5))) > 0
    if not solid.any():
        return np.zeros((*matte.shape, 1), np.float32)
    # After Immerkaer (1996): second differences across both axes see noise and little else.
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6

    def level(picture: np.ndarray) -> float:
        second = cv2.filter2D(picture.mean(-1), -1, kernel)
        return float(1.48 * np.median(np.abs(second[solid])))

    missing = np.sqrt(max(level(window) ** 2 - level(drawn) ** 2, 0.0))
    noise = np.random.default_rng(frame & 0xFFFF).normal(0, 1, (*matte.shape, 1))
    return (missing * noise).astype(np.float32)
