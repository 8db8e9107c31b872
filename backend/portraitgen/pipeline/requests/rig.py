# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A track as the parts of an animation rig, and a motion changed outside taken back as a track."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ...body.model import BodyModel
from ...body.motion import Motion
from ...errors import ShotError
from ...messages.tracks import RigExported, TrackPublished
from ...records import FrameQuality, RigFacts
from ...shot import Shot, now
from ...storage import make_folder, remove_tree
from ...tensors import DamagedTensors, is_whole, load_arrays, save_arrays
from ...tracking.correction_blending import blend_corrections
from ...tracking.part_quality import PARTS
from ...tracking.solve import summarise
from ..data.authors import added
from ..data.shots import Track, body_of
from ..run.job_context import running

# What a float32 round trip through another program may change without anyone having touched it.
_TURNED, _MOVED, _EXPRESSED = 1e-4, 1e-5, 1e-4

_INSIDE = ("mouth", "teeth", "tongue", "eyes")


def export_rig(shot: Shot, version: int | None = None) -> RigExported:
    """Writes what a rig is built from: the performer's mesh with identity, its units, the motion.

    The file holds vertices (V, 3), faces (F, 3), uv (T, 2), uv_faces (F, 3), inside (F), 1 for the
    faces of mouth, teeth and eyes where the body model tells its parts, units (E, V, 3), joints
    (55, 3), parents (55), weight_vertices, weight_joints and weight_values (N), frames (T), transl
    (T, 3), pose (T, 55, 3), expression (T, E), valid and fixed (T), residual (T), NaN where no face
    was seen, and part_residual (P, T), NaN where a part was not. Metres, radians; camera axes as
    OpenCV's. Its metadata holds "rig", JSON with the names of joints, units and parts, the parts
    that are guessed throughout, and the camera.

    Args:
        version: of the track, the latest by default.

    Returns:
        Where it lies, the version and how many frames.

    Raises:
        ShotError: if there is no such track.
    """
    track, body = Track(shot, version), body_of(shot)
    path = shot.path / "rigs" / f"{track.version:04d}.safetensors"
    motion = track.motion
    facts = RigFacts(
        version=track.version,
        joints=tuple(body.joint_names),
        units=tuple(body.expression_names),
        camera=track.record.camera,
        correctives=body.pose_directions is not None,
        source=track.record.source,
        parts=tuple(PARTS),
        guessed=track.record.summary.guessed_parts,
    )
    # A damaged one is made again, as a missing one is.
    if not is_whole(path):
        tensors = _geometry(body, motion) | {
            "frames": motion.frames,
            "transl": motion.transl,
            "pose": motion.pose,
            "expression": motion.expression,
            "valid": motion.valid,
            "fixed": motion.fixed,
            "residual": _residuals(track),
            "part_residual": _part_residuals(track),
        }
        save_arrays(path, tensors, {"rig": json.dumps(facts.to_json())})
    return RigExported(str(path), track.version, len(motion))


def _geometry(body: BodyModel, motion: Motion) -> dict[str, np.ndarray]:
    betas = torch.from_numpy(motion.betas)[None]
    units = body.n_expression
    still = torch.zeros(1, 55, 3)
    neutral = body.forward(betas, still, torch.zeros(1, units), torch.zeros(1, 3))
    directions = body.directions[body.n_shape : body.n_shape + units].view(units, -1, 3)
    weights = body.weights.numpy()
    vertices, joints = np.nonzero(weights)
    return {
        "vertices": neutral.vertices[0].numpy(),
        "joints": neutral.joints[0].numpy(),
        "faces": body.faces.numpy().astype(np.int32),
        "uv": body.uv.numpy(),
        "uv_faces": body.uv_faces.numpy().astype(np.int32),
        "inside": inside_faces(body).astype(np.int32),
        "units": directions.numpy(),
        "parents": np.array(body.parents, np.int32),
        "weight_vertices": vertices.astype(np.int32),
        "weight_joints": joints.astype(np.int32),
        "weight_values": weights[vertices, joints],
    }


def inside_faces(body: BodyModel) -> np.ndarray:
    """The faces of mouth, teeth and eyes, bool (F,); none where a model does not tell."""
    inside = np.zeros(len(body.faces), bool)
    for part in _INSIDE:
        if part in body.parts:
            inside |= body.parts[part].numpy()
    return inside


def _residuals(track: Track) -> np.ndarray:
    """The solver's residual of each frame, % of the eye distance, float32 (T,)."""
    rows = {each.frame: each.landmark_residual_percent for each in track.record.quality}
    values = [rows.get(int(frame)) for frame in track.motion.frames]
    return np.array([np.nan if value is None else value for value in values], np.float32)


def _part_residuals(track: Track) -> np.ndarray:
    """The residual of each part in each frame, % of the eye distance, float32 (P, T)."""
    rows = {each.frame: each.parts for each in track.record.quality}
    values = [
        [rows.get(int(frame), {}).get(part, np.nan) for frame in track.motion.frames]
        for part in PARTS
    ]
    return np.array(values, np.float32)


