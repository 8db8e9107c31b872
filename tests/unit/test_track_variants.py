# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: F811 - a fixture is imported.
"""The ways in which one layout is written: shapes, orders, numbers, names, clocks and axes."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from foreign_files import LAYOUTS, TURN
from scipy.spatial.transform import Rotation
from test_rig_export import FRAMES, shot  # noqa: F401 - a fixture.

from portraitgen.body.motion import posed
from portraitgen.errors import ShotError
from portraitgen.interchange.foreign_track import ForeignTrack
from portraitgen.interchange.layouts_face import ARKIT
from portraitgen.interchange.read import read_track
from portraitgen.interchange.timing import on_frames
from portraitgen.pipeline.data.shots import Track, body_of
from portraitgen.pipeline.requests.track_import import import_track
from portraitgen.shot import Shot

pytestmark = pytest.mark.filterwarnings("error")

HEAD = 15
UPRIGHT = (np.pi, 0.0, 0.0)


def turns(frames: int, joints: int) -> np.ndarray:
    """Turns (T, J, 3), another for every frame and joint."""
    found: np.ndarray = np.random.default_rng(frames).normal(0, 0.3, (frames, joints, 3))
    return found


def matrices(vectors: np.ndarray) -> np.ndarray:
    found = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix()
    return found.reshape(*vectors.shape[:2], 3, 3)


def saved(folder: Path, **arrays: object) -> Path:
    np.savez(folder / "track.npz", **arrays)  # type: ignore[arg-type]
    return folder / "track.npz"


# Shapes


SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "usual": lambda v: v.reshape(len(v), -1),
    "joints apart": lambda v: v,
    "one batch": lambda v: v[None],
    "a batch of every frame": lambda v: v[:, None].reshape(len(v), 1, -1),
    "matrices": matrices,
    "a batch of matrices": lambda v: matrices(v)[None],
    "half floats": lambda v: v.astype(np.float16).reshape(len(v), -1),
    "columns first in memory": lambda v: np.asfortranarray(v.reshape(len(v), -1)),
}


@pytest.mark.parametrize("frames", [1, 3, 7])
@pytest.mark.parametrize("name", SHAPES)
def test_turns_are_read_from_every_shape(tmp_path: Path, name: str, frames: int) -> None:
    root, body = turns(frames, 1), turns(frames, 21)
    file = saved(tmp_path, global_orient=SHAPES[name](root), body_pose=SHAPES[name](body))
    track = read_track(file)
    assert track.count == frames
    assert np.abs(track.pose[:, :1] - root).max() < 2e-3
    assert np.abs(track.pose[:, 1:22] - body).max() < 2e-3


def test_smpl_s_23_joints_are_read_as_matrices_too(tmp_path: Path) -> None:
    root, body = turns(4, 1), turns(4, 23)
    file = saved(tmp_path, global_orient=matrices(root), body_pose=matrices(body))
    assert np.allclose(read_track(file).pose[:, 1:22], body[:, :21])


SCRAMBLED: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "six numbers": (lambda v: matrices(v)[:, :, :2].reshape(len(v), -1), "not \\(frames, 3\\)"),
    "quaternions": (
        lambda v: Rotation.from_rotvec(v.reshape(-1, 3)).as_quat().reshape(len(v), -1),
        "not \\(frames, 3\\)",
    ),
    "two people": (lambda v: np.stack([v.reshape(len(v), -1)] * 2, axis=1), "one person"),
    "joints first": (lambda v: v.reshape(len(v), -1).T, "has the shape"),
}


@pytest.mark.parametrize("name", SCRAMBLED)
def test_what_would_be_scrambled_is_refused(tmp_path: Path, name: str) -> None:
    """120 frames of 4 or 6 numbers are as many numbers as 160 or 240 frames of 3."""
    change, said = SCRAMBLED[name]
    root, body = turns(120, 1), turns(120, 21)
    file = saved(tmp_path, global_orient=change(root), body_pose=change(body))
    with pytest.raises(ShotError, match=said):
        read_track(file)


@pytest.mark.parametrize(("each", "said"), [(4, "quaternions"), (6, "rows.*columns")])
def test_turns_that_are_read_in_two_ways_are_refused(tmp_path: Path, each: int, said: str) -> None:
    body = np.ones((5, 21, each))
    file = saved(tmp_path, global_orient=turns(5, 1), body_pose=body)
    with pytest.raises(ShotError, match=said) as refused:
        read_track(file)
    assert "axis-angle" in refused.value.remedy


OTHERS = {"x.bvh": b"HIERARCHY\n", "x.fbx": b"Kaydara FBX Binary  \0", "x.mat": b"MATLAB 5.0"}


@pytest.mark.parametrize("name", [*OTHERS, "empty.npz"])
def test_files_of_other_kinds_are_told_what_is_read(tmp_path: Path, name: str) -> None:
    """They were said to be no zip."""
    (tmp_path / name).write_bytes(OTHERS.get(name, b""))
    with pytest.raises(ShotError, match="is empty|a kind that is not read") as refused:
        read_track(tmp_path / name)
    assert ".npz" in refused.value.remedy and "zip" not in str(refused.value)


def test_an_array_that_a_layout_needs_is_told_by_its_name(tmp_path: Path) -> None:
    file = LAYOUTS["PromptHMR"](tmp_path)
    with np.load(file) as stored:
        arrays = {name: each for name, each in stored.items() if not name.endswith("/pose")}
    np.savez(file, **arrays)
    with pytest.raises(ShotError, match="holds no 'smplx_cam/pose'"):
        read_track(file)


# Numbers of frames


def test_a_folder_of_frames_by_any_name_is_a_file_a_frame(tmp_path: Path) -> None:
    for name in ("frame_{:04}", "take2_{:05}", "{}", "{:06}"):
        folder = tmp_path / name.split("{")[0].strip("_") / "x" / str(len(name))
        folder.mkdir(parents=True)
        for frame in range(1, 13):
            root = np.array([[np.pi, 0, 0.01 * frame]])
            np.savez(folder / f"{name.format(frame)}.npz", global_orient=root)
        track = read_track(folder)
        assert track.frames is not None and track.frames.tolist() == list(range(1, 13)), name
        assert np.allclose(track.pose[:, 0, 2], 0.01 * np.arange(1, 13))


def test_codes_of_frames_keep_their_gaps_and_one_person(tmp_path: Path) -> None:
    folder = LAYOUTS["DECA / EMOCA"](tmp_path)
    (folder / "000002_000").rename(tmp_path / "gone")
    (tmp_path / "gone").rename(folder / "000003_001")
    track = read_track(folder)
    assert track.frames is not None and track.frames.tolist() == [0, 1, 3, 4]
    assert any("first of every frame" in note for note in track.notes)


def placed(first: int, count: int, **more: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        arrays: dict[str, object] = {"global_orient": np.tile(UPRIGHT, (count, 1))}
        arrays |= {"transl": np.tile([0, 0.4, 1.5], (count, 1)) + np.arange(count)[:, None] * 0.01}
        return saved(folder, **arrays, frames=np.arange(first, first + count), **more)

    return make


def test_frames_from_0_begin_with_the_plate_and_others_are_told(tmp_path: Path) -> None:
    def at(file: Path, plate_first: int) -> tuple[ForeignTrack, list[int]]:
        frames = np.arange(plate_first, plate_first + 5)
        track, found = on_frames(read_track(file), frames, 25.0, plate_first, file)
        return track, found.tolist()

    # No plate that begins with 1 has a frame 0: taken by number, all would come one frame late.
    track, found = at(placed(0, 5)(tmp_path), 1)
    assert found == [1, 2, 3, 4, 5] and any("frame 0 is taken" in note for note in track.notes)
    assert at(placed(0, 5)(tmp_path), 0)[1] == [0, 1, 2, 3, 4]
    track, found = at(placed(3, 5)(tmp_path), 1)
    assert found == [3, 4, 5] and any("2 of its frames (6-7)" in note for note in track.notes)
    with pytest.raises(ShotError, match=r"'frames' holds 1\.5"):
        read_track(saved(tmp_path, global_orient=np.zeros((2, 3)), frames=[1, 1.5]))


def test_a_rate_that_is_said_holds_for_numbered_frames_too(tmp_path: Path) -> None:
    file = placed(0, 50)(tmp_path)
    track, frames = on_frames(read_track(file), np.arange(1, 11), 25.0, 1, file, fps=50.0)
    assert frames.tolist() == list(range(1, 11)) and track.transl is not None
    assert np.allclose(track.transl[:, 0], 0.02 * np.arange(10))


# Axes, units and names


def standing(**more: object) -> dict[str, object]:
    """A body that stands before an OpenCV camera and walks to the right."""
    place = np.tile([0.05, 0.45, 1.6], (FRAMES, 1))
    place[:, 0] += 0.02 * np.arange(FRAMES)
    body = np.zeros((FRAMES, 21, 3))
    body[:, 14, 1] = TURN
    root = np.tile(UPRIGHT, (FRAMES, 1))
    return {"global_orient": root, "body_pose": body, "transl": place} | more


def in_axes(axes: np.ndarray, arrays: dict[str, object]) -> dict[str, object]:
    """The same in other axes: points p are `axes` p there."""
    root, place = np.asarray(arrays["global_orient"]), np.asarray(arrays["transl"])
    turned = Rotation.from_matrix(axes) * Rotation.from_rotvec(root)
    # As SMPL-X turns a body: about its pelvis, which rests elsewhere than at the origin.
    pelvis = np.array([0.003, -0.351, 0.012])
    return arrays | {
        "global_orient": turned.as_rotvec(),
        "transl": (pelvis + place) @ axes.T - pelvis,
    }


FLIP = np.diag([1.0, -1.0, -1.0])
Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
LENS = np.array([[700.0, 0, 320], [0, 700, 180], [0, 0, 1]])


def heads(shot: Shot) -> tuple[np.ndarray, np.ndarray]:
    """Turns and places of the head in the plate's axes, of the latest version."""
    output = posed(body_of(shot), Track(shot).motion)
    return output.rotations[:, HEAD].numpy(), output.joints[:, HEAD].numpy()


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("up", ["y", "z"])
def test_a_world_stands_upright_whichever_axis_is_up(
    shot: Shot, tmp_path: Path, up: str, named: bool
) -> None:
    import_track(shot, saved(tmp_path, **standing(K=LENS)))
    wanted, start = heads(shot)
    arrays = in_axes(FLIP if up == "y" else Z_UP.T @ FLIP, standing())
    if not named:
        # As BEAT2 and AMASS are written.
        pose = np.zeros((FRAMES, 55, 3))
        pose[:, 0], pose[:, 1:22] = np.asarray(arrays["global_orient"]), arrays["body_pose"]
        arrays = {"poses": pose.reshape(FRAMES, 165), "trans": arrays["transl"]}
        arrays |= {"expressions": np.ones((FRAMES, 100)), "mocap_frame_rate": np.array(24)}
    file = saved(tmp_path, **arrays)
    notes = import_track(shot, file).notes
    turned, places = heads(shot)
    apart = Rotation.from_matrix(wanted).inv() * Rotation.from_matrix(turned)
    assert np.degrees(apart.magnitude()).max() < 1
    assert np.abs(places - start).max() < 0.01
    assert not any("against the head" in note for note in notes)
    assert named or "expression" in notes[0]


