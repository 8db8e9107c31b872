# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracks for other programs: SMPL-X's parameters, ARKit's weights, a skeleton's turns.

Parameters are arrays over T frames: global_orient (T, 3), body_pose (T, 63), jaw_pose, leye_pose,
reye_pose (T, 3), left_hand_pose and right_hand_pose (T, 45), axis-angle in radians; expression
(T, E), transl (T, 3) in metres; betas (S,); K (3, 3) in pixels; frames (T,), fps and image_size
(width, height). Camera space with OpenCV's axes. Hands count from flat ones, and say so.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ...body.model import OPEN_BODY, BodyModel
from ...body.motion import Motion
from ...body.registration import registration_of
from ...body.retargeting import retarget
from ...errors import ShotError
from ...interchange.hands import mean_hands
from ...interchange.layouts_body import PARTS
from ...interchange.write_bvh import bvh
from ...interchange.write_face import arkit_csv
from ...messages.tracks import TrackExported
from ...shot import Shot
from ...storage import atomic_path
from ..data.shots import Track, body_of

_ENDINGS = (".npz", ".json", ".csv", ".bvh")


@dataclass(frozen=True)
class ExportOptions:
    """How a track is written.

    Attributes:
        version: of the track, the latest if None.
        smplx_model: the user's SMPL-X file: a track of the open body is written as SMPL-X's.
        hands: what hand poses count from; "mean" is what SMPL-X's own code takes by default.
    """

    version: int | None = None
    smplx_model: Path | None = None
    hands: Literal["flat", "mean"] = "flat"


def export_track(shot: Shot, path: Path, options: ExportOptions | None = None) -> TrackExported:
    """Writes a track: .npz or .json with parameters, .csv with ARKit's weights, or .bvh.

    Raises:
        ShotError: if there is no such track, the ending is another or the file is there already.
    """
    options = options or ExportOptions()
    path = Path(path)
    if path.suffix not in _ENDINGS:
        raise ShotError(
            f"the file must end in {', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]}",
            path,
            "give such a name; Blender's own exporters write Alembic, USD and FBX of the rig",
        )
    if path.exists():
        raise ShotError("the file is there already", path, "give another name")
    track, body = Track(shot, options.version), body_of(shot)
    motion, fps = track.motion, shot.record.footage.fps
    notes: list[str] = []
    if path.suffix == ".bvh":
        _write(path, bvh(body, motion, fps))
    elif path.suffix == ".csv":
        opened, worn = _on_open_body(body, motion, notes)
        _write(path, arkit_csv(opened, worn, fps))
    else:
        _parameters(shot, track, body, options, path, notes)
    return TrackExported(str(path), track.version, len(motion), tuple(notes))


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, "utf-8")


def _on_open_body(body: BodyModel, motion: Motion, notes: list[str]) -> tuple[BodyModel, Motion]:
    """The motion on the body whose units are ARKit's."""
    if "jawOpen" in body.expression_names:
        return body, motion
    opened = BodyModel.load(OPEN_BODY)
    found = retarget(motion, body, opened, registration_of(opened, body), to_open=True)
    notes.append(f"weights are fitted to the face of {body.name}: {found.sentence()}")
    return opened, found.motion


def _parameters(
    shot: Shot, track: Track, body: BodyModel, options: ExportOptions, path: Path, notes: list[str]
) -> None:
    motion, camera = track.motion, track.camera
    own = "jawOpen" in body.expression_names
    model = options.smplx_model
    if own and model is not None:
        other = BodyModel.load(model)
        registration = registration_of(body, other)
        found = retarget(motion, body, other, registration, to_open=False)
        notes.append(f"from {body.name} to {other.name}: {found.sentence()}")
        body, motion = other, found.motion
    elif own:
        notes.append(
            "these are parameters of the open body: SMPL-X's own tools read its joints, but its"
            " rest, identity and expressions are others; --smplx-model SMPLX_NEUTRAL.npz writes"
            " SMPL-X's"
        )
    elif model is None and shot.record.body_model.path:
        model = shot.path / shot.record.body_model.path
    count = len(motion)
    pose = motion.pose.copy()
    if options.hands == "mean":
        means = mean_hands(model)
        if means is None:
            raise ShotError(
                "hands cannot count from mean hands that no file tells",
                model or body.name,
                "give SMPL-X's file with --smplx-model, or leave --hands out",
            )
        pose[:, 25:] -= means.reshape(30, 3).astype(np.float32)
    arrays = {name: pose[:, part].reshape(count, -1) for name, part in PARTS.items()}
    arrays |= {
        # Others know no neutral face: it is part of every expression there.
        "betas": motion.betas[: body.n_shape],
        "expression": motion.expression + motion.neutral(body),
        "transl": motion.transl,
        "frames": motion.frames,
        "valid": motion.valid,
        "K": camera.matrix(),
        "image_size": np.array([camera.width, camera.height]),
        "fps": np.array(float(shot.record.footage.fps)),
        "expression_names": np.array(body.expression_names),
        "flat_hand_mean": np.array(options.hands == "flat"),
        "body_model": np.array(body.name),
        "gender": np.array("neutral"),
    }
    with atomic_path(path) as temporary:
        if path.suffix == ".npz":
            with open(temporary, "wb") as file:
                # NumPy's stubs would take a name among them for the flag that admits pickles.
                save: Callable[..., None] = np.savez_compressed
                save(file, **arrays)
        else:
            plain = {name: values.tolist() for name, values in arrays.items()}
            temporary.write_text(json.dumps(plain), "utf-8")
