# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fits the head to face landmarks: analytic Gauss-Newton over a rigid, linearly deforming head.

Per frame: rotation, translation and expression. For the shot: identity and focal length, solved
from frames chosen for their variety, with the per-frame blocks eliminated (Schur complement).
Residuals are weighted to per cent of the eye distance and by every landmark's spread on the model;
priors are strong enough that a smile is explained as a smile and not by its neighbours.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..body.camera import Camera
from ..body.model import BodyModel
from .landmark_bias import LandmarkBias

# An expression of 1 costs as much as 468 landmarks half a per cent off; likewise one deviation of
# shape in a single frame.
EXPRESSION_PRIOR = 11.0
SHAPE_PRIOR = 4.0
FOCAL_DEVIATION = 0.25
_SPREAD = 0.003
_OUTLIER = 4.0
_RIGID = 6
_OUTER_EYES = (33, 263)
_CHUNK = 48
# A chunk is done when no frame's cost falls by more than this share.
_SETTLED = 1e-4


@dataclass(frozen=True)
class HeadPoses:
    """Heads in camera space, a row a frame.

    Attributes:
        rotation: float64 (F, 3, 3), head space to camera space.
        translation: float64 (F, 3), where the head model's origin lies, metres.
        expression: float64 (F, E).
    """

    rotation: np.ndarray
    translation: np.ndarray
    expression: np.ndarray

    def rows(self, rows: np.ndarray) -> "HeadPoses":
        """Some rows."""
        return HeadPoses(self.rotation[rows], self.translation[rows], self.expression[rows])


class HeadModel:
    """The landmarks of a body's head, as they are detected: linear in shape and expression.

    Attributes:
        indices: the MediaPipe landmarks used, in order.
        mean: float64 (L, 3), in the rest pose, about `origin`.
        shapes: float64 (S, L, 3); expressions: float64 (E, L, 3).
        lower, upper: float64 (E,), bounds of the expression values.
        prior: float64 (E,), weight of the pull to zero.
        response: how the detector departs from the points of this body; None if unknown.
    """

    def __init__(self, body: BodyModel) -> None:
        marks = body.landmarks
        corners = body.faces.numpy()[marks.faces]
        weights = marks.barycentric.astype(np.float64)
        mean = (body.template.numpy()[corners] * weights[..., None]).sum(1)
        directions = body.directions.view(len(body.directions), -1, 3).numpy()
        moved = (directions[:, corners] * weights[..., None]).sum(2).astype(np.float64)
        self.indices = marks.indices
        self.origin = mean.mean(0)
        self.mean = mean - self.origin
        self.response = LandmarkBias.of(body)
        if self.response is not None:
            self.mean = self.mean + self.response.static
            moved[body.n_shape :] += self.response.units
        self.shapes = moved[: body.n_shape]
        self.expressions = moved[body.n_shape :]
        self.weight = 1 / np.sqrt(1 + (marks.spread.astype(np.float64) / _SPREAD) ** 2)
        names = body.expression_names
        arkit = "jawOpen" in names
        low, high = body.expression_bounds
        self.lower, self.upper = np.full(len(names), low), np.full(len(names), high)
        self.prior = np.full(len(names), EXPRESSION_PRIOR if arkit else EXPRESSION_PRIOR / 3)
        for index, name in enumerate(names):
            if name.startswith("eyeBlink"):
                self.upper[index] = body.blink_closed
            # The eye joints carry gaze; landmarks tell nothing of these.
            if name.startswith("eyeLook") or name in ("tongueOut", "jawForward"):
                self.upper[index] = 0.0

    def rest(self, betas: np.ndarray) -> np.ndarray:
        """The neutral landmarks of an identity, (L, 3)."""
        return self.mean + np.tensordot(betas, self.shapes, 1)


def fit_heads(
    model: HeadModel,
    points: np.ndarray,
    betas: np.ndarray,
    camera: Camera,
    start: HeadPoses | None = None,
    iterations: int = 12,
) -> HeadPoses:
    """Pose and expression of every frame for a known identity and camera.

    Args:
        points: float64 (F, L, 2), plate pixels, all finite.
        betas: (S,).
        camera: of the plate.
        start: where to begin; from the landmarks' position and size if None.

    Returns:
        The heads, each solved by itself.
    """
    poses = start if start is not None else _first_guess(model, points, camera)

    def fitted(first: int) -> HeadPoses:
        return _fit_chunk(
            model,
            points[first : first + _CHUNK],
            betas,
            camera,
            poses.rows(np.arange(first, min(first + _CHUNK, len(points)))),
            iterations,
            rigid_first=start is None,
        )

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        solved = list(pool.map(fitted, range(0, len(points), _CHUNK)))
    return HeadPoses(
        np.concatenate([each.rotation for each in solved]),
        np.concatenate([each.translation for each in solved]),
        np.concatenate([each.expression for each in solved]),
    )