def test_opengl_s_camera_is_told_by_the_body_in_it(shot: Shot, tmp_path: Path) -> None:
    import_track(shot, saved(tmp_path, **standing(K=LENS)))
    wanted, start = heads(shot)
    import_track(shot, saved(tmp_path, **in_axes(FLIP, standing(K=LENS))))
    turned, places = heads(shot)
    assert np.abs(turned - wanted).max() < 1e-3 and np.abs(places - start).max() < 1e-3


def test_what_cannot_be_the_performer_is_refused_or_told(shot: Shot, tmp_path: Path) -> None:
    import_track(shot, saved(tmp_path, **standing(K=LENS)))
    place = np.asarray(standing()["transl"])
    for scale in (100, 1000):
        file = saved(tmp_path, **standing(K=LENS, transl=place * scale))
        with pytest.raises(ShotError, match="times as large") as refused:
            import_track(shot, file)
        assert "metres" in refused.value.remedy
    with pytest.raises(ShotError, match="behind the camera"):
        import_track(shot, saved(tmp_path, **standing(transl=place * [1, 1, -1])))
    assert Track(shot).version == 2
    told = {
        "pixels from it": {"transl": place + [0.5, 0, 0]},
        "times as large": {"transl": place + [0, 0, 1.6]},
        "against it": {"global_orient": np.tile([0, 0, np.pi], (FRAMES, 1))},
    }
    for said, change in told.items():
        notes = import_track(shot, saved(tmp_path, **standing(K=LENS, **change))).notes
        assert any(said in note and "--first" in note for note in notes), notes
        import_track(shot, saved(tmp_path, **standing(K=LENS)))


