# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Acting as data: differences to a track, ready-made ones, and the file that keeps them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy.spatial.transform import Rotation

from portraitgen.body.identity import identity_directions
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion, posed
from portraitgen.errors import BodyError, OptionError, ShotError
from portraitgen.pipeline.data.acting import Acting, load_acting, posed_acting
from portraitgen.pipeline.data.ready_made_acting import (
    EYES,
    HEAD,
    NECK,
    READY_MADE,
    ActingRequest,
    fade,
    limited,
    ready_made,
)
from portraitgen.records import IDENTITY
from portraitgen.tensors import save_arrays

TRUTH = Path(__file__).parents[1] / "data" / "performer.safetensors"


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return BodyModel.load()


class FakeTrack:
    """As much of a track as acting asks for."""

    version = 3

    def __init__(self, motion: Motion, mark: str = "one") -> None:
        self.motion, self._mark = motion, mark

    def digest(self) -> str:
        return self._mark


@pytest.fixture
def request_of(body: BodyModel) -> Any:
    track = FakeTrack(Motion.load(TRUTH))

    def made(frames: list[int]) -> ActingRequest:
        return ActingRequest(None, body, track, frames)  # type: ignore[arg-type]

    return made


def test_acting_nothing_keeps_every_bit(body: BodyModel, request_of: Any) -> None:
    asked = request_of(list(range(1, 20)))
    motion = asked.track.motion
    acted = asked.none.applied(motion, body)
    for name in ("pose", "expression", "transl"):
        assert np.array_equal(getattr(acted, name), getattr(motion, name))
    assert acted.offsets(5) is None
    assert all(asked.none.is_still(frame) for frame in (1, 19, 40))


def test_a_gaze_turns_both_eyes_to_the_picture_s_right(body: BodyModel, request_of: Any) -> None:
    asked = request_of([5])
    acting = ready_made(asked, {"gaze": "15,0"})
    motion = asked.track.motion
    before, after = posed(body, motion), posed(body, acting.applied(motion, body))
    for eye in EYES:
        ahead = [each.rotations[4, eye].numpy() @ (0, 0, 1) for each in (before, after)]
        assert ahead[1][0] > ahead[0][0] + 0.2  # x points right in the picture
        turned = Rotation.from_matrix(before.rotations[4, eye].numpy()).inv()
        angle = (turned * Rotation.from_matrix(after.rotations[4, eye].numpy())).magnitude()
        assert np.degrees(angle) == pytest.approx(15, abs=0.01)
    assert not acting.expression.any()


def test_looking_at_the_camera_the_eyes_meet_it(body: BodyModel, request_of: Any) -> None:
    asked = request_of([9, 10])
    for setting in ("0,0,0", "0,0,0,0.6"):
        acting = ready_made(asked, {"look_at": setting})
        acted = posed(body, acting.applied(asked.track.motion, body))
        for row in (8, 9):
            for eye in EYES:
                ahead = acted.rotations[row, eye].numpy() @ np.array([0, 0, 1.0])
                away = -acted.joints[row, eye].numpy()
                cosine = ahead @ away / np.linalg.norm(away)
                assert np.degrees(np.arccos(cosine)) < 3  # both eyes turn alike
        turned = np.abs(acting.pose[:, HEAD]).max()
        assert (turned > 0.01) == (setting != "0,0,0")


def test_open_eyes_takes_the_blink_out_and_nothing_else(body: BodyModel, request_of: Any) -> None:
    motion = request_of([1]).track.motion
    lids = body.expression_names.index("eyeBlinkLeft")
    shut = motion.frames[motion.expression[:, lids] > 0.3]
    assert len(shut)
    asked = request_of([int(frame) for frame in motion.frames])
    acted = ready_made(asked, {"open_eyes": "1"}).applied(motion, body)
    assert acted.expression[:, lids].max() < 0.15
    others = [i for i, n in enumerate(body.expression_names) if not n.startswith("eyeBlink")]
    assert np.array_equal(acted.expression[:, others], motion.expression[:, others])


def test_expressions_are_held_slowed_and_exaggerated(body: BodyModel, request_of: Any) -> None:
    frames = list(range(11, 31))
    asked = request_of(frames)
    motion = asked.track.motion
    held = ready_made(asked, {"hold": "15"}).applied(motion, body)
    assert np.allclose(held.expression[10:30], motion.expression[14], atol=1e-6)
    slow = ready_made(asked, {"retime": "0.5"}).applied(motion, body)
    assert np.allclose(slow.expression[20], motion.expression[15], atol=1e-6)
    jaw = body.expression_names.index("jawOpen")
    brow = body.expression_names.index("browInnerUp")
    more = ready_made(asked, {"exaggerate": "1.5:mouth"})
    mean = motion.expression.mean(0)
    wanted = 0.5 * (motion.expression[10:30] - mean)
    assert np.allclose(more.expression[:, jaw], wanted[:, jaw], atol=1e-6)
    assert not more.expression[:, brow].any()


