# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One file of every layout that trackers write, generated, with a turned head in each.

Names and shapes are the projects'; values are made up: the body stands upright before the camera,
its head turned by `TURN` about the upright, its jaw a little open.
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from portraitgen.interchange.layouts_face import ARKIT

COUNT = 5
TURN = 0.3
UPRIGHT = np.array([np.pi, 0, 0])
JAW = np.array([0.15, 0, 0])


def _tile(row: np.ndarray) -> np.ndarray:
    return np.tile(np.asarray(row, np.float64), (COUNT, 1))


def _body(joints: int = 21) -> np.ndarray:
    pose = np.zeros((joints, 3))
    pose[14, 1] = TURN  # The head, one less than its joint: the pelvis is told apart.
    return _tile(pose.ravel())


def _transl() -> np.ndarray:
    return _tile([0.02, 0.25, 1.5])


def _usual(path: Path, **more: object) -> Path:
    np.savez(
        path,
        **{
            "global_orient": _tile(UPRIGHT),
            "body_pose": _body(),
            "jaw_pose": _tile(JAW),
            "transl": _transl(),
        }
        | more,
    )
    return path


def smplx_parameters(folder: Path) -> Path:
    return _usual(folder / "usual.npz", betas=np.zeros(10), expression=np.zeros((COUNT, 10)))


def smpler_x(folder: Path) -> Path:
    inside, meta = folder / "out" / "smplx", folder / "out" / "meta"
    inside.mkdir(parents=True)
    meta.mkdir()
    for frame in range(1, COUNT + 1):
        for person in (0, 1):
            np.savez(
                inside / f"{frame:05}_{person}.npz",
                global_orient=UPRIGHT[None],
                body_pose=_body()[0].reshape(21, 3),
                left_hand_pose=np.zeros((15, 3)),
                right_hand_pose=np.zeros((15, 3)),
                jaw_pose=JAW[None],
                leye_pose=np.zeros((1, 3)),
                reye_pose=np.zeros((1, 3)),
                betas=np.zeros((1, 10)),
                expression=np.zeros((1, 10)),
                transl=np.array([[0.02, 0.25, 12.0]]),
            )
            told = {"focal": [5000.0, 5000.0], "princpt": [320.0, 180.0]}
            (meta / f"{frame:05}_{person}.json").write_text(json.dumps(told))
    return inside


def osx(folder: Path) -> Path:
    np.savez(
        folder / "osx.npz",
        smplx_root_pose=_tile(UPRIGHT),
        smplx_body_pose=_body(),
        smplx_lhand_pose=np.zeros((COUNT, 45)),
        smplx_rhand_pose=np.zeros((COUNT, 45)),
        smplx_jaw_pose=_tile(JAW),
        smplx_shape=np.zeros((COUNT, 10)),
        smplx_expr=np.zeros((COUNT, 10)),
        cam_trans=_transl(),
    )
    return folder / "osx.npz"


def multi_hmr(folder: Path) -> Path:
    rotvec = np.zeros((COUNT, 53, 3))
    rotvec[:, 0], rotvec[:, 15, 1], rotvec[:, 52] = UPRIGHT, TURN, JAW
    np.savez(
        folder / "hmr.npz",
        rotvec=rotvec,
        transl=_transl(),
        transl_pelvis=_transl()[:, None],
        shape=np.zeros((COUNT, 10)),
        expression=np.zeros((COUNT, 10)),
        v3d=np.full((COUNT, 3), np.nan),
    )
    return folder / "hmr.npz"


def show(folder: Path) -> Path:
    _usual(
        folder / "show.npz",
        body_pose_axis=_body(),
        left_hand_pose=np.zeros((COUNT, 12)),
        right_hand_pose=np.zeros((COUNT, 12)),
        leye_pose=np.zeros((COUNT, 3)),
        reye_pose=np.zeros((COUNT, 3)),
        expression=np.zeros((COUNT, 100)),
        betas=np.zeros((1, 300)),
        focal_length=np.array(700.0),
        center=np.array([320.0, 180.0]),
        camera_transl=np.zeros((1, 3)),
        batch_size=np.array(COUNT),
    )
    return folder / "show.npz"