def fit_identity(
    model: HeadModel,
    points: np.ndarray,
    camera: Camera,
    *,
    fixed_focal: bool,
    iterations: int = 14,
) -> tuple[np.ndarray, Camera, HeadPoses]:
    """One identity and focal length for frames of one person.

    Args:
        points: float64 (F, L, 2), of some varied frames, all finite.
        camera: the first guess; its focal length is kept if `fixed_focal`.

    Returns:
        betas (S,), the camera, and the frames' heads.
    """
    shapes = len(model.shapes)
    betas = np.zeros(shapes)
    log_focal = 0.0
    poses = fit_heads(model, points, betas, camera, iterations=8)
    prior = np.full(shapes, SHAPE_PRIOR * np.sqrt(len(points)) * 0.7)
    damping = 1e-3
    current = camera
    cost = _total_cost(model, points, betas, current, poses, prior, log_focal)
    for _ in range(iterations):
        step = _schur_step(model, points, betas, current, poses, prior, log_focal, damping)
        shape_step, focal_step, pose_step = step
        if fixed_focal:
            focal_step = 0.0
        new_betas = betas + shape_step
        new_log = float(np.clip(log_focal + focal_step, -0.7, 0.7))
        new_camera = _with_focal(camera, new_log)
        moved = _moved(model, poses, pose_step)
        new_cost = _total_cost(model, points, new_betas, new_camera, moved, prior, new_log)
        if new_cost < cost:
            done = (cost - new_cost) / cost < 1e-4
            betas, log_focal, current, poses, cost = new_betas, new_log, new_camera, moved, new_cost
            damping = max(damping / 4, 1e-7)
            if done:
                break
        else:
            damping *= 10
    return betas, current, fit_heads(model, points, betas, current, poses, iterations=6)


def project(model: HeadModel, betas: np.ndarray, camera: Camera, poses: HeadPoses) -> np.ndarray:
    """The landmarks' pixels (F, L, 2)."""
    return camera.project(_camera_space(model, model.rest(betas), poses)[0])


def _with_focal(camera: Camera, log_focal: float) -> Camera:
    factor = float(np.exp(log_focal))
    return replace(camera, fx=camera.fx * factor, fy=camera.fy * factor)


def _first_guess(model: HeadModel, points: np.ndarray, camera: Camera) -> HeadPoses:
    """Upright and towards the camera, at the depth that the face's size tells."""
    count = len(points)
    extent = np.ptp(points[..., 1], axis=1)
    size = np.ptp(model.mean[:, 1])
    depth = camera.fy * size / np.maximum(extent, 1e-3)
    centre = points.mean(1)
    translation = np.stack(
        [
            (centre[:, 0] - camera.cx) / camera.fx * depth,
            (centre[:, 1] - camera.cy) / camera.fy * depth,
            depth,
        ],
        axis=1,
    )
    rotation = np.tile(np.diag([1.0, -1.0, -1.0]), (count, 1, 1))
    return HeadPoses(rotation, translation, np.zeros((count, len(model.expressions))))


def _camera_space(
    model: HeadModel, rest: np.ndarray, poses: HeadPoses
) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks in camera space (F, L, 3), and turned but not moved."""
    local = rest + np.tensordot(poses.expression, model.expressions, 1)
    if model.response is not None:
        local = local + model.response.seen_from(poses.rotation)
    turned = local @ poses.rotation.transpose(0, 2, 1)
    return turned + poses.translation[:, None], turned


def _residuals(
    model: HeadModel, points: np.ndarray, rest: np.ndarray, camera: Camera, poses: HeadPoses
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Weighted residuals (F, L, 2), their weights (F, L), and both forms of the points."""
    space, turned = _camera_space(model, rest, poses)
    eyes = [int(np.flatnonzero(model.indices == index)[0]) for index in _OUTER_EYES]
    apart = np.linalg.norm(points[:, eyes[0]] - points[:, eyes[1]], axis=1)
    # A profile foreshortens the eyes; the face's height does not.
    apart = np.maximum(apart, 0.45 * np.ptp(points[..., 1], axis=1))
    error = camera.project(space) - points
    per_cent = 100 / apart[:, None]
    size = np.linalg.norm(error, axis=2) * per_cent
    robust = 1 / np.sqrt(1 + (size / _OUTLIER) ** 2)
    weight = per_cent * model.weight * robust
    return error * weight[..., None], weight, space, turned


