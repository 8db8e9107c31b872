# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layouts of trackers of whole bodies, told apart by what the arrays are called.

Names, shapes and conventions are those that the projects document or write; where one leaves a
convention open, what is assumed is a note.
"""

from collections.abc import Callable

import numpy as np

from ..bounded_json import parse_json
from ..errors import ShotError
from ..storage import read_bytes
from .arrays_file import ForeignArrays
from .foreign_track import (
    DOWN_Y,
    FLIPPED,
    REMEDY,
    SMPL_PELVIS,
    SMPLX_PELVIS,
    UP_Y,
    UP_Z,
    Z_UP,
    ForeignTrack,
    frames_of,
    per_frame,
    turned_axes,
    vectors,
    way_up,
    whole_numbers,
)

PARTS = {
    "global_orient": slice(0, 1),
    "body_pose": slice(1, 22),
    "jaw_pose": slice(22, 23),
    "leye_pose": slice(23, 24),
    "reye_pose": slice(24, 25),
    "left_hand_pose": slice(25, 40),
    "right_hand_pose": slice(40, 55),
}
"""Which joints each array of a pose holds, in the field's usual layout."""
_HANDS = ("left_hand_pose", "right_hand_pose")
_EXPRESSIONS = ("expression", "expressions", "expr")


def read_body(arrays: ForeignArrays) -> ForeignTrack | None:
    """A body's track, None if the file has none of these layouts.

    Raises:
        ShotError: if it has one of them and is damaged.
    """
    for read in _LAYOUTS:
        track = read(arrays)
        if track is not None:
            _common(track, arrays)
            return track
    return None


def _common(track: ForeignTrack, arrays: ForeignArrays) -> None:
    """Frame numbers, rates and sizes, where there are some."""
    path = arrays.path
    if track.frames is None:
        track.frames = arrays.frames
    for name in ("frames", "frame_ids", "frame_id"):
        if track.frames is None and name in arrays:
            track.frames = whole_numbers(arrays.numbers(name), track.count, name, path)
    for name in ("mocap_frame_rate", "mocap_framerate", "fps", "frame_rate", "framerate"):
        if track.fps is None and name in arrays:
            rate = arrays.numbers(name).ravel()
            if len(rate) == 1 and 0.1 <= rate[0] <= 1000:
                track.fps = float(rate[0])
    if "image_size" in arrays and track.image_size is None:
        size = arrays.numbers("image_size").ravel()
        if len(size) == 2:
            track.image_size = (int(size[0]), int(size[1]))


def _lens(arrays: ForeignArrays, name: str, count: int) -> np.ndarray:
    matrix = arrays.numbers(name)
    if matrix.shape[-2:] != (3, 3) or matrix.size not in (9, 9 * count):
        raise ShotError(f"'{name}' has the shape {matrix.shape}", arrays.path, REMEDY)
    matrix = matrix.reshape(-1, 3, 3)
    values = np.stack([matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, 0, 2], matrix[:, 1, 2]], axis=1)
    if values[:, :2].min() <= 0:
        raise ShotError(f"'{name}' holds no usable focal length", arrays.path, REMEDY)
    return values


def _identity(track: ForeignTrack, arrays: ForeignArrays, name: str) -> None:
    """Betas of every frame are averaged."""
    if name not in arrays:
        return
    values = arrays.numbers(name)
    if not values.size:
        return
    rows = values.reshape(-1, values.shape[-1]) if values.ndim else values.reshape(1, 1)
    if len(rows) > 1 and np.ptp(rows, axis=0).max() > 1e-3:
        track.notes.append("identity changes from frame to frame in the file: its mean is taken")
    track.betas = rows.mean(0)


def _expression(track: ForeignTrack, arrays: ForeignArrays, name: str) -> None:
    if name not in arrays:
        return
    values = arrays.numbers(name)
    if not values.size:
        return
    width = values.shape[-1] if values.ndim else 1
    track.expression = per_frame(values, track.count, width, name, arrays.path)


def _first(arrays: ForeignArrays, names: tuple[str, ...]) -> str:
    """The first of the names that is there, or that would be the usual one."""
    return next((name for name in names if name in arrays), names[0])


def _place(track: ForeignTrack, arrays: ForeignArrays, name: str) -> None:
    if name in arrays:
        track.transl = per_frame(arrays.numbers(name), track.count, 3, name, arrays.path).copy()


