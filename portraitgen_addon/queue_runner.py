# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a list of jobs over shots and takes, one after the other, while the artist goes on working.

The list is a file in the user's folder, so that it is there again after a restart, whatever file is
open then. Results go to the shots that the open file has; those of others lie in their folders.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from portraitgen.bounded_json import parse_json
from portraitgen.errors import PortraitError
from portraitgen.job_queue import JobQueue, QueuedJob, QueueRecord
from portraitgen.schema import Value, Values
from portraitgen.shot import Shot

from . import backend_properties, file_marks, preferences, properties, shot_summary
from .session import Job, session
from .take_settings import settings_of

_FILE = "queue.json"


class _Runner:
    """What this Blender does with the list.

    Attributes:
        held: holds the list while this Blender runs it.
        queued: the job that runs now, None for none.
        job: how the session follows it.
        error: why the list could not be gone on with.
        interrupted: whether whoever ran the list was killed, as of the last look.
    """

    def __init__(self) -> None:
        self.held: ExitStack | None = None
        self.queued: QueuedJob | None = None
        self.job: Job | None = None
        self.error: PortraitError | None = None
        self.interrupted = False
        self.read: tuple[tuple[int, int], QueueRecord] | None = None


_runner = _Runner()


def queue() -> JobQueue:
    """The list of this user, to be changed: what is drawn of it is read anew."""
    path = preferences.user_folder() / _FILE
    file_marks.forget(path)
    return JobQueue(path)


def record() -> QueueRecord:
    """What the list says; read again when the file has changed, since panels ask all the time.

    Raises:
        ShotError: if it is damaged.
    """
    path = preferences.user_folder() / _FILE
    mark = file_marks.mark(path)
    if mark is None:
        return QueueRecord()
    if _runner.read is None or _runner.read[0] != mark:
        _runner.read = mark, JobQueue(path).read()
    return _runner.read[1]


def runs() -> bool:
    """Whether this Blender runs the list."""
    return _runner.held is not None


def error() -> PortraitError | None:
    """Why the list could not be gone on with, None if it could."""
    return _runner.error


def look() -> bool:
    """Looks whether whoever ran the list was killed in the middle of a job.

    Returns:
        Whether that is another answer than before.
    """
    before = _runner.interrupted
    try:
        begun = any(each.state == "running" for each in record().jobs)
        held = runs() or JobQueue(preferences.user_folder() / _FILE).is_run()
        _runner.interrupted = begun and not held
    except (PortraitError, OSError):
        _runner.interrupted = False  # The Jobs panel, which reads the list, tells why.
    return _runner.interrupted != before


def interrupted() -> bool:
    """Whether jobs were left since whoever ran the list was killed, as `look` found."""
    return _runner.interrupted and not runs()


def left(shot: Path) -> int:
    """How many jobs of a shot are still to run."""
    return sum(
        each.state in ("waiting", "running") and Path(each.shot) == shot for each in record().jobs
    )


def start() -> None:
    """Begins to run the list; the timer goes on with it.

    Raises:
        ShotLocked: if another Blender, or a terminal, runs it.
    """
    _runner.error = None
    queue().pause(False)
    if _runner.held is None:
        held = ExitStack()
        held.enter_context(queue().running())
        _runner.held = held


def stop() -> None:
    """Lets no further job begin here; the one that runs is not touched."""
    if _runner.held is not None and _runner.queued is None:
        _runner.held.close()
        _runner.held = None
    elif _runner.held is not None:
        queue().pause(True)


def end() -> None:
    """Gives the list back, as Blender ends: what runs waits again."""
    if _runner.held is None:
        return
    if _runner.queued is not None:
        queue().end(_runner.queued.id)
    _runner.queued = _runner.job = None
    _runner.held.close()
    _runner.held = None


def step(run: Callable[[Job], None]) -> None:
    """Goes on with the list: writes down how a job ended, and starts the next one.

    Args:
        run: starts a job, and the backend if it does not run.
    """
    if _runner.held is None:
        return
    try:
        _step(run)
    except PortraitError as error:
        _runner.error = error
        end()