def _pixel_slopes(space: np.ndarray, camera: Camera) -> np.ndarray:
    """d pixel / d camera-space point, (F, L, 2, 3)."""
    inverse = 1 / space[..., 2]
    slopes = np.zeros((*space.shape[:2], 2, 3))
    slopes[..., 0, 0] = camera.fx * inverse
    slopes[..., 0, 2] = -camera.fx * space[..., 0] * inverse**2
    slopes[..., 1, 1] = camera.fy * inverse
    slopes[..., 1, 2] = -camera.fy * space[..., 1] * inverse**2
    return slopes


def _pose_jacobian(
    model: HeadModel, slopes: np.ndarray, turned: np.ndarray, rotation: np.ndarray
) -> np.ndarray:
    """d residual / d (turn, shift, expression), (F, 2L, 6 + E)."""
    frames, marks = turned.shape[:2]
    x, y, z = turned[..., 0], turned[..., 1], turned[..., 2]
    zero = np.zeros_like(x)
    # d (R p) / d omega = -[R p]x for a left perturbation.
    cross = np.stack([zero, z, -y, -z, zero, x, y, -x, zero], axis=-1)
    turn = slopes @ cross.reshape(frames, marks, 3, 3)
    local = slopes @ rotation[:, None]
    moved = np.einsum("flij,elj->flie", local, model.expressions, optimize=True)
    return np.concatenate([turn, slopes, moved], axis=3).reshape(frames, 2 * marks, -1)


def _fit_chunk(
    model: HeadModel,
    points: np.ndarray,
    betas: np.ndarray,
    camera: Camera,
    poses: HeadPoses,
    iterations: int,
    rigid_first: bool,
) -> HeadPoses:
    rest = model.rest(betas)
    damping = np.full(len(points), 1e-3)
    cost = _frame_costs(model, points, rest, camera, poses)
    for iteration in range(iterations):
        error, weight, space, turned = _residuals(model, points, rest, camera, poses)
        slopes = _pixel_slopes(space, camera) * weight[..., None, None]
        jacobian = _pose_jacobian(model, slopes, turned, poses.rotation)
        normal, gradient = _normal_equations(model, jacobian, error, poses)
        if rigid_first and iteration < 4:
            normal[:, _RIGID:, :] = normal[:, :, _RIGID:] = 0
            normal[:, range(_RIGID, normal.shape[1]), range(_RIGID, normal.shape[1])] = 1
            gradient[:, _RIGID:] = 0
        diagonal = np.einsum("fii->fi", normal)
        damped = normal + np.eye(normal.shape[1]) * (damping[:, None] * diagonal)[:, None]
        step = -_solved(damped, gradient[..., None])[..., 0]
        moved = _moved(model, poses, step)
        new_cost = _frame_costs(model, points, rest, camera, moved)
        better = new_cost < cost
        settled = iteration > 4 and bool((cost - new_cost < _SETTLED * cost).all())
        poses = HeadPoses(
            np.where(better[:, None, None], moved.rotation, poses.rotation),
            np.where(better[:, None], moved.translation, poses.translation),
            np.where(better[:, None], moved.expression, poses.expression),
        )
        damping = np.where(better, np.maximum(damping / 4, 1e-7), damping * 8)
        cost = np.where(better, new_cost, cost)
        if settled and better.all():
            break
    return poses


def _normal_equations(
    model: HeadModel, jacobian: np.ndarray, error: np.ndarray, poses: HeadPoses
) -> tuple[np.ndarray, np.ndarray]:
    """J^T J and J^T r with the expression prior; rows of values held at a bound are identity."""
    flat = error.reshape(len(error), -1)
    transposed = jacobian.transpose(0, 2, 1)
    normal = transposed @ jacobian
    gradient = (transposed @ flat[..., None])[..., 0]
    units = np.arange(_RIGID, normal.shape[1])
    normal[:, units, units] += model.prior**2
    gradient[:, _RIGID:] += model.prior**2 * poses.expression
    push = gradient[:, _RIGID:]
    held = ((poses.expression <= model.lower) & (push > 0)) | (
        (poses.expression >= model.upper) & (push < 0)
    )
    free = np.concatenate([np.ones((len(held), _RIGID), bool), ~held], axis=1)
    normal = normal * (free[:, :, None] & free[:, None, :])
    normal[:, units, units] += held
    return normal, gradient * free