def _hand(track: ForeignTrack, arrays: ForeignArrays, names: tuple[str, str]) -> None:
    """Both hands: 45 numbers are turns, fewer are principal components of the model's file."""
    found = []
    for name, part in zip(names, _HANDS, strict=True):
        if name not in arrays:
            return
        values = arrays.numbers(name)
        if not values.size:
            return
        width = values.size // track.count
        if values.size % track.count == 0 and width in (45, 60, 90, 135):
            track.turn(PARTS[part], vectors(values, track.count, 15, name, arrays.path))
        elif values.size == 45:
            track.turn(PARTS[part], vectors(values, track.count, 15, name, arrays.path))
        elif values.size % track.count == 0 and width < 45:
            found.append(values.reshape(track.count, width))
        else:
            raise ShotError(
                f"'{name}' has the shape {values.shape}: neither joints (45 numbers a frame) nor"
                " components",
                arrays.path,
                REMEDY,
            )
    if len(found) == 2:
        wide = max(each.shape[1] for each in found)
        padded = [np.pad(each, ((0, 0), (0, wide - each.shape[1]))) for each in found]
        track.hand_components = np.stack(padded, axis=1)


def _turn(track: ForeignTrack, arrays: ForeignArrays, name: str, part: str) -> None:
    if name in arrays and arrays.numbers(name).size:
        joints = PARTS[part]
        count = joints.stop - joints.start
        values = arrays.numbers(name)
        for each in (3, 9):
            # SMPL's 23 joints: the last two are its hands.
            if part == "body_pose" and values.size == track.count * 23 * each:
                values = per_frame(values, track.count, 23 * each, name, arrays.path)
                values = values[:, : 21 * each]
        track.turn(joints, vectors(values, track.count, count, name, arrays.path))


def _gvhmr(arrays: ForeignArrays) -> ForeignTrack | None:
    inside = arrays.under("smpl_params_incam/")
    if not inside.has("global_orient", "body_pose"):
        return None
    count = frames_of(inside.numbers("global_orient"), 3, "global_orient", arrays.path)
    track = ForeignTrack.of("GVHMR", count, arrays.path)
    for name in ("global_orient", "body_pose"):
        _turn(track, inside, name, name)
    _place(track, inside, "transl")
    _identity(track, inside, "betas")
    if "K_fullimg" in arrays:
        track.lens = _lens(arrays, "K_fullimg", count)
    else:
        track.share = "diagonal"
    return track


def _wham(arrays: ForeignArrays) -> ForeignTrack | None:
    if arrays.has("pose", "trans") and ("trans_world" in arrays or "frame_ids" in arrays):
        person, others = arrays, 0
    else:
        people = [g for g in arrays.groups() if arrays.has(f"{g}/pose", f"{g}/trans")]
        if not people:
            return None
        people.sort(key=lambda each: -arrays.numbers(f"{each}/trans").size)
        person, others = arrays.under(f"{people[0]}/"), len(people) - 1
    count = frames_of(person.numbers("trans"), 3, "trans", arrays.path)
    pose = per_frame(person.numbers("pose"), count, 72, "pose", arrays.path)
    track = ForeignTrack.of("WHAM", count, arrays.path, share="diagonal", identity_of="other")
    track.turn(slice(0, 22), pose[:, :66].reshape(count, 22, 3))
    _place(track, person, "trans")
    if track.transl is not None:
        track.transl = track.transl + SMPL_PELVIS - SMPLX_PELVIS
    _identity(track, person, "betas")
    if "frame_ids" in person:
        track.frames = whole_numbers(person.numbers("frame_ids"), count, "frame_ids", arrays.path)
    _of_several(track, others + 1)
    return track


