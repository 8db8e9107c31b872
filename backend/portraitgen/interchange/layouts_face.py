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
LEAST = 10
"""How many of ARKit's shapes tell that something is a face."""
FACE: dict[str, object] = {"kind": "face", "expression_of": "arkit", "identity_of": "other"}
NUMBERS = ("frame", "framenumber", "frameindex", "frameid", "frameidx")
"""Names of frame numbers, as `plain_name` has them."""
_KNOWN = {name.lower(): name for name in ARKIT}
_TIMECODE = re.compile(r"(\d{1,2})[:;](\d{2})[:;](\d{2})[:;.](\d{1,3}(?:\.\d+)?)")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2}):(\d{2}[.,]\d{3,9})")
_RATES = (24.0, 25.0, 30.0, 48.0, 50.0, 60.0, 100.0, 120.0)
_THOUSANDTHS = 1000.0
_TURNS = ("Yaw", "Pitch", "Roll")


def plain_name(name: str) -> str:
    """A name as it is compared: without case, group, spaces and underscores, sides in full."""
    name = re.sub(r"[_\s]([lr])$", _side, name.strip().lower().rsplit(".", 1)[-1])
    return re.sub(r"[_\s-]", "", name)


def _side(match: re.Match[str]) -> str:
    return "left" if match[1] == "l" else "right"


def shape_of(name: str) -> str | None:
    """ARKit's shape that a name means, however it is spelled."""
    return _KNOWN.get(plain_name(name))


def seconds_of(values: np.ndarray) -> np.ndarray | None:
    """Times from the first one's on, in seconds, whatever they count; None if they do not rise."""
    steps = np.diff(values)
    if not len(steps) or (steps <= 0).any():
        return None
    for unit in (1.0, 1e-3, 1e-6, 1e-9):
        if np.median(steps) * unit <= 2:
            found: np.ndarray = (values - values[0]) * unit
            return found
    return None


