# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lays the tracked face on the plate's own pixels: head and expression of every frame.

What the frames of a shot show at each point of the face is averaged into one texture, and every
frame is aligned to it (direct alignment of a deforming mesh, as in Matthews and Baker, "Active
Appearance Models Revisited", 2004). Only detail between two scales counts, in logarithms: pores,
brows and creases stay on the skin, light does not. Nor does anything count that lies beside skin in
the picture (background, hair, eyes, the open mouth, the cheek behind a nose): it would be taken for
detail that moves. Landmarks remain the prior: they know where a head is, pixels how it moved.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ..body.camera import Camera
from ..body.geometry import rasterize_mesh
from ..body.model import BodyModel
from ..body.motion import Motion, posed
from .silhouette import HEAD

_Found = TypeVar("_Found")

_NECK, _JAW, _EYES = 12, 22, (23, 24)
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
_DARK = 0.06
# Detail between two Gaussians is compared; their deviations on the face in metres, and the least in
# pixels.
_FINE, _COARSE = (0.001, 0.6), (0.003, 1.8)
# So far from all that is not skin a pixel must be to count, and a point to be looked at.
_EDGE, _AWAY = (0.001, 1.0), (0.002, 1.5)
# A step in depth between neighbours, metres and their distances, that is no slope.
_STEP = 0.008, 4.0
_ROUNDS = 8
# How far landmarks may be off, one deviation each: turn, place across and along the line of sight,
# and the value of a facial unit that runs from 0 to 1; they see a jaw best of all.
_TURN, _ACROSS, _ALONG, _UNIT, _JAW_UNIT = np.radians(1.5), 0.001, 0.01, 0.2, 0.05
# So many points of the face are looked at; they speak for so many independent ones.
_POINTS, _INDEPENDENT = 2500, 300
_FACING, _COVERED, _TOUCHING = 0.2, 0.9, 0.012
_OUTLIER = 2.0
# Points that change from frame to frame count for less; this many times the noise is none.
_CALM = 0.3
_LARGEST_TURN = 0.03
# The skin round landmarks, of a body whose face is not labelled, metres.
_AROUND = 0.03
# Lids cover what they would be aligned by, eyes have joints of their own, tongues are not skin.
_LEFT_ALONE = ("eyeBlink", "eyeLook", "tongueOut", "jawForward")
_CHUNK = 64
# Over all frames: the detail, two in every round, two in the end.
_PASSES = 1 + 2 * _ROUNDS + 2
_WAYS = ((1, 0), (0, 1))
_RING = np.ones((3, 3), np.uint8)
_BEHIND = 1e3  # Metres.
# A single vertex, where only the joints are wanted.
_ANY = torch.zeros(1, dtype=torch.int64)


def fit_photometric(
    body: BodyModel,
    motion: Motion,
    images: np.ndarray,
    mattes: np.ndarray,
    cameras: Sequence[Camera],
    step: Callable[[int], None] = lambda done: None,
) -> Motion:
    """Aligns the face in every frame with what all of them show.

    Args:
        body: the body model.
        motion: of exactly these frames.
        images: uint8 (F, S, S, 3), display-referred.
        mattes: uint8 (F, S, S), the performer.
        cameras: one an image.
        step: told how much of the work is done, per cent, after every frame; may raise to stop.

    Returns:
        The motion with head, place and expression corrected. Frames that an artist fixed, or that
        agree no better with the others than they did, keep theirs.
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        alignment = _Alignment(body, motion, images, mattes, cameras, _Workers(pool, step))
        found = motion
        for _ in range(_ROUNDS):
            found = alignment.step(found)
        better = alignment.improved(found) & ~motion.fixed
    step(100)
    rows = np.flatnonzero(better)
    values = {name: getattr(motion, name).copy() for name in ("pose", "expression", "transl")}
    for name, value in values.items():
        value[rows] = getattr(found, name)[rows]
    return replace(motion, **values)


class _Workers:
    """Threads that work frame by frame, and tell of it."""

    def __init__(self, pool: ThreadPoolExecutor, step: Callable[[int], None]) -> None:
        self._pool, self._step, self._passes = pool, step, 0

    def each(self, work: Callable[[int], _Found], rows: range) -> list[_Found]:
        """What the work gives for every row."""
        found = []
        for result in self._pool.map(work, rows):
            found.append(result)
            self._step(int(99 * (self._passes + len(found) / len(rows)) / _PASSES))
        self._passes += 1
        return found


@dataclass(frozen=True)
class _Posed:
    """The face's points in every frame.

    Attributes:
        points: float32 (F, P, 3), camera space.
        facing: float32 (F, P), how squarely each faces the camera, -1..1.
        turned: float64 (F, 3, 3), the head's rotation; place: float64 (F, 3), of its joint.
    """

    points: np.ndarray
    facing: np.ndarray
    turned: np.ndarray
    place: np.ndarray


class _Face:
    """Points of a body's face, which follow the head and the jaw.

    Attributes:
        skin: bool (T,), the body's faces that they are taken from.
        units: float32 (3, P, E), how facial units move them in the head's space.
    """

    def __init__(self, body: BodyModel) -> None:
        follows = body.weights[:, HEAD] + body.weights[:, _JAW]
        self.skin = (follows[body.faces] > 0.9).all(1).numpy() & _skin(body)
        faces = body.faces[torch.from_numpy(self.skin)]
        faces = faces[:: max(1, -(-len(faces) // _POINTS))]
        vertices, places = faces.unique(return_inverse=True)
        self._body, self._corners = body.restricted(vertices), places.numpy()
        moved = body.directions.view(len(body.directions), -1, 3)[body.n_shape :, vertices]
        self.units = moved.numpy()[:, self._corners].mean(2).transpose(2, 1, 0).copy()

    def posed(self, motion: Motion) -> _Posed:
        """Where the points lie."""
        parts = [self._part(motion, start) for start in range(0, len(motion), _CHUNK)]
        return _Posed(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    def _part(self, motion: Motion, start: int) -> tuple[np.ndarray, ...]:
        rows = np.arange(start, min(start + _CHUNK, len(motion)))
        output = posed(self._body, motion.rows(rows))
        corners = output.vertices.numpy()[:, self._corners]
        points = corners.mean(2)
        normals = np.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
        lengths = np.linalg.norm(normals, axis=2) * np.linalg.norm(points, axis=2)
        facing = -(normals * points).sum(2) / np.maximum(lengths, 1e-12)
        turned, place = output.rotations[:, HEAD].double(), output.joints[:, HEAD].double()
        return points, facing, turned.numpy(), place.numpy()


def _skin(body: BodyModel) -> np.ndarray:
    """The faces of a body that are skin of the face, bool (F,)."""
    if "face" in body.parts:
        chosen: np.ndarray = (body.parts["face"] | body.parts["lips"]).numpy()
        return chosen
    vertices, faces = body.template.numpy(), body.faces.numpy()
    middles, marks = vertices[faces].mean(1), body.landmarks.on(vertices, faces)
    near: np.ndarray = (
        np.linalg.norm(middles[:, None] - marks[None], axis=2).min(1, initial=np.inf) < _AROUND
    )
    return near


@dataclass(frozen=True)
class _Looks:
    """What every frame shows at the face's points.

    Attributes:
        face: where they lie.
        detail: float32 (F, P).
        slope: float32 (F, P, 3), its change by a metre of movement in camera space.
        weight: float32 (F, P), 0 where a point is hidden.
    """

    face: _Posed
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


class _Alignment:
    """The windows of a shot and the face in them."""

    def __init__(
        self,
        body: BodyModel,
        motion: Motion,
        images: np.ndarray,
        mattes: np.ndarray,
        cameras: Sequence[Camera],
        workers: _Workers,
    ) -> None:
        self._body, self._start, self._workers = body, motion, workers
        self._images, self._mattes, self._cameras = images, mattes, cameras
        self._rows = range(len(motion))
        self._face = _Face(body)
        self._tracked = self._face.posed(motion)
        seen, self._details = zip(*workers.each(self._prepared, self._rows), strict=True)
        self._seen = np.stack(seen)
        names = body.expression_names
        self._free = np.array([not name.startswith(_LEFT_ALONE) for name in names])
        self._low, self._high = body.expression_bounds
        units = [self._high * (_JAW_UNIT if name.startswith("jaw") else _UNIT) for name in names]
        deviations = [*[_TURN] * 3, _ACROSS, _ACROSS, _ALONG, *units]
        self._prior = np.array(deviations) ** -2.0

    def step(self, motion: Motion) -> Motion:
        """A Gauss-Newton step of every frame towards the texture that all of them show."""
        looks = self._looks(self._face.posed(motion))
        texture, weight, noise = looks.texture()
        information = _INDEPENDENT / max(looks.detail.shape[1], 1) / noise**2

        def solved(row: int) -> np.ndarray:
            error = looks.detail[row] - texture
            return self._solved(motion, looks, row, error, information * weight[row])

        steps = np.stack(self._workers.each(solved, self._rows))
        steps[:, :3] = steps[:, :3].clip(-_LARGEST_TURN, _LARGEST_TURN)
        turns = Rotation.from_rotvec(steps[:, :3]).as_matrix()
        units = (motion.expression + steps[:, 6:]).clip(self._low, self._high)
        return _moved(self._body, motion, turns, steps[:, 3:6], units)

    def improved(self, motion: Motion) -> np.ndarray:
        """Which frames agree better with a motion's texture than they did at first, bool (F,)."""
        looks = self._looks(self._face.posed(motion))
        texture, _, noise = looks.texture()

        def disagreement(looks: _Looks) -> np.ndarray:
            error = np.minimum(np.abs(looks.detail - texture), _OUTLIER * noise)
            mean: np.ndarray = (looks.weight * error**2).sum(1) / np.maximum(looks.weight.sum(1), 1)
            return mean

        return disagreement(looks) < disagreement(self._looks(self._tracked))

    def _looks(self, face: _Posed) -> _Looks:
        found = self._workers.each(lambda row: self._look(face, row), self._rows)
        return _Looks(face, *(np.stack(each) for each in zip(*found, strict=True)))

    def _look(self, face: _Posed, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        camera, points = self._cameras[row], face.points[row]
        where = camera.project(points).astype(np.float32) - 0.5
        detail = self._details[row].astype(np.float32)
        slopes = (cv2.Sobel(detail, cv2.CV_32F, *way, ksize=3, scale=1 / 8) for way in _WAYS)
        value, across, down = (_sampled(each, where) for each in (detail, *slopes))
        pixels = camera.fx / points[:, 2]
        depth = -(points[:, 0] * across + points[:, 1] * down) / points[:, 2]
        slope = np.stack([across, down, depth], axis=1) * pixels[:, None]
        facing = face.facing[row]
        shown = self._seen[row] & (facing > _FACING)
        return value, slope, np.where(shown, facing**2, 0).astype(np.float32)

    def _prepared(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Which points lie on skin that shows, bool (P,), and a frame's detail, float16 (S, S)."""
        camera = self._cameras[row]
        pixels = camera.fx / max(float(self._tracked.place[row, 2]), 1e-3)
        vertices = posed(self._body, self._start.rows(np.array([row]))).vertices[0].numpy()
        shown, _, depth = rasterize_mesh(vertices, self._body.faces.numpy(), camera)
        depth = np.where(shown >= 0, depth, _BEHIND).astype(np.float32)
        nearest, farthest = cv2.erode(depth, _RING), cv2.dilate(depth, _RING)
        skin = (shown >= 0) & self._face.skin[shown] & (self._mattes[row] > 255 * _COVERED)
        skin &= farthest - nearest < _STEP[0] + _STEP[1] / pixels
        clear = cv2.distanceTransform(skin.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        points = self._tracked.points[row]
        where = camera.project(points).astype(np.float32) - 0.5
        column, line = where.round().astype(int).T
        hidden_by = nearest[line.clip(0, camera.height - 1), column.clip(0, camera.width - 1)]
        seen: np.ndarray = points[:, 2] - hidden_by < _TOUCHING
        seen &= _sampled(clear, where) > _pixels(_AWAY, pixels)
        inside = (clear > _pixels(_EDGE, pixels)).astype(np.float32)
        blurs = _pixels(_FINE, pixels), _pixels(_COARSE, pixels)
        return seen, _detail(self._images[row], inside, *blurs)

    def _solved(
        self, motion: Motion, looks: _Looks, row: int, error: np.ndarray, weight: np.ndarray
    ) -> np.ndarray:
        """A frame's step: turn, shift (camera space) and facial units, (6 + E,)."""
        face, tracked, slope = looks.face, self._tracked, looks.slope[row]
        turn = np.cross(face.points[row] - face.place[row], slope)
        local = slope @ face.turned[row]
        units = sum(local[:, axis : axis + 1] * self._face.units[axis] for axis in range(3))
        root = np.sqrt(weight)[:, None]
        jacobian = torch.from_numpy(np.concatenate([turn, slope, units], axis=1) * root).float()
        residual = torch.from_numpy(error * root[:, 0]).float()
        normal = (jacobian.T @ jacobian).double().numpy() + np.diag(self._prior)
        present = motion.expression[row]
        strayed = np.concatenate(
            [
                Rotation.from_matrix(face.turned[row] @ tracked.turned[row].T).as_rotvec(),
                face.place[row] - tracked.place[row],
                present - self._start.expression[row],
            ]
        )
        pull = (jacobian.T @ residual).double().numpy() + self._prior * strayed
        push = pull[6:]
        held = (present <= self._low) & (push > 0) | (present >= self._high) & (push < 0)
        moving = np.concatenate([np.ones(6, bool), ~held & self._free])
        step = np.zeros(len(pull))
        step[moving] = -np.linalg.solve(normal[np.ix_(moving, moving)], pull[moving])
        return step


def _pixels(length: tuple[float, float], pixels: float) -> float:
    """A length on the face of so many metres, but at least so many pixels, in pixels."""
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
    columns, rows = where[:, 0], where[:, 1]
    return np.asarray(cv2.remap(picture, columns, rows, cv2.INTER_LINEAR))[:, 0]


def _moved(
    body: BodyModel, motion: Motion, turns: np.ndarray, shifts: np.ndarray, units: np.ndarray
) -> Motion:
    """The motion with every head turned about its joint and shifted; necks and eyes stay.

    Args:
        turns: (F, 3, 3), in camera space.
        shifts: (F, 3), metres.
        units: (F, E), the new expressions.
    """
    before = posed(body, motion, _ANY)
    neck = before.rotations[:, _NECK].double().numpy()
    head = turns @ before.rotations[:, HEAD].double().numpy()
    pose = motion.pose.copy()
    pose[:, HEAD] = Rotation.from_matrix(neck.transpose(0, 2, 1) @ head).as_rotvec()
    for eye in _EYES:
        gaze = before.rotations[:, eye].double().numpy()
        pose[:, eye] = Rotation.from_matrix(head.transpose(0, 2, 1) @ gaze).as_rotvec()
    moved = replace(motion, pose=pose, expression=units.astype(np.float32))
    apart = (before.joints - posed(body, moved, _ANY).joints)[:, HEAD].numpy()
    return replace(moved, transl=(motion.transl + apart + shifts).astype(np.float32))