def test_multi_hmr_s_place_of_the_head_is_not_the_body_s(shot: Shot, tmp_path: Path) -> None:
    import_track(shot, saved(tmp_path, **standing(K=LENS)))
    before = heads(shot)[1]
    rotvec = np.zeros((FRAMES, 53, 3))
    rotvec[:, 0] = UPRIGHT
    file = saved(tmp_path, rotvec=rotvec, transl=np.tile([0, 0, 9.0], (FRAMES, 1)))
    notes = import_track(shot, file).notes
    assert any("'transl' is where the head is" in note for note in notes)
    assert np.abs(heads(shot)[1] - before).max() < 1e-4


def test_hands_jaw_and_eyes_are_known_by_the_names_of_motion_sets(tmp_path: Path) -> None:
    hands, jaw, eyes = turns(6, 30), turns(6, 1), turns(6, 2)
    usual = {"root_orient": turns(6, 1), "pose_body": turns(6, 21).reshape(6, 63)}
    usual |= {"pose_jaw": jaw, "pose_eye": eyes.reshape(6, 6)}
    both = {"pose_lhand": hands[:, :15], "pose_rhand": hands[:, 15:]}
    for more in (both, {"pose_hand": hands.reshape(6, 90)}):
        track = read_track(saved(tmp_path, **usual, **more))
        assert track.given.all()
        assert np.allclose(track.pose[:, 22:], np.concatenate([jaw, eyes, hands], axis=1))


