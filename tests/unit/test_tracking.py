# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tracker finds what was put in, says where it saw nothing, and never invents."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from portraitgen.body.camera import Camera
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion
from portraitgen.errors import TrackingError
from portraitgen.footage.plate import open_plate
from portraitgen.tracking.cuts import find_cuts
from portraitgen.tracking.face_follower import FaceFollower
from portraitgen.tracking.headfit import HeadModel, HeadPoses, fit_heads, fit_identity, project
from portraitgen.tracking.landmark_bias import LandmarkBias
from portraitgen.tracking.landmarks import FACE_POINTS, ChunkLandmarks, LandmarkDetector
from portraitgen.tracking.smoothing import bridge, gaps, smooth, smooth_rotations
from portraitgen.tracking.solve import TrackSettings, solve_track, with_fixed
from synthetic.acting import act, camera

SIZE = 512


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def model(body: BodyModel) -> HeadModel:
    return HeadModel(body)


def heads(model: HeadModel, count: int = 6) -> HeadPoses:
    generator = np.random.default_rng(0)
    turns = Rotation.from_rotvec(generator.normal(0, 0.25, (count, 3))).as_matrix()
    expression = np.clip(generator.uniform(-0.6, 0.8, (count, 52)), 0, model.upper)
    place = np.array([0.02, -0.01, 1.2]) + generator.normal(0, 0.02, (count, 3))
    return HeadPoses(turns @ np.diag([1.0, -1.0, -1.0]), place, expression)


def test_known_heads_are_recovered(model: HeadModel) -> None:
    seen = Camera(1200, 1200, 256, 256, SIZE, SIZE)
    betas = np.random.default_rng(1).normal(0, 0.5, len(model.shapes))
    truth = heads(model)
    points = project(model, betas, seen, truth)
    found = fit_heads(model, points, betas, seen, iterations=25)
    turn = Rotation.from_matrix(found.rotation @ truth.rotation.transpose(0, 2, 1)).magnitude()
    assert np.degrees(turn).max() < 2.0
    assert np.linalg.norm(found.translation - truth.translation, axis=1).max() < 0.02
    fitted = project(model, betas, seen, found)
    assert np.linalg.norm(fitted - points, axis=2).mean() < 0.5
    jaw = int(np.argmax([name == "jawOpen" for name in BodyModel.load().expression_names]))
    assert np.abs(found.expression[:, jaw] - truth.expression[:, jaw]).mean() < 0.12
    assert (found.expression >= 0).all() and (found.expression <= model.upper).all()


def test_identity_explains_more_and_a_given_focal_length_is_kept(model: HeadModel) -> None:
    seen = Camera(1200, 1200, 256, 256, SIZE, SIZE)
    betas = np.random.default_rng(2).normal(0, 0.8, len(model.shapes))
    points = project(model, betas, seen, heads(model, 8))

    def residual(shape: np.ndarray, through: Camera) -> float:
        fitted = fit_heads(model, points, shape, through)
        return float(np.linalg.norm(project(model, shape, through, fitted) - points, axis=2).mean())

    found, kept, _ = fit_identity(model, points, seen, fixed_focal=True)
    assert kept == seen
    assert residual(found, seen) < 0.5 * residual(np.zeros_like(found), seen)
    guess = Camera(1700, 1700, 256, 256, SIZE, SIZE)
    _, estimated, _ = fit_identity(model, points, guess, fixed_focal=False)
    assert estimated.fx != guess.fx and estimated.fx == estimated.fy


def synthetic(body: BodyModel, frames: int = 24) -> tuple[Motion, ChunkLandmarks]:
    """The performer's truth, and its landmarks as the detector is known to see them."""
    motion = act(body, range(1, frames + 1), 1)
    output = body.forward(
        torch.from_numpy(motion.betas)[None],
        torch.from_numpy(motion.pose),
        torch.from_numpy(motion.expression),
        torch.from_numpy(motion.transl),
    )
    marks = body.landmarks
    response = LandmarkBias.of(body)
    assert response is not None
    turn = output.rotations[:, 15].double().numpy()
    beside = response.static + response.seen_from(turn)
    beside = beside + np.tensordot(motion.expression, response.units, 1)
    shown = marks.on(output.vertices.numpy(), body.faces.numpy())
    places = shown + beside @ turn.transpose(0, 2, 1)
    points = camera(SIZE).project(places)
    face = np.full((frames, FACE_POINTS, 2), np.nan, np.float32)
    face[:, marks.indices] = points
    for iris, joint in ((473, 23), (468, 24)):
        ahead = output.joints[:, joint].numpy().copy()
        ahead[:, 2] -= 0.0118
        face[:, iris] = camera(SIZE).project(ahead)
    box = np.concatenate([points.min(1), np.ptp(points, axis=1)], axis=1).astype(np.float32)
    calm = np.full((frames, 36, 64, 3), 90, np.uint8)
    pose = np.full((frames, 33, 3), np.nan, np.float32)
    others = np.zeros(frames, np.int64)
    hands = np.full((frames, 2, 21, 2), np.nan, np.float32)
    return motion, ChunkLandmarks(motion.frames, face, pose, hands, box, others, calm)


