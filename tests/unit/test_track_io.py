# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracks from and to other programs, and the report."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from test_rig_export import FRAMES, shot  # noqa: F401 - a fixture.

from portraitgen.errors import ShotError
from portraitgen.pipeline.data.shots import Track
from portraitgen.pipeline.requests.track_export import export_track
from portraitgen.pipeline.requests.track_import import import_track
from portraitgen.records import FrameQuality
from portraitgen.shot import Shot

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("ending", ["npz", "json"])
def test_a_track_comes_back_as_it_went(shot: Shot, tmp_path: Path, ending: str) -> None:  # noqa: F811
    before = Track(shot)
    file = tmp_path / f"track.{ending}"
    assert export_track(shot, file).frames == FRAMES
    published = import_track(shot, file)
    assert (published.version, published.changed) == (2, FRAMES)
    after = Track(shot)
    for name in ("pose", "transl", "expression", "betas"):
        assert np.abs(getattr(after.motion, name) - getattr(before.motion, name)).max() < 1e-6
    assert after.camera == before.camera and after.motion.fixed.all()
    assert after.record.source == "import" and after.record.parent == 1


def test_the_layout_is_the_usual_one(shot: Shot, tmp_path: Path) -> None:  # noqa: F811
    export_track(shot, tmp_path / "track.npz")
    with np.load(tmp_path / "track.npz") as stored:
        shapes = {name: stored[name].shape for name in stored.files}
    assert shapes["body_pose"] == (FRAMES, 63) and shapes["left_hand_pose"] == (FRAMES, 45)
    assert shapes["global_orient"] == shapes["jaw_pose"] == shapes["transl"] == (FRAMES, 3)
    assert shapes["K"] == (3, 3)


def test_some_frames_only_leave_the_others(shot: Shot, tmp_path: Path) -> None:  # noqa: F811
    before = Track(shot).motion
    np.savez(
        tmp_path / "part.npz",
        global_orient=np.tile([np.pi, 0, 0], (2, 1)),
        transl=np.full((2, 3), 2.0),
        frames=[1002, 1004],
    )
    assert import_track(shot, tmp_path / "part.npz").changed == 2
    after = Track(shot).motion
    assert after.fixed.tolist() == [False, True, False, True, False]
    assert (after.transl[1] == 2).all() and (after.transl[0] == before.transl[0]).all()
    assert (after.expression == before.expression).all()


def _bad(name: str, folder: Path) -> Path:
    good = {"global_orient": np.zeros((FRAMES, 3)), "transl": np.ones((FRAMES, 3))}
    changes = {
        "wrong pose": {"body_pose": np.zeros((FRAMES, 60))},
        "nan": {"transl": np.full((FRAMES, 3), np.nan)},
        "strangers": {"frames": np.arange(7, 7 + FRAMES)},
        "too few": {"global_orient": np.zeros((2, 3)), "transl": np.ones((2, 3))},
        "other size": {"K": np.eye(3), "image_size": [3, 4]},
        "bad lens": {"K": np.zeros((3, 3))},
        "objects": {"betas": np.array([{}], object)},
    }[name]
    arrays = {key: value for key, value in (good | changes).items() if value is not None}
    np.savez(folder / "bad.npz", **arrays)
    return folder / "bad.npz"


@pytest.mark.parametrize(
    "name",
    ["wrong pose", "nan", "strangers", "too few", "other size", "bad lens", "objects"],
)
def test_a_file_that_does_not_fit_is_refused(shot: Shot, tmp_path: Path, name: str) -> None:  # noqa: F811
    with pytest.raises(ShotError):
        import_track(shot, _bad(name, tmp_path))
    assert Track(shot).version == 1


def test_rubbish_is_refused_and_nothing_is_overwritten(shot: Shot, tmp_path: Path) -> None:  # noqa: F811
    for name, content in (("a.npz", b"PK\x03\x04rubbish"), ("b.json", b"[1]"), ("c.json", b"{")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ShotError):
            import_track(shot, tmp_path / name)
    with pytest.raises(ShotError, match="no such file"):
        import_track(shot, tmp_path / "none.npz")
    export_track(shot, tmp_path / "track.npz")
    with pytest.raises(ShotError, match="there already"):
        export_track(shot, tmp_path / "track.npz")
    with pytest.raises(ShotError, match=r"must end in \.npz"):
        export_track(shot, tmp_path / "track.fbx")


def test_the_report_s_curve_shows_every_state() -> None:
    from portraitgen.pipeline.requests.report import _COLOURS, _curve

    rows = [
        FrameQuality(1, "tracked", 1.0, 1.2),
        FrameQuality(2, "bridged", 0.0),
        FrameQuality(3, "lost", 0.0),
    ]
    picture = _curve(rows, 900)
    assert picture.shape[1] == 900
    for colour in _COLOURS.values():
        assert (np.abs(picture - np.float32(colour)).max(2) < 0.02).any()
    assert cv2.imencode(".png", picture)[0]
