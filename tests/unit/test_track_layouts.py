# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: F811 - a fixture is imported.
"""Tracks of every layout that artists have, read by content, and broken ones refused."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from foreign_files import COUNT, JAW, LAYOUTS, TURN
from scipy.spatial.transform import Rotation
from test_rig_export import FRAMES, shot  # noqa: F401 - a fixture.

from portraitgen.body.motion import posed
from portraitgen.errors import OptionError, ShotError
from portraitgen.interchange.read import read_track
from portraitgen.pipeline.data.shots import Track, body_of
from portraitgen.pipeline.requests.track_import import ImportOptions, import_track
from portraitgen.shot import Shot

pytestmark = pytest.mark.filterwarnings("error")

HEAD, NECK = 15, 12
NO_HEAD = {"FLAME (IMavatar)", "Live Link Face", "ARKit's shapes", "MediaPipe's blendshapes"}
NO_HEAD |= {"OpenSeeFace"}


def head_of(shot: Shot) -> np.ndarray:
    """The head's turn in the plate's axes, (F, 3, 3)."""
    return posed(body_of(shot), Track(shot).motion).rotations[:, HEAD].numpy()


def jaw_unit(shot: Shot) -> np.ndarray:
    track, body = Track(shot), body_of(shot)
    column = body.expression_names.index("jawOpen")
    return (track.motion.expression + track.motion.neutral(body))[:, column]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read(shot: Shot, tmp_path: Path, layout: str) -> None:
    """The head looks aside as the file says, upright before the camera, and the jaw opens."""
    file = LAYOUTS[layout](tmp_path)
    layout = layout.removesuffix(" codes").removesuffix(" (frames)")
    assert read_track(file).layout == layout
    first = int(Track(shot).motion.frames[0])
    found = import_track(shot, file, ImportOptions(first=first))
    assert found.version == 2 and found.changed == FRAMES == COUNT
    assert found.notes[0].startswith(f"read as {layout}")
    if layout not in NO_HEAD:
        wanted = Rotation.from_rotvec([np.pi, 0, 0]) * Rotation.from_rotvec([0, TURN, 0])
        turned = head_of(shot)
        if layout.startswith("AMASS"):
            # Its world is turned as the performer stands in the first frame.
            wanted = Rotation.from_matrix(turned[0])
            upright = turned[:, :, 1] @ np.array([0, -1.0, 0])
            assert (upright > 0.99).all()
        apart = (wanted.inv() * Rotation.from_matrix(turned)).magnitude()
        assert np.degrees(apart).max() < 4
    motion = Track(shot).motion
    assert np.isfinite(motion.pose).all() and motion.fixed.all()
    if read_track(file).given[22]:
        # About 9 degrees of jaw; the open body opens by a unit.
        assert 0.15 < jaw_unit(shot)[0] < 0.8 and JAW[0] == 0.15
        assert not motion.pose[:, 22].any()


def test_a_face_capture_moves_the_face_only(shot: Shot, tmp_path: Path) -> None:
    before = Track(shot).motion
    notes = import_track(shot, LAYOUTS["Live Link Face"](tmp_path)).notes
    after = Track(shot).motion
    assert np.array_equal(after.transl, before.transl)
    assert np.array_equal(after.pose[:, :22], before.pose[:, :22])
    # 60 frames a second on a plate of 24: row 2.5 for every frame, of 130 that open the jaw.
    opened = jaw_unit(shot)
    assert opened == pytest.approx(np.arange(FRAMES) * 2.5 / 130, abs=1e-3)
    left = after.pose[:, 23, 1]
    assert (left > 0.2).all(), "the left eye looks to the performer's left"
    assert any("resampled" in note for note in notes)
    assert any("--head file" in note for note in notes)
    import_track(shot, tmp_path / "take_iPhone.csv", ImportOptions(head="file"))
    turns = Rotation.from_rotvec(Track(shot).motion.pose[[0, -1], HEAD])
    turned = (turns[0].inv() * turns[1]).as_rotvec()
    assert turned == pytest.approx([0, TURN * 10 / 130, 0], abs=1e-3)


def test_a_lens_by_frame_leaves_the_picture_as_it_was(shot: Shot, tmp_path: Path) -> None:
    file = LAYOUTS["SMPLer-X"](tmp_path)
    notes = import_track(shot, file).notes
    track = Track(shot)
    # With one constant lens for all frames the plate takes it over.
    assert track.camera.fx == 5000
    assert any("mean hands" in note for note in notes)
    assert any("first of every frame" in note for note in notes)
    meta = file.parent / "meta"
    for row, path in enumerate(sorted(meta.iterdir())):
        told = {"focal": [4000.0 + 100 * row] * 2, "princpt": [300.0 + row, 170.0]}
        path.write_text(json.dumps(told))
    import_track(shot, file)
    after = Track(shot)
    heads = posed(body_of(shot), after.motion).joints[:, HEAD].numpy()
    seen = after.camera.project(heads)
    # The principal point of each crop moves the body by as much.
    assert np.diff(seen[:, 0]).min() > 0.5


def test_frames_are_asked_for_where_nothing_tells_them(shot: Shot, tmp_path: Path) -> None:
    values = {"global_orient": np.zeros((3, 3)), "transl": np.ones((3, 3))}
    np.savez(tmp_path / "some.npz", **values)
    with pytest.raises(ShotError, match="--first"):
        import_track(shot, tmp_path / "some.npz")
    first = int(Track(shot).motion.frames[1])
    assert import_track(shot, tmp_path / "some.npz", ImportOptions(first=first)).changed == 3
    assert Track(shot).motion.fixed.tolist() == [False, True, True, True, False]
    with pytest.raises(OptionError, match="--focal"):
        import_track(shot, tmp_path / "some.npz", ImportOptions(focal=-1))
    with pytest.raises(ShotError, match="not those of the shot"):
        import_track(shot, tmp_path / "some.npz", ImportOptions(first=first + 1000))


def test_an_array_that_nobody_needs_refuses_no_file(shot: Shot, tmp_path: Path) -> None:
    file = LAYOUTS["SMPL-X parameters"](tmp_path)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("rubbish.npy", b"no array")
        buffer = io.BytesIO()
        np.save(buffer, np.array([{}], object), allow_pickle=True)
        archive.writestr("names.npy", buffer.getvalue())
    assert import_track(shot, file).version == 2


def _with(change: Callable[[dict[str, np.ndarray]], None]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        file = LAYOUTS["SMPL-X parameters"](folder)
        with np.load(file) as stored:
            arrays = dict(stored)
        change(arrays)
        np.savez(file, **arrays)
        return file

    return make


def _set(name: str, value: object) -> Callable[[Path], Path]:
    return _with(lambda arrays: arrays.update({name: np.asarray(value)}))


def _huge(folder: Path) -> Path:
    header = io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": (1 << 40, 3)}
    np.lib.format.write_array_header_1_0(header, shape)
    path = folder / "huge.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("global_orient.npy", header.getvalue() + b"\0" * 64)
    return path


def _long_header(folder: Path) -> Path:
    path = folder / "long.npz"
    told = "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1," * 60_000 + "), }"
    data = b"\x93NUMPY\x02\x00" + len(told).to_bytes(4, "little") + told.encode()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("global_orient.npy", data)
    return path


def _cut(folder: Path) -> Path:
    path = folder / "cut.npz"
    path.write_bytes(LAYOUTS["OSX"](folder).read_bytes()[:-900])
    return path


def _text(name: str, text: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(text)
        return folder / name

    return make


def _pipe(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        if not hasattr(os, "mkfifo"):
            pytest.skip("this system has no pipes among files")
        os.mkfifo(folder / name)
        return folder / name

    return make


def _objects(folder: Path) -> Path:
    np.savez(folder / "objects.npz", global_orient=np.array([{}], object))
    return folder / "objects.npz"


def _csv(cell: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = LAYOUTS["ARKit's shapes"](folder)
        path.write_text(path.read_text().replace("0.4", cell, 1))
        return path

    return make


def _empty_folder(folder: Path) -> Path:
    (folder / "none").mkdir()
    return folder / "none"


BROKEN: dict[str, Callable[[Path], Path]] = {
    "NaN": _set("transl", np.full((COUNT, 3), np.nan)),
    "wrong length": _set("body_pose", np.zeros((COUNT - 1, 63))),
    "wrong width": _set("transl", np.zeros((COUNT, 4))),
    "no frames": _set("global_orient", np.zeros((0, 3))),
    "wrong frame numbers": _set("frames", [1, 2]),
    "no lens": _set("K", np.zeros((3, 3))),
    "text for numbers": _set("transl", [["a"] * 3] * COUNT),
    "enormous values": _set("transl", np.full((COUNT, 3), 1e30)),
    "hands of no size": _with(
        lambda a: a.update(
            left_hand_pose=np.zeros((COUNT, 50)), right_hand_pose=np.zeros((COUNT, 50))
        )
    ),
    "matrices that are none": _set("global_orient", np.zeros((COUNT, 3, 3))),
    "huge header": _huge,
    "long header": _long_header,
    "cut": _cut,
    "objects": _objects,
    "no layout": _text("none.json", '{"a": [1]}'),
    "deep JSON": _text("deep.json", "[" * 200_000),
    "no rows": _text("empty.csv", "Timecode,BlendShapeCount\n"),
    "strange table": _text("strange.csv", "a,b\n1,2\n"),
    "table with words": _csv("open"),
    "table with NaN": _csv("nan"),
    "empty folder": _empty_folder,
    "pipe as arrays": _pipe("pipe.npz"),
    "pipe as JSON": _pipe("pipe.json"),
    "pipe as table": _pipe("pipe.csv"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_in_one_sentence(
    shot: Shot,
    tmp_path: Path,
    name: str,
) -> None:
    with pytest.raises(ShotError) as refused:
        import_track(shot, BROKEN[name](tmp_path))
    said = refused.value
    assert said.message and said.remedy and "\n" not in str(said) and len(str(said)) < 700
    assert Track(shot).version == 1


@pytest.mark.parametrize("ending", ["pkl", "pt", "pth"])
def test_a_pickle_is_refused_and_the_converter_named(
    shot: Shot, tmp_path: Path, ending: str
) -> None:
    (tmp_path / f"track.{ending}").write_bytes(b"\x80\x04N.")
    with pytest.raises(ShotError, match="portraitgen convert-track"):
        import_track(shot, tmp_path / f"track.{ending}")