def test_the_performer_is_found_again(body: BodyModel) -> None:
    from benchmarks.ground_truth import compare

    truth, seen = synthetic(body, 48)
    solved = solve_track(body, seen, (SIZE, SIZE), TrackSettings(focal=camera(SIZE).fx))
    figures = compare(body, truth, solved.motion)
    assert figures["head_vertices_scaled_mm"] < 2.0
    assert figures["head_turn_degrees"] < 2.0
    assert figures["smile_correlation"] > 0.8 and figures["jaw_correlation"] > 0.9
    assert solved.summary().tracked_frames == 48
    assert solved.summary().landmark_residual_percent < 0.8


def test_brows_do_not_tremble_and_lids_stay_quick(body: BodyModel) -> None:
    brow, lid = (body.expression_names.index(name) for name in ("browInnerUp", "eyeBlinkLeft"))
    truth, seen = synthetic(body, 48)
    trembling = ChunkLandmarks(**vars(seen) | {"face": seen.face.copy()})
    raised = seen.face[truth.expression[:, brow].argmax()]
    forehead = np.flatnonzero(raised[:FACE_POINTS, 1] < raised[[159, 386], 1].min())
    trembling.face[::2, forehead] += (0, 1.5)
    calm, shaken = (
        solve_track(body, each, (SIZE, SIZE), TrackSettings(focal=camera(SIZE).fx)).motion
        for each in (seen, trembling)
    )
    for unit in (brow, lid):
        followed = np.corrcoef(calm.expression[:, unit], truth.expression[:, unit])
        assert followed[0, 1] > 0.9
    jerk, own = (np.abs(np.diff(each.expression[:, brow], 2)).mean() for each in (shaken, calm))
    assert jerk < 3 * own + 0.01


def test_short_gaps_are_bridged_and_long_ones_are_lost(body: BodyModel) -> None:
    _, seen = synthetic(body)
    seen.face[4:6] = np.nan
    seen.face[20:] = np.nan
    solved = solve_track(body, seen, (SIZE, SIZE), TrackSettings())
    states = [each.state for each in solved.quality]
    assert states[4:6] == ["bridged"] * 2 and states[20:] == ["lost"] * 4
    assert states.count("tracked") == 18
    assert not solved.motion.valid[4] and solved.quality[4].landmark_residual_percent is None
    assert np.isfinite(solved.motion.pose).all() and solved.heads[5] is None


def test_where_there_is_no_face_nothing_is_invented(body: BodyModel) -> None:
    _, seen = synthetic(body, 6)
    seen.face[:] = np.nan
    with pytest.raises(TrackingError, match="no face was found in any frame"):
        solve_track(body, seen, (SIZE, SIZE), TrackSettings())


def test_a_cut_is_named_and_refused(body: BodyModel) -> None:
    _, seen = synthetic(body)
    seen.thumbnail[14:] = np.random.default_rng(0).integers(0, 255, (36, 64, 3))
    with pytest.raises(TrackingError, match=r"cuts to another shot at frame 15.*--frames 1-14"):
        solve_track(body, seen, (SIZE, SIZE), TrackSettings())


def test_cuts_are_told_from_flashes_and_pans() -> None:
    generator = np.random.default_rng(3)
    wide = (generator.random((36, 400, 3)) * 255).astype(np.uint8)
    wide = np.asarray(
        [np.convolve(row, np.ones(25) / 25, "same") for row in wide[..., 0]], np.uint8
    )[..., None].repeat(3, 2)
    pan = np.stack([wide[:, 4 * step : 4 * step + 64] for step in range(40)])
    frames = np.arange(1001, 1041)
    assert find_cuts(frames, pan) == []
    flash = pan.copy()
    flash[20] = 255
    assert find_cuts(frames, flash) == []
    cut = pan.copy()
    cut[25:] = np.clip(255 - cut[25:].astype(int) + np.array([90, -60, 0]), 0, 255)
    assert find_cuts(frames, cut) == [1026]


