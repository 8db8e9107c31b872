# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A photo is a shot of one frame: the whole way from one picture, with its limits said."""

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from reporters import Noting

from portraitgen.body.camera import Camera
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion, posed
from portraitgen.pipeline.compositing.novel_view import NovelView
from portraitgen.pipeline.compositing.seen_sides import beyond, sides, told
from portraitgen.pipeline.data.shots import Track, create_shot
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.shot import Shot

CLIP = Path(__file__).parents[1] / "data" / "performer.mp4"


def turned(degrees: float, about: np.ndarray) -> np.ndarray:
    """A camera's matrix that goes round a point."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(4)
    matrix[:3, :3] = [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]
    matrix[:3, 3] = about - matrix[:3, :3] @ about
    return matrix


def test_one_picture_is_tracked_rebuilt_edited_and_seen_through_another_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portraitgen.pipeline.jobs.reconstruct._GLANCE_STEPS", 1)
    found, picture = cv2.VideoCapture(str(CLIP)).read()
    assert found
    cv2.imwrite(str(tmp_path / "portrait.png"), picture)
    folder = tmp_path / "shot"
    create_shot(folder, tmp_path / "portrait.png", {})
    assert run("track", folder, {}, Reporter()).told()["tracked_frames"] == 1
    reporter = Noting()
    made = run(
        "reconstruct",
        folder,
        {"steps": 4, "size": 128, "gaussians": 4000, "refine": False},
        reporter,
    )
    assert made.told()["held_out_frames"] == 0
    assert any("learns from one picture" in note for note in reporter.notes)
    words = {"take": "drawn", "editor": "grade", "editor_options": '{"exposure": 1}', "steps": 3}
    run("edit", folder, words, Reporter())
    run("render", folder, {"take": "drawn", "plate": True, "movie": False}, Reporter())
    drawn = next((folder / "takes/drawn/renders/v001/plates").glob("*.png"))
    assert cv2.imread(str(drawn)).shape == picture.shape
    track = Track(Shot.open(folder))
    camera = track.camera.record().to_json()
    head = posed(BodyModel.load(), track.motion).joints[0, 15].double().numpy()
    for degrees, far in ((10, False), (40, True)):
        matrix = turned(degrees, head)
        cameras = tmp_path / f"{degrees}.json"
        frame = {**camera, "matrix": matrix.tolist()}
        size = {"width": track.camera.width, "height": track.camera.height}
        cameras.write_text(json.dumps({**size, "frames": {str(track.frames[0]): frame}}))
        reporter = Noting()
        done = run("render", folder, {"take": "drawn", "camera": str(cameras)}, reporter)
        alone = cv2.imread(
            str(next(Path(str(done.told()["folder"])).glob("*.png"))), cv2.IMREAD_UNCHANGED
        )
        assert alone.shape[2] == 4 and (alone[..., 3] > 0).mean() > 0.05
        beside = [note for note in reporter.notes if "beside the one picture" in note]
        assert bool(beside) == far
        # Where the head lies off the lens' height, it sees a little less of the way round it.
        assert not far or 35 < int(re.findall(r"to (\d+) degrees", beside[0])[0]) <= 40


def test_how_far_a_camera_or_a_turned_head_goes_beyond_what_was_seen() -> None:
    body = BodyModel.load()
    frames = np.array([1, 2])
    none, seen = np.zeros((2, body.n_expression), np.float32), np.ones(2, bool)
    pose, place = np.zeros((2, 55, 3), np.float32), np.zeros((2, 3), np.float32)
    # Upright before the camera, facing it.
    pose[:, 0, 0], place[:, 2] = np.pi, 2.0
    motion = Motion(frames, np.zeros(body.n_shape, np.float32), place, pose, none, seen, ~seen)
    # At the height of the lens, so that going round it is all that changes.
    place[:, 1] = -float(posed(body, motion).joints[0, 15, 1])
    head = posed(body, motion).joints[0, 15].double().numpy()
    before = sides(body, motion, [1])
    assert before[0, 2] > 0.9
    camera = Camera(1000.0, 1000.0, 128.0, 128.0, 256, 256)
    views = {1: NovelView(camera, turned(15, head)), 2: NovelView(camera, turned(-70, head))}
    away = beyond(before, sides(body, motion, [1, 2], views))
    assert away == pytest.approx([15, 70], abs=0.1)
    acted = pose.copy()
    acted[1, 15, 1] = np.radians(50)
    away = beyond(before, sides(body, replace(motion, pose=acted), [1, 2]))
    assert away[0] == pytest.approx(0, abs=0.1) and 45 < away[1] < 51
    (note,) = told(dict(zip([1, 2], away.tolist(), strict=True)), 48)
    assert note.startswith("In frames 2 the head") and "any frame" in note
    assert told({1: 5.0}, 48) == []
