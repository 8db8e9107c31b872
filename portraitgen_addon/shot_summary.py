# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A strip as the footage of a shot, and a shot folder as the panels show it."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import bpy

from portraitgen.errors import FootageError, PortraitError
from portraitgen.failures import readable
from portraitgen.records import (
    AvatarMetrics,
    AvatarRecord,
    FootageRecord,
    FrameQuality,
    JobRecord,
    TakeRecord,
    TrackRecord,
)
from portraitgen.renders import versions_in
from portraitgen.shot import Shot

from . import compat

_FRESH = 1.0
_Thing = TypeVar("_Thing")


@dataclass(frozen=True)
class StripFootage:
    """A strip's footage.

    Attributes:
        path: the movie, or one image of the sequence.
        kind: "movie" or "sequence".
        first, last: the footage frames that the trimmed strip shows; a movie counts from 1.
        source_first: the number of the source's first frame, for a sequence as its files say.
        offset: scene frame minus footage frame.
        fps: frames a second, numerator and denominator.
        colour_space: as Blender names it.
        channel: the strip's.
    """

    path: Path
    kind: str
    first: int
    last: int
    offset: int
    fps: tuple[int, int]
    colour_space: str
    channel: int


def footage_of(strip: Any, scene: Any) -> StripFootage:
    """Reads a movie or image strip.

    Raises:
        FootageError: if the strip cannot be a shot's plate; says why.
    """
    if strip.type not in ("MOVIE", "IMAGE"):
        raise FootageError(
            "only movie and image strips hold a plate", strip.name, "select one of those"
        )
    if getattr(strip, "use_reverse_frames", False):
        raise FootageError("the strip plays backwards", strip.name, "turn Reverse Frames off")
    if getattr(strip, "retiming_keys", None):
        raise FootageError("the strip is retimed", strip.name, "remove its retiming keys")
    begin, end = compat.strip_range(strip)
    content = compat.content_start(strip)
    fps = _rate(scene)
    space = strip.colorspace_settings.name
    if strip.type == "MOVIE":
        path = Path(bpy.path.abspath(strip.filepath))
        own = float(strip.fps)
        if own and abs(own / (fps[0] / fps[1]) - 1) > 2e-3:
            raise FootageError(
                f"the movie runs at {own:g} frames a second, the scene at {fps[0] / fps[1]:g}",
                strip.name,
                "set the scene's frame rate to the movie's, so that each frame shows once",
            )
        kind, number = "movie", 1
    else:
        path, number = _first_image(strip)
        kind = "sequence"
        # Frames beyond the files hold the last one.
        end = min(end, content + len(strip.elements))
    if not path.exists():
        raise FootageError("the strip's file is missing", path, "relink the strip")
    first = number + max(begin - content, 0)
    return StripFootage(
        path, kind, first, number + end - content - 1, content - number, fps, space, strip.channel
    )


def _rate(scene: Any) -> tuple[int, int]:
    """The scene's rate as a fraction: 24 and 1.001 are 24000/1001."""
    render = scene.render
    base = round(render.fps_base * 1000)
    return (render.fps, 1) if base == 1000 else (render.fps * 1000, base)


def _first_image(strip: Any) -> tuple[Path, int]:
    folder = Path(bpy.path.abspath(strip.directory))
    names = [element.filename for element in strip.elements]
    numbers = [_number(name) for name in names]
    if len(names) < 2 or None in numbers:
        raise FootageError(
            "the strip holds a single image" if len(names) < 2 else "its files have no numbers",
            strip.name,
            "select a movie or a numbered image sequence",
        )
    first = numbers[0]
    assert first is not None
    if numbers != list(range(first, first + len(numbers))):
        raise FootageError(
            "its files do not follow one another", strip.name, "add the sequence without gaps"
        )
    return folder / names[0], first


def _number(name: str) -> int | None:
    """The frame number at the end of a file's name."""
    stem = os.path.splitext(name)[0]
    digits = stem[len(stem.rstrip("0123456789")) :]
    return int(digits) if digits else None


@dataclass
class ShotSummary:
    """What the panels say of a shot folder.

    Attributes:
        error: why the folder cannot be read, empty if it can.
        footage: the plate, None if the folder cannot be read.
        tracks: the versions, `track` the record of the latest.
        avatars: the versions, `avatar` and `metrics` the records of the latest.
        takes: their records by name.
        renders: the versions of the render of each take, by its name.
        unfinished: jobs that can be resumed, the latest first.
        problems: what is damaged, a sentence each.
    """

    error: str
    footage: FootageRecord | None = None
    tracks: Sequence[int] = ()
    track: TrackRecord | None = None
    avatars: Sequence[int] = ()
    avatar: AvatarRecord | None = None
    metrics: AvatarMetrics | None = None
    takes: Mapping[str, TakeRecord] = field(default_factory=dict)
    renders: Mapping[str, Sequence[int]] = field(default_factory=dict)
    unfinished: Sequence[JobRecord] = ()
    problems: Sequence[str] = ()


# Those that the backend is asked for by name; what a request publishes is simply asked again.
_RESUMABLE = ("track", "refine", "reconstruct", "act", "edit", "render", "movie", "deliver", "qc")
_views: dict[str, tuple[float, ShotSummary]] = {}


def forget_summaries() -> None:
    """Lets the next look read every folder anew."""
    _views.clear()
    _track.cache_clear()


def summary_of(folder: Path) -> ShotSummary:
    """What lies in a shot folder, read at most once a second: panels are drawn far oftener."""
    key = str(folder)
    read, known = _views.get(key, (0.0, None))
    if known is not None and time.monotonic() - read < _FRESH:
        return known
    try:
        found = _read(folder)
    except Exception as error:  # noqa: BLE001 - panels are drawn many times a second.
        found = ShotSummary(str(readable(error)))
    _views[key] = time.monotonic(), found
    return found


def _read(folder: Path) -> ShotSummary:
    shot = Shot.open(folder)
    tracks, avatars = shot.versions("track"), shot.versions("avatar")
    unfinished = [
        job.record
        for job in reversed(shot.jobs())
        if job.record.unfinished and job.record.kind in _RESUMABLE
    ]
    problems = list(shot.damaged_takes().values())

    def whole(read: Callable[[], _Thing], there: bool) -> _Thing | None:
        """A record; one that is damaged costs no other part of the shot."""
        try:
            return read() if there else None
        except PortraitError as error:
            problems.append(str(error))
            return None

    return ShotSummary(
        "",
        shot.record.footage,
        tracks,
        whole(lambda: _track(shot.path, tracks[-1]), bool(tracks)),
        avatars,
        whole(shot.avatar_record, bool(avatars)),
        whole(shot.avatar_metrics, bool(avatars)),
        {name: shot.take(name) for name in shot.takes()},
        {name: versions_in(shot.path / "takes" / name) for name in shot.takes()},
        unfinished,
        problems,
    )


@lru_cache(maxsize=8)
def _track(folder: Path, version: int) -> TrackRecord:
    """Read once: a version never changes, and has a row for each frame of a long shot."""
    return Shot.open(folder).track_record(version)


def quality(folder: Path, version: int | None = None) -> Sequence[FrameQuality]:
    """How well a track's frames are tracked.

    Raises:
        ShotError: if there is no such track.
    """
    return Shot.open(folder).track_record(version).quality
