# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shot folder as the panels show it."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from portraitgen.errors import PortraitError
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
from portraitgen.renders import renders_of, versions_in
from portraitgen.shot import Shot
from portraitgen.storage import entries

from . import file_marks

_FRESH = 1.0
_Thing = TypeVar("_Thing")


@dataclass
class ShotSummary:
    """What the panels say of a shot folder.

    Attributes:
        error: why the folder cannot be read, empty if it can.
        footage: the plate, None if the folder cannot be read.
        tracks: the versions, `track` the record of the latest.
        avatars: the versions, `avatar` and `metrics` the records of the latest.
        takes: their records by name.
        renders: the versions of the render of each take, by its name; 0 for frames from before
            renders had versions.
        unfinished: jobs that can be resumed, the latest first.
        logged: whether a job has written a log.
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
    logged: bool = False
    problems: Sequence[str] = ()


# Those that the backend is asked for by name; what a request publishes is simply asked again.
_RESUMABLE = ("track", "refine", "reconstruct", "act", "edit", "render", "movie", "deliver", "qc")
_views: dict[str, tuple[float, ShotSummary]] = {}
_forgotten: set[str] = set()


def forget_summaries(folder: Path | None = None) -> None:
    """Lets the next look read a folder anew; every folder by default."""
    _forgotten.update(_views if folder is None else {str(folder)} & _views.keys())
    if folder is None:
        _views.clear()
    else:
        _views.pop(str(folder), None)
    _track.cache_clear()


def read_again() -> None:
    """Reads what was forgotten, before a panel that is drawn has to wait for the disk."""
    for key in list(_forgotten):
        summary_of(Path(key))


def summary_of(folder: Path) -> ShotSummary:
    """What lies in a shot folder, as it was read last: panels are drawn many times a second.

    In a window the timer looks whether the folder has changed; where no timer runs it is read
    again after a second.
    """
    key = str(folder)
    read, known = _views.get(key, (0.0, None))
    fresh = file_marks.watched or time.monotonic() - read < _FRESH
    if known is not None and fresh:
        return known
    try:
        found = _read(folder)
    except Exception as error:  # noqa: BLE001 - panels are drawn many times a second.
        found = ShotSummary(str(readable(error)))
    _views[key] = time.monotonic(), found
    _forgotten.discard(key)
    return found


def stamp(folder: Path) -> tuple[object, ...]:
    """Another value whenever something was added to a shot folder, taken away or finished.

    Times of a few files and folders only, none of them opened.
    """
    places = [folder / name for name in ("shot.json", "track", "avatar", "jobs")]
    times: list[object] = [_time_of(str(place)) for place in places]
    for name, file in (("takes", "take.json"), ("jobs", "job.json")):
        with suppress(OSError), os.scandir(folder / name) as entries:
            names = sorted(entry.name for entry in entries)[-_LOOKED_AT:]
            times += [(each, _time_of(f"{folder}/{name}/{each}/{file}")) for each in names]
            if name == "takes":
                times += [_time_of(f"{folder}/{name}/{each}/renders") for each in names]
    return tuple(times)


_LOOKED_AT = 200


def _time_of(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _read(folder: Path) -> ShotSummary:
    shot = Shot.open(folder)
    tracks, avatars = shot.versions("track"), shot.versions("avatar")
    jobs = shot.jobs()
    unfinished = [
        job.record
        for job in reversed(jobs)
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
        {name: _versions_of(shot.path / "takes" / name) for name in shot.takes()},
        unfinished,
        any(job.log.is_file() for job in jobs),
        problems,
    )


def renders(folder: Path, take: str) -> Sequence[int]:
    """The versions of a take's render, as `ShotSummary` has them.

    A script may have rendered just now: where no timer looks, the folder is looked at.
    """
    if file_marks.watched:
        return summary_of(folder).renders.get(take, ())
    return _versions_of(folder / "takes" / take)


def last_render(folder: Path, take: str) -> int | None:
    """The version of a take's render that came last, of those that a strip can show."""
    home = folder / "takes" / take
    versions = summary_of(folder).renders.get(take, ())
    places = [home / "plates"] * (0 in versions)
    for number in versions:
        version = home / "renders" / f"v{number:03d}"
        places += [version / "render.json", version / "plates"]
    return _last_render(home, tuple(_time_of(str(place)) for place in places))


@lru_cache(maxsize=1000)
def _last_render(home: Path, times: tuple[int, ...]) -> int | None:
    """Read once for each state of the folder, as `times` tells it."""
    found = [
        (each.record.rendered if each.record else "", each.version)
        for each in renders_of(home)
        if each.full_plates()
    ]
    return max(found)[1] if found else None


def _versions_of(home: Path) -> list[int]:
    old = any(each.suffix == ".exr" for each in entries(home / "frames"))
    return [0] * old + versions_in(home)


@lru_cache(maxsize=8)
def _track(folder: Path, version: int) -> TrackRecord:
    """Read once: a version never changes, and has a row for each frame of a long shot."""
    return Shot.open(folder).track_record(version)


@dataclass(frozen=True)
class Made:
    """What was taken out of a shot: of a take's edit, or of an avatar's version where it names
    none, and the job that published it; `job` None where that is not known."""

    take: str
    version: int
    edit: int
    job: str | None


def older(folder: Path, made: Made) -> str:
    """Why something that was taken out of a shot is not what the shot holds now, empty if it is."""
    known = summary_of(folder)
    if known.error or made.job is None:
        return ""
    if made.take:
        record = known.takes.get(made.take)
        if record is None or not record.edit:
            why = "is no longer in the folder" if record is None else "has no edit any more"
            return f"the take '{made.take}' {why}"
        if (made.edit, made.job) == (record.edit, record.job):
            return ""
        return f"it shows edit {made.edit} of '{made.take}', not the current edit {record.edit}"
    if not known.avatars or made.version == known.avatars[-1]:
        return ""
    return f"it shows avatar {made.version}, the latest is {known.avatars[-1]}"


def plate_path(folder: Path) -> Path:
    """Where a shot's plate lies, as the shot says.

    Raises:
        ShotError: if the folder cannot be read.
    """
    known = summary_of(folder).footage
    footage = known or Shot.open(folder).record.footage
    return Path(os.path.normpath(folder / footage.path))


def quality(folder: Path, version: int | None = None) -> Sequence[FrameQuality]:
    """How well a track's frames are tracked.

    Raises:
        ShotError: if there is no such track.
    """
    return Shot.open(folder).track_record(version).quality
