# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer's motion from one body model to another, with the error that remains.

Joints turn as they did, counted from where each body rests. Identity is fitted to the mesh of the
other's identity; expressions, frame by frame, to what the face does relative to its head, so that
a jaw that one body turns may be a facial unit of the other. Both ways go through a registration.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from .model import BodyModel
from .motion import Motion, posed
from .registration import Correspondence, Registration, inner_vertices, regions

HEAD, JAW = 15, 22
_EYES = (23, 24)
_FACE_POINTS, _BODY_POINTS = 3000, 3000
# What a deviation of identity, a facial unit or a principal direction of expression costs, as so
# many metres off in one point of a thousand.
_SHAPE_COST, _UNIT_COST, _DIRECTION_COST = 2e-4, 4e-4, 2e-4
_JAW_STEPS, _SWEEPS = 5, 60
_TOLD_FRAMES = 24
_CHUNK = 16


@dataclass(frozen=True)
class Retargeted:
    """A motion on another body.

    Attributes:
        motion: on that body.
        error: region of the body -> mean distance between the two surfaces, metres.
    """

    motion: Motion
    error: Mapping[str, float]

    def sentence(self) -> str:
        """The error as artists read it."""
        told = ", ".join(f"{name} {1000 * each:.1f}" for name, each in self.error.items())
        return f"the two bodies differ by {told} mm on average"


@dataclass(frozen=True)
class _Side:
    """What is known of one of the two bodies.

    Attributes:
        body: the model.
        turns: (55, 3, 3), its joints in the common rest, which is the other file's.
        seen: for every vertex of the body a point of the other one.
    """

    body: BodyModel
    turns: np.ndarray
    seen: Correspondence


def retarget(
    motion: Motion,
    source: BodyModel,
    target: BodyModel,
    registration: Registration,
    *,
    to_open: bool,
) -> Retargeted:
    """A motion of one body on the other.

    Args:
        motion: on the source.
        source, target: the two bodies, one of them the open body.
        registration: of the open body on the other one.
        to_open: whether the target is the open body.
    """
    resting = np.tile(np.eye(3, dtype=np.float32), (55, 1, 1))
    opened, other = registration.rotations, resting
    own, theirs = (opened, other) if to_open else (other, opened)
    seen = registration.on_other if to_open else registration.on_open
    side = _Side(target, own, seen)
    betas = _identity(source, motion.betas[: source.n_shape], theirs, side)
    pose = _turned(motion.pose, theirs, own, target.parents)
    deltas = _face_moves(source, motion, theirs, side)
    if target.expression_bounds == (0.0, 1.0):
        expression = _units(target, deltas)
        pose[:, JAW] = 0
    else:
        expression, pose[:, JAW] = _directions(target, betas, deltas)
    made = replace(
        motion,
        betas=betas.astype(np.float32),
        pose=pose.astype(np.float32),
        expression=expression.astype(np.float32),
        transl=np.zeros_like(motion.transl),
    )
    return _placed(made, motion, source, side)


def units_of_jaw(body: BodyModel, jaw: np.ndarray) -> np.ndarray:
    """Facial units (F, E) of the open body that do what its jaw joint would, turned (F, 3)."""
    face = _face(body)
    joints = body.rest_joints(torch.zeros(body.n_shape)).numpy()
    arms = body.template.numpy()[face] - joints[JAW]
    turned = np.einsum("fab,nb->fna", Rotation.from_rotvec(jaw).as_matrix(), arms)
    weights = body.weights.numpy()[face, JAW][:, None]
    return _units(body, _Moves(face, weights * (turned - arms)))


