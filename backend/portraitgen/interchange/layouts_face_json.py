# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights of ARKit's shapes in JSON: MediaPipe's blendshapes in any of the shapes that people save
them in, and tables of names and weights, as Audio2Face and recordings of phones are written."""

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ShotError
from .foreign_track import REMEDY, ForeignTrack
from .layouts_face import (
    ARKIT,
    FACE,
    LEAST,
    NUMBERS,
    plain_name,
    set_times,
    set_weights,
    shape_of,
)

_FRAMES = ("frames", "faceblendshapes", "blendshapes", "results")
_WITHIN = ("blendshapes", "categories", "faceblendshapes", "shapes", "weights")
_TIMES = ("timestampms", "timems", "timestamp", "time", "seconds")


def read_blendshape_json(path: Path, content: Any) -> ForeignTrack | None:
    """A track of weights, None if the content has none.

    Raises:
        ShotError: if it has some and is damaged.
    """
    content = _of_table(content)
    frames = _named(content, _FRAMES, list) if isinstance(content, dict) else content
    fps = _named(content, ("fps", "framerate", "exportfps"), int | float)
    if not isinstance(frames, list) or not frames:
        return None
    scores = [_scores(frame, 0) for frame in frames]
    seen = [row for row, weights in enumerate(scores) if weights]
    rows = [weights for weights in scores if weights]
    names = sorted({name for row in rows for name in row}, key=ARKIT.index)
    if len(names) < LEAST:
        return None
    track = ForeignTrack.of("MediaPipe's blendshapes", len(rows), path, **FACE)
    values = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    if not np.isfinite(values).all():
        raise ShotError("it holds values that are no numbers", path, REMEDY)
    set_weights(track, names, values)
    track.fps = float(fps) if fps and 0.1 <= fps <= 1000 else None
    numbers, times = (_of_frames([frames[row] for row in seen], each) for each in (NUMBERS, _TIMES))
    if len(seen) < len(frames):
        track.notes.append(f"{len(frames) - len(seen)} frames without a face are left out")
        if numbers is None and times is None:
            numbers = np.array(seen, np.float64)
    set_times(track, numbers, times)
    return track


def _named(content: Any, names: tuple[str, ...], kind: Any) -> Any:
    """The first value of a kind under one of the names; None without."""
    for name, value in content.items() if isinstance(content, dict) else ():
        if plain_name(name) in names and isinstance(value, kind) and not isinstance(value, bool):
            return value
    return None


def _of_frames(frames: list[Any], names: tuple[str, ...]) -> np.ndarray | None:
    """A number of every frame."""
    found = [_named(each, names, int | float) for each in frames]
    return None if None in found else np.array(found, np.float64)


def _of_table(content: Any) -> Any:
    """Frames by name, from names once and weights a frame."""
    names = _named(content, ("names", "facsnames", "blendshapenames"), list)
    rows = _named(content, ("weightmat", "weights", "frames"), list)
    if not names or not rows or not all(isinstance(name, str) for name in names):
        return content
    frames = []
    for row in rows:
        weights = row.get("weights") if isinstance(row, dict) else row
        if not isinstance(weights, list) or len(weights) != len(names):
            return content
        others = row if isinstance(row, dict) else {}
        frames.append({**others, "weights": dict(zip(names, weights, strict=True))})
    return {**content, "frames": frames}


def _scores(frame: Any, depth: int) -> dict[str, float] | None:
    """Names and weights of a frame: a table, a list of categories, or either of them deeper."""
    if depth > 4:
        return None
    if isinstance(frame, dict):
        named = {
            shape: float(value)
            for key, value in frame.items()
            if (shape := shape_of(key)) and isinstance(value, int | float)
        }
        if named:
            return named
        return next(
            (
                _scores(value, depth + 1)
                for key, value in frame.items()
                if plain_name(key) in _WITHIN
            ),
            None,
        )
    if isinstance(frame, list) and frame:
        found = {}
        for each in frame:
            if not isinstance(each, dict):
                return _scores(frame[0], depth + 1)
            name = each.get("categoryName", each.get("category_name", each.get("name")))
            score = each.get("score", each.get("value", each.get("weight")))
            if isinstance(name, str) and isinstance(score, int | float):
                if shape := shape_of(name):
                    found[shape] = float(score)
            else:
                return _scores(frame[0], depth + 1)
        return found or None
    return None