def _step(run: Callable[[Job], None]) -> None:
    job, queued = _runner.job, _runner.queued
    if job is not None and queued is not None:
        if job.active or session.waiting_work or session.doing:
            return
        _ended(job, queued)
        _runner.job = _runner.queued = None
    if session.busy or session.doing:
        return
    queued = queue().begin()
    if queued is None:
        end()
        return
    try:
        _begin(queued, run)
    except PortraitError as error:
        queue().end(queued.id, error=error)


def _ended(job: Job, queued: QueuedJob) -> None:
    if job.state == "done":
        queue().end(queued.id, dict(job.result))
    elif job.state == "cancelled":
        # Whoever cancels a job of the list wants the list to stop.
        queue().pause(True)
        queue().end(queued.id)
    else:
        queue().end(queued.id, error=job.error or PortraitError(job.message or "it failed"))


def _begin(queued: QueuedJob, run: Callable[[Job], None]) -> None:
    folder = Path(queued.shot)
    shot_id = Shot.open(folder).record.id
    shot = properties.find_shot(shot_id)
    scene = shot.id_data.session_uid if shot is not None else 0
    job = Job(queued.kind, shot_id, folder, scene, queued.take, queued.options)
    run(job)
    _runner.job, _runner.queued = job, queued


# What shots need


def options_of(shot: Any, kind: str) -> Values:
    """What a job on a shot's active take is asked, as its button asks it."""
    take = shot.take.folder_name if shot.take else ""
    if kind == "edit":
        return settings_of(shot.take) | {"take": take}
    options: dict[str, Value] = {}
    if kind == "render":
        options = {"take": take, "frames": "", "plate": True, "movie": False}
    if kind == "qc":
        options = {"take": take}
    settings = getattr(shot, backend_properties.slot_of_job(kind), None)
    if settings is not None:
        options |= backend_properties.values(settings, backend_properties.job_options(kind))
    if kind == "track":
        options["frames"] = options.get("frames") or shot.frames
    if kind == "render":
        options["mix"] = shot.mix_keys(shot.take)
    return options


def missing_of(shot: Any) -> list[QueuedJob]:
    """What a shot needs until its active take is rendered."""
    known, take = shot_summary.summary_of(shot.path), shot.take.folder_name
    kinds = [] if known.tracks else ["track"]
    if not known.avatars:
        kinds.append("reconstruct")
    record = known.takes.get(take)
    wanted = options_of(shot, "edit")
    if kinds or record is None or record.edit is None or not _alike(record.settings, wanted):
        kinds.append("edit")
    kinds.append("render")
    # What runs now is there by the time that the queue gets here.
    return [job_of(shot, kind) for kind in kinds if not _makes(shot, kind)]


def _makes(shot: Any, kind: str) -> bool:
    """Whether a shot's track or avatar is being made, by a job outside of the list."""
    job = session.job
    if job is None or not job.active or job.shot_id != shot.shot_id:
        return False
    return kind in ("track", "reconstruct") and job.kind == kind


def job_of(shot: Any, kind: str) -> QueuedJob:
    """A job of a shot's active take, for the list."""
    take = shot.take.folder_name if kind in ("edit", "render") else ""
    return QueuedJob.of(shot.path, kind, options_of(shot, kind), take)


def add(jobs: Iterable[QueuedJob]) -> None:
    """Puts jobs at the end of the list."""
    queue().add(jobs)


def _alike(made: Mapping[str, object], wanted: Values) -> bool:
    """Whether an edit was made with these settings."""
    for name, value in wanted.items():
        there = made.get(name)
        if name == "editor_options":
            old, new = (_options(text) for text in (there, value))
            if any(old.get(key) != each for key, each in new.items()):
                return False
        elif there != value:
            return False
    return True


def _options(text: object) -> dict[str, object]:
    try:
        loaded = parse_json(str(text or "{}"))
    except ValueError:
        return {}
    return loaded if isinstance(loaded, dict) else {}