def test_frames_an_artist_fixed_survive(body: BodyModel) -> None:
    truth, _ = synthetic(body, 16)
    kept = truth.rows(np.arange(16))
    kept.fixed[3] = True
    kept.transl[3] += 0.5
    fresh = truth.rows(np.arange(2, 16))
    merged = with_fixed(fresh, kept)
    assert np.flatnonzero(merged.fixed).tolist() == [1]
    assert np.array_equal(merged.pose[1], kept.pose[3])
    moved = np.abs(merged.transl - fresh.transl).max(1)
    assert moved[1] == pytest.approx(0.5) and not moved[9:].any()
    assert (np.diff(moved[1:10]) < 0).all(), "the fixed frame pops"


def test_smoothing_keeps_motion_and_takes_jitter() -> None:
    time = np.arange(100) / 25
    slow = np.sin(2 * np.pi * 0.8 * time)
    assert 0.98 < smooth(slow, 1.0)[20:80].std() / slow[20:80].std() < 1.02
    noise = np.random.default_rng(0).normal(size=400)
    assert smooth(noise, 1.0).std() < 0.75 * noise.std()
    blink = np.zeros(60)
    blink[29:32] = (0.6, 1.0, 0.6)
    assert smooth(blink, 0.06).max() > 0.85
    assert np.array_equal(np.round(smooth(slow, 0.0), 4), np.round(slow, 4))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=4, max_size=4), st.integers(6, 40))
def test_smoothing_leaves_what_bends_gently(coefficients: list[float], count: int) -> None:
    time = np.linspace(-1, 1, count)
    quadratic = np.polyval(coefficients[:3], time)
    assert np.allclose(smooth(quadratic, 5.0), quadratic, atol=1e-6)


def test_bridges_join_their_banks() -> None:
    known = np.array([False, True, True, False, False, True, False])
    values = np.where(known, [9, 1.0, 2, 9, 9, 5, 9], np.nan)[:, None]
    assert bridge(values, known)[:, 0].tolist() == [1, 1, 2, 3, 4, 5, 5]
    assert gaps(known) == [(0, 0), (3, 4), (6, 6)]
    turns = Rotation.from_rotvec(np.linspace(0, 0.4, 30)[:, None] * [0, 1, 0]).as_matrix()
    assert np.allclose(smooth_rotations(turns, 1.0), turns, atol=1e-4)


def test_landmarks_do_not_depend_on_how_the_run_was_cut(tmp_path: Path) -> None:
    plate = open_plate(Path(__file__).resolve().parents[1] / "data" / "performer.mp4")
    images = [plate.read_uint8(frame) for frame in range(1, 9)]
    one = LandmarkDetector()
    follower = FaceFollower()
    one.chunk(range(1, 5), images[:4], follower)
    follower.save(tmp_path / "people.safetensors")
    unbroken = one.chunk(range(5, 9), images[4:], follower)
    other = LandmarkDetector()
    known = FaceFollower.load(tmp_path / "people.safetensors")
    resumed = other.chunk(range(5, 9), images[4:], known)
    for name in ("face", "pose", "hands", "box", "others", "thumbnail"):
        assert np.array_equal(getattr(unbroken, name), getattr(resumed, name), equal_nan=True)
    assert not np.isnan(resumed.face).any()


def test_the_response_is_small_and_belongs_to_the_open_body_alone(body: BodyModel) -> None:
    response = LandmarkBias.of(body)
    assert response is not None
    millimetres = 1e3 * np.linalg.norm(response.static, axis=-1)
    # Towards the camera it is hardly seen, and may be larger.
    assert 0.1 < millimetres.mean() < 5 and millimetres.max() < 25
    assert response.units.shape == (body.n_expression, len(body.landmarks.indices), 3)
    front = response.seen_from(np.diag([1.0, -1.0, -1.0])[None])
    assert np.allclose(front, 0, atol=1e-9)
    other = copy.copy(body)
    other.sha256 = "another"
    assert LandmarkBias.of(other) is None and HeadModel(other).response is None


@pytest.mark.parametrize("count", range(1, 8))
def test_paths_seen_in_few_frames_are_held_there(count: int) -> None:
    for seen in range(count):
        weights = np.zeros(count)
        weights[seen] = 1
        values = np.where(weights[:, None] > 0, 5.0, 0.0)
        smoothed = smooth(values, 20.0, weights)
        assert np.isfinite(smoothed).all() and abs(smoothed[seen, 0] - 5) < 1e-3
        if count > 3:
            assert np.abs(smoothed - 5).max() < 1e-3