def _prompt_hmr(arrays: ForeignArrays) -> ForeignTrack | None:
    """PromptHMR's results.pkl, converted: people, and the camera of the resized movie."""
    people = arrays.under("people/")
    given = [each for each in people.groups() if people.has(f"{each}/smplx_cam/trans")]
    if not given:
        return None
    given.sort(key=lambda each: -people.numbers(f"{each}/smplx_cam/trans").size)
    person, path = people.under(f"{given[0]}/"), arrays.path
    count = frames_of(person.numbers("smplx_cam/trans"), 3, "smplx_cam/trans", path)
    pose = per_frame(person.numbers("smplx_cam/pose"), count, (75, 165), "smplx_cam/pose", path)
    track = ForeignTrack.of("PromptHMR", count, path)
    track.turn(slice(0, 22), pose[:, :66].reshape(count, 22, 3))
    _place(track, person, "smplx_cam/trans")
    _identity(track, person, "smplx_cam/shape")
    if "frames" in person:
        track.frames = whole_numbers(person.numbers("frames"), count, "frames", path)
    if arrays.has("camera/img_focal", "camera/img_center"):
        focal = per_frame(arrays.numbers("camera/img_focal"), 1, 1, "camera/img_focal", path)[0, 0]
        across, down = per_frame(
            arrays.numbers("camera/img_center"), 1, 2, "camera/img_center", path
        )[0]
        if min(focal, across, down) <= 0:
            raise ShotError("'camera' holds no usable lens", path, REMEDY)
        track.lens = np.array([[focal, focal, across, down]])
        track.image_size = (round(2 * across), round(2 * down))
    else:
        track.space = "unknown"
    _of_several(track, len(given))
    return track


def _tram(arrays: ForeignArrays) -> ForeignTrack | None:
    """TRAM's hps_track_N.npy, converted; the lens stands in another file of its."""
    if not arrays.has("pred_rotmat", "pred_trans"):
        return None
    path = arrays.path
    count = frames_of(arrays.numbers("pred_trans"), 3, "pred_trans", path)
    turns = vectors(arrays.numbers("pred_rotmat"), count, 24, "pred_rotmat", path)
    track = ForeignTrack.of("TRAM", count, path, space="unknown", identity_of="other")
    track.turn(slice(0, 22), turns[:, :22])
    _place(track, arrays, "pred_trans")
    if track.transl is not None:
        track.transl = track.transl + SMPL_PELVIS - SMPLX_PELVIS
    _identity(track, arrays, "pred_shape")
    if "frame" in arrays:
        track.frames = whole_numbers(arrays.numbers("frame"), count, "frame", path)
    return track


def _of_several(track: ForeignTrack, people: int) -> None:
    if people > 1:
        track.notes.append(f"of {people} people in the file the one seen longest is taken")


def _multi_hmr(arrays: ForeignArrays) -> ForeignTrack | None:
    if "rotvec" not in arrays:
        return None
    count = frames_of(arrays.numbers("rotvec"), 53 * 3, "rotvec", arrays.path)
    turns = vectors(arrays.numbers("rotvec"), count, 53, "rotvec", arrays.path)
    track = ForeignTrack.of("Multi-HMR", count, arrays.path, hands="flat")
    track.turn(slice(0, 22), turns[:, :22])
    track.turn(slice(25, 55), turns[:, 22:52])
    track.turn(slice(22, 23), turns[:, 52:53])
    if "transl_pelvis" in arrays:
        _place(track, arrays, "transl_pelvis")
        if track.transl is not None:
            track.transl = track.transl - SMPLX_PELVIS
    elif "transl" in arrays:
        track.notes.append(
            "'transl' is where the head is, for Multi-HMR: without 'transl_pelvis' the place is"
            " left out"
        )
    _identity(track, arrays, "shape")
    _expression(track, arrays, "expression")
    if "K" in arrays:
        track.lens = _lens(arrays, "K", count)
    else:
        track.share = float(1 / (2 * np.tan(np.radians(30))))
        track.notes.append("its lens is taken as 60 degrees across, Multi-HMR's default")
    return track


def _osx(arrays: ForeignArrays) -> ForeignTrack | None:
    if not arrays.has("smplx_root_pose", "smplx_body_pose"):
        return None
    count = frames_of(arrays.numbers("smplx_root_pose"), 3, "smplx_root_pose", arrays.path)
    track = ForeignTrack.of("OSX", count, arrays.path, space="unknown", hands="mean")
    _turn(track, arrays, "smplx_root_pose", "global_orient")
    _turn(track, arrays, "smplx_body_pose", "body_pose")
    _turn(track, arrays, "smplx_jaw_pose", "jaw_pose")
    _hand(track, arrays, ("smplx_lhand_pose", "smplx_rhand_pose"))
    _identity(track, arrays, "smplx_shape")
    _expression(track, arrays, "smplx_expr")
    _place(track, arrays, "cam_trans")
    return track


