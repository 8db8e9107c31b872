# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins: the surface goes where it is pinned, and nothing else moves for nothing."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from portraitgen.body.camera import Camera
from portraitgen.body.model import BodyModel
from portraitgen.errors import TrackingError
from portraitgen.pipeline.requests import pins as requests_pins
from portraitgen.records import FrameQuality
from portraitgen.tracking.pins import TRANSL, Pin, PinSolver

CAMERA = Camera(1400, 1400, 960, 540, 1920, 1080)
HEAD, NECK, SPINE3 = 15, 12, 9
THIRD = (1 / 3, 1 / 3, 1 / 3)


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def solver(body: BodyModel) -> PinSolver:
    return PinSolver(body, np.zeros(body.n_shape, np.float32), CAMERA)


@pytest.fixture
def start(body: BodyModel) -> dict[str, np.ndarray]:
    pose = np.zeros((55, 3))
    pose[0] = (np.pi, 0, 0)
    joints = body.rest_joints(torch.zeros(body.n_shape)).numpy()
    flipped = joints[HEAD] * (1, -1, -1)
    expression = np.zeros(body.n_expression)
    return {"transl": np.array([0, 0, 0.9]) - flipped, "pose": pose, "expression": expression}


def face_near(body: BodyModel, point: tuple[float, float, float]) -> int:
    middles = body.template.numpy()[body.faces.numpy()].mean(1)
    head = body.rest_joints(torch.zeros(body.n_shape)).numpy()[HEAD]
    return int(np.linalg.norm(middles - head - point, axis=1).argmin())


def seen(body: BodyModel, face: int, at: dict[str, np.ndarray]) -> np.ndarray:
    """Where a face's middle lies in the plate, by the body model itself."""
    posed = body.forward(
        torch.zeros(1, body.n_shape),
        torch.from_numpy(at["pose"]).float()[None],
        torch.from_numpy(at["expression"]).float()[None],
        torch.from_numpy(at["transl"]).float()[None],
        vertices=body.faces[face],
    )
    return CAMERA.project(posed.vertices[0].double().numpy().mean(0)[None])[0]


def pin(face: int, target: np.ndarray) -> Pin:
    return Pin(face, THIRD, (float(target[0]), float(target[1])))


def spots(body: BodyModel) -> list[int]:
    places = [(0, 0.05, 0.12), (0.04, 0.08, 0.1), (-0.04, 0.08, 0.1), (0, -0.02, 0.1)]
    return [face_near(body, place) for place in places]


def test_pins_on_their_points_move_nothing(
    body: BodyModel, solver: PinSolver, start: dict[str, np.ndarray]
) -> None:
    pins = [pin(face, seen(body, face, start)) for face in spots(body)]
    found = solver.solve(pins, **start)
    assert found.error_px.max() < 0.01
    assert np.abs(found.transl - start["transl"]).max() < 1e-5
    assert np.abs(found.pose - start["pose"]).max() < 1e-4


def test_one_pin_moves_the_body_and_hardly_turns_it(
    body: BodyModel, solver: PinSolver, start: dict[str, np.ndarray]
) -> None:
    face = spots(body)[0]
    found = solver.solve([pin(face, seen(body, face, start) + (30, -12))], **start)
    assert found.error_px.max() < 1
    assert found.transl[0] > start["transl"][0] + 0.008
    assert np.abs(found.pose[1:]).max() < 0.15
    assert np.abs(found.expression).max() < 0.05


def test_the_solution_agrees_with_the_body_model(
    body: BodyModel, solver: PinSolver, start: dict[str, np.ndarray]
) -> None:
    rng = np.random.default_rng(4)
    pins = [pin(face, seen(body, face, start) + rng.normal(0, 8, 2)) for face in spots(body)]
    found = solver.solve(pins, **start)
    after = {"transl": found.transl, "pose": found.pose, "expression": found.expression}
    errors = [np.linalg.norm(seen(body, each.face, after) - each.target) for each in pins]
    assert errors == pytest.approx(found.error_px, abs=0.02)


