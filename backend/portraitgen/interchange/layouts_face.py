# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layouts of face capture: weights of ARKit's 52 shapes, as phones and MediaPipe write them.

Live Link Face's CSV (an iPhone's recording, with timecode), MediaPipe's blendshapes as CSV or JSON,
and OpenSeeFace's log, which has no such weights: what it measures of lids and mouth is turned into
some.
"""

import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ..errors import ShotError
from ..storage import read_bytes
from .arrays_file import MAX_BYTES
from .foreign_track import REMEDY, ForeignTrack

ARKIT = (
    "eyeBlinkLeft eyeLookDownLeft eyeLookInLeft eyeLookOutLeft eyeLookUpLeft eyeSquintLeft"
    " eyeWideLeft eyeBlinkRight eyeLookDownRight eyeLookInRight eyeLookOutRight eyeLookUpRight"
    " eyeSquintRight eyeWideRight jawForward jawRight jawLeft jawOpen mouthClose mouthFunnel"
    " mouthPucker mouthRight mouthLeft mouthSmileLeft mouthSmileRight mouthFrownLeft"
    " mouthFrownRight mouthDimpleLeft mouthDimpleRight mouthStretchLeft mouthStretchRight"
    " mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthPressLeft"
    " mouthPressRight mouthLowerDownLeft mouthLowerDownRight mouthUpperUpLeft mouthUpperUpRight"
    " browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight cheekPuff"
    " cheekSquintLeft cheekSquintRight noseSneerLeft noseSneerRight tongueOut"
).split()
"""ARKit's 52 shapes in the order of Live Link Face's recordings."""

EYE_REACH = (np.radians(30.0), np.radians(25.0))
"""How far an eye is turned sideways and up or down where a look's weight is 1, radians."""
_KNOWN = {name.lower(): name for name in ARKIT}
_LEAST = 10
_TIMECODE = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})[:;](\d{1,3}(?:\.\d+)?)")
_TURNS = ("Yaw", "Pitch", "Roll")


