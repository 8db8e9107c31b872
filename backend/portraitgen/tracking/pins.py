# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses a body so that points of its surface lie where an artist pins them in the plate.

Damped Gauss-Newton with analytic derivatives over the root's place, the joints that carry the
pins and the facial units. Every step away from where the body was costs something, so that one
pin moves the body, two turn it, and only what no pose explains becomes an expression.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ..body.camera import Camera
from ..body.model import BodyModel
from ..errors import TrackingError

# How far each goes for the price of a quarter pixel: metres, radians, shares of a unit.
_PIXELS = 0.25
_MOVE = 0.2
_TURNS = {
    "spine1": 0.03,
    "spine2": 0.03,
    "spine3": 0.03,
    "neck": 0.1,
    "head": 0.12,
    "left_collar": 0.1,
    "right_collar": 0.1,
    "left_shoulder": 0.3,
    "right_shoulder": 0.3,
    "left_elbow": 0.3,
    "right_elbow": 0.3,
    "left_wrist": 0.3,
    "right_wrist": 0.3,
}
_UNIT = 0.2
_JAW = 0.2
_CARRIES = 0.15
_ITERATIONS = 12
_SETTLED = 1e-3
_SHARES = (1.0, 0.5, 0.25, 0.1)
_LONGEST_TURN = 0.5
_NEAREST = 0.05
_HELD_POINTS = 12
_TORSO = ("left_shoulder", "right_shoulder", "spine3")
# What lies as far from the landmarks of the face, metres, and hangs on the head, is ear or skull.
_BESIDE, _OF_SKULL = 0.02, 0.5
TRANSL = "transl"
"""The name under which the body's place is fixed."""


@dataclass(frozen=True)
class Pin:
    """A point of the surface and where it belongs.

    Attributes:
        face: index of the mesh's face.
        weights: barycentric, summing to 1.
        target: plate pixels.
        spread: how far it may be off, pixels; a pin that an artist sets is exact.
    """

    face: int
    weights: tuple[float, float, float]
    target: tuple[float, float]
    spread: float = _PIXELS


@dataclass(frozen=True)
class PinSolution:
    """A pose that honours pins.

    Attributes:
        transl: float64 (3,), metres.
        pose: float64 (55, 3), axis-angle.
        expression: float64 (E,).
        error_px: float64 (P,), how far each pin still is from its target.
    """

    transl: np.ndarray
    pose: np.ndarray
    expression: np.ndarray
    error_px: np.ndarray


@dataclass
class _State:
    transl: np.ndarray
    turns: np.ndarray
    expression: np.ndarray


@dataclass(frozen=True)
class _Posed:
    """The pinned vertices: under each bone alone (P, 3, 55, 3), and blended at the pins (P, 3)."""

    by_bone: np.ndarray
    points: np.ndarray
    globals: np.ndarray
    places: np.ndarray