def read_csv(path: Path) -> ForeignTrack:
    """A track from a table.

    Raises:
        ShotError: if it cannot be read or has no layout that is known.
    """
    header, rows = _table(path)
    lower = [name.strip().lower() for name in header]
    if len({shape_of(name) for name in header} - {None}) >= LEAST:
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
        data = read_bytes(path, MAX_BYTES // 4)
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        text = data.decode("utf-16" if wide else "utf-8-sig")
        # Spreadsheets of many countries part cells by semicolons, and write commas in numbers.
        mark = max(",;\t", key=text.split("\n", 1)[0].count)
        lines = [
            row
            for row in csv.reader(io.StringIO(text), delimiter=mark)
            if any(cell.strip() for cell in row)
        ]
    except FileNotFoundError:
        raise ShotError("there is no such file", path, "give the right path") from None
    except (OSError, ValueError, csv.Error) as error:
        raise ShotError(f"it cannot be read ({error})", path, REMEDY) from error
    if len(lines) < 2:
        raise ShotError("it holds no frames", path, "record again")
    rows = lines[1:]
    if mark != ",":
        rows = [[cell.replace(",", ".") for cell in row] for row in rows]
    return lines[0], rows


def _column(path: Path, header: list[str], rows: list[list[str]], name: str) -> np.ndarray:
    """One column as numbers."""
    index = header.index(name)
    values = np.zeros(len(rows))
    for number, row in enumerate(rows):
        try:
            values[number] = float(row[index])
        except (IndexError, ValueError):
            told = repr(row[index][:20]) if index < len(row) else "nothing"
            raise ShotError(
                f"the column '{name}' holds {told} in the row that begins with {row[0][:20]!r},"
                " which is no number",
                path,
                "mend or delete that row",
            ) from None
    if not np.isfinite(values).all():
        raise ShotError(f"the column '{name}' holds values that are no numbers", path, REMEDY)
    return values


def _blendshapes(path: Path, header: list[str], rows: list[list[str]]) -> ForeignTrack:
    header = [name.strip() for name in header]
    columns: dict[str, int] = {}
    for index, name in enumerate(header):
        shape = shape_of(name)
        if shape is not None:
            columns.setdefault(shape, index)
    rows, notes = _with_faces(rows, list(columns.values()))
    if not rows:
        raise ShotError("no row of it has a face", path, "record again")
    weights = np.stack(
        [_column(path, header, rows, header[index]) for index in columns.values()], axis=1
    )
    phone = any(name.lower() == "timecode" for name in header)
    layout = "Live Link Face" if phone else "ARKit's shapes"
    track = ForeignTrack.of(layout, len(rows), path, **FACE, notes=notes)
    set_weights(track, list(columns), weights)
    if phone:
        _timecodes(track, header, rows)
    else:
        _times(track, path, header, rows)
    plain = {plain_name(name): name for name in reversed(header)}
    for bone, joint in (("Head", 15), ("LeftEye", 23), ("RightEye", 24)):
        if track.given[joint]:
            continue  # Where eyes look is told by weights, whose signs are certain.
        names = [plain.get(f"{bone}{turn}".lower(), "") for turn in _TURNS]
        if all(names):
            angles = np.stack([_column(path, header, rows, name) for name in names], axis=1)
            if np.abs(angles).max() > 2 * np.pi:
                track.notes.append(f"the turns of {bone} are taken as degrees")
                angles = np.radians(angles)
            # Taken as yaw to the performer's left, pitch down, roll to the left, radians.
            track.turn([joint], Rotation.from_euler("YXZ", angles).as_rotvec()[:, None])
    return track


def _with_faces(rows: list[list[str]], columns: list[int]) -> tuple[list[list[str]], list[str]]:
    """The rows with a face, and what is said of the others."""
    notes = []
    if len(rows) > 1 and len(rows[-1]) < len(rows[0]):
        rows = rows[:-1]
        notes.append("the last row is cut off and left out")
    seen = [row for row in rows if any(at < len(row) and row[at].strip() for at in columns)]
    if len(seen) < len(rows):
        notes.append(f"{len(rows) - len(seen)} rows without a face are left out")
    return seen, notes


def set_weights(track: ForeignTrack, names: list[str], weights: np.ndarray) -> None:
    """Gives a track weights (T, N) of ARKit's shapes, and the eyes' turns that they tell."""
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


def _timecodes(track: ForeignTrack, header: list[str], rows: list[list[str]]) -> None:
    index = next(i for i, name in enumerate(header) if name.lower() == "timecode")
    cells = [row[index].strip() if len(row) > index else "" for row in rows]
    if all(re.fullmatch(r"\d{1,9}", cell) for cell in cells):
        numbers = np.array([int(cell) for cell in cells], np.int64)
        if (np.diff(numbers) > 0).all():
            track.frames = numbers
            return
    clocks = [_CLOCK.fullmatch(cell) for cell in cells]
    matches = [_TIMECODE.fullmatch(cell) for cell in cells]
    if all(clocks):
        parts = np.array([[float(p.replace(",", ".")) for p in m.groups()] for m in clocks if m])
        seconds = parts @ (3600.0, 60.0, 1.0)
        rate = None
    elif all(matches):
        parts = np.array([[float(part) for part in match.groups()] for match in matches if match])
        rate = _counted(parts)
        if rate is None:
            return  # Within a second nothing tells: rows are frames, or the user says the rate.
        seconds = parts[:, :3] @ (3600.0, 60.0, 1.0) + parts[:, 3] / rate
        if any(";" in cell for cell in cells) and rate in (30.0, 60.0):
            # Of every minute but the tenth, the first numbers are left out.
            minutes = parts[:, 0] * 60 + parts[:, 1]
            left_out = (minutes - minutes // 10) * (rate / 15)
            seconds = (seconds - left_out / rate) * 1.001
    else:
        track.notes.append("some timecodes cannot be read: 60 frames a second are taken")
        track.fps = 60.0
        return
    seconds = seconds + 86400.0 * np.cumsum(np.diff(seconds, prepend=seconds[0]) < -43200)
    if (np.diff(seconds) < 0).any():
        rate = rate or 60.0
        track.notes.append(f"timecodes run backwards: {rate:g} frames a second are taken")
        track.fps = rate
        return
    track.fps = None if rate == _THOUSANDTHS else rate
    track.timecode, track.seconds = cells[0], seconds - seconds[0]


def _counted(parts: np.ndarray) -> float | None:
    """Up to which rate timecodes (T, 4) count; None where they never begin a second anew."""
    highest = np.floor(parts[:, 3]).max()
    if highest >= 120:
        return _THOUSANDTHS  # Some write milliseconds there.
    if highest < 30 and not np.diff(parts[:, 2]).any():
        return None
    return next(rate for rate in _RATES if rate > highest)


def _times(track: ForeignTrack, path: Path, header: list[str], rows: list[list[str]]) -> None:
    plain = {plain_name(name): name for name in reversed(header)}

    def found(*names: str) -> np.ndarray | None:
        for name in names:
            if name in plain:
                try:
                    return _column(path, header, rows, plain[name])
                except ShotError as error:
                    track.notes.append(f"{error.message}: it is left out")
        return None

    numbers, times = found(*NUMBERS), found("timestampms", "timems", "timestamp", "time", "seconds")
    set_times(track, numbers, times)


def set_times(track: ForeignTrack, numbers: np.ndarray | None, times: np.ndarray | None) -> None:
    """Gives a track its frame numbers or, where these count another rate, its times."""
    if numbers is not None and (np.diff(numbers) > 0).all() and (numbers % 1 == 0).all():
        track.frames = numbers.astype(np.int64)
    track.seconds = None if times is None else seconds_of(times)


def _open_see_face(path: Path, lower: list[str], rows: list[list[str]]) -> ForeignTrack:
    if "face" in lower:
        faces = _column(path, lower, rows, "face")
        first = [row for row, face in zip(rows, faces, strict=True) if face == faces.min()]
        others, rows = len(rows) - len(first), first
    else:
        others = 0
    track = ForeignTrack.of("OpenSeeFace", len(rows), path, **FACE)
    at = {name: _column(path, lower, rows, name) for name in ("leftopen", "rightopen", "time")}
    names = ["eyeBlinkLeft", "eyeBlinkRight"]
    weights = [1 - np.clip(at["leftopen"], 0, 1), 1 - np.clip(at["rightopen"], 0, 1)]
    mouth = _mouth(path, lower, rows)
    track.names = [*names, *mouth]
    track.expression = np.stack([*weights, *mouth.values()], axis=1)
    if "fps" in lower and "frame" in lower and not _column(path, lower, rows, "fps").any():
        # Of a movie, times are those at which it was looked through.
        set_times(track, _column(path, lower, rows, "frame"), None)
    else:
        track.seconds = seconds_of(at["time"])
    track.notes.append("OpenSeeFace measures lids and mouth only: all other units rest")
    if others:
        track.notes.append("of several faces the first is taken")
    return track


def _mouth(path: Path, lower: list[str], rows: list[list[str]]) -> dict[str, np.ndarray]:
    """How far a mouth opens and how broad it is, of its 66 points in space."""
    needed = [f"point3d[{index}].{axis}" for index in (36, 45, 60, 64) for axis in "xyz"]
    if not all(name in lower for name in needed):
        return {}
    # Its header names 66 points of the picture and 66 in space, its rows hold 68 and 70.
    moved = 6 if len(rows[0]) - len(lower) == 18 else 0
    lower = [""] * moved + lower

    def point(index: int) -> np.ndarray:
        columns = [_column(path, lower, rows, f"point3d[{index}].{axis}") for axis in "xyz"]
        return np.stack(columns, axis=1)

    eyes = np.linalg.norm(point(36) - point(45), axis=1)
    gap = np.linalg.norm(point(60) - point(64), axis=1) / np.maximum(eyes, 1e-6)
    least = np.percentile(gap, 5)
    return {"jawOpen": np.clip((gap - least) / 0.55, 0, 1)}
