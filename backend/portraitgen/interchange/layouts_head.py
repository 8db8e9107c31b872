# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layouts of head trackers, which speak FLAME: its expressions, jaw and eyes are SMPL-X's.

FLAME's identity is not SMPL-X's, and a head track does not tell where a body is: identity and place
stay as they are tracked, the head turns in the plate's axes where the file tells it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ..errors import ShotError
from .arrays_file import ForeignArrays
from .foreign_track import (
    FLIPPED,
    REMEDY,
    ForeignTrack,
    frames_of,
    per_frame,
    vectors,
    vectors_of_rows,
    whole_numbers,
)

HEAD, JAW, EYES = 15, 22, [23, 24]
_IDENTITY_LEFT = "FLAME's identity is another than the body's: the tracked one stays"


def read_head(arrays: ForeignArrays) -> ForeignTrack | None:
    """A head's track, None if the file has none of these layouts.

    Raises:
        ShotError: if it has one of them and is damaged.
    """
    for read in _LAYOUTS:
        track = read(arrays)
        if track is not None:
            if track.frames is None:
                track.frames = arrays.frames
            if track.frames is None and "frames" in arrays:
                numbers = arrays.numbers("frames")
                track.frames = whole_numbers(numbers, track.count, "frames", arrays.path)
            return track
    return None


def _head(layout: str, count: int, arrays: ForeignArrays, turned: bool) -> ForeignTrack:
    kind = "head" if turned else "face"
    track = ForeignTrack.of(layout, count, arrays.path, kind=kind, identity_of="other")
    track.notes.append(_IDENTITY_LEFT)
    return track


def _first(arrays: ForeignArrays, *names: str) -> str | None:
    return next((name for name in names if name in arrays), None)


def _expression(track: ForeignTrack, arrays: ForeignArrays, name: str) -> None:
    values = arrays.numbers(name)
    if values.size % track.count:
        raise ShotError(
            f"'{name}' has the shape {values.shape} for {track.count} frames", arrays.path, REMEDY
        )
    track.expression = values.reshape(track.count, -1)


def _set_head(track: ForeignTrack, root: np.ndarray, neck: np.ndarray | None) -> None:
    """The head's turn in OpenCV's axes from FLAME's in OpenGL's."""
    turn = Rotation.from_matrix(FLIPPED) * Rotation.from_rotvec(root)
    if neck is not None:
        turn = turn * Rotation.from_rotvec(neck)
    track.turn([HEAD], turn.as_rotvec()[:, None])


def _vhap(arrays: ForeignArrays) -> ForeignTrack | None:
    """VHAP and NHA: tracked_flame_params*.npz."""
    expression = _first(arrays, "expr")
    if expression is None or not arrays.has("rotation", "translation"):
        return None
    path = arrays.path
    count = frames_of(arrays.numbers("translation"), 3, "translation", path)
    track = _head("FLAME (VHAP, NHA)", count, arrays, True)
    root = vectors(arrays.numbers("rotation"), count, 1, "rotation", path)[:, 0]
    neck = _first(arrays, "neck_pose", "neck")
    turned = None
    if neck is not None:
        turned = vectors(arrays.numbers(neck), count, 1, neck, path)[:, 0]
    _set_head(track, root, turned)
    for names, joints in ((("jaw_pose", "jaw"), [JAW]), (("eyes_pose", "eyes"), EYES)):
        name = _first(arrays, *names)
        if name is not None:
            track.turn(joints, vectors(arrays.numbers(name), count, len(joints), name, path))
    _expression(track, arrays, expression)
    stamps = arrays.texts("timestep_id")
    if len(stamps) == count and all(each.isdecimal() and len(each) < 10 for each in stamps):
        track.frames = np.array([int(each) for each in stamps], np.int64)
    return track


def _per_frame_flame(arrays: ForeignArrays) -> ForeignTrack | None:
    """Metrical-tracker and those who write as it does: flame/exp, flame/jaw, flame/eyes."""
    if not arrays.has("flame/exp", "flame/jaw"):
        return None
    count = len(arrays.parts) or len(np.atleast_2d(arrays.numbers("flame/exp")))
    camera = _first(arrays, "opencv/R", "camera/R")
    track = _head("FLAME (metrical-tracker)", count, arrays, camera is not None)
    if camera is not None:
        turn = Rotation.from_rotvec(_matrix_rows(arrays, camera, count, 1)[:, 0])
        if camera == "camera/R":
            # PyTorch3D's cameras have x to the left and y up, and turn points from the right.
            turn = Rotation.from_matrix(np.diag([-1.0, -1.0, 1.0])) * turn.inv()
        track.turn([HEAD], turn.as_rotvec()[:, None])
    track.turn([JAW], _matrix_rows(arrays, "flame/jaw", count, 1))
    if "flame/eyes" in arrays:
        track.turn(EYES, _matrix_rows(arrays, "flame/eyes", count, 2))
    _expression(track, arrays, "flame/exp")
    return track


def _matrix_rows(arrays: ForeignArrays, name: str, count: int, joints: int) -> np.ndarray:
    """Turns (T, J, 3) of metrical-tracker, which writes the first two rows of matrices."""
    values = arrays.numbers(name)
    read = vectors_of_rows if values.size == 6 * joints * count else vectors
    return read(values, count, joints, name, arrays.path)


def _codes(arrays: ForeignArrays) -> ForeignTrack | None:
    """DECA and EMOCA: codes of expression, and a pose of head and jaw."""
    expression = _first(arrays, "exp", "expcode")
    pose = _first(arrays, "pose", "posecode")
    if expression is None or pose is None:
        return None
    path = arrays.path
    values = arrays.numbers(pose)
    count = len(arrays.parts) or frames_of(values, 6, pose, path)
    rows = per_frame(values, count, 6, pose, path)
    track = _head("DECA / EMOCA", count, arrays, True)
    _set_head(track, rows[:, :3], None)
    track.turn([JAW], rows[:, None, 3:])
    _expression(track, arrays, expression)
    track.notes.append(
        "DECA and EMOCA see without perspective: heads away from the middle turn by some degrees"
    )
    return track


def read_avatar_json(path: Any, content: Any) -> ForeignTrack | None:
    """IMavatar's flame_params.json: a list of frames with expression and pose."""
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not frames or not isinstance(frames[0], dict):
        return None
    if "expression" not in frames[0] or "pose" not in frames[0]:
        return None
    try:
        expression = np.array([each["expression"] for each in frames], np.float64)
        pose = np.array([each["pose"] for each in frames], np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise ShotError(f"its frames differ ({error})", path, REMEDY) from None
    if expression.ndim != 2 or pose.shape != (len(frames), 15):
        raise ShotError(f"'pose' has the shape {pose.shape}, not ({len(frames)}, 15)", path, REMEDY)
    if not (np.isfinite(expression).all() and np.isfinite(pose).all()):
        raise ShotError("it holds values that are no numbers", path, REMEDY)
    facts: dict[str, object] = {"kind": "face", "identity_of": "other", "notes": [_IDENTITY_LEFT]}
    track = ForeignTrack.of("FLAME (IMavatar)", len(frames), path, **facts)
    track.turn([JAW], pose[:, None, 6:9])
    track.turn(EYES, pose[:, 9:].reshape(-1, 2, 3))
    track.expression = expression
    return track


_LAYOUTS: tuple[Callable[[ForeignArrays], ForeignTrack | None], ...] = (
    _vhap,
    _per_frame_flame,
    _codes,
)