def read_csv(path: Path) -> ForeignTrack:
    """A track from a table.

    Raises:
        ShotError: if it cannot be read or has no layout that is known.
    """
    header, rows = _table(path)
    lower = [name.strip().lower() for name in header]
    if sum(name in _KNOWN for name in lower) >= _LEAST:
        return _blendshapes(path, header, rows)
    if "rightopen" in lower and "euler.x" in lower:
        return _open_see_face(path, lower, rows)
    raise ShotError(
        "its columns are neither ARKit's shapes nor OpenSeeFace's measures", path, REMEDY
    )


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        if path.stat().st_size > MAX_BYTES // 4:
            raise ShotError("the file is too large for a track", path, "shorten the recording")
        text = read_bytes(path, MAX_BYTES // 4).decode("utf-8-sig")
        lines = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    except FileNotFoundError:
        raise ShotError("there is no such file", path, "give the right path") from None
    except (OSError, ValueError, csv.Error) as error:
        raise ShotError(f"it cannot be read ({error})", path, REMEDY) from error
    if len(lines) < 2:
        raise ShotError("it holds no frames", path, "record again")
    header = lines[0]
    return header, lines[1:]


def _column(path: Path, header: list[str], rows: list[list[str]], name: str) -> np.ndarray:
    """One column as numbers."""
    index = header.index(name)
    try:
        values = np.array([float(row[index]) for row in rows])
    except (IndexError, ValueError):
        raise ShotError(f"the column '{name}' holds what is no number", path, REMEDY) from None
    if not np.isfinite(values).all():
        raise ShotError(f"the column '{name}' holds values that are no numbers", path, REMEDY)
    return values


def _blendshapes(path: Path, header: list[str], rows: list[list[str]]) -> ForeignTrack:
    header = [name.strip() for name in header]
    units = [name for name in header if name.lower() in _KNOWN]
    weights = np.stack([_column(path, header, rows, name) for name in units], axis=1)
    facts: dict[str, object] = {"kind": "face", "expression_of": "arkit", "identity_of": "other"}
    phone = any(name.lower() == "timecode" for name in header)
    layout = "Live Link Face" if phone else "ARKit's shapes"
    track = ForeignTrack.of(layout, len(rows), path, **facts)
    _weights(track, [_KNOWN[name.lower()] for name in units], weights)
    if phone:
        _timecodes(track, path, header, rows)
    else:
        _times(track, path, header, rows)
    for bone, joint in (("Head", 15), ("LeftEye", 23), ("RightEye", 24)):
        if track.given[joint]:
            continue  # Where eyes look is told by weights, whose signs are certain.
        names = [f"{bone}{turn}" for turn in _TURNS]
        if all(name in header for name in names):
            yaw, pitch, roll = (_column(path, header, rows, name) for name in names)
            # Taken as yaw to the performer's left, pitch down, roll to the left, radians.
            turned = Rotation.from_euler("YXZ", np.stack([yaw, pitch, roll], axis=1))
            track.turn([joint], turned.as_rotvec()[:, None])
    return track


def _weights(track: ForeignTrack, names: list[str], weights: np.ndarray) -> None:
    if np.abs(weights).max() > 10:
        # Some write per cent.
        weights = weights / 100
        track.notes.append("the weights go beyond 10: they are taken as per cent")
    low, high = float(weights.min()), float(weights.max())
    if low < -0.001 or high > 1.001:
        track.notes.append(f"weights from {low:.2f} to {high:.2f} are held between 0 and 1")
    track.names, track.expression = names, np.clip(weights, 0, 1)
    missing = [name for name in ARKIT if name not in names]
    if missing:
        track.notes.append(f"{len(missing)} of ARKit's 52 shapes are not in the file and rest")
    if not track.given[23]:
        _eyes_from_looks(track)


def _eyes_from_looks(track: ForeignTrack) -> None:
    """The eyes' turns from the weights of where they look."""
    assert track.expression is not None
    at = {name: track.expression[:, index] for index, name in enumerate(track.names)}
    if "eyeLookUpLeft" not in at:
        return
    none = np.zeros(track.count)
    for joint, side, sign in ((23, "Left", 1.0), (24, "Right", -1.0)):
        out = at.get(f"eyeLookOut{side}", none) - at.get(f"eyeLookIn{side}", none)
        down = at.get(f"eyeLookDown{side}", none) - at.get(f"eyeLookUp{side}", none)
        turn = np.stack([sign * out * EYE_REACH[0], down * EYE_REACH[1], none], axis=1)
        track.turn([joint], Rotation.from_euler("YXZ", turn).as_rotvec()[:, None])


def _timecodes(track: ForeignTrack, path: Path, header: list[str], rows: list[list[str]]) -> None:
    index = next(i for i, name in enumerate(header) if name.lower() == "timecode")
    matches = [
        _TIMECODE.fullmatch(row[index].strip()) if len(row) > index else None for row in rows
    ]
    if not all(matches):
        track.notes.append("some timecodes cannot be read: 60 frames a second are taken")
        track.fps = 60.0
        return
    parts = np.array([[float(part) for part in match.groups()] for match in matches if match])
    # Frames are counted up to the rate less one.
    highest = np.floor(parts[:, 3]).max()
    rate = 60.0 if highest >= 30 or len(rows) < 60 else 30.0
    if len(rows) > 1:
        whole = parts[:, 0] * 3600 + parts[:, 1] * 60 + parts[:, 2]
        spans = np.diff(np.flatnonzero(np.diff(whole, prepend=whole[0]) > 0))
        if len(spans):
            usual = float(np.median(spans))
            rate = min((24.0, 25.0, 30.0, 48.0, 50.0, 60.0), key=lambda each: abs(each - usual))
            if abs(rate - usual) > 2:
                rate = usual
    seconds = parts[:, 0] * 3600 + parts[:, 1] * 60 + parts[:, 2] + parts[:, 3] / rate
    seconds = seconds + 86400.0 * np.cumsum(np.diff(seconds, prepend=seconds[0]) < -43200)
    if (np.diff(seconds) < 0).any():
        track.notes.append(f"timecodes run backwards: {rate:g} frames a second are taken")
        track.fps = rate
        return
    track.timecode, track.fps, track.seconds = rows[0][index].strip(), rate, seconds - seconds[0]


def _times(track: ForeignTrack, path: Path, header: list[str], rows: list[list[str]]) -> None:
    lower = [name.lower() for name in header]
    for name, unit in (
        ("timestamp_ms", 1e-3), ("time_ms", 1e-3), ("timestamp", 1.0), ("time", 1.0),
        ("seconds", 1.0),
    ):  # fmt: skip
        if name in lower:
            values = _column(path, header, rows, header[lower.index(name)]) * unit
            steps = np.diff(values)
            if len(values) > 1 and (steps > 0).all():
                if np.median(steps) > 2:
                    values = values * 1e-3  # Milliseconds, whatever the column is called.
                track.seconds = values - values[0]
                return


def _open_see_face(path: Path, lower: list[str], rows: list[list[str]]) -> ForeignTrack:
    if "face" in lower:
        faces = _column(path, lower, rows, "face")
        first = [row for row, face in zip(rows, faces, strict=True) if face == faces.min()]
        others, rows = len(rows) - len(first), first
    else:
        others = 0
    facts: dict[str, object] = {"kind": "face", "expression_of": "arkit", "identity_of": "other"}
    track = ForeignTrack.of("OpenSeeFace", len(rows), path, **facts)
    at = {name: _column(path, lower, rows, name) for name in ("leftopen", "rightopen", "time")}
    names = ["eyeBlinkLeft", "eyeBlinkRight"]
    weights = [1 - np.clip(at["leftopen"], 0, 1), 1 - np.clip(at["rightopen"], 0, 1)]
    mouth = _mouth(path, lower, rows)
    track.names = [*names, *mouth]
    track.expression = np.stack([*weights, *mouth.values()], axis=1)
    seconds = at["time"]
    if len(seconds) > 1 and (np.diff(seconds) > 0).all():
        track.seconds = seconds - seconds[0]
    track.notes.append("OpenSeeFace measures lids and mouth only: all other units rest")
    if others:
        track.notes.append("of several faces the first is taken")
    return track


def _mouth(path: Path, lower: list[str], rows: list[list[str]]) -> dict[str, np.ndarray]:
    """How far a mouth opens and how broad it is, of its 66 points in space."""
    needed = [f"point3d[{index}].{axis}" for index in (36, 45, 58, 62, 60, 64) for axis in "xyz"]
    if not all(name in lower for name in needed):
        return {}

    def point(index: int) -> np.ndarray:
        columns = [_column(path, lower, rows, f"point3d[{index}].{axis}") for axis in "xyz"]
        return np.stack(columns, axis=1)

    eyes = np.linalg.norm(point(36) - point(45), axis=1)
    gap = np.linalg.norm(point(60) - point(64), axis=1) / np.maximum(eyes, 1e-6)
    least = np.percentile(gap, 5)
    return {"jawOpen": np.clip((gap - least) / 0.55, 0, 1)}


def read_blendshape_json(path: Path, content: Any) -> ForeignTrack | None:
    """MediaPipe's face blendshapes as JSON, in any of the shapes that people save them in."""
    frames = content
    if isinstance(content, dict):
        frames = next(
            (
                content[name]
                for name in ("frames", "faceBlendshapes", "face_blendshapes", "blendshapes")
                if isinstance(content.get(name), list)
            ),
            None,
        )
    if not isinstance(frames, list) or not frames:
        return None
    rows, times, numbers = [], [], []
    for frame in frames:
        weights = _scores(frame, 0)
        if weights is None:
            return None
        rows.append(weights)
        if isinstance(frame, dict):
            times.append(
                next((frame[k] for k in ("timestamp_ms", "timestampMs") if k in frame), None)
            )
            numbers.append(frame.get("frame"))
    names = sorted({name for row in rows for name in row}, key=ARKIT.index)
    if len(names) < _LEAST:
        return None
    facts: dict[str, object] = {"kind": "face", "expression_of": "arkit", "identity_of": "other"}
    track = ForeignTrack.of("MediaPipe's blendshapes", len(rows), path, **facts)
    values = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    if not np.isfinite(values).all():
        raise ShotError("it holds values that are no numbers", path, REMEDY)
    _weights(track, names, values)
    if len(numbers) == len(rows) and all(type(each) is int for each in numbers):
        track.frames = np.array(numbers, np.int64)
    elif len(times) == len(rows) and all(isinstance(each, int | float) for each in times):
        seconds = np.array(times, np.float64) / 1000
        if (np.diff(seconds) > 0).all():
            track.seconds = seconds - seconds[0]
    return track


def _scores(frame: Any, depth: int) -> dict[str, float] | None:
    """Names and weights of a frame: a table, a list of categories, or either of them deeper."""
    if depth > 4:
        return None
    if isinstance(frame, dict):
        named = {
            _KNOWN[key.lower()]: float(value)
            for key, value in frame.items()
            if key.lower() in _KNOWN and isinstance(value, int | float)
        }
        if named:
            return named
        for key in ("blendshapes", "categories", "faceBlendshapes", "face_blendshapes", "shapes"):
            if key in frame:
                return _scores(frame[key], depth + 1)
        return None
    if isinstance(frame, list) and frame:
        found = {}
        for each in frame:
            if not isinstance(each, dict):
                return _scores(frame[0], depth + 1)
            name = each.get("categoryName", each.get("category_name", each.get("name")))
            score = each.get("score", each.get("value", each.get("weight")))
            if isinstance(name, str) and isinstance(score, int | float):
                if name.lower() in _KNOWN:
                    found[_KNOWN[name.lower()]] = float(score)
            else:
                return _scores(frame[0], depth + 1)
        return found or None
    return None
