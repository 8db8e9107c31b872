# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of a foreign track onto frames of a plate: by number, by rate or by time."""

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ..errors import ShotError
from .foreign_track import ForeignTrack

_SAME_RATE = 1.5e-3
"""How far 24 and 23.976 are apart, with some room."""


def on_frames(
    track: ForeignTrack,
    frames: np.ndarray,
    plate_fps: float,
    plate_first: int,
    path: Path,
    fps: float | None = None,
    first: int | None = None,
) -> tuple[ForeignTrack, np.ndarray]:
    """The track at frames of a shot, interpolated where rates differ.

    Args:
        frames: int64 (F,), the shot's frames, ascending.
        plate_fps, plate_first: of the plate.
        fps: rate of the file, where the user says it.
        first: the plate's frame of the first row, where the user says it.

    Returns:
        The track with one row a frame that it has, and those frames.

    Raises:
        ShotError: if nothing tells which rows are which frames, or none is of the shot.
    """
    rate = fps or track.fps
    timed = track.seconds if fps is None else None
    numbers = track.frames
    if numbers is not None and timed is not None and fps is None:
        # Times that count the same frames say nothing more; others tell another rate.
        same = np.abs((timed - timed[0]) * plate_fps - (numbers - numbers[0])).max() < 0.5
        timed, numbers = (None, numbers) if same else (timed, None)
    if numbers is not None and fps is not None and abs(fps / plate_fps - 1) >= _SAME_RATE:
        order = np.argsort(numbers, kind="stable")
        track, numbers = _rows(track, order), numbers[order]
        timed, numbers = (numbers - numbers[0]) / fps, None
    if timed is not None and track.timecode and ";" not in track.timecode:
        counted = round(plate_fps)
        if track.fps == counted and abs(plate_fps / counted - 1) < 2 * _SAME_RATE:
            # Timecodes of 24 count the frames of 23.976, too.
            timed = timed * counted / plate_fps
    if numbers is not None and first is not None:
        numbers = numbers - numbers[0] + first
    elif numbers is not None:
        base = 0 if numbers.min() == 0 and plate_first > 0 else _COUNTED_FROM.get(track.layout)
        if base is not None:
            numbers = numbers - base + plate_first
            track.notes.append(f"its frame {base} is taken as the plate's first, {plate_first}")
    if numbers is None:
        start = int(frames[0]) if first is None else first
        same = rate is None or abs(rate / plate_fps - 1) < _SAME_RATE
        if timed is None and same:
            if first is None and rate is None and track.count != len(frames):
                raise ShotError(
                    f"it holds {track.count} frames and no frame numbers, the shot has"
                    f" {len(frames)}",
                    path,
                    "say which frame its first one is (--first), and its rate (--fps) if it is"
                    " another",
                )
            numbers = start + np.arange(track.count)
            if first is None and track.count != len(frames):
                track.notes.append(f"its first row is taken as frame {start}")
        else:
            seconds = timed if timed is not None else np.arange(track.count) / (rate or plate_fps)
            if timed is None or rate is not None:
                track.notes.append(
                    f"its {rate:g} frames a second are resampled to the plate's {plate_fps:.6g}"
                    if rate
                    else "its times are resampled to the plate's rate"
                )
            else:
                track.notes.append(
                    f"its times are resampled to the plate's {plate_fps:.6g} frames a second"
                )
            if first is None:
                track.notes.append(f"its first row is taken as frame {start}; --first says another")
            wanted = (frames - start) / plate_fps
            half = 0.5 / plate_fps
            inside = (wanted >= seconds[0] - 1e-9) & (wanted <= seconds[-1] + half)
            if not inside.any():
                raise ShotError(
                    "it has no frame of the shot", path, "say its first frame (--first)"
                )
            return _resampled(track, seconds, wanted[inside]), frames[inside]
    unique, rows = np.unique(numbers, return_index=True)
    kept = np.isin(unique, frames)
    if not kept.any():
        raise ShotError(
            f"its frames {unique[0]}-{unique[-1]} are not those of the shot,"
            f" {frames[0]}-{frames[-1]}",
            path,
            "say which frame its first one is (--first)",
        )
    if not kept.all():
        outside = unique[~kept]
        track.notes.append(
            f"{len(outside)} of its frames ({outside[0]}-{outside[-1]}) are not of the shot,"
            f" {frames[0]}-{frames[-1]}, and left out"
        )
    if len(unique) < len(numbers):
        track.notes.append("some frames are in the file twice: the first of each is taken")
    return _rows(track, rows[kept]), unique[kept]


_COUNTED_FROM = {"WHAM": 0, "TRAM": 0, "PromptHMR": 0, "SMPLer-X": 1, "OpenSeeFace": 1}
"""Layouts that count a movie's frames from their own first number."""
_ARRAYS = ("pose", "transl", "expression", "hand_components")


def _rows(track: ForeignTrack, rows: np.ndarray) -> ForeignTrack:
    for name in _ARRAYS:
        values = getattr(track, name)
        if values is not None:
            setattr(track, name, values[rows])
    if track.lens is not None and len(track.lens) == track.count:
        track.lens = track.lens[rows]
    track.count = len(rows)
    return track


def _resampled(track: ForeignTrack, seconds: np.ndarray, wanted: np.ndarray) -> ForeignTrack:
    after = np.clip(np.searchsorted(seconds, wanted), 1, max(len(seconds) - 1, 1))
    after = np.minimum(after, len(seconds) - 1)
    before = np.maximum(after - 1, 0)
    span = np.maximum(seconds[after] - seconds[before], 1e-9)
    share = np.clip((wanted - seconds[before]) / span, 0, 1)
    turns = (
        Rotation.from_rotvec(track.pose.reshape(-1, 3)).as_quat().reshape(*track.pose.shape[:2], 4)
    )
    a, b = turns[before], turns[after]
    b = np.where((a * b).sum(-1, keepdims=True) < 0, -b, b)
    mixed = a + share[:, None, None] * (b - a)
    pose = Rotation.from_quat(mixed.reshape(-1, 4)).as_rotvec().reshape(len(wanted), 55, 3)
    for name in ("transl", "expression", "hand_components", "lens"):
        values = getattr(track, name)
        if values is not None and len(values) == track.count and track.count > 1:
            along = share.reshape(-1, *[1] * (values.ndim - 1))
            setattr(track, name, values[before] + along * (values[after] - values[before]))
        elif values is not None and len(values) == track.count and name != "lens":
            setattr(track, name, values[before])
    track.pose, track.count = pose, len(wanted)
    return track