# Heads


def test_metrical_tracker_s_camera_is_read_as_its_own_opencv_one(tmp_path: Path) -> None:
    """PyTorch3D turns points from the right: R is the transpose of what others write."""
    file = LAYOUTS["FLAME (metrical-tracker)"](tmp_path)
    with np.load(file) as stored:
        arrays = dict(stored)
    rows = arrays["camera/R"].reshape(-1, 2, 3)
    whole = np.concatenate([rows, np.cross(rows[:, 0], rows[:, 1])[:, None]], axis=1)
    arrays = {name: values for name, values in arrays.items() if name != "camera/R"}
    wanted = Rotation.from_rotvec(UPRIGHT) * Rotation.from_rotvec([0, TURN, 0])
    opencv = np.swapaxes(whole * [-1, -1, 1], 1, 2)
    for told in ({"camera/R": whole}, {"camera/R": np.zeros(3), "opencv/R": opencv}):
        np.savez(file, **(arrays | told))
        head = Rotation.from_rotvec(read_track(file).pose[:, HEAD])
        assert (wanted.inv() * head).magnitude().max() < 1e-6


def test_gaussian_avatars_write_vhap_s_frames_into_a_folder(tmp_path: Path) -> None:
    rows = np.linspace(0, 1, 7)
    for frame, value in enumerate(rows):
        np.savez(
            tmp_path / f"{frame:05}.npz",
            translation=np.zeros((1, 3)),
            rotation=np.array([[0, value, 0]]),
            neck_pose=np.zeros((1, 3)),
            jaw_pose=np.array([[value, 0, 0]]),
            eyes_pose=np.zeros((1, 6)),
            shape=np.zeros(300),
            expr=np.full((1, 100), value),
            static_offset=np.zeros((1, 5143, 3)),
        )
    track = read_track(tmp_path)
    assert track.count == 7 and track.frames is not None and track.frames[0] == 0
    assert np.allclose(track.pose[:, 22, 0], rows) and track.expression is not None
    assert np.allclose(track.expression[:, 50], rows)