def _portraitgen_release(arrays: ForeignArrays) -> ForeignTrack | None:
    if not arrays.has("cam_para", "global_orient", "body_pose", "shape"):
        return None
    count = frames_of(arrays.numbers("global_orient"), 3, "global_orient", arrays.path)
    track = ForeignTrack.of("PortraitGen's release", count, arrays.path, hands="flat")
    for name in ("global_orient", "body_pose", "jaw_pose", "leye_pose", "reye_pose"):
        _turn(track, arrays, name, name)
    _hand(track, arrays, ("lhand_pose", "rhand_pose"))
    _place(track, arrays, "transl")
    _identity(track, arrays, "shape")
    _expression(track, arrays, "expr")
    turned_axes(track, FLIPPED, SMPLX_PELVIS)
    track.lens = per_frame(arrays.numbers("cam_para"), count, 4, "cam_para", arrays.path)
    if track.lens[:, :2].min() <= 0:
        raise ShotError("'cam_para' holds no usable focal length", arrays.path, REMEDY)
    return track


def _show(arrays: ForeignArrays) -> ForeignTrack | None:
    if not arrays.has("body_pose_axis", "global_orient"):
        return None
    count = frames_of(arrays.numbers("body_pose_axis"), 63, "body_pose_axis", arrays.path)
    track = ForeignTrack.of("SHOW / TalkSHOW", count, arrays.path, hands="mean")
    _turn(track, arrays, "body_pose_axis", "body_pose")
    for name in ("global_orient", "jaw_pose", "leye_pose", "reye_pose"):
        _turn(track, arrays, name, name)
    _hand(track, arrays, _HANDS)
    _place(track, arrays, "transl")
    if track.transl is not None and "camera_transl" in arrays:
        track.transl = track.transl + per_frame(
            arrays.numbers("camera_transl"), count, 3, "camera_transl", arrays.path
        )
    _identity(track, arrays, "betas")
    _expression(track, arrays, "expression")
    if arrays.has("width", "height"):
        size = [arrays.numbers(name).ravel() for name in ("width", "height")]
        if all(each.size == 1 for each in size):
            track.image_size = (int(size[0][0]), int(size[1][0]))
    if arrays.has("focal_length", "center"):
        focal = per_frame(arrays.numbers("focal_length"), count, 1, "focal_length", arrays.path)
        centre = per_frame(arrays.numbers("center"), count, 2, "center", arrays.path)
        track.lens = np.concatenate([focal, focal, centre], axis=1)
    else:
        track.space = "unknown"
    return track


def _talkshow_motion(arrays: ForeignArrays) -> ForeignTrack | None:
    """TalkSHOW's generated motion: one array, jaw, eyes, body, hands and expression in a row."""
    if list(arrays) != [""]:
        return None
    values = arrays.numbers("")
    if values.ndim < 2 or values.shape[-1] != 265:
        return None
    rows = values.reshape(-1, 265)
    track = ForeignTrack.of("TalkSHOW's motion", len(rows), arrays.path, hands="flat")
    turns = rows[:, :165].reshape(-1, 55, 3)
    track.turn(slice(22, 25), turns[:, :3])
    track.turn(slice(0, 22), turns[:, 3:25])
    track.turn(slice(25, 55), turns[:, 25:])
    track.expression, track.fps, track.space = rows[:, 165:], 30.0, "unknown"
    track.notes.append("30 frames a second are taken, as TalkSHOW makes them")
    return track


def _amass(arrays: ForeignArrays) -> ForeignTrack | None:
    if not arrays.has("poses", "trans"):
        return None
    path = arrays.path
    count = frames_of(arrays.numbers("trans"), 3, "trans", path)
    poses = per_frame(arrays.numbers("poses"), count, (72, 156, 165), "poses", path)
    width = poses.shape[1]
    kind = {72: "SMPL", 156: "SMPL-H", 165: "SMPL-X"}[width]
    track = ForeignTrack.of(f"AMASS ({kind})", count, path, space="world", hands="flat")
    turns = poses.reshape(count, -1, 3)
    track.turn(slice(0, 22), turns[:, :22])
    if width == 156:
        track.turn(slice(25, 55), turns[:, 22:])
    elif width == 165:
        track.turn(slice(22, 55), turns[:, 22:])
    track.identity_of = "smplx" if width == 165 else "other"
    _place(track, arrays, "trans")
    _identity(track, arrays, "betas")
    _expression(track, arrays, _first(arrays, _EXPRESSIONS))
    # Z is up in AMASS's world, y in that of others who write as it does (BEAT2).
    up = way_up(track)
    if up == DOWN_Y:
        turned_axes(track, FLIPPED, SMPLX_PELVIS)
    elif up != UP_Y:
        turned_axes(track, Z_UP, SMPLX_PELVIS)
    return track