def test_a_turned_head_is_found_again(
    body: BodyModel, solver: PinSolver, start: dict[str, np.ndarray]
) -> None:
    turned = start | {"pose": start["pose"].copy()}
    turned["pose"][HEAD] = (0.05, 0.3, 0.1)
    shoulders = [face_near(body, (side * 0.16, -0.2, 0.0)) for side in (1, -1)]
    pins = [pin(face, seen(body, face, turned)) for face in spots(body) + shoulders]
    found = solver.solve(pins, **start)
    assert found.error_px.max() < 1
    spare = face_near(body, (0.05, 0.0, 0.08))
    after = {"transl": found.transl, "pose": found.pose, "expression": found.expression}
    off = np.linalg.norm(seen(body, spare, after) - seen(body, spare, turned))
    moved = np.linalg.norm(seen(body, spare, start) - seen(body, spare, turned))
    assert off < 0.25 * moved


def test_what_is_fixed_stays(
    body: BodyModel, solver: PinSolver, start: dict[str, np.ndarray]
) -> None:
    face = spots(body)[0]
    target = seen(body, face, start) + (20, 0)
    fixed = [TRANSL, "spine1", "spine2", "spine3", *body.expression_names]
    found = solver.solve([pin(face, target)], **start, fixed=fixed)
    assert (found.transl == start["transl"]).all()
    assert (found.expression == start["expression"]).all()
    assert (found.pose[SPINE3] == start["pose"][SPINE3]).all()
    assert np.abs(found.pose[[NECK, HEAD]]).max() > 0.01
    assert found.error_px.max() < 1


def test_expressions_stay_within_their_bounds(
    body: BodyModel, solver: PinSolver, start: dict[str, np.ndarray]
) -> None:
    rng = np.random.default_rng(0)
    joints = [TRANSL, *body.joint_names]
    pins = [pin(face, seen(body, face, start) + rng.normal(0, 40, 2)) for face in spots(body)]
    found = solver.solve(pins, **start, fixed=joints)
    assert (found.expression >= 0).all() and (found.expression <= 1).all()
    assert found.expression.max() > 0.1
    assert (found.pose == start["pose"]).all()


def test_pins_that_contradict_each_other_do_no_harm(
    body: BodyModel, solver: PinSolver, start: dict[str, np.ndarray]
) -> None:
    rng = np.random.default_rng(7)
    pins = [pin(face, seen(body, face, start) + rng.normal(0, 60, 2)) for face in spots(body) * 3]
    found = solver.solve(pins, **start)
    before = np.linalg.norm([seen(body, p.face, start) - p.target for p in pins], axis=1)
    assert (found.error_px**2).sum() < (before**2).sum()
    assert np.abs(found.transl - start["transl"]).max() < 0.3


def test_unusable_pins_are_refused_in_one_sentence(
    body: BodyModel, solver: PinSolver, start: dict[str, np.ndarray]
) -> None:
    with pytest.raises(TrackingError, match="no pins"):
        solver.solve([], **start)
    with pytest.raises(TrackingError, match="which the body has not"):
        solver.solve([Pin(10**7, THIRD, (0, 0))], **start)
    with pytest.raises(TrackingError, match="behind the camera"):
        behind = start | {"transl": start["transl"] - (0, 0, 5)}
        solver.solve([pin(spots(body)[0], np.zeros(2))], **behind)


def elbow_face(body: BodyModel) -> int:
    """A face that the left forearm carries, near its elbow."""
    joints = body.rest_joints(torch.zeros(body.n_shape)).numpy()
    elbow = joints[body.joint_names.index("left_elbow")]
    middles = body.template.numpy()[body.faces.numpy()].mean(1)
    return int(np.linalg.norm(middles - elbow, axis=1).argmin())