def directions_of_units(
    open_body: BodyModel, units: np.ndarray, other: BodyModel, registration: Registration
) -> tuple[np.ndarray, np.ndarray]:
    """Expression (F, E) and jaw (F, 3) of another body that do what the open body's units do.

    Args:
        units: (F, 52), of the open body.
    """
    count = len(units)
    motion = Motion(
        np.arange(count),
        np.zeros(open_body.n_shape, np.float32),
        np.zeros((count, 3), np.float32),
        np.zeros((count, 55, 3), np.float32),
        units.astype(np.float32),
        np.ones(count, bool),
        np.zeros(count, bool),
    )
    resting = np.tile(np.eye(3, dtype=np.float32), (55, 1, 1))
    side = _Side(other, resting, registration.on_open)
    moves = _face_moves(open_body, motion, registration.rotations, side)
    return _directions(other, np.zeros(other.n_shape), moves)


def turned_only(pose: np.ndarray, rotations: np.ndarray, parents: list[int]) -> np.ndarray:
    """A pose (F, 55, 3) of a body that rests at `rotations` of the new one, on that one."""
    resting = np.tile(np.eye(3), (55, 1, 1))
    return _turned(pose, resting, rotations, parents)


def _turned(
    pose: np.ndarray, theirs: np.ndarray, own: np.ndarray, parents: list[int]
) -> np.ndarray:
    """Joints that turn as they did, counted from the common rest."""
    count = len(pose)
    local = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(count, 55, 3, 3)
    whole = np.zeros_like(local)
    for joint, parent in enumerate(parents):
        whole[:, joint] = local[:, joint] if parent < 0 else whole[:, parent] @ local[:, joint]
    moved = whole @ np.swapaxes(theirs, 1, 2) @ own
    result = np.zeros_like(local)
    for joint, parent in enumerate(parents):
        above = np.swapaxes(moved[:, parent], 1, 2) if parent >= 0 else np.eye(3)
        result[:, joint] = above @ moved[:, joint]
    vectors: np.ndarray = Rotation.from_matrix(result.reshape(-1, 3, 3)).as_rotvec()
    return vectors.reshape(count, 55, 3)


def _as_pose(turns: np.ndarray, parents: list[int]) -> torch.Tensor:
    local = [
        turns[joint] if parent < 0 else turns[parent].T @ turns[joint]
        for joint, parent in enumerate(parents)
    ]
    return torch.from_numpy(Rotation.from_matrix(np.stack(local)).as_rotvec()).float()


def _identity(source: BodyModel, betas: np.ndarray, theirs: np.ndarray, side: _Side) -> np.ndarray:
    """The target's identity that fills the source's, both in the common rest."""
    body = side.body
    still = torch.zeros(1, source.n_expression)
    worn = source.forward(
        torch.from_numpy(betas)[None].float(),
        _as_pose(theirs, source.parents)[None],
        still,
        torch.zeros(1, 3),
    ).vertices[0]
    wanted = side.seen.points(worn.numpy(), source.faces.numpy())
    inside = inner_vertices(body)
    near = np.flatnonzero(~inside & (side.seen.distance < 0.015))
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.permutation(near)[:_BODY_POINTS])
    picked = torch.from_numpy(chosen)
    part, pose = body.restricted(picked), _as_pose(side.turns, body.parents)
    count = body.n_shape
    steps = torch.cat([torch.zeros(1, count), torch.eye(count)])
    placed = []
    for first in range(0, count + 1, 64):
        some = steps[first : first + 64]
        placed.append(
            part.forward(
                some,
                pose.expand(len(some), -1, -1),
                torch.zeros(len(some), body.n_expression),
                torch.zeros(len(some), 3),
            ).vertices.reshape(len(some), -1)
        )
    rows = torch.cat(placed).double().numpy()
    basis = (rows[1:] - rows[0]).reshape(count, -1, 3)
    off = (wanted[chosen] - rows[0].reshape(-1, 3)).astype(np.float64)
    # Where the whole lies is no part of who it is.
    weights = (1 / (1 + (side.seen.distance[chosen] / 0.01) ** 2))[:, None]
    basis = basis - (basis * weights).sum(1, keepdims=True) / weights.sum()
    off = off - (off * weights).sum(0) / weights.sum()
    root = np.sqrt(weights)
    design, goal = (basis * root).reshape(count, -1), (off * root).ravel()
    cost = len(chosen) / 1000 * (1000 * _SHAPE_COST) ** 2 * 1e-3
    normal = design @ design.T + cost * np.eye(count)
    found: np.ndarray = np.linalg.solve(normal, design @ goal)
    return found