def test_a_steady_head_moves_less_and_nods_where_it_is_told(
    body: BodyModel, request_of: Any
) -> None:
    asked = request_of([int(frame) for frame in request_of([1]).track.motion.frames])
    motion = asked.track.motion

    def restless(each: Motion) -> float:
        heads = posed(body, each).joints[:, HEAD].numpy()
        return float(np.abs(np.diff(heads, axis=0)).mean())

    calm = ready_made(asked, {"steady_head": "1"}).applied(motion, body)
    assert restless(calm) < 0.7 * restless(motion)
    nod = ready_made(asked, {"head_pitch": "10"})
    total = np.degrees(nod.pose[0, NECK, 0] + nod.pose[0, HEAD, 0])
    assert total == pytest.approx(10, abs=1e-3)


def test_values_stay_where_a_face_can_go(body: BodyModel, request_of: Any) -> None:
    asked = request_of([3])
    acted = ready_made(asked, {"jawOpen": "4", "eyeBlinkLeft": "1"}).applied(
        asked.track.motion, body
    )
    names = body.expression_names
    assert acted.expression[2, names.index("jawOpen")] == 1
    assert acted.expression[2, names.index("eyeBlinkLeft")] == pytest.approx(body.blink_closed)


def test_a_part_alone_and_a_fade(body: BodyModel, request_of: Any) -> None:
    asked = request_of([1, 2, 3, 4, 5])
    everything = ready_made(
        asked, {"gaze": "10,0", "head_yaw": "5", "jawOpen": "0.4", "nose_width": "1"}
    )
    eyes = limited(everything, body, "eyes")
    assert eyes.pose[:, EYES].any() and not eyes.pose[:, HEAD].any()
    assert not eyes.expression.any() and not eyes.identity.any()
    face = limited(everything, body, "face")
    assert face.expression.any() and not face.pose[:, HEAD].any()
    weights = fade([1, 2, 3, 4, 5], 2)
    assert weights[2] == 1 and 0 < weights[0] < weights[1] < 1
    assert np.allclose(weights, weights[::-1])
    assert np.allclose(everything.times(weights).pose[0], weights[0] * everything.pose[0])


def test_what_cannot_be_acted_is_said_in_a_sentence(request_of: Any) -> None:
    asked = request_of([1])
    for settings, word in (
        ({"jawOpn": "1"}, "jawOpen"),
        ({"gaze": "5"}, "gaze"),
        ({"jawOpen": "wide"}, "number"),
        ({"hold": "999"}, "999"),
        ({"exaggerate": "2:elbow"}, "elbow"),
        ({"retime": "0"}, "0.05"),
    ):
        with pytest.raises(OptionError, match=word):
            ready_made(asked, settings)


def test_acting_lies_above_acting(body: BodyModel, request_of: Any) -> None:
    first = ready_made(request_of([1, 2]), {"head_yaw": "10"})
    second = ready_made(request_of([2, 3]), {"head_yaw": "-10", "jawOpen": "0.2"})
    both = first.then(second)
    assert both.frames.tolist() == [1, 2, 3]
    assert np.abs(both.pose[1]).max() < 1e-6 and both.pose[0].any()
    assert both.expression[0].max() == 0 and both.expression[1].max() == pytest.approx(0.2)


def test_a_reshaped_body_keeps_its_joints_and_its_far_parts(
    body: BodyModel, request_of: Any
) -> None:
    asked = request_of([4])
    acting = ready_made(asked, {"nose_width": "0.5"})
    offsets = acting.offsets(body, 4)
    assert offsets is not None and acting.offsets(body, 5) is None
    moved = np.linalg.norm(offsets, axis=1)
    assert 0.0005 < moved.max() < 0.01
    feet = body.template[:, 1].numpy() < -0.5
    assert moved[feet].max() == 0
    assert acting.applied(asked.track.motion, body).offsets(4) is not None


@pytest.mark.parametrize("name", IDENTITY)
def test_identity_directions_are_symmetric_and_modest(body: BodyModel, name: str) -> None:
    direction = identity_directions(body)[IDENTITY.index(name)]
    longest = np.linalg.norm(direction, axis=1).max()
    assert 0.001 < longest < 0.05
    head = body.weights[:, HEAD].numpy() > 0.95
    assert np.abs(direction[head, 0].mean()) < 0.1 * longest


def test_identity_needs_the_open_body(body: BodyModel) -> None:
    import copy

    other = copy.copy(body)
    other.sha256 = "another"
    with pytest.raises(BodyError, match="sculpt"):
        identity_directions(other)


