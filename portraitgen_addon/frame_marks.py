# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames worth a look: where the track is weak, and what stands for all that the performer does.

They are a list of the shot's own, in the plate's frames, drawn in the timelines and hidden by one
switch; the scene's markers stay the artist's.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from portraitgen.records import FrameQuality

GOOD = 1.5
"""The residual, in per cent of the eye distance, up to which a track is good."""
PIVOT = "pivot"
COLOURS = {
    "lost": (0.95, 0.25, 0.2, 0.95),
    "bridged": (0.95, 0.5, 0.15, 0.95),
    "weak": (0.95, 0.75, 0.15, 0.95),
    PIVOT: (0.35, 0.7, 1.0, 0.95),
}
_WORDS = {
    "lost": "no face",
    "bridged": "no face, bridged",
    "weak": "the body lies beside the face",
}
# Blender's name before the shot's own list was made.
_OLD = ("PortraitGen: ", "PortraitGen pivot ")


def weak_frames(rows: Sequence[FrameQuality]) -> list[tuple[int, str, str]]:
    """Of each run of frames that are not good: the worst one, its kind, and what is wrong."""
    found: list[tuple[int, str, str]] = []
    run: list[tuple[float, FrameQuality]] = []
    for row in (*rows, None):
        badness = _badness(row) if row is not None else 0.0
        if row is not None and badness > 0 and (not run or run[-1][1].state == row.state):
            run.append((badness, row))
            continue
        if run:
            found.append(_told(max(run, key=lambda pair: pair[0])[1]))
        run = [(badness, row)] if row is not None and badness > 0 else []
    return found


def _badness(row: FrameQuality) -> float:
    if row.state in ("lost", "bridged"):
        return 1000 - row.confidence
    residual = row.landmark_residual_percent or 0.0
    if row.state == "weak":
        return 100 + residual
    return residual if residual > GOOD else 0.0


def _told(row: FrameQuality) -> tuple[int, str, str]:
    if row.state in _WORDS:
        return row.frame, row.state, _WORDS[row.state]
    return row.frame, "weak", f"residual {row.landmark_residual_percent:.1f} %"


def fill(shot: Any, rows: Sequence[FrameQuality], pivots: Iterable[int]) -> None:
    """Makes the shot's list anew."""
    shot.marks.clear()
    marks = [*weak_frames(rows), *((frame, PIVOT, "pivot") for frame in pivots)]
    for frame, kind, text in sorted(marks):
        mark = shot.marks.add()
        mark.frame, mark.kind, mark.name = frame, kind, text
    forget_old_markers(shot)


def forget_old_markers(shot: Any) -> None:
    """Takes the scene's markers away that earlier versions set."""
    if not shot.has_rig or not shot.armature.users_scene:
        return
    scene = shot.armature.users_scene[0]
    for marker in list(scene.timeline_markers):
        if marker.name.startswith(_OLD):
            scene.timeline_markers.remove(marker)


def step(shot: Any, current: int, backwards: bool) -> int | None:
    """The next weak frame from a frame of the plate on, round the ends; None if there is none."""
    frames = sorted(mark.frame for mark in shot.marks if mark.kind != PIVOT)
    if not frames:
        return None
    if backwards:
        return max((each for each in frames if each < current), default=frames[-1])
    return min((each for each in frames if each > current), default=frames[0])


def go_to(shot: Any, frame: int, context: Any) -> None:
    """Puts the playhead on a frame of the plate, where the rig is and where the edit is."""
    scenes = {context.scene, shot.id_data}
    if shot.has_rig and shot.armature.users_scene:
        scenes.add(shot.armature.users_scene[0])
    for scene in scenes - {None}:
        scene.frame_set(frame + shot.offset)


def shown(shots: Iterable[Any], to_x: Callable[[int], float]) -> list[tuple[float, str]]:
    """Where marks are drawn, and their kinds.

    Args:
        to_x: from a frame of the scene to a place in the region.
    """
    return [
        (to_x(mark.frame + shot.offset), mark.kind)
        for shot in shots
        if shot.show_marks
        for mark in shot.marks
    ]