def _moved(model: HeadModel, poses: HeadPoses, step: np.ndarray) -> HeadPoses:
    return HeadPoses(
        rotations(step[:, :3]) @ poses.rotation,
        poses.translation + step[:, 3:6],
        np.clip(poses.expression + step[:, 6:], model.lower, model.upper),
    )


def rotations(axis_angle: np.ndarray) -> np.ndarray:
    """Axis-angle (N, 3) to rotation matrices (N, 3, 3), float64 (Rodrigues)."""
    from scipy.spatial.transform import Rotation

    matrices: np.ndarray = Rotation.from_rotvec(axis_angle).as_matrix()
    return matrices


def _frame_costs(
    model: HeadModel, points: np.ndarray, rest: np.ndarray, camera: Camera, poses: HeadPoses
) -> np.ndarray:
    """Robust cost (F,), whose gradient the reweighted normal equations follow."""
    space, _ = _camera_space(model, rest, poses)
    if not (space[..., 2] > 0.05).all():
        behind = (space[..., 2] <= 0.05).any(1)
    else:
        behind = np.zeros(len(points), bool)
    error, _, _, _ = _residuals(model, points, rest, camera, poses)
    cost = (error**2).sum((1, 2)) + ((model.prior * poses.expression) ** 2).sum(1)
    return np.where(behind, np.inf, cost)


def _total_cost(
    model: HeadModel,
    points: np.ndarray,
    betas: np.ndarray,
    camera: Camera,
    poses: HeadPoses,
    prior: np.ndarray,
    log_focal: float,
) -> float:
    frames = _frame_costs(model, points, model.rest(betas), camera, poses).sum()
    focal = len(points) * 25 * (log_focal / FOCAL_DEVIATION) ** 2
    return float(frames + ((prior * betas) ** 2).sum() + focal)


def _schur_step(
    model: HeadModel,
    points: np.ndarray,
    betas: np.ndarray,
    camera: Camera,
    poses: HeadPoses,
    prior: np.ndarray,
    log_focal: float,
    damping: float,
) -> tuple[np.ndarray, float, np.ndarray]:
    """The joint step of identity, focal length and every frame."""
    error, weight, space, turned = _residuals(model, points, model.rest(betas), camera, poses)
    slopes = _pixel_slopes(space, camera) * weight[..., None, None]
    jacobian = _pose_jacobian(model, slopes, turned, poses.rotation)
    normal, gradient = _normal_equations(model, jacobian, error, poses)
    local = slopes @ poses.rotation[:, None]
    shape = np.einsum("flij,slj->flis", local, model.shapes, optimize=True)
    centre = np.array([camera.cx, camera.cy])
    focal = (camera.project(space) - centre)[..., None] * weight[..., None, None]
    shared = np.concatenate([shape, focal], axis=3).reshape(len(points), jacobian.shape[1], -1)
    count = shared.shape[2]
    top = np.einsum("fri,frj->ij", shared, shared, optimize=True)
    right = np.einsum("fri,fr->i", shared, error.reshape(len(error), -1))
    top[range(count - 1), range(count - 1)] += prior**2
    right[: count - 1] += prior**2 * betas
    pull = len(points) * 25 / FOCAL_DEVIATION**2
    top[-1, -1] += pull
    right[-1] += pull * log_focal
    coupling = jacobian.transpose(0, 2, 1) @ shared
    # Rows of held expressions do not take part.
    units = np.einsum("fii->fi", normal)
    coupling *= (gradient != 0)[..., None] | (units > 1.5)[..., None]
    damped = normal + np.eye(normal.shape[1]) * (damping * units)[:, None]
    solved = _solved(damped, np.concatenate([coupling, gradient[..., None]], axis=2))
    top -= np.einsum("fpi,fpj->ij", coupling, solved[..., :-1], optimize=True)
    right -= np.einsum("fpi,fp->i", coupling, solved[..., -1])
    top += damping * np.diag(np.diag(top))
    step = -np.linalg.solve(top, right)
    pose_step = -(solved[..., -1] + solved[..., :-1] @ step)
    return step[:-1], float(step[-1]), pose_step


def _solved(matrices: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Many small linear systems, by torch.

    numpy's go through OpenBLAS, whose threads spin for each: a hundred times slower as soon as
    another process wants a core.
    """
    solved: np.ndarray = torch.linalg.solve(
        torch.from_numpy(matrices), torch.from_numpy(right)
    ).numpy()
    return solved