def _face(body: BodyModel) -> np.ndarray:
    """Vertices of the face that expressions move, as indices."""
    weights = body.weights.numpy()
    on_head = weights[:, [HEAD, JAW]].sum(1) > 0.5
    chosen = np.flatnonzero(on_head & ~inner_vertices(body))
    rng = np.random.default_rng(1)
    return np.sort(rng.permutation(chosen)[:_FACE_POINTS])


@dataclass(frozen=True)
class _Moves:
    """What a face does: (F, N, 3) metres in the head's rest space, at vertices (N,) of a body."""

    vertices: np.ndarray
    moved: np.ndarray


def _face_moves(source: BodyModel, motion: Motion, theirs: np.ndarray, side: _Side) -> _Moves:
    """What the source's face does in every frame, at vertices of the target, in its head's rest."""
    face = _face(side.body)
    count = len(motion)
    pose = torch.zeros(count, 55, 3)
    pose[:, JAW] = torch.from_numpy(motion.pose[:, JAW])
    corners = source.faces.numpy()[side.seen.faces[face]]
    used, where = np.unique(corners, return_inverse=True)
    part = source.restricted(torch.from_numpy(used))
    shape = torch.from_numpy(motion.betas[: source.n_shape])[None]
    neutral = torch.from_numpy(motion.neutral(source))
    rest = part.forward(
        shape, torch.zeros(1, 55, 3), torch.zeros(1, source.n_expression), torch.zeros(1, 3)
    ).vertices.numpy()
    moves = np.zeros((count, len(face), 3), np.float32)
    # From the source's head to the target's, both at rest.
    across = side.turns[HEAD].T @ theirs[HEAD]
    for first in range(0, count, 64):
        rows = slice(first, first + 64)
        some = torch.from_numpy(motion.expression[rows]) + neutral
        turned = part.forward(shape, pose[rows], some, torch.zeros(len(some), 3)).vertices.numpy()
        at = (turned - rest)[:, where.reshape(corners.shape)]
        moves[rows] = (at * side.seen.barycentric[face][..., None]).sum(2) @ across.T
    return _Moves(face, moves)


def _units(body: BodyModel, face: _Moves) -> np.ndarray:
    """Facial units in [0, 1] that do what a face does: ridge regression within bounds."""
    basis = _expressions(body, face.vertices)
    count = len(basis)
    upper = np.ones(count)
    for index, name in enumerate(body.expression_names):
        if name.startswith("eyeBlink"):
            upper[index] = body.blink_closed
        # The eye joints carry these.
        if name.startswith("eyeLook") or name == "tongueOut":
            upper[index] = 0.0
    flat = basis.reshape(count, -1)
    gram = flat @ flat.T + _cost(face, _UNIT_COST) * np.eye(count)
    slope = face.moved.reshape(len(face.moved), -1) @ flat.T
    values = np.clip(np.linalg.solve(gram, slope.T).T, 0, upper)
    for _ in range(_SWEEPS):
        for unit in range(count):
            rest = slope[:, unit] - values @ gram[:, unit] + values[:, unit] * gram[unit, unit]
            values[:, unit] = np.clip(rest / gram[unit, unit], 0, upper[unit])
    return values


