# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Aligns a part of the body, in every frame, with what all frames show of it.

What the frames of a shot show at each point of a surface is averaged into one texture, and every
frame is aligned to it (direct alignment of a deforming mesh, as in Matthews and Baker, "Active
Appearance Models Revisited", 2004). Only detail between two scales counts, in logarithms: what lies
on the surface stays, light does not. Nor does anything count that lies beside the surface in the
picture: it would be taken for detail that moves.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, TypeVar

import cv2
import numpy as np
import torch

from ..body.camera import Camera
from ..body.geometry import rasterize_mesh
from ..body.model import BodyModel, BodyOutput
from ..body.motion import ANY_VERTEX, Motion, posed
from ..tensors import is_whole, load_arrays, save_arrays
from .silhouette import HEAD

_Found = TypeVar("_Found")

_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
_DARK = 0.06
# A step in depth between neighbours, metres and their distances, that is no slope.
_STEP = 0.008, 4.0
# The points speak for so many independent ones.
_INDEPENDENT = 300
_FACING, _COVERED, _TOUCHING = 0.2, 0.9, 0.012
_OUTLIER = 2.0
# Points that change from frame to frame count for less; this many times the noise is none.
_CALM = 0.3
_CHUNK = 64
_WAYS = ((1, 0), (0, 1))
_RING = np.ones((3, 3), np.uint8)
_BEHIND = 1e3  # Metres.
# How much a frame counts for its neighbours: one an artist fixed, one that pixels tell nothing of.
_SURE, _UNSEEN = 1e3, 0.3
# So far from frames that are aligned others lead to them.
_BESIDE = 8
_ALIGNED = ("pose", "expression", "transl")


@dataclass(frozen=True)
class Pictures:
    """Pictures of a shot.

    Attributes:
        images: uint8 (F, S, S, 3), display-referred.
        mattes: uint8 (F, S, S), the performer.
        cameras: one an image.
    """

    images: np.ndarray
    mattes: np.ndarray
    cameras: Sequence[Camera]


class Workers:
    """Threads that work frame by frame, and tell of it.

    Args:
        step: told how much of the work is done, per cent, after every frame; may raise to stop.
        passes: how often all frames are visited until the work is done.
    """

    def __init__(self, pool: ThreadPoolExecutor, step: Callable[[int], None], passes: int) -> None:
        self._pool, self._step, self._passes, self._done = pool, step, passes, 0

    def skip(self, passes: int) -> None:
        """Counts passes that an earlier run has done."""
        self._done += passes

    def each(self, work: Callable[[int], _Found], rows: range) -> list[_Found]:
        """What the work gives for every row."""
        found = []
        for result in self._pool.map(work, rows):
            found.append(result)
            self._step(int(99 * (self._done + len(found) / len(rows)) / self._passes))
        self._done += 1
        return found


@dataclass(frozen=True)
class Scales:
    """Lengths on a surface: metres, but so many pixels at least.

    Attributes:
        fine, coarse: deviations of the Gaussians between which detail is compared.
        edge: so far from all that is not the surface a pixel must be to count.
        away: and a point to be looked at.
    """

    fine: tuple[float, float]
    coarse: tuple[float, float]
    edge: tuple[float, float]
    away: tuple[float, float]


@dataclass(frozen=True)
class Posed:
    """A patch's points in every frame.

    Attributes:
        points: float32 (F, P, 3), camera space.
        facing: float32 (F, P), how squarely each faces the camera, -1..1.
        rotations: float64 (F, J, 3, 3), of the body's joints; joints: float64 (F, J, 3).
    """

    points: np.ndarray
    facing: np.ndarray
    rotations: np.ndarray
    joints: np.ndarray


class Patch:
    """Points of a body's surface: the middles of some of its faces, or points round them.

    Args:
        most: faces, evenly left out beyond it.
        round_middles: whether each face has three points more, halfway from its middle to its
            corners: where faces are large.

    Attributes:
        surface: bool (T,), the body's faces that count as that surface.
    """

    def __init__(
        self, body: BodyModel, surface: np.ndarray, most: int, round_middles: bool = False
    ) -> None:
        self.surface = surface
        faces = body.faces[torch.from_numpy(surface)]
        faces = faces[:: max(1, -(-len(faces) // most))]
        self._vertices, places = faces.unique(return_inverse=True)
        self._body = body.restricted(self._vertices)
        shares = np.full((1, 3), 1 / 3, np.float32)
        if round_middles:
            shares = np.concatenate([shares, (shares + np.eye(3, dtype=np.float32)) / 2])
        self._corners = places.numpy().repeat(len(shares), 0)
        self._shares = np.tile(shares, (len(faces), 1))[..., None]

    def keep(self, points: np.ndarray) -> None:
        """Leaves only some points, bool (P,)."""
        self._corners, self._shares = self._corners[points], self._shares[points]

    def at(self, values: np.ndarray) -> np.ndarray:
        """Values of the body's vertices (..., V, C) at the points (..., P, C)."""
        corners = values[..., self._vertices.numpy(), :][..., self._corners, :]
        found: np.ndarray = (corners * self._shares).sum(-2)
        return found

    def posed(self, motion: Motion) -> Posed:
        """Where the points lie."""
        parts = [self._part(motion, start) for start in range(0, len(motion), _CHUNK)]
        return Posed(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    def _part(self, motion: Motion, start: int) -> tuple[np.ndarray, ...]:
        rows = np.arange(start, min(start + _CHUNK, len(motion)))
        output = posed(self._body, motion.rows(rows))
        corners = output.vertices.numpy()[:, self._corners]
        points = (corners * self._shares).sum(2)
        normals = np.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
        lengths = np.linalg.norm(normals, axis=2) * np.linalg.norm(points, axis=2)
        facing = -(normals * points).sum(2) / np.maximum(lengths, 1e-12)
        return points, facing, output.rotations.double().numpy(), output.joints.double().numpy()


@dataclass(frozen=True)
class Looks:
    """What every frame shows at a patch's points.

    Attributes:
        patch: where they lie.
        detail: float32 (F, P).
        slope: float32 (F, P, 3), its change by a metre of movement in camera space.
        weight: float32 (F, P), 0 where a point is hidden.
    """

    patch: Posed
    detail: np.ndarray
    slope: np.ndarray
    weight: np.ndarray

    def texture(self) -> tuple[np.ndarray, np.ndarray, float]:
        """The mean detail (P,), the points' weights without outliers (F, P), and the noise."""
        noise, weight = np.inf, self.weight
        for _ in range(2):
            mean = (weight * self.detail).sum(0) / np.maximum(weight.sum(0), 1e-6)
            error = self.detail - mean
            shown = np.abs(error[self.weight > 0])
            noise = 1.48 * float(np.median(shown)) + 1e-4 if len(shown) else 1.0
            weight = self.weight / (1 + (error / (_OUTLIER * noise)) ** 2)
        total = np.maximum(weight.sum(0), 1e-6)
        mean = (weight * self.detail).sum(0) / total
        changing = (weight * (self.detail - mean) ** 2).sum(0) / total
        return mean, weight * noise**2 / (changing + (_CALM * noise) ** 2), noise


class Alignment(ABC):
    """A patch of the body in the pictures of a shot, laid on what all of them show of it.

    Args:
        motion: of exactly the pictures' frames.

    Attributes:
        scales: of the detail that is compared.
        rounds: how many Gauss-Newton steps.
    """

    scales: ClassVar[Scales]
    rounds: ClassVar[int]

    def __init__(
        self,
        body: BodyModel,
        motion: Motion,
        pictures: Pictures,
        workers: Workers,
        patch: Patch,
    ) -> None:
        self._body, self._start, self._pictures = body, motion, pictures
        self._workers, self._patch = workers, patch
        self._rows = range(len(motion))
        self._tracked = patch.posed(motion)
        seen, self._details = zip(*workers.each(self._prepared, self._rows), strict=True)
        self._seen = np.stack(seen)

    @classmethod
    def passes(cls) -> int:
        """How often all frames are visited: for detail, twice a round, twice in the end."""
        return 1 + 2 * cls.rounds + 2

    def fitted(self, kept: Path | None = None) -> Motion:
        """The motion aligned, and stilled; frames that an artist fixed keep theirs, and so do those
        that agree no better than they did with the others, but for leading to their neighbours.

        Args:
            kept: where every round's motion is written, and read back by a run that goes on.
        """
        found, done = self._kept(kept)
        self._workers.skip(2 * done)
        for round_ in range(done, self.rounds):
            found = self._step(found)
            if kept is not None:
                values = {name: getattr(found, name) for name in _ALIGNED}
                save_arrays(kept, values | {"rounds": np.array([round_ + 1])})
        improved = self._improved(found)
        rows = np.flatnonzero(improved & ~self._start.fixed)
        aligned = replace(self._start, **_with_rows(self._start, found, rows))
        weights = np.where(self._start.fixed, _SURE, np.where(improved, 1.0, _UNSEEN))
        stilled = self._stilled(aligned, weights)
        far = ~_near(self._start.frames, improved) | self._start.fixed
        return replace(stilled, **_with_rows(stilled, self._start, far))

    def _kept(self, path: Path | None) -> tuple[Motion, int]:
        """Where an earlier run stood: its motion, and how many rounds it had done."""
        if path is None or not is_whole(path):
            return self._start, 0
        tensors = load_arrays(path)
        motion = replace(self._start, **{name: tensors[name] for name in _ALIGNED})
        return motion, int(tensors["rounds"][0])

    @abstractmethod
    def _solved(
        self, motion: Motion, looks: Looks, row: int, error: np.ndarray, weight: np.ndarray
    ) -> np.ndarray:
        """A frame's step (K,), from each point's error (P,) and the information in it (P,)."""

    @abstractmethod
    def _stilled(self, motion: Motion, weights: np.ndarray) -> Motion:
        """The motion without what jumps from frame to frame, each frame believed by its weight
        (F,): pixels tell of every frame by itself, and performers move smoothly."""

    @abstractmethod
    def _moved(self, motion: Motion, steps: np.ndarray) -> Motion:
        """The motion after every frame's step (F, K)."""

    def _head_shift(self, before: BodyOutput, moved: Motion) -> np.ndarray:
        """What takes every head's joint back to where it was, (F, 3)."""
        after = posed(self._body, moved, ANY_VERTEX)
        shift: np.ndarray = (before.joints - after.joints)[:, HEAD].numpy()
        return shift

    def _step(self, motion: Motion) -> Motion:
        """A Gauss-Newton step of every frame towards the texture that all of them show."""
        looks = self._looks(self._patch.posed(motion))
        texture, weight, noise = looks.texture()
        information = _INDEPENDENT / max(looks.detail.shape[1], 1) / noise**2

        def solved(row: int) -> np.ndarray:
            error = looks.detail[row] - texture
            return self._solved(motion, looks, row, error, information * weight[row])

        steps = np.stack(self._workers.each(solved, self._rows))
        # What an artist fixed is what others are laid on.
        steps[self._start.fixed] = 0
        return self._moved(motion, steps)

    def _improved(self, motion: Motion) -> np.ndarray:
        """Which frames agree better with a motion's texture than they did at first, bool (F,)."""
        looks = self._looks(self._patch.posed(motion))
        texture, _, noise = looks.texture()

        def disagreement(looks: Looks) -> np.ndarray:
            error = np.minimum(np.abs(looks.detail - texture), _OUTLIER * noise)
            mean: np.ndarray = (looks.weight * error**2).sum(1) / np.maximum(looks.weight.sum(1), 1)
            return mean

        return disagreement(looks) < disagreement(self._looks(self._tracked))

    def _looks(self, patch: Posed) -> Looks:
        found = self._workers.each(lambda row: self._look(patch, row), self._rows)
        return Looks(patch, *(np.stack(each) for each in zip(*found, strict=True)))

    def _look(self, patch: Posed, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        camera, points = self._pictures.cameras[row], patch.points[row]
        where = camera.project(points).astype(np.float32) - 0.5
        detail = self._details[row].astype(np.float32)
        slopes = (cv2.Sobel(detail, cv2.CV_32F, *way, ksize=3, scale=1 / 8) for way in _WAYS)
        value, across, down = (_sampled(each, where) for each in (detail, *slopes))
        pixels = camera.fx / points[:, 2]
        depth = -(points[:, 0] * across + points[:, 1] * down) / points[:, 2]
        slope = np.stack([across, down, depth], axis=1) * pixels[:, None]
        facing = patch.facing[row]
        shown = self._seen[row] & (facing > _FACING)
        return value, slope, np.where(shown, facing**2, 0).astype(np.float32)

    def _prepared(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Which points show, bool (P,), and the surface's detail in a frame, float16 (S, S)."""
        camera, scales = self._pictures.cameras[row], self.scales
        pixels = camera.fx / max(float(self._tracked.joints[row, HEAD, 2]), 1e-3)
        vertices = posed(self._body, self._start.rows(np.array([row]))).vertices[0].numpy()
        shown, _, depth = rasterize_mesh(vertices, self._body.faces.numpy(), camera)
        depth = np.where(shown >= 0, depth, _BEHIND).astype(np.float32)
        nearest, farthest = cv2.erode(depth, _RING), cv2.dilate(depth, _RING)
        surface = (shown >= 0) & self._patch.surface[shown]
        surface &= self._pictures.mattes[row] > 255 * _COVERED
        surface &= farthest - nearest < _STEP[0] + _STEP[1] / pixels
        clear = cv2.distanceTransform(surface.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        points = self._tracked.points[row]
        where = camera.project(points).astype(np.float32) - 0.5
        column, line = where.round().astype(int).T
        hidden_by = nearest[line.clip(0, camera.height - 1), column.clip(0, camera.width - 1)]
        seen: np.ndarray = points[:, 2] - hidden_by < _TOUCHING
        seen &= _sampled(clear, where) > _pixels(scales.away, pixels)
        inside = (clear > _pixels(scales.edge, pixels)).astype(np.float32)
        blurs = _pixels(scales.fine, pixels), _pixels(scales.coarse, pixels)
        return seen, _detail(self._pictures.images[row], inside, *blurs)


def _near(frames: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Which frames (F,) lie beside chosen ones, or are chosen, bool (F,)."""
    apart = np.abs(frames[:, None] - frames[None, chosen])
    near: np.ndarray = apart.min(1, initial=_BESIDE + 1) <= _BESIDE
    return near


def _with_rows(motion: Motion, other: Motion, rows: np.ndarray) -> dict[str, np.ndarray]:
    """What alignment changes, with some rows of another motion."""
    values = {name: getattr(motion, name).copy() for name in _ALIGNED}
    for name, value in values.items():
        value[rows] = getattr(other, name)[rows]
    return values


def _pixels(length: tuple[float, float], pixels: float) -> float:
    """A length on the surface of so many metres, but at least so many pixels, in pixels."""
    return max(length[0] * pixels, length[1])


def _detail(image: np.ndarray, inside: np.ndarray, fine: float, coarse: float) -> np.ndarray:
    """What lies between two deviations (pixels) of a logarithm inside a mask, float16 (S, S)."""
    grey = np.log(image.astype(np.float32) @ _LUMA / 255 + _DARK)

    def mean(sigma: float) -> np.ndarray:
        over = cv2.GaussianBlur(grey * inside, (0, 0), sigma)
        return np.asarray(over / np.maximum(cv2.GaussianBlur(inside, (0, 0), sigma), 1e-3))

    return (mean(fine) - mean(coarse)).astype(np.float16)


def _sampled(picture: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Bilinear samples (P,) of a picture (S, S) at pixel positions (P, 2), 0 outside."""
    if not len(where):  # OpenCV takes no empty map.
        return np.empty(0, np.float32)
    columns, rows = where[:, 0], where[:, 1]
    return np.asarray(cv2.remap(picture, columns, rows, cv2.INTER_LINEAR))[:, 0]