def publish_motion(
    shot: Shot,
    base: int,
    path: Path,
    source: str,
    span: tuple[int, int] | None = None,
    *,
    author: str = "",
) -> TrackPublished:
    """A motion that an artist changed, as a new track version; what changed counts as fixed.

    Args:
        base: the track version it was made from.
        path: a safetensors file with frames (T,), transl (T, 3), pose (T, 55, 3) and expression
            (T, E), of frames that the base holds; other frames keep the base's values.
        source: who made it, for track.json.
        span: the first and the last frame of a range in which the other frames follow the given
            and the fixed ones; their corrections are blended. None moves no other frame.
        author: who changed it, empty for nobody named.

    Returns:
        The version, None if nothing changed, and how many frames did.

    Raises:
        ShotError: if the file is damaged or does not fit the base, or the range holds no frame
            that is given.
    """
    track = Track(shot, base)
    motion = track.motion
    changed = _read_changes(Path(path), motion)
    rows = [motion.index(int(frame)) for frame in changed["frames"]]
    if span and not any(span[0] <= int(frame) <= span[1] for frame in changed["frames"]):
        raise ShotError(
            f"frames {span[0]}-{span[1]} hold no corrected frame to follow", path, "widen the range"
        )
    moved = np.zeros(len(motion), bool)
    moved[rows] = (
        (np.abs(changed["transl"] - motion.transl[rows]).max(1) > _MOVED)
        | (np.abs(_turns(changed["pose"]) - _turns(motion.pose[rows])).max((1, 2, 3)) > _TURNED)
        | (np.abs(changed["expression"] - motion.expression[rows]).max(1) > _EXPRESSED)
    )
    if not moved.any():
        return TrackPublished(None, 0)
    # A frame that was given is an anchor of a range even where it stays as it was.
    fixed = motion.fixed | moved
    if span:
        fixed[rows] = True
    keep = moved[rows]
    values = {}
    for name in ("transl", "pose", "expression"):
        values[name] = getattr(motion, name).copy()
        values[name][moved] = changed[name][keep]
    made = replace(motion, **values, fixed=fixed)
    if span:
        first, last = np.searchsorted(motion.frames, (span[0], span[1] + 1))
        made = blend_corrections(motion, made, np.flatnonzero(fixed), first, last - 1)
    inputs = {"base": base, "time": now()}
    with running(shot, "correct", {}, "track", inputs=inputs) as job:
        folder = job.work / "track"
        remove_tree(folder)
        make_folder(folder)
        made.save(folder / "params.safetensors")
        quality = _without_stale(track.record.quality, _moved_frames(motion, made))
        record = replace(
            track.record,
            created=now(),
            source=source,
            parent=track.version,
            quality=quality,
            summary=summarise(quality),
            job=job.id,
            authors=added(track.record.authors, author),
        )
        job.check_held()
        version = shot.publish("track", folder, record)
        result = TrackPublished(version, int(moved.sum()))
        job.finish(result.to_json())
    return result


def _moved_frames(before: Motion, after: Motion) -> set[int]:
    """The frames in which two motions of the same frames differ."""
    moved = (
        (after.transl != before.transl).any(1)
        | (after.pose != before.pose).any((1, 2))
        | (after.expression != before.expression).any(1)
    )
    return set(before.frames[moved].tolist())


def _without_stale(quality: tuple[FrameQuality, ...], moved: set[int]) -> tuple[FrameQuality, ...]:
    """The quality of frames of which some were moved by hand: what was measured of those before
    says nothing of them now, and none of them is weak any more."""
    return tuple(
        replace(
            each,
            state="tracked" if each.state == "weak" else each.state,
            landmark_residual_percent=None,
            parts={},
        )
        if each.frame in moved
        else each
        for each in quality
    )


def _turns(pose: np.ndarray) -> np.ndarray:
    """Rotation matrices: one rotation has several axis-angle vectors."""
    from ...body.model import rodrigues

    return rodrigues(torch.from_numpy(pose)).numpy()


def _read_changes(path: Path, motion: Motion) -> dict[str, np.ndarray]:
    remedy = "send the rig to the shot again"
    try:
        tensors = load_arrays(path)
    except DamagedTensors as error:
        raise ShotError(f"the motion cannot be read ({error})", path, remedy) from error
    count = len(tensors.get("frames", ()))
    expression = motion.expression.shape[1]
    wanted = {"transl": (count, 3), "pose": (count, 55, 3), "expression": (count, expression)}
    for name, shape in wanted.items():
        if name not in tensors or tensors[name].shape != shape:
            found = tensors[name].shape if name in tensors else "missing"
            raise ShotError(f"'{name}' is {found}, not {shape}", path, remedy)
        tensors[name] = tensors[name].astype(np.float32)
        if not np.isfinite(tensors[name]).all():
            raise ShotError(f"'{name}' holds values that are no numbers", path, remedy)
    strangers = set(tensors["frames"].tolist()) - set(motion.frames.tolist()) if count else set()
    if not count or strangers:
        raise ShotError("its frames are not those of the track", path, remedy)
    return tensors