def test_a_file_keeps_acting_and_tells_of_another_track(
    body: BodyModel, request_of: Any, tmp_path: Path
) -> None:
    asked = request_of([2, 3])
    acting = ready_made(asked, {"gaze": "3,4", "weight": "0.5"})
    acting.sculpt[7] = 0.008
    acting.sculpted[:] = 1
    path = tmp_path / "acting.safetensors"
    acting.save(path, asked.track, body)
    stored = load_acting(path, body)
    for name, value in vars(acting).items():
        assert np.array_equal(getattr(stored.acting, name), value), name
    assert stored.note(asked.track) == ""
    assert "carried over" in stored.note(FakeTrack(asked.track.motion, "two"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda t: t.update(pose=t["pose"] * np.nan), "pose"),
        (lambda t: t.update(expression=t["expression"] + 1e6), "expression"),
        (lambda t: t.update(frames=t["frames"][::-1].copy()), "order"),
        (lambda t: t.update(sculpt=t["sculpt"][:-1].copy()), "sculpt"),
        (lambda t: t.pop("transl"), "transl"),
    ],
)
def test_a_stranger_s_file_is_refused(
    body: BodyModel, request_of: Any, tmp_path: Path, change: Any, word: str
) -> None:
    asked = request_of([2, 3])
    path = tmp_path / "acting.safetensors"
    ready_made(asked, {"gaze": "3,4"}).save(path, asked.track, body)
    # Whoever changes a file can mark it anew.
    tensors, facts = load_file(path), {"acting": _metadata(path)["acting"]}
    change(tensors)
    save_file(tensors, path, metadata=facts)
    with pytest.raises(ShotError, match=word):
        load_acting(path, body)


def test_what_is_no_acting_is_refused(body: BodyModel, tmp_path: Path) -> None:
    path = tmp_path / "acting.safetensors"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ShotError):
        load_acting(path, body)
    save_file({"frames": np.zeros(1, np.int64)}, path)
    with pytest.raises(ShotError, match="no acting"):
        load_acting(path, body)


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return dict(file.metadata())


def test_acting_of_frames_that_are_not_tracked_is_refused(body: BodyModel, request_of: Any) -> None:
    asked = request_of([2])
    acting = replace(ready_made(asked, {"gaze": "3,4"}), frames=np.array([900]))
    with pytest.raises(ShotError, match="900"):
        acting.applied(asked.track.motion, body)


def test_every_ready_made_acting_is_documented() -> None:
    words = (Path(__file__).parents[2] / "docs" / "artist.md").read_text("utf-8")
    missing = [name for name in READY_MADE if name not in words]
    assert not missing


def rig_file(
    path: Path, body: BodyModel, motion: Motion, rows: slice, **more: np.ndarray
) -> dict[str, np.ndarray]:
    """A file as Blender writes it: a smile above the motion of some rows."""
    arrays = {"frames": motion.frames[rows].astype(np.int64)}
    for name in ("transl", "pose", "expression"):
        arrays[name] = arrays[f"tracked_{name}"] = getattr(motion, name)[rows].copy()
    arrays["expression"] = arrays["expression"] + np.float32(0.25)
    save_arrays(path, arrays | more)
    return arrays


def test_what_a_rig_acts_takes_the_place_of_the_motion_alone(
    body: BodyModel, request_of: Any, tmp_path: Path
) -> None:
    """Sliders of the identity and a sculpt that the rig does not show are not lost."""
    motion = request_of([]).track.motion
    frames = motion.frames[:6].tolist()
    old = Acting.none(body, frames)
    old.identity[:, 2], old.expression[:], old.sculpted[:] = 0.5, 0.9, 0.75
    old.sculpt[7] = 0.003
    path = tmp_path / "acted.safetensors"
    rig_file(path, body, motion, slice(2, 8))
    new = posed_acting(path, body).above(old)
    assert new.frames.tolist() == motion.frames[:8].tolist()
    assert np.array_equal(new.identity[:6], old.identity)
    assert np.array_equal(new.sculpt, old.sculpt) and (new.sculpted[:6] == 0.75).all()
    assert np.allclose(new.expression[:2], 0.9) and np.allclose(new.expression[2:], 0.25)

    sculpt = np.zeros((body.vertex_count, 3), np.float32)
    shown = np.linspace(0, 1, 6).astype(np.float32)
    rig_file(path, body, motion, slice(2, 8), sculpt=sculpt, sculpted=shown)
    new = posed_acting(path, body).above(old)
    assert not new.sculpt.any() and np.array_equal(new.sculpted, [0, 0, *shown])
    assert np.array_equal(new.identity[:6], old.identity)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"sculpt": np.zeros((5, 3), np.float32)}, "sculpt the body that the rig brings"),
        ({"pose": np.full((6, 55, 3), np.nan, np.float32)}, "numbers that are not finite"),
        ({"frames": np.array([6, 5, 4, 3, 2, 1])}, "not in order"),
        ({"transl": np.zeros((6, 2), np.float32)}, "does not have the shape"),
    ],
)
def test_a_rig_file_that_cannot_be_meant_is_told(
    body: BodyModel, request_of: Any, tmp_path: Path, more: dict[str, np.ndarray], told: str
) -> None:
    path = tmp_path / "acted.safetensors"
    rig_file(path, body, request_of([]).track.motion, slice(0, 6), **more)
    with pytest.raises(ShotError, match=told):
        posed_acting(path, body)