def _directions(body: BodyModel, betas: np.ndarray, face: _Moves) -> tuple[np.ndarray, np.ndarray]:
    """Expression (F, E) and the jaw's turn (F, 3) that do what a face does: Gauss-Newton."""
    basis = _expressions(body, face.vertices)
    count, frames = len(basis), len(face.moved)
    flat = basis.reshape(count, -1)
    shape = torch.from_numpy(betas).float()
    rest = body.template.numpy()[face.vertices] + np.tensordot(
        betas,
        body.directions.view(len(body.directions), -1, 3)[: body.n_shape, face.vertices].numpy(),
        1,
    )
    arms = rest - body.rest_joints(shape)[JAW].numpy()
    weights = body.weights.numpy()[face.vertices, JAW][:, None]
    cost = _cost(face, _DIRECTION_COST)
    gram = flat @ flat.T + cost * np.eye(count)
    whole = np.zeros((frames, count + 3, count + 3))
    whole[:, :count, :count] = gram
    jaw, values = np.zeros((frames, 3)), np.zeros((frames, count))
    for _ in range(_JAW_STEPS):
        turn = Rotation.from_rotvec(jaw).as_matrix()
        turned = np.einsum("fab,nb->fna", turn, arms)
        x, y, z = np.moveaxis(turned * weights, 2, 0)
        none = np.zeros_like(x)
        # How the points move as the jaw turns further about each axis.
        steps = np.stack(
            [
                np.stack([none, -z, y], axis=2),
                np.stack([z, none, -x], axis=2),
                np.stack([-y, x, none], axis=2),
            ],
            axis=1,
        ).reshape(frames, 3, -1)
        goal = (face.moved - weights * (turned - arms)).reshape(frames, -1)
        mixed = steps @ flat.T
        whole[:, count:, :count] = mixed
        whole[:, :count, count:] = np.swapaxes(mixed, 1, 2)
        whole[:, count:, count:] = steps @ np.swapaxes(steps, 1, 2) + 1e-6 * np.eye(3)
        right = np.concatenate([goal @ flat.T, np.einsum("fan,fn->fa", steps, goal)], axis=1)
        found = np.linalg.solve(whole, right[..., None])[..., 0]
        values = found[:, :count]
        further = Rotation.from_rotvec(found[:, count:]) * Rotation.from_matrix(turn)
        jaw = further.as_rotvec()
    return values, jaw


def _expressions(body: BodyModel, vertices: np.ndarray) -> np.ndarray:
    whole = body.directions.view(len(body.directions), -1, 3)[body.n_shape :]
    found: np.ndarray = whole[:, vertices].numpy().astype(np.float64)
    return found


def _cost(face: _Moves, each: float) -> float:
    return len(face.vertices) / 1000 * each**2 * 1000


def _placed(made: Motion, motion: Motion, source: BodyModel, side: _Side) -> Retargeted:
    """The body laid where the other one is, by head and torso, and what remains of its error."""
    body = side.body
    told = regions(body)
    upper = np.flatnonzero(told["head"] | told["torso"])
    rng = np.random.default_rng(2)
    chosen = np.sort(rng.permutation(upper)[:600])
    wanted = _seen_from(source, motion, side, chosen)
    own = posed(body, made, chosen).vertices.numpy()
    weights = np.where(told["head"][chosen], 3.0, 1.0)[:, None]
    transl = ((wanted - own) * weights).sum(1) / weights.sum()
    made = replace(made, transl=transl.astype(np.float32))
    rows = np.unique(np.linspace(0, len(made) - 1, min(_TOLD_FRAMES, len(made))).astype(int))
    every = np.arange(body.vertex_count)
    off = np.linalg.norm(
        _seen_from(source, motion.rows(rows), side, every)
        - posed(body, made.rows(rows)).vertices.numpy(),
        axis=2,
    ).mean(0)
    return Retargeted(made, {name: float(off[where].mean()) for name, where in told.items()})


def _seen_from(source: BodyModel, motion: Motion, side: _Side, vertices: np.ndarray) -> np.ndarray:
    """Where points of the target's vertices lie on the source's posed surface, (F, N, 3)."""
    corners = source.faces.numpy()[side.seen.faces[vertices]]
    used, where = np.unique(corners, return_inverse=True)
    places = posed(source, motion, used).vertices.numpy()
    at = places[:, where.reshape(corners.shape)]
    found: np.ndarray = (at * side.seen.barycentric[vertices][..., None]).sum(2)
    return found
