# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracks from and to other programs, as the parameters of SMPL-X in their usual layout.

Arrays over T frames: global_orient (T, 3), body_pose (T, 63), jaw_pose, leye_pose, reye_pose
(T, 3), left_hand_pose and right_hand_pose (T, 45), axis-angle in radians; expression (T, E), transl
(T, 3) in metres; betas (S,); K (3, 3) or (T, 3, 3) in pixels; frames (T,), fps and image_size
(width, height). Camera space with OpenCV's axes.
"""

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...body.camera import Camera
from ...body.motion import Motion
from ...errors import ShotError
from ...messages import TrackPublished
from ...records import TrackRecord
from ...shot import Shot, now
from ...storage import atomic_path, make_folder, remove_tree
from ..data.shots import Track, body_of
from ..run.job_context import running

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

_REMEDY = "see docs/tracks.md for the layout"


def export_track(shot: Shot, path: Path, version: int | None = None) -> dict[str, Any]:
    """Writes a track as .npz or .json.

    Args:
        version: of the track, the latest by default.

    Returns:
        path, version, frames.

    Raises:
        ShotError: if there is no such track, the ending is another or the file is there already.
    """
    path = Path(path)
    if path.suffix not in (".npz", ".json"):
        raise ShotError("the file must end in .npz or .json", path, "give such a name")
    if path.exists():
        raise ShotError("the file is there already", path, "give another name")
    track, body = Track(shot, version), body_of(shot)
    motion, camera = track.motion, track.camera
    count = len(motion)
    arrays = {name: motion.pose[:, part].reshape(count, -1) for name, part in PARTS.items()}
    arrays |= {
        # Others know no neutral face: it is part of every expression there.
        "betas": motion.betas[: body.n_shape],
        "expression": motion.expression + motion.neutral(body),
        "transl": motion.transl,
        "frames": motion.frames,
        "valid": motion.valid,
        "K": camera.matrix(),
        "image_size": np.array([camera.width, camera.height]),
        "fps": np.array(float(_fps(shot))),
        "expression_names": np.array(body.expression_names),
        "body_model": np.array(body.name),
    }
    with atomic_path(path) as temporary:
        if path.suffix == ".npz":
            with open(temporary, "wb") as file:
                np.savez_compressed(file, **arrays)
        else:
            plain = {name: values.tolist() for name, values in arrays.items()}
            temporary.write_text(json.dumps(plain), "utf-8")
    return {"path": str(path), "version": track.version, "frames": count}


def import_track(shot: Shot, path: Path) -> TrackPublished:
    """Takes a track of another program in as a new version, over the shot's latest.

    The latest track gives what the file leaves out: the window, mattes, frames the file has not
    got, identity and camera if it brings none.

    Returns:
        The version, and how many frames changed.

    Raises:
        ShotError: if the file cannot be read or does not fit the shot.
    """
    track, body = Track(shot), body_of(shot)
    arrays = _read(Path(path))
    motion = track.motion
    if "transl" not in arrays or "global_orient" not in arrays:
        raise ShotError("it has no global_orient or transl", path, _REMEDY)
    count = len(arrays["transl"])
    frames = arrays.get("frames")
    if frames is None:
        if count != len(motion):
            raise ShotError(
                f"it holds {count} frames and no frame numbers, the shot has {len(motion)}",
                path,
                "add frames, the number of each",
            )
        frames = motion.frames
    frames = np.asarray(frames).astype(np.int64).ravel()
    kept = np.isin(frames, motion.frames)
    if len(frames) != count or not kept.any():
        raise ShotError("its frames are not those of the shot", path, _REMEDY)
    rows = np.array([motion.index(int(frame)) for frame in frames[kept]])
    pose, transl = motion.pose.copy(), motion.transl.copy()
    expression, fixed = motion.expression.copy(), motion.fixed.copy()
    for name, part in PARTS.items():
        if name in arrays:
            width = 3 * (part.stop - part.start)
            values = _shaped(arrays, name, (count, width), path)
            pose[rows, part] = values[kept].reshape(len(rows), -1, 3)
    transl[rows] = _shaped(arrays, "transl", (count, 3), path)[kept]
    if "expression" in arrays:
        width = expression.shape[1]
        given = _shaped(arrays, "expression", (count, width), path)[kept]
        expression[rows] = given - motion.neutral(body)
    betas = motion.betas
    if "betas" in arrays:
        given = arrays["betas"]
        given = given.reshape(-1, given.shape[-1]).mean(0) if given.ndim else given
        betas = _shaped({"betas": given}, "betas", (body.n_shape,), path)
        betas = np.concatenate([betas, motion.betas[body.n_shape :]])
    fixed[rows] = True
    made = replace(
        motion, betas=betas, pose=pose, transl=transl, expression=expression, fixed=fixed
    )
    record = replace(
        track.record,
        created=now(),
        source="import",
        parent=track.version,
        camera=_camera(arrays, track, path).record(),
    )
    return _publish(shot, made, record, len(rows))


def _publish(shot: Shot, made: Motion, record: TrackRecord, changed: int) -> TrackPublished:
    inputs = {"base": record.parent, "time": record.created}
    with running(shot, "import", {}, "track", inputs=inputs) as job:
        folder = job.work / "track"
        remove_tree(folder)
        make_folder(folder)
        made.save(folder / "params.safetensors")
        job.check_held()
        version = shot.publish("track", folder, replace(record, job=job.id))
        result = TrackPublished(version, changed)
        job.finish(result.to_json())
    return result


def _camera(arrays: dict[str, np.ndarray], track: Track, path: Path) -> Camera:
    if "K" not in arrays:
        return track.camera
    matrix = np.asarray(arrays["K"], np.float64)
    if matrix.shape[-2:] != (3, 3) or matrix.ndim not in (2, 3):
        raise ShotError(f"'K' has the shape {matrix.shape}", path, _REMEDY)
    if matrix.ndim == 3:
        if np.abs(matrix - matrix[0]).max() > 0.5:
            raise ShotError("its lens zooms, which a shot cannot hold", path, "split the shot")
        matrix = matrix[0]
    camera = track.camera
    if "image_size" in arrays:
        size = tuple(int(value) for value in np.asarray(arrays["image_size"]).ravel())
        if size != (camera.width, camera.height):
            raise ShotError(
                f"it was tracked at {size}, the plate is {(camera.width, camera.height)}",
                path,
                "scale K to the plate and give its image_size",
            )
    values = (matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
    if not np.isfinite(values).all() or min(values[:2]) <= 0:
        raise ShotError("'K' holds no usable focal length", path, _REMEDY)
    fx, fy, cx, cy = (float(value) for value in values)
    return Camera(fx, fy, cx, cy, camera.width, camera.height)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        if path.suffix == ".json":
            loaded = json.loads(path.read_text("utf-8"))
            if not isinstance(loaded, dict):
                raise ShotError("it is no object of arrays", path, _REMEDY)
            return {name: np.array(values) for name, values in loaded.items()}
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise ShotError("there is no such file", path, "give the right path") from None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ShotError(f"it cannot be read ({error})", path, _REMEDY) from error


def _shaped(
    arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...], path: Path
) -> np.ndarray:
    try:
        values = np.asarray(arrays[name], np.float32).reshape(shape)
    except (ValueError, TypeError):
        found = np.shape(arrays[name])
        raise ShotError(f"'{name}' has the shape {found}, not {shape}", path, _REMEDY) from None
    if not np.isfinite(values).all():
        raise ShotError(f"'{name}' holds values that are no numbers", path, _REMEDY)
    return values


def _fps(shot: Shot) -> float:
    return float(shot.record.footage.fps)
