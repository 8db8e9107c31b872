# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fits the head to face landmarks: analytic Gauss-Newton over a rigid, linearly deforming head.

Per frame: rotation, translation and expression. For the shot: identity and focal length, solved
from frames chosen for their variety, with the per-frame blocks eliminated (Schur complement).
Residuals are weighted to per cent of the eye distance and by every landmark's spread on the model;
priors are strong enough that a smile is explained as a smile and not by its neighbours. What a
face shows at rest belongs to its identity, as a neutral face; from there few units act at a time,
most of them in pairs.
"""

import copy
import os
from collections.abc import Sequence
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
# Once the neutral face is known: the same, what any use of a unit costs beside it, how far pairs
# differ, and how much opposites acting at once share of it.
_FROM_NEUTRAL, _SPARING, _PAIRED, _OPPOSED = 5.5, 12.0, 4.0, 0.8
# A neutral face is looked for in so many frames, so far to either side of the mean one.
_NEUTRAL_FRAMES, _NEUTRAL_REACH = 40, 0.4
SHAPE_PRIOR = 4.0
FOCAL_DEVIATION = 0.25
_SPREAD = 0.003
_OUTLIER = 4.0
_RIGID = 6
_OUTER_EYES = (33, 263)
_CHUNK = 48
# Units of which one undoes the other, on either side where they have sides.
_OPPOSITES = (
    ("jawLeft", "jawRight"),
    ("jawLeft", "mouthRight"),
    ("jawRight", "mouthLeft"),
    ("mouthLeft", "mouthRight"),
    ("mouthSmile", "mouthFrown"),
    ("browDown", "browOuterUp"),
    ("eyeWide", "eyeSquint"),
    ("eyeWide", "eyeBlink"),
)
_WITHOUT_PAIRS = ("jawLeft", "mouthLeft")
# What people do rather than are: of these a neutral face has what is there almost always.
_GESTURES = (
    "jawOpen",
    "mouthSmile",
    "mouthFrown",
    "mouthPucker",
    "mouthFunnel",
    "eyeBlink",
    "eyeWide",
    "browInnerUp",
)
_ALMOST_ALWAYS = 10.0
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
        prior: float64 (E, E), precision of the expression.
        sparing: float64 (E,), what any use of a unit costs beside it.
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
        self.names = names if arkit else []
        self.prior = np.eye(len(names)) * (EXPRESSION_PRIOR if arkit else EXPRESSION_PRIOR / 3) ** 2
        self.sparing = np.zeros(len(names))
        for index, name in enumerate(names):
            if name.startswith("eyeBlink"):
                self.upper[index] = body.blink_closed
            # The eye joints carry gaze; landmarks tell nothing of these.
            if name.startswith("eyeLook") or name in ("tongueOut", "jawForward"):
                self.upper[index] = 0.0

    def rest(self, betas: np.ndarray) -> np.ndarray:
        """The neutral landmarks of an identity, (S,) or (S + E,), (L, 3)."""
        count = len(self.shapes)
        rest = self.mean + np.tensordot(betas[:count], self.shapes, 1)
        return rest + np.tensordot(betas[count:], self.expressions[: len(betas) - count], 1)

    def from_neutral(self, betas: np.ndarray) -> "HeadModel":
        """The same for expressions that begin at a neutral face, of betas (S + E,): few units act,
        and lids that rest half closed have less far to go."""
        if not self.names:
            return self
        neutral = betas[len(self.shapes) :]
        model = copy.copy(self)
        model.prior = _sparse_precision(self.names)
        model.sparing = np.full(len(self.names), _SPARING)
        lids = [index for index, name in enumerate(self.names) if name.startswith("eyeBlink")]
        model.upper = self.upper.copy()
        model.upper[lids] -= neutral[lids]
        return model


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


def neutral_face(
    model: HeadModel, points: np.ndarray, betas: np.ndarray, camera: Camera
) -> np.ndarray:
    """The identity with what its face shows at rest.

    Args:
        points: float64 (F, L, 2), all finite.
        betas: (S,).

    Returns:
        betas (S + E,): to which facial units rest at another value than 0, and at which. A unit
        counts where half of the frames agree on its sign, a gesture where nearly all do.
    """
    if not model.names:
        return betas
    rows = np.unique(np.linspace(0, len(points) - 1, _NEUTRAL_FRAMES).astype(int))
    either = copy.copy(model)
    either.lower = np.where(model.upper > 0, -_NEUTRAL_REACH, 0)
    shown = fit_heads(either, points[rows], betas, camera).expression
    gestures = [index for index, name in enumerate(model.names) if name.startswith(_GESTURES)]
    least, most = np.median(shown, axis=0), np.median(shown, axis=0)
    least[gestures] = np.percentile(shown[:, gestures], _ALMOST_ALWAYS, axis=0)
    most[gestures] = np.percentile(shown[:, gestures], 100 - _ALMOST_ALWAYS, axis=0)
    neutral = np.clip(least, 0, _NEUTRAL_REACH) + np.clip(most, -_NEUTRAL_REACH, 0)
    return np.concatenate([betas, neutral])


def _sparse_precision(names: Sequence[str]) -> np.ndarray:
    """The precision of ARKit's units, (E, E): a pull to zero, of pairs towards each other, and of
    opposites away from acting at once."""
    precision = np.eye(len(names)) * _FROM_NEUTRAL**2
    at = {name: index for index, name in enumerate(names)}
    for name, left in at.items():
        right = at.get(name.removesuffix("Left") + "Right")
        if name.endswith("Left") and right is not None and name not in _WITHOUT_PAIRS:
            precision[[left, right], [left, right]] += _PAIRED**2
            precision[[left, right], [right, left]] -= _PAIRED**2
    for one, other in _OPPOSITES:
        for side in ("", "Left", "Right"):
            if one + side in at and other + side in at:
                pair = [at[one + side], at[other + side]]
                precision[pair, pair[::-1]] += _OPPOSED * _FROM_NEUTRAL**2 / 2
    return precision


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
    normal[:, _RIGID:, _RIGID:] += model.prior
    gradient[:, _RIGID:] += poses.expression @ model.prior + model.sparing
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
    used = poses.expression
    cost = (error**2).sum((1, 2)) + ((used @ model.prior) * used).sum(1) + 2 * used @ model.sparing
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
