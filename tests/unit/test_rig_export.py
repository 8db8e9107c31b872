# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A track as a rig's parts, and what an artist sends back as a new track version."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shot_records
import torch
from safetensors.numpy import load_file, save_file

from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion
from portraitgen.errors import ShotError
from portraitgen.messages.tracks import TrackPublished
from portraitgen.pipeline.data.shots import Track
from portraitgen.pipeline.requests.rig import export_rig, publish_motion
from portraitgen.records import BodyModelRecord, FrameQuality
from portraitgen.shot import Shot
from portraitgen.tracking.solve import summarise

FRAMES = 5


@pytest.fixture
def shot(tmp_path: Path) -> Shot:
    body, rng = BodyModel.load(), np.random.default_rng(0)
    made = Shot.create(
        tmp_path / "shot",
        shot_records.footage("../plate.mp4"),
        BodyModelRecord(sha256=body.sha256),
    )
    motion = Motion(
        np.arange(1001, 1001 + FRAMES),
        rng.normal(0, 1, body.n_shape).astype(np.float32),
        np.tile(np.float32([0, 0, 1]), (FRAMES, 1)),
        rng.normal(0, 0.2, (FRAMES, 55, 3)).astype(np.float32),
        rng.uniform(0, 1, (FRAMES, body.n_expression)).astype(np.float32),
        np.ones(FRAMES, bool),
        np.zeros(FRAMES, bool),
    )
    folder = tmp_path / "staged"
    folder.mkdir()
    motion.save(folder / "params.safetensors")
    shot_records.track().write(folder / "track.json")
    made.publish("track", folder)
    return made


def sent(shot: Shot, path: Path, **changes: np.ndarray) -> Path:
    motion = Track(shot).motion
    names = ("frames", "transl", "pose", "expression")
    save_file({name: getattr(motion, name) for name in names} | changes, str(path))
    return path


def test_the_parts_make_the_posed_body(shot: Shot) -> None:
    parts = load_file(export_rig(shot).path)
    body, motion = BodyModel.load(), Track(shot).motion
    still = torch.zeros(1, 55, 3)
    expression = torch.from_numpy(motion.expression[2:3])
    posed = body.forward(torch.from_numpy(motion.betas)[None], still, expression, torch.zeros(1, 3))
    mixed = parts["vertices"] + np.einsum("e,evd->vd", motion.expression[2], parts["units"])
    assert np.abs(mixed - posed.vertices[0].numpy()).max() < 1e-4
    weights = np.zeros((len(parts["vertices"]), 55), np.float32)
    weights[parts["weight_vertices"], parts["weight_joints"]] = parts["weight_values"]
    assert np.allclose(weights.sum(1), 1, atol=1e-5)
    assert np.isnan(parts["residual"][0]) and parts["residual"][1] == 1.5


def test_what_did_not_change_is_no_new_version(shot: Shot, tmp_path: Path) -> None:
    motion = Track(shot).motion
    turned = motion.pose.copy()
    # The same rotation, named by another axis-angle vector.
    length = np.linalg.norm(turned[0, 3])
    turned[0, 3] *= (length - 2 * np.pi) / length
    path = sent(shot, tmp_path / "sent", pose=turned)
    assert publish_motion(shot, 1, path, "artist") == TrackPublished(None, 0)
    assert shot.versions("track") == [1]


def test_changed_frames_are_fixed_and_the_rest_keeps_its_bits(shot: Shot, tmp_path: Path) -> None:
    before = Track(shot).motion
    expression = before.expression.copy()
    expression[3, 5] = 0.123
    path = sent(shot, tmp_path / "sent", expression=expression)
    assert publish_motion(shot, 1, path, "artist") == TrackPublished(2, 1)
    after = Track(shot)
    assert after.motion.fixed.tolist() == [False, False, False, True, False]
    assert after.motion.expression[3, 5] == np.float32(0.123)
    kept = [0, 1, 2, 4]
    assert np.array_equal(after.motion.expression[kept], before.expression[kept])
    assert after.record.source == "artist" and after.record.parent == 1
    assert after.record.mattes == 1


def test_what_was_measured_of_a_frame_before_it_was_corrected_is_not_told_of_it(
    shot: Shot, tmp_path: Path
) -> None:
    """The residual stayed the solver's, and a frame that was mended stayed in the weak ones."""
    track = Track(shot)
    rows = [
        FrameQuality(1001 + row, "weak" if row == 3 else "tracked", 0.9, residual, (), parts)
        for row, (residual, parts) in enumerate(
            [(1.0, {"face": 1.0}), (1.0, {}), (1.0, {}), (6.0, {"face": 6.0}), (2.0, {})]
        )
    ]
    record = replace(track.record, quality=tuple(rows), summary=summarise(rows))
    record.write(track.folder / "track.json")
    lifted = track.motion.transl.copy()
    lifted[3] += 0.02
    publish_motion(shot, 1, sent(shot, tmp_path / "sent", transl=lifted), "artist")
    after = Track(shot).record
    assert record.summary.landmark_residual_percent == pytest.approx(2.2)
    assert after.summary.landmark_residual_percent == pytest.approx(1.25)
    assert (record.summary.weak_frames, after.summary.weak_frames) == (1, 0)
    assert after.quality[3] == FrameQuality(1004, "tracked", 0.9)
    assert after.quality[:3] + after.quality[4:] == tuple(rows[:3] + rows[4:])
    assert after.summary.part_residual_percent == {"face": 1.0}


def test_frames_of_a_range_follow_what_was_corrected(shot: Shot, tmp_path: Path) -> None:
    before = Track(shot).motion
    lifted = before.transl[[2]] + np.float32(0.03)
    path = tmp_path / "one"
    one = {"frames": before.frames[[2]], "transl": lifted}
    save_file(one | {n: getattr(before, n)[[2]] for n in ("pose", "expression")}, str(path))
    first, second, middle = (int(before.frames[row]) for row in (0, 1, 2))
    with pytest.raises(ShotError, match="hold no corrected frame"):
        publish_motion(shot, 1, path, "artist", (first, second))
    publish_motion(shot, 1, path, "artist", (second, int(before.frames[-1])))
    after = Track(shot).motion
    share = (after.transl - before.transl).mean(1) / 0.03
    assert share[[0, 2, 3, 4]] == pytest.approx([0, 1, 1, 1], abs=1e-3)
    assert 0.2 < share[1] < 0.8 and after.fixed.tolist() == [False, False, True, False, False]
    assert np.array_equal(after.pose, before.pose)
    assert np.array_equal(after.expression, before.expression)
    publish_motion(shot, 1, path, "artist", (middle, middle))
    alone = Track(shot).motion
    assert np.array_equal(alone.transl[[0, 1, 3, 4]], before.transl[[0, 1, 3, 4]])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"transl": np.full((FRAMES, 3), np.nan, np.float32)}, "not finite"),
        ({"pose": np.zeros((FRAMES, 54, 3), np.float32)}, r"not \(5, 55, 3\)"),
        ({"frames": np.arange(1, 6)}, "not those of the track"),
    ],
)
def test_what_does_not_fit_is_refused(
    shot: Shot, tmp_path: Path, changes: dict[str, np.ndarray], sentence: str
) -> None:
    with pytest.raises(ShotError, match=sentence):
        publish_motion(shot, 1, sent(shot, tmp_path / "sent", **changes), "artist")
    (tmp_path / "damaged").write_bytes(b"no tensors")
    with pytest.raises(ShotError, match="cannot be read"):
        publish_motion(shot, 1, tmp_path / "damaged", "artist")