def test_a_pin_on_an_elbow_leaves_a_held_face_where_it_is(
    body: BodyModel, solver: PinSolver, start: dict[str, np.ndarray]
) -> None:
    """Without resistance a pull at an elbow takes the whole body along."""
    nose, elbow = spots(body)[0], elbow_face(body)
    before = seen(body, nose, start)
    target = seen(body, elbow, start) + (60.0, -80.0)
    moved = {}
    for name, spread in (("free", None), ("loose", 10.0), ("held", 1.0)):
        held = solver.face_held(**start, spread=spread) if spread else []
        found = solver.solve([pin(elbow, target)], **start, held=held)
        assert len(found.error_px) == 1 and found.error_px[0] < 1.5, "the pin itself is honoured"
        after = {"transl": found.transl, "pose": found.pose, "expression": found.expression}
        moved[name] = float(np.linalg.norm(seen(body, nose, after) - before))
        assert np.abs(found.expression).max() < 1e-6
    assert moved["free"] > 30 and moved["held"] < 2
    assert moved["held"] < moved["loose"] < moved["free"]
    assert solver.on_face([pin(nose, before)]) and not solver.on_face([pin(elbow, target)])
    assert not solver.on_skull([pin(nose, before)]) and not solver.on_skull([pin(elbow, target)])


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_pin_on_an_ear_turns_the_head_about_a_held_face(
    body: BodyModel, solver: PinSolver, start: dict[str, np.ndarray], side: float
) -> None:
    """It took the whole face along, farther than the ear itself, and then lifted the torso."""
    template = body.template.numpy()
    middles = template[body.faces.numpy()].mean(1)
    tip = template[(side * template[:, 0] * (body.weights.numpy()[:, HEAD] > 0.5)).argmax()]
    ear, nose = int(np.linalg.norm(middles - tip, axis=1).argmin()), spots(body)[0]
    before, at = seen(body, nose, start), seen(body, ear, start)
    pins = [pin(ear, at + (0.0, -40.0))]
    assert solver.on_skull(pins) and not solver.on_face(pins)
    assert solver.on_face([*pins, pin(nose, before)])
    held_ways = {
        "free": [],
        "face": solver.face_held(**start, spread=requests_pins._HOLDS_BY_SKULL),
    }
    torso = solver.torso_held(**start, spread=requests_pins._TORSO_HOLDS)
    held_ways["held"] = [*held_ways["face"], *torso]
    moved, lifted = {}, {}
    for name, held in held_ways.items():
        found = solver.solve(pins, **start, held=held)
        assert found.error_px[0] < 0.5, "the pin itself is honoured"
        after = {"transl": found.transl, "pose": found.pose, "expression": found.expression}
        points = range(0, len(body.landmarks.faces), 20)
        faces = [int(body.landmarks.faces[each]) for each in points]
        moved[name] = np.mean(
            [np.linalg.norm(seen(body, each, after) - seen(body, each, start)) for each in faces]
        )
        lifted[name] = max(
            np.linalg.norm(seen(body, each.face, after) - each.target) for each in torso
        )
    assert moved["free"] > 35 and moved["held"] < 12, moved
    assert lifted["face"] > 40 and lifted["held"] < 25, lifted


def test_pins_beside_the_face_are_held_by_face_and_torso() -> None:
    """The request asks for both, each as loosely as the track is poor and the artist wants."""
    quality = FrameQuality(7, "tracked", 1.0, 1.0)
    motion = SimpleNamespace(fixed=np.array([False]), index=lambda frame: 0)
    track: Any = SimpleNamespace(record=SimpleNamespace(quality=(quality,)), motion=motion)
    asked: dict[str, float] = {}
    solver: Any = SimpleNamespace(
        on_face=lambda pins: False,
        on_skull=lambda pins: True,
        face_held=lambda *state, spread: asked.update(face=spread) or ["face"],
        torso_held=lambda *state, spread: asked.update(torso=spread) or ["torso"],
    )
    call: Any = SimpleNamespace(frame=7, resistance=0.5)
    state = (np.zeros(3), np.zeros((55, 3)), np.zeros(1))
    assert requests_pins._held(track, solver, [], state, call) == ["face", "torso"]
    assert asked == {"face": 8.0, "torso": 20.0}


@pytest.mark.parametrize(
    ("fixed", "residual", "spread"),
    [(True, None, 2.0), (False, None, None), (False, 1.0, 2.0), (False, 4.0, None)],
)
def test_a_face_that_was_set_by_hand_resists_as_one_that_is_tracked_well(
    fixed: bool, residual: float | None, spread: float | None
) -> None:
    """What was measured of it before it was corrected says nothing of it any more."""
    quality = FrameQuality(7, "tracked", 1.0, residual)
    motion = SimpleNamespace(fixed=np.array([fixed]), index=lambda frame: 0)
    track: Any = SimpleNamespace(record=SimpleNamespace(quality=(quality,)), motion=motion)
    asked: list[float] = []
    solver: Any = SimpleNamespace(
        on_face=lambda pins: False,
        on_skull=lambda pins: False,
        face_held=lambda *state, spread: asked.append(spread) or ["held"],
    )
    call: Any = SimpleNamespace(frame=7, resistance=0.5)
    state = (np.zeros(3), np.zeros((55, 3)), np.zeros(1))
    held = requests_pins._held(track, solver, [], state, call)
    assert asked == ([] if spread is None else [spread]) and bool(held) == bool(asked)