class PinSolver:
    """Solves pins on one performer's body in one plate.

    Args:
        body: the body model.
        betas: (S,) or (S + E,), identity.
        camera: of the plate.
    """

    def __init__(self, body: BodyModel, betas: np.ndarray, camera: Camera) -> None:
        self._body, self._camera = body, camera
        count, units = body.n_shape, body.n_expression
        directions = body.directions.view(len(body.directions), -1, 3).numpy()
        shaped = body.template.numpy() + np.tensordot(betas, directions[: len(betas)], 1)
        self._rest = shaped.astype(np.float64)
        self._units = directions[count : count + units]
        self._weights = body.weights.numpy()
        self._faces = body.faces.numpy()
        self._joints = body.rest_joints(torch.from_numpy(np.asarray(betas, np.float32))).numpy()
        self._joints = self._joints.astype(np.float64)
        moved = body.joint_directions.numpy()[count : count + units]
        self._joint_units = moved.reshape(units, -1, 3).astype(np.float64)
        self._descendants = _descendants(body.parents)
        named = "jawOpen" in body.expression_names
        low, high = body.expression_bounds
        self._low, self._high = np.full(units, low), np.full(units, high)
        self._turns = dict(_TURNS) if named else _TURNS | {"jaw": _JAW}

    def solve(
        self,
        pins: Sequence[Pin],
        transl: np.ndarray,
        pose: np.ndarray,
        expression: np.ndarray,
        fixed: Collection[str] = (),
        held: Sequence[Pin] = (),
    ) -> PinSolution:
        """The pose nearest to the one given that honours the pins.

        Args:
            pins: at least one.
            transl: (3,), metres; pose: (55, 3), axis-angle; expression: (E,): where to begin.
            fixed: names of joints and units, and `TRANSL`, that keep their values.
            held: points that resist, each by its spread: they set nothing free, and the
                solution's errors leave them out.

        Raises:
            TrackingError: if a pin is no point of the mesh, or the body lies behind the camera.
        """
        if not pins:
            raise TrackingError("there are no pins", "solve_pins", "set at least one")
        vertices, weights = self._pinned([*pins, *held])
        targets = np.array([pin.target for pin in (*pins, *held)], np.float64)
        spreads = np.array([pin.spread for pin in (*pins, *held)], np.float64)
        state = _State(
            np.array(transl, np.float64),
            Rotation.from_rotvec(np.asarray(pose, np.float64)).as_matrix(),
            np.array(expression, np.float64),
        )
        joints, units, spans = self._freedom(vertices[: len(pins)], fixed)
        gone = np.zeros(len(spans))
        posed = self._posed(vertices, weights, state)
        error = self._project(posed.points) - targets
        for _ in range(_ITERATIONS):
            jacobian = self._linear(posed, vertices, weights, joints, units, fixed)
            step = self._step(jacobian, error, spreads, gone, spans, state, units)
            cost = _cost(error, spreads, gone, spans)
            for share in _SHARES:
                trial = _State(state.transl, state.turns.copy(), state.expression.copy())
                change = _limited(share * step, 0 if TRANSL in fixed else 3, len(joints))
                self._apply(trial, change, joints, units, posed, fixed)
                moved = self._posed(vertices, weights, trial)
                if moved.points[:, 2].min() < _NEAREST:
                    continue
                left = self._project(moved.points) - targets
                if _cost(left, spreads, gone + change, spans) < cost:
                    break
            else:
                break
            state, posed, error, gone = trial, moved, left, gone + change
            if cost - _cost(error, spreads, gone, spans) < _SETTLED * cost:
                break
        return PinSolution(
            state.transl,
            self._unturned(pose, state.turns, joints),
            state.expression,
            np.linalg.norm(error[: len(pins)], axis=1),
        )

    def on_face(self, pins: Sequence[Pin]) -> bool:
        """Whether one of some pins lies on the face or the neck."""
        vertices, _ = self._pinned(pins)
        from_neck = self._descendants[self._body.joint_names.index("neck")]
        near = (self._weights[vertices].max(1) > _CARRIES) & from_neck
        return bool((near.any(1) & ~self._of_skull(pins)).any())

    def on_skull(self, pins: Sequence[Pin]) -> bool:
        """Whether one of some pins lies on an ear or the skull, of which no landmark tells."""
        return bool(self._of_skull(pins).any())

    def _of_skull(self, pins: Sequence[Pin]) -> np.ndarray:
        """Which pins hang on the head and lie beside all landmarks of the face, (P,)."""
        vertices, weights = self._pinned(pins)
        head = self._body.joint_names.index("head")
        hangs = self._weights[vertices][..., head].mean(1) > _OF_SKULL
        marks, rest = self._body.landmarks, self._body.template.numpy()
        known = rest[self._faces[np.asarray(marks.faces)]]
        known = (known * np.asarray(marks.barycentric)[..., None]).sum(1)
        points = (rest[vertices] * weights[..., None]).sum(1)
        away = np.linalg.norm(points[:, None] - known, axis=2).min(1)
        found: np.ndarray = hangs & (away > _BESIDE)
        return found

    def face_held(
        self, transl: np.ndarray, pose: np.ndarray, expression: np.ndarray, spread: float
    ) -> list[Pin]:
        """Points spread over the face, held where a pose has them, give or take `spread` pixels."""
        marks = self._body.landmarks
        chosen = np.linspace(0, len(marks.faces) - 1, _HELD_POINTS).round().astype(int)
        loose = [
            Pin(int(marks.faces[at]), _three(marks.barycentric[at]), (0.0, 0.0), spread)
            for at in chosen
        ]
        return self._where(loose, transl, pose, expression)

    def torso_held(
        self, transl: np.ndarray, pose: np.ndarray, expression: np.ndarray, spread: float
    ) -> list[Pin]:
        """Shoulders and chest, held as `face_held` holds the face."""
        middles = self._rest[self._faces].mean(1)
        joints = self._joints[[self._body.joint_names.index(name) for name in _TORSO]]
        faces = [int(np.linalg.norm(middles - joint, axis=1).argmin()) for joint in joints]
        loose = [Pin(face, (1 / 3, 1 / 3, 1 / 3), (0.0, 0.0), spread) for face in faces]
        return self._where(loose, transl, pose, expression)

    def _where(
        self, loose: Sequence[Pin], transl: np.ndarray, pose: np.ndarray, expression: np.ndarray
    ) -> list[Pin]:
        """Pins whose targets are where a pose has them."""
        places = self.seen(loose, transl, pose, expression)
        return [
            replace(pin, target=(float(x), float(y)))
            for pin, (x, y) in zip(loose, places, strict=True)
        ]

    def seen(
        self, pins: Sequence[Pin], transl: np.ndarray, pose: np.ndarray, expression: np.ndarray
    ) -> np.ndarray:
        """Where the pins' points of the body are seen in the plate, pixels (P, 2)."""
        vertices, weights = self._pinned(pins)
        turns = Rotation.from_rotvec(np.asarray(pose, np.float64)).as_matrix()
        state = _State(np.array(transl, np.float64), turns, np.array(expression, np.float64))
        return self._project(self._posed(vertices, weights, state).points)

    def _unturned(self, pose: np.ndarray, turns: np.ndarray, joints: list[int]) -> np.ndarray:
        """Axis-angle vectors; joints that were not solved keep theirs to the bit."""
        result = np.array(pose, np.float64)
        if joints:
            result[joints] = Rotation.from_matrix(turns[joints]).as_rotvec()
        return result

    def _pinned(self, pins: Sequence[Pin]) -> tuple[np.ndarray, np.ndarray]:
        for pin in pins:
            numbers = (*pin.weights, *pin.target)
            if not 0 <= pin.face < len(self._faces) or not np.isfinite(numbers).all():
                raise TrackingError(
                    f"a pin lies on face {pin.face} at {pin.target}, which the body has not",
                    "solve_pins",
                    "set the pin again",
                )
        weights = np.array([pin.weights for pin in pins], np.float64)
        return self._faces[[pin.face for pin in pins]], weights

    def _freedom(
        self, vertices: np.ndarray, fixed: Collection[str]
    ) -> tuple[list[int], list[int], np.ndarray]:
        """Which joints and units may move, and how far everything goes, in order."""
        carried = self._weights[vertices].max((0, 1)) > _CARRIES
        names = self._body.joint_names
        on_head = self._descendants[names.index("neck")]
        # The trunk bends only for pins of its own.
        trunk = bool((carried & ~on_head).any())
        joints = [
            joint
            for joint, name in enumerate(names)
            if name in self._turns
            and name not in fixed
            and (trunk or on_head[joint])
            and (self._descendants[joint] & carried).any()
        ]
        # Units that do not reach a pin cannot help it.
        reach = np.abs(self._units[:, vertices]).max((1, 2, 3))
        units = [
            unit
            for unit, name in enumerate(self._body.expression_names)
            if name not in fixed and reach[unit] > 1e-5
        ]
        spans = [] if TRANSL in fixed else [_MOVE] * 3
        spans += [self._turns[names[joint]] for joint in joints for _ in range(3)]
        spans += [_UNIT] * len(units)
        return joints, units, np.array(spans)

    def _posed(self, vertices: np.ndarray, weights: np.ndarray, state: _State) -> _Posed:
        joints = self._joints + np.tensordot(state.expression, self._joint_units, 1)
        parents = self._body.parents
        turned, places = state.turns.copy(), joints.copy()
        for joint in range(1, len(parents)):
            parent = parents[joint]
            turned[joint] = turned[parent] @ state.turns[joint]
            places[joint] = places[parent] + turned[parent] @ (joints[joint] - joints[parent])
        rest = self._rest[vertices] + np.tensordot(state.expression, self._units[:, vertices], 1)
        correctives = self._body.pose_directions
        if correctives is not None:
            feature = (state.turns[1:] - np.eye(3)).ravel()
            rows = correctives.view(len(correctives), -1, 3)[:, vertices.ravel()].numpy()
            rest = rest + np.tensordot(feature, rows, 1).reshape(rest.shape)
        from_joint = rest[:, :, None] - joints
        by_bone = np.einsum("jab,pvjb->pvja", turned, from_joint) + places + state.transl
        skin = self._weights[vertices] * weights[..., None]
        points = np.einsum("pvj,pvja->pa", skin, by_bone)
        return _Posed(by_bone, points, turned, places + state.transl)

    def _project(self, points: np.ndarray) -> np.ndarray:
        if points[:, 2].min() < _NEAREST:
            raise TrackingError(
                "a pinned point lies behind the camera", "solve_pins", "delete the pin"
            )
        pixels: np.ndarray = self._camera.project(points)
        return pixels

    def _linear(
        self,
        posed: _Posed,
        vertices: np.ndarray,
        weights: np.ndarray,
        joints: list[int],
        units: list[int],
        fixed: Collection[str],
    ) -> np.ndarray:
        """Derivatives (2P, D) of the pins' pixels."""
        count = len(vertices)
        skin = self._weights[vertices] * weights[..., None]
        blocks = [] if TRANSL in fixed else [np.broadcast_to(np.eye(3), (count, 3, 3))]
        for joint in joints:
            share = skin * self._descendants[joint]
            arm = np.einsum("pvj,pvja->pa", share, posed.by_bone - posed.places[joint])
            blocks.append(-_cross(arm))
        if units:
            blend = np.einsum("pvj,jab->pvab", skin, posed.globals)
            moved = self._units[units][:, vertices]
            blocks.append(np.einsum("pvab,upvb->pau", blend, moved))
        space = np.concatenate(blocks, axis=2)
        x, y, z = posed.points.T
        fx, fy = self._camera.fx, self._camera.fy
        view = np.zeros((count, 2, 3))
        view[:, 0, 0], view[:, 0, 2] = fx / z, -fx * x / z**2
        view[:, 1, 1], view[:, 1, 2] = fy / z, -fy * y / z**2
        return (view @ space).reshape(2 * count, -1)

    def _step(
        self,
        jacobian: np.ndarray,
        error: np.ndarray,
        spreads: np.ndarray,
        gone: np.ndarray,
        spans: np.ndarray,
        state: _State,
        units: list[int],
    ) -> np.ndarray:
        """One damped step; units that would leave their bounds stop there."""
        first = len(spans) - len(units)
        step = np.zeros(len(spans))
        free = np.ones(len(spans), bool)
        rows = np.repeat(spreads, 2)
        jacobian, wrong = jacobian / rows[:, None], error.ravel() / rows
        for _ in range(3):
            left = wrong + jacobian[:, ~free] @ step[~free]
            part = jacobian[:, free]
            pull = 1 / spans[free] ** 2
            normal = part.T @ part + np.diag(pull)
            step[free] = -np.linalg.solve(normal, part.T @ left + pull * gone[free])
            values = state.expression[units] + step[first:]
            # A unit that begins beyond its bounds, as an artist may leave it, may stay there.
            low = np.minimum(self._low[units], state.expression[units])
            high = np.maximum(self._high[units], state.expression[units])
            beyond = (values < low) | (values > high)
            if not beyond.any():
                break
            step[first:] = np.clip(values, low, high) - state.expression[units]
            free[first:] &= ~beyond
        return step

    def _apply(
        self,
        state: _State,
        step: np.ndarray,
        joints: list[int],
        units: list[int],
        posed: _Posed,
        fixed: Collection[str],
    ) -> None:
        at = 0
        if TRANSL not in fixed:
            state.transl = state.transl + step[:3]
            at = 3
        for joint in joints:
            turn = step[at : at + 3]
            parent = self._body.parents[joint]
            above = posed.globals[parent] if parent >= 0 else np.eye(3)
            world = Rotation.from_rotvec(turn).as_matrix()
            state.turns[joint] = above.T @ world @ above @ state.turns[joint]
            at += 3
        state.expression[units] += step[at:]