def talkshow_motion(folder: Path) -> Path:
    rows = np.zeros((COUNT + 2, 265))  # Of 30 frames a second.
    rows[:, :3], rows[:, 9:12], rows[:, 12:75] = JAW, UPRIGHT, _body()[0]
    np.save(folder / "motion.npy", rows[None])
    return folder / "motion.npy"


def _amass(path: Path, width: int) -> Path:
    poses = np.zeros((COUNT, width))
    # AMASS stands with z up and looks along -y.
    poses[:, :3] = Rotation.from_euler("x", 90, degrees=True).as_rotvec()
    poses[:, 3:66] = _body()
    if width == 165:
        poses[:, 66:69] = JAW
    np.savez(
        path,
        poses=poses,
        trans=np.zeros((COUNT, 3)),
        betas=np.zeros(16),
        mocap_framerate=np.array(24.0),
        gender=np.array("neutral"),
        dmpls=np.full((COUNT, 8), np.nan),
    )
    return path


def amass_smplh(folder: Path) -> Path:
    return _amass(folder / "smplh.npz", 156)


def amass_smplx(folder: Path) -> Path:
    return _amass(folder / "smplx.npz", 165)


def wham(folder: Path) -> Path:
    pose = np.concatenate([_tile(UPRIGHT), _body(23)], axis=1)
    person = {"pose": pose, "trans": _transl(), "pose_world": pose, "trans_world": _transl()}
    person |= {"betas": np.zeros((COUNT, 10)), "frame_ids": np.arange(COUNT)}
    short = {"pose": pose[:2], "trans": _transl()[:2], "frame_ids": np.arange(2)}
    np.savez(
        folder / "wham.npz",
        **{f"0/{name}": value for name, value in short.items()},
        **{f"7/{name}": value for name, value in person.items()},
    )
    return folder / "wham.npz"


def gvhmr(folder: Path) -> Path:
    inside = {"global_orient": _tile(UPRIGHT), "body_pose": _body(), "transl": _transl()}
    inside["betas"] = np.zeros((COUNT, 10))
    lens = np.tile([[700.0, 0, 320], [0, 700, 180], [0, 0, 1]], (COUNT, 1, 1))
    np.savez(
        folder / "gvhmr.npz",
        **{f"smpl_params_incam/{name}": value for name, value in inside.items()},
        **{f"smpl_params_global/{name}": value for name, value in inside.items()},
        K_fullimg=lens,
    )
    return folder / "gvhmr.npz"


def prompt_hmr(folder: Path) -> Path:
    """Of a movie that it made half as large, rounding; person 2 is seen longest."""
    pose = np.concatenate([_tile(UPRIGHT), _body(), np.zeros((COUNT, 9))], axis=1)
    of_two = {"pose": pose, "trans": _transl(), "shape": np.zeros((COUNT, 10))}
    of_one = {name: values[:2] for name, values in of_two.items()}
    people = {f"people/2/smplx_cam/{name}": values for name, values in of_two.items()}
    people |= {f"people/1/smplx_cam/{name}": values for name, values in of_one.items()}
    people |= {"people/2/frames": np.arange(COUNT), "people/1/frames": np.arange(2)}
    np.savez(
        folder / "phmr.npz",
        **people,
        **{"camera/img_focal": np.array(350.0), "camera/img_center": np.array([160.0, 120.5])},
    )
    return folder / "phmr.npz"


def tram(folder: Path) -> Path:
    turns = np.concatenate([_tile(UPRIGHT), _body(23)], axis=1).reshape(-1, 3)
    np.savez(
        folder / "hps_track_0_plain.npz",
        pred_cam=np.zeros((COUNT, 3)),
        pred_pose=np.zeros((COUNT, 144)),
        pred_shape=np.zeros((COUNT, 10)),
        pred_rotmat=Rotation.from_rotvec(turns).as_matrix().reshape(COUNT, 24, 3, 3),
        pred_trans=_transl()[:, None],
        frame=np.arange(COUNT),
    )
    return folder / "hps_track_0_plain.npz"