# Tables


def table(
    path: Path, rows: Sequence[Sequence[object]], names: Sequence[str], mark: str = ",",
    code: str = "utf-8",
) -> Path:  # fmt: skip
    with open(path, "w", newline="", encoding=code) as file:
        writer = csv.writer(file, delimiter=mark, lineterminator="\r\n")
        writer.writerow(names)
        writer.writerows(rows)
    return path


PHONE = ["Timecode", "BlendshapeCount", *(name[0].upper() + name[1:] for name in ARKIT)]


def phone_rows(count: int, rate: int, first: int = 0, each: int = 1) -> list[list[object]]:
    """Rows of a phone whose jaw opens by a thousandth a row; a number stands in `each` rows."""
    found: list[list[object]] = []
    for row in range(count):
        second, frame = divmod((first + row // each), rate)
        weights = [row / 1000 if name == "jawOpen" else 0.0 for name in ARKIT]
        part = (
            f"{second // 60 % 60:02}:{second % 60:02}:{frame:02}.{1000 * (row % each) // each:03}"
        )
        found.append([f"10:{part}", 61, *weights])
    return found


def opened(track: ForeignTrack) -> np.ndarray:
    assert track.expression is not None
    found: np.ndarray = track.expression[:, track.names.index("jawOpen")]
    return found


@pytest.mark.parametrize("rate", [24, 25, 30, 50, 60])
def test_a_timecode_tells_its_own_rate(tmp_path: Path, rate: int) -> None:
    file = table(tmp_path / "a.csv", phone_rows(30, rate, first=rate - 10), PHONE)
    track = read_track(file)
    assert track.seconds is not None and np.allclose(np.diff(track.seconds), 1 / rate)


def test_two_rows_of_one_timecode_are_two_moments(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", phone_rows(200, 30, each=2), PHONE)
    track = read_track(file)
    assert track.seconds is not None and np.allclose(np.diff(track.seconds), 1 / 60, atol=1e-4)


def test_rows_within_one_second_are_frames_of_the_plate(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", phone_rows(12, 24, first=3), PHONE)
    track, frames = on_frames(read_track(file), np.arange(1, 13), 24.0, 1, file)
    assert len(frames) == 12 and np.allclose(opened(track), np.arange(12) / 1000)
    with pytest.raises(ShotError, match="--first"):
        on_frames(read_track(file), np.arange(1, 90), 24.0, 1, file)


@pytest.mark.parametrize("rate", [24, 30])
def test_timecodes_of_a_plate_s_counted_rate_are_its_frames(tmp_path: Path, rate: int) -> None:
    """24 a second are counted at 23.976: after 2000 frames resampling would be two frames late."""
    file = table(tmp_path / "a.csv", phone_rows(2000, rate), PHONE)
    track, frames = on_frames(read_track(file), np.arange(1, 1991), rate / 1.001, 1, file)
    assert np.allclose(opened(track), np.clip(np.arange(1990) / 1000, 0, 1), atol=1e-5)
    assert len(frames) == 1990


def test_numbers_that_drop_frame_timecode_leaves_out_are_no_gap(tmp_path: Path) -> None:
    rows = phone_rows(400, 30, first=59 * 30 - 100)
    for row, cells in enumerate(rows):
        count = 59 * 30 - 100 + row + (2 if row >= 130 else 0)
        second, frame = divmod(count, 30)
        cells[0] = f"10:{second // 60:02}:{second % 60:02};{frame:02}.000"
    track = read_track(table(tmp_path / "a.csv", rows, PHONE))
    assert track.seconds is not None and np.allclose(np.diff(track.seconds), 1.001 / 30, atol=1e-6)


def test_milliseconds_in_a_timecode_are_no_frames(tmp_path: Path) -> None:
    rows = phone_rows(90, 30)
    for mark in (":", "."):
        for row, cells in enumerate(rows):
            ms = row * 40
            cells[0] = f"00:00:{ms // 1000:02}{mark}{ms % 1000:03}"
        track = read_track(table(tmp_path / "a.csv", rows, PHONE))
        assert track.seconds is not None and np.allclose(np.diff(track.seconds), 0.04)


WRITTEN: dict[str, dict[str, str]] = {
    "plain": {},
    "byte order mark": {"code": "utf-8-sig"},
    "semicolons": {"mark": ";"},
    "tabs": {"mark": "\t"},
    "a spreadsheet's text": {"mark": "\t", "code": "utf-16"},
}


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("spelled", ["{}", "bs.{}"])
def test_a_table_is_read_however_it_is_written(tmp_path: Path, name: str, spelled: str) -> None:
    rows: list[list[object]] = [[row, *[0.1 * row] * 52] for row in range(4)]
    if WRITTEN[name].get("mark"):
        rows = [[str(cell).replace(".", ",") for cell in row] for row in rows]
    names = ["frame", *(spelled.format(each) for each in ARKIT)]
    track = read_track(table(tmp_path / "a.csv", rows, names, **WRITTEN[name]))
    assert track.names == ARKIT and track.frames is not None
    assert np.allclose(opened(track), [0, 0.1, 0.2, 0.3])


def test_shapes_are_known_by_the_names_of_other_apps(tmp_path: Path) -> None:
    def spelled(name: str) -> str:
        for side in ("Left", "Right"):
            if name.endswith(side) and name not in ("jawLeft", "jawRight"):
                return name.removesuffix(side) + "_" + side[0]
        return name

    names = [spelled(name) for name in ARKIT]
    track = read_track(table(tmp_path / "a.csv", [[0.1] * 52] * 3, names))
    assert track.names == ARKIT and track.count == 3


def test_rows_without_a_face_and_a_cut_row_leave_the_others(tmp_path: Path) -> None:
    rows = phone_rows(130, 60)
    rows[20][1:] = [0, *[""] * 52]
    rows[129] = rows[129][:7]
    track = read_track(table(tmp_path / "a.csv", rows, PHONE))
    assert track.count == 128 and track.seconds is not None
    assert track.seconds[20] == pytest.approx(21 / 60, abs=1e-3)
    assert any("without a face" in note for note in track.notes)
    rows[30][5] = "x"
    with pytest.raises(
        ShotError, match=r"'EyeLookOutLeft' holds 'x' .* begins with '10:00:00:30.000'"
    ):
        read_track(table(tmp_path / "a.csv", rows, PHONE))


def test_a_table_s_frame_numbers_keep_its_gaps(tmp_path: Path) -> None:
    numbers = [0, 1, 4, 5]
    rows = [[n, 1000 * n / 25, *[0.01 * n] * 52] for n in numbers]
    file = table(tmp_path / "a.csv", rows, ["frame", "timestamp_ms", *ARKIT])
    track, frames = on_frames(read_track(file), np.arange(1, 7), 25.0, 1, file)
    assert frames.tolist() == [1, 2, 5, 6] and np.allclose(opened(track), [0, 0.01, 0.04, 0.05])
    # Of another rate than the plate, times count.
    track, frames = on_frames(read_track(file), np.arange(1, 12), 50.0, 1, file)
    assert len(frames) == 11 and np.allclose(opened(track), 0.005 * np.arange(11))


@pytest.mark.parametrize("unit", [1, 1e3, 1e6, 1e9])
def test_times_count_whatever_they_are_in(tmp_path: Path, unit: float) -> None:
    rows = [[7e3 + unit * row / 30, *[0.0] * 52] for row in range(9)]
    track = read_track(table(tmp_path / "a.csv", rows, ["timestamp", *ARKIT]))
    assert track.seconds is not None and np.allclose(np.diff(track.seconds), 1 / 30, rtol=1e-3)
    words = [["2026-01-01T00:00:00", *row[1:]] for row in rows]
    track = read_track(table(tmp_path / "b.csv", words, ["timestamp", *ARKIT]))
    assert track.seconds is None and any("timestamp" in note for note in track.notes)


def test_openseeface_s_rows_are_longer_than_its_header(tmp_path: Path) -> None:
    """As its log is written of a movie: 68 points, then 70 in space, below names of 66 and 66."""
    names = "Frame,Time,Width,Height,FPS,Face,FaceID,RightOpen,LeftOpen,AverageConfidence,Success3D"
    names += ",PnPError,RotationQuat.X,RotationQuat.Y,RotationQuat.Z,RotationQuat.W,Euler.X,Euler.Y"
    names += ",Euler.Z,RVec.X,RVec.Y,RVec.Z,TVec.X,TVec.Y,TVec.Z"
    header = names.split(",")
    header += [f"Landmark[{i}].{axis}" for i in range(66) for axis in ("X", "Y", "Confidence")]
    header += [f"Point3D[{i}].{axis}" for i in range(66) for axis in "XYZ"] + [
        "eye_l",
        "mouth_open",
    ]
    rng = np.random.default_rng(1)
    rows, jaw = [], np.array([0, 0, 0.25, 0.5, 1.0])
    for number, value in zip((2, 3, 4, 7, 8), jaw, strict=True):
        points = rng.normal(0, 0.05, (70, 3))
        points[36], points[45] = (-1, 0, 0), (1, 0, 0)
        points[60] = points[64] = (0, -1, 0)
        points[64, 1] -= 1.1 * value
        start = [number, 1.7e9 + number * 0.31, 640, 360, 0, 0, 0, 1.0, 1.0, 0.9, "True"]
        rows.append([*start, *[0.1] * 14, *rng.normal(size=204), *points.ravel(), 0.3, 0.4])
    track = read_track(table(tmp_path / "a.csv", rows, header))
    assert np.allclose(opened(track), jaw, atol=1e-6)
    assert track.seconds is None and track.frames is not None
    assert track.frames.tolist() == [2, 3, 4, 7, 8], "a movie's times are when it was looked at"


# JSON


def test_mediapipe_s_frames_without_a_face_leave_the_others(tmp_path: Path) -> None:
    def frame(value: float) -> dict[str, object]:
        each = [{"categoryName": name, "score": value} for name in ("_neutral", *ARKIT)]
        return {"faceBlendshapes": [{"categories": each}], "faceLandmarks": []}

    none = {"faceBlendshapes": [], "faceLandmarks": []}
    content = [none, frame(0.1), frame(0.2), none, frame(0.4)]
    (tmp_path / "a.json").write_text(json.dumps(content))
    track = read_track(tmp_path / "a.json")
    assert track.frames is not None and track.frames.tolist() == [1, 2, 4]
    assert np.allclose(opened(track), [0.1, 0.2, 0.4])
    assert any("2 frames without a face" in note for note in track.notes)


TABLES: dict[str, Callable[[list[list[float]]], object]] = {
    "Audio2Face": lambda w: {
        "exportFps": 30.0, "trackPath": "a.wav", "numPoses": 52, "numFrames": len(w),
        "facsNames": ARKIT, "weightMat": w,
    },
    "a phone's recording": lambda w: {
        "names": ARKIT,
        "frames": [{"weights": row, "time": i / 30, "rotation": []} for i, row in enumerate(w)],
    },
    "names in every frame": lambda w: {
        "fps": 30, "frames": [{"blendShapes": dict(zip(ARKIT, row, strict=True))} for row in w],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_weights_are_read_from_json(tmp_path: Path, name: str) -> None:
    weights = [[0.01 * row] * 52 for row in range(30)]
    (tmp_path / "a.json").write_text(json.dumps(TABLES[name](weights)))
    file = tmp_path / "a.json"
    track, frames = on_frames(read_track(file), np.arange(1, 21), 15.0, 1, file)
    assert np.allclose(opened(track)[:15], 0.02 * np.arange(15))