def _three(weights: np.ndarray) -> tuple[float, float, float]:
    first, second, third = (float(each) for each in weights)
    return first, second, third


def _limited(step: np.ndarray, first: int, joints: int) -> np.ndarray:
    """A step in which no joint turns farther than its slope can be trusted."""
    limited = step.copy()
    turns = limited[first : first + 3 * joints].reshape(-1, 3)
    length = np.linalg.norm(turns, axis=1, keepdims=True)
    turns *= np.minimum(1.0, _LONGEST_TURN / np.maximum(length, 1e-9))
    return limited


def _cost(error: np.ndarray, spreads: np.ndarray, gone: np.ndarray, spans: np.ndarray) -> float:
    off = ((error / spreads[:, None]) ** 2).sum()
    return float(off + ((gone / spans) ** 2).sum())


def _descendants(parents: Sequence[int]) -> np.ndarray:
    """bool (J, J): whether the second joint hangs on the first, or is it."""
    result = np.eye(len(parents), dtype=bool)
    for joint in range(len(parents)):
        above = parents[joint]
        while above >= 0:
            result[above, joint] = True
            above = parents[above]
    return result


def _cross(vectors: np.ndarray) -> np.ndarray:
    """(P, 3) as the matrices (P, 3, 3) of their cross products."""
    result = np.zeros((len(vectors), 3, 3))
    x, y, z = vectors.T
    result[:, 0, 1], result[:, 0, 2] = -z, y
    result[:, 1, 0], result[:, 1, 2] = z, -x
    result[:, 2, 0], result[:, 2, 1] = -y, x
    return result