def frames_of_json(folder: Path) -> Path:
    frame = {"global_orient": UPRIGHT.tolist(), "body_pose": _body()[0].tolist()}
    frame |= {"transl": [0.02, 0.25, 1.5], "jaw_pose": JAW.tolist()}
    content = {
        "frames": [{**frame, "name": f"{row}.png", "odd": [1] * row} for row in range(COUNT)]
    }
    (folder / "frames.json").write_text(json.dumps(content))
    return folder / "frames.json"


def portraitgen_release(folder: Path) -> Path:
    np.savez(
        folder / "smplx_track.npz",
        cam_para=_tile([700, 700, 320, 180]),
        body_pose=_body(),
        lhand_pose=np.zeros((COUNT, 45)),
        rhand_pose=np.zeros((COUNT, 45)),
        jaw_pose=_tile(JAW),
        leye_pose=np.zeros((COUNT, 3)),
        reye_pose=np.zeros((COUNT, 3)),
        shape=np.zeros((1, 300)),
        expr=np.zeros((COUNT, 100)),
        global_orient=np.zeros((COUNT, 3)),
        transl=_tile([0.02, 0.1, -1.5]),
    )
    return folder / "smplx_track.npz"


def vhap(folder: Path) -> Path:
    np.savez(
        folder / "tracked_flame_params_30.npz",
        rotation=_tile([0, TURN, 0]),
        translation=np.zeros((COUNT, 3)),
        neck_pose=np.zeros((COUNT, 3)),
        jaw_pose=_tile(JAW),
        eyes_pose=np.zeros((COUNT, 6)),
        shape=np.zeros(300),
        expr=np.zeros((COUNT, 100)),
        timestep_id=np.array([f"{each:06d}" for each in range(COUNT)]),
        n_processed_frames=np.array(COUNT),
        focal_length=np.array([1.5]),
        static_offset=np.zeros((1, 5143, 3)),
        image_size=np.array([360, 640]),
    )
    return folder / "tracked_flame_params_30.npz"


def metrical(folder: Path) -> Path:
    # PyTorch3D's camera has x to the left and y up, the face looks at it; points stand at the left.
    turn = Rotation.from_matrix(np.diag([-1.0, 1.0, -1.0])) * Rotation.from_rotvec([0, TURN, 0])
    six = Rotation.from_rotvec(JAW).as_matrix()[:2].ravel()
    np.savez(
        folder / "metrical.npz",
        **{
            "flame/exp": np.zeros((COUNT, 100)),
            "flame/jaw": _tile(six),
            "flame/eyes": _tile(np.tile(np.eye(3)[:2].ravel(), 2)),
            "flame/shape": np.zeros((1, 300)),
            "camera/R": _tile(turn.inv().as_matrix()[:2].ravel())[:, None],
        },
    )
    return folder / "metrical.npz"


def imavatar(folder: Path) -> Path:
    pose = [0.0] * 6 + JAW.tolist() + [0.0] * 6
    frames = [{"expression": [0.0] * 50, "pose": pose, "bbox": [0, 0]} for _ in range(COUNT)]
    path = folder / "flame_params.json"
    path.write_text(json.dumps({"frames": frames, "shape_params": [0.0] * 100}))
    return path


def emoca(folder: Path) -> Path:
    for frame in range(COUNT):
        inside = folder / "codes" / f"{frame:06d}_000"
        inside.mkdir(parents=True)
        np.save(inside / "exp.npy", np.zeros(50))
        np.save(inside / "shape.npy", np.zeros(100))
        np.save(inside / "pose.npy", np.concatenate([[0, TURN, 0], JAW]))
        np.save(inside / "tex.npy", np.zeros(50))
    return folder / "codes"