def _named(arrays: ForeignArrays) -> ForeignTrack | None:
    """The field's usual names: our own export, SMPLer-X, SMPLest-X and many others."""
    root = next((n for n in ("global_orient", "root_orient") if n in arrays), None)
    if root is None:
        return None
    path = arrays.path
    values = arrays.numbers(root)
    matrices = values.ndim > 2 and values.shape[-2:] == (3, 3)
    # A batch axis before three frames of axis-angle looks like one matrix.
    if matrices and values.size == 9:
        matrices = bool(np.abs(np.linalg.det(values) - 1).max() < 0.2)
    each = 9 if matrices else 3
    count = len(arrays.parts) or frames_of(values, each, root, path)
    ours = "body_model" in arrays
    track = ForeignTrack.of("SMPL-X parameters", count, path)
    _turn(track, arrays, root, "global_orient")
    _turn(track, arrays, "pose_body" if "pose_body" in arrays else "body_pose", "body_pose")
    for name in ("leye_pose", "reye_pose"):
        _turn(track, arrays, name, name)
    _turn(track, arrays, _first(arrays, ("jaw_pose", "pose_jaw")), "jaw_pose")
    for joints, name in ((slice(25, 55), "pose_hand"), (slice(23, 25), "pose_eye")):
        if name in arrays:
            width = joints.stop - joints.start
            track.turn(joints, vectors(arrays.numbers(name), count, width, name, path))
    for names in (_HANDS, ("lhand_pose", "rhand_pose"), ("pose_lhand", "pose_rhand")):
        _hand(track, arrays, names)
    _place(track, arrays, _first(arrays, ("transl", "trans")))
    _identity(track, arrays, "betas")
    _expression(track, arrays, _first(arrays, _EXPRESSIONS))
    if ours:
        track.body_model, track.names = arrays.text("body_model"), arrays.texts("expression_names")
        track.layout, track.hands = "PortraitGen's export", "flat"
    if "flat_hand_mean" in arrays:
        track.hands = "flat" if arrays.numbers("flat_hand_mean").any() else "mean"
    if "K" in arrays:
        track.lens = _lens(arrays, "K", count)
    elif arrays.parts:
        _smpler_x(track, arrays)
    if not ours and track.layout != "SMPLer-X":
        _upright(track)
    if track.hands == "none" and (track.given[25:].any() or track.hand_components is not None):
        track.hands = "mean"
        track.notes.append(
            "hands are taken to count from the model's mean hands, as SMPL-X's own code reads them;"
            " say --hands flat if not"
        )
    return track


def _upright(track: ForeignTrack) -> None:
    """Tells the camera's axes from others in which a body stands, when nothing else does."""
    up = way_up(track)
    if up == UP_Z:
        turned_axes(track, Z_UP, SMPLX_PELVIS)
        track.space = "world"
        track.notes.append("its body stands along z: it is read as a world with z up")
    elif up == UP_Y and track.lens is not None and track.transl is not None:
        turned_axes(track, FLIPPED, SMPLX_PELVIS)
        track.notes.append("its body stands along y: its camera is read as OpenGL's, y up")
    elif up == UP_Y:
        track.space = "world"
        track.notes.append("its body stands along y: it is read as a world with y up")


def _smpler_x(track: ForeignTrack, arrays: ForeignArrays) -> None:
    """SMPLer-X: one file a frame in smplx/, the lens of each frame's crop in meta/ beside it."""
    track.layout = "SMPLer-X"
    track.hands = "mean"
    lenses = []
    for part in arrays.parts:
        meta = part.path.parent.parent / "meta" / f"{part.path.stem}.json"
        try:
            told = parse_json(read_bytes(meta, 1 << 20))
            lens = [*map(float, told["focal"]), *map(float, told["princpt"])]
        except (ShotError, OSError, ValueError, KeyError, TypeError):
            break
        if len(lens) != 4 or not np.isfinite(lens).all() or min(lens[:2]) <= 0:
            break
        lenses.append(lens)
    if len(lenses) == track.count:
        track.lens = np.array(lenses)
    else:
        track.space = "unknown"


_LAYOUTS: tuple[Callable[[ForeignArrays], ForeignTrack | None], ...] = (
    _gvhmr,
    _prompt_hmr,
    _tram,
    _portraitgen_release,
    _show,
    _talkshow_motion,
    _multi_hmr,
    _osx,
    _amass,
    _wham,
    _named,
)