def deca(folder: Path) -> Path:
    np.savez(
        folder / "deca.npz",
        exp=np.zeros((COUNT, 50)),
        shape=np.zeros((COUNT, 100)),
        pose=_tile([0, TURN, 0, *JAW]),
        cam=_tile([8, 0, 0]),
    )
    return folder / "deca.npz"


def _weights() -> dict[str, float]:
    return dict.fromkeys(ARKIT, 0.0) | {"jawOpen": 0.4, "eyeLookOutLeft": 0.5}


def live_link_face(folder: Path) -> Path:
    """60 frames a second from 14:22:11, of a plate with 24."""
    names = [name[0].upper() + name[1:] for name in ARKIT]
    turns = [f"{b}{t}" for b in ("Head", "LeftEye", "RightEye") for t in ("Yaw", "Pitch", "Roll")]
    path = folder / "take_iPhone.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Timecode", "BlendShapeCount", *names, *turns])
        for row in range(130):
            second, frame = divmod(row + 50, 60)
            weights = _weights() | {"jawOpen": row / 130}
            cells = [*weights.values(), TURN * row / 130, *[0] * 8]
            writer.writerow([f"14:22:{11 + second:02d}:{frame:02d}.417", 61, *cells])
    return path


def arkit_table(folder: Path) -> Path:
    path = folder / "weights.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", *ARKIT])
        for row in range(COUNT):
            writer.writerow([row, *_weights().values()])
    return path


def mediapipe_json(folder: Path) -> Path:
    each = [{"index": 0, "categoryName": "_neutral", "score": 0.0}]
    each += [{"index": 1, "categoryName": n, "score": w} for n, w in _weights().items()]
    path = folder / "blendshapes.json"
    path.write_text(json.dumps([{"faceBlendshapes": [{"categories": each}]}] * COUNT))
    return path


def open_see_face(folder: Path) -> Path:
    header = (
        "Frame,Time,Width,Height,FPS,Face,FaceID,RightOpen,LeftOpen,AverageConfidence,Success3D,"
        "PnPError,RotationQuat.X,RotationQuat.Y,RotationQuat.Z,RotationQuat.W,Euler.X,Euler.Y,"
        "Euler.Z,RVec.X,RVec.Y,RVec.Z,TVec.X,TVec.Y,TVec.Z"
    ).split(",")
    points = [f"Point3D[{i}].{axis}" for i in range(66) for axis in "XYZ"]
    rng = np.random.default_rng(0)
    face = rng.normal(size=(66, 3))
    path = folder / "openseeface.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*header, *points])
        for row in range(COUNT):
            numbers = [row + 1, 100 + row / 24, 640, 360, 24, 0, 0, 1.0, 0.25 * row, 0.9, "True"]
            writer.writerow([*numbers, *[0.0] * 14, *face.ravel()])
    return path


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "SMPL-X parameters": smplx_parameters,
    "SMPLer-X": smpler_x,
    "OSX": osx,
    "Multi-HMR": multi_hmr,
    "SHOW / TalkSHOW": show,
    "TalkSHOW's motion": talkshow_motion,
    "AMASS (SMPL-H)": amass_smplh,
    "AMASS (SMPL-X)": amass_smplx,
    "WHAM": wham,
    "GVHMR": gvhmr,
    "PromptHMR": prompt_hmr,
    "TRAM": tram,
    "SMPL-X parameters (frames)": frames_of_json,
    "PortraitGen's release": portraitgen_release,
    "FLAME (VHAP, NHA)": vhap,
    "FLAME (metrical-tracker)": metrical,
    "FLAME (IMavatar)": imavatar,
    "DECA / EMOCA": emoca,
    "DECA / EMOCA codes": deca,
    "Live Link Face": live_link_face,
    "ARKit's shapes": arkit_table,
    "MediaPipe's blendshapes": mediapipe_json,
    "OpenSeeFace": open_see_face,
}
