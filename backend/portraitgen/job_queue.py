# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A list of jobs over any number of shots and takes, in one file. Standard library only.

Whoever runs it takes one job after the other and writes down how each ended, so that it goes on
where it stood whatever happens to the process: what was running is looked for in its shot, and
counts as done if it was finished there. Jobs go on from their own checkpoints.

What comes after a job that failed, of the same shot, waits for it; other shots and takes go on.
"""

import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from .errors import OptionError, PortraitError, ShotError
from .locks import Lock, Waiting, holders
from .records import JobRecord
from .schema import Data, Record, Values
from .shot import Shot, now

QueueState = Literal["waiting", "running", "done", "failed"]
_PATIENCE = Waiting(10.0)


@dataclass(frozen=True)
class QueuedJob(Data):
    """One job of a list.

    Attributes:
        id: its name in the list.
        shot: the shot's folder, absolute.
        kind, options: as the registry runs it.
        take: the take it works on, empty for none.
        state: how it stands; one that was running when its process was killed says so still.
        added, started, finished: when.
        attempts: how often it was begun.
        known: those of its shot's jobs that had done the same before; None in older lists.
        message, code, place, remedy: why it failed.
        result: what it made.
    """

    id: str
    shot: str
    kind: str
    options: Values
    take: str = ""
    state: QueueState = "waiting"
    added: str = ""
    started: str = ""
    finished: str = ""
    attempts: int = 0
    known: tuple[str, ...] | None = None
    message: str = ""
    code: str = ""
    place: str = ""
    remedy: str = ""
    result: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, shot: Path, kind: str, options: Values, take: str = "") -> "QueuedJob":
        """A job that is to be added."""
        return cls(uuid.uuid4().hex[:8], str(shot), kind, dict(options), take, added=now())

    @property
    def error(self) -> PortraitError | None:
        """Why it failed, None if it did not."""
        if self.state != "failed":
            return None
        error = PortraitError(self.message, self.place, self.remedy)
        error.code = self.code
        return error

    def __str__(self) -> str:
        what = f"{self.kind} {self.take}".strip()
        return f"{Path(self.shot).name}: {what}"


@dataclass(frozen=True, kw_only=True)
class QueueRecord(Record):
    """The file of a list.

    Attributes:
        jobs: in the order in which they run.
        paused: whether none begins.
    """

    jobs: tuple[QueuedJob, ...] = ()
    paused: bool = False


class JobQueue:
    """A list of jobs, as its file has it at any moment: others may change it meanwhile.

    Args:
        path: the file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path).absolute()
        self._locks = self.path.with_name(f"{self.path.name}.locks")

    def read(self) -> QueueRecord:
        """What the file says; an empty list if there is none.

        Raises:
            ShotError: if it is damaged, or was written by a newer version.
        """
        if not self.path.exists():
            return QueueRecord()
        return QueueRecord.read(self.path)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Held by whoever runs the list; jobs that a dead process left running are seen to.

        Raises:
            ShotLocked: if another process runs it.
        """
        with Lock(self._locks, "run", f"the queue {self.path.name}", None, Waiting()):
            self._recover()
            yield

    def is_run(self) -> bool:
        """Whether a process runs the list, or may: one that is known to be dead does not."""
        return any(each.resource == "run" for each in holders(self._locks))

    def add(self, jobs: Iterable[QueuedJob]) -> None:
        """Adds jobs to the end, but for those that wait in it already."""
        given = list(jobs)

        def change(record: QueueRecord) -> QueueRecord:
            waiting = [_asked(each) for each in record.jobs if each.state == "waiting"]
            new = [each for each in given if _asked(each) not in waiting]
            return replace(record, jobs=(*record.jobs, *new))

        self._change(change)

    def remove(self, id: str) -> None:
        """Takes a job off the list.

        Raises:
            OptionError: if there is no such job, or it is running.
        """

        def change(record: QueueRecord) -> QueueRecord:
            if self._job(record, id).state == "running" and self.is_run():
                raise OptionError("the job is running", id, "stop it first")
            return replace(record, jobs=tuple(each for each in record.jobs if each.id != id))

        self._change(change)

    def move(self, id: str, by: int) -> None:
        """Moves a job so many places towards the end, or with less than 0 the beginning.

        Raises:
            OptionError: if there is no such job.
        """

        def change(record: QueueRecord) -> QueueRecord:
            jobs = list(record.jobs)
            at = jobs.index(self._job(record, id))
            job = jobs.pop(at)
            jobs.insert(max(0, min(at + by, len(jobs))), job)
            return replace(record, jobs=tuple(jobs))

        self._change(change)

    def retry(self) -> int:
        """Lets the jobs that failed run again; says how many."""
        count = 0

        def change(record: QueueRecord) -> QueueRecord:
            nonlocal count
            count = sum(each.state == "failed" for each in record.jobs)
            return _waiting_again(record, "failed")

        self._change(change)
        return count

    def clear(self) -> None:
        """Takes those off that are done."""
        self._change(
            lambda record: replace(
                record, jobs=tuple(each for each in record.jobs if each.state != "done")
            )
        )

    def pause(self, paused: bool) -> None:
        """Lets no further job begin, or lets them begin again."""
        self._change(lambda record: replace(record, paused=paused))

    def begin(self) -> QueuedJob | None:
        """The job that is to run now, marked as running; None if none may."""
        begun: QueuedJob | None = None

        def change(record: QueueRecord) -> QueueRecord:
            nonlocal begun
            job = None if record.paused else next_of(record)
            if job is None:
                return record
            begun = replace(
                job,
                state="running",
                started=_moment(),
                finished="",
                attempts=job.attempts + 1,
                known=tuple(each.id for each in _done_alike(job)),
            )
            return _with(record, begun)

        self._change(change)
        return begun

    def end(
        self,
        id: str,
        result: Mapping[str, object] | None = None,
        error: PortraitError | None = None,
    ) -> None:
        """Writes down how a job ended: done with a result, or failed; with neither it waits again.

        One that was taken off meanwhile is left off.
        """

        def change(record: QueueRecord) -> QueueRecord:
            job = next((each for each in record.jobs if each.id == id), None)
            if job is None:
                return record
            if error is not None:
                failed = replace(
                    _ended(job, "failed"),
                    message=error.message,
                    code=error.code,
                    place=error.place,
                    remedy=error.remedy,
                )
                return _with(record, failed)
            if result is None:
                return _with(record, replace(job, state="waiting"))
            return _with(record, replace(_ended(job, "done"), result=result))

        self._change(change)

    def _recover(self) -> None:
        """Sees to what a process that was killed left running."""

        def change(record: QueueRecord) -> QueueRecord:
            for job in record.jobs:
                if job.state != "running":
                    continue
                done = finished_in_shot(job)
                if done is None:
                    record = _with(record, replace(job, state="waiting"))
                else:
                    record = _with(record, replace(_ended(job, "done"), result=done.result))
            return record

        self._change(change)

    def _change(self, change: Callable[[QueueRecord], QueueRecord]) -> None:
        with Lock(self._locks, "change", f"the queue {self.path.name}", None, _PATIENCE):
            old = self.read()
            new = change(old)
            if new != old:
                new.write(self.path)

    def _job(self, record: QueueRecord, id: str) -> QueuedJob:
        for job in record.jobs:
            if job.id == id:
                return job
        raise OptionError(f"the queue has no job '{id}'", self.path, "look at what it has")


def next_of(record: QueueRecord) -> QueuedJob | None:
    """The first job that waits for nothing."""
    failed: list[QueuedJob] = []
    for job in record.jobs:
        if job.state == "failed":
            failed.append(job)
        elif job.state == "waiting" and not any(_needs(job, each) for each in failed):
            return job
    return None


def blocked(record: QueueRecord) -> list[QueuedJob]:
    """Those that wait for a job that failed."""
    failed = [each for each in record.jobs if each.state == "failed"]
    waiting = [each for each in record.jobs if each.state == "waiting"]
    places = {each.id: at for at, each in enumerate(record.jobs)}
    return [
        job
        for job in waiting
        if any(places[each.id] < places[job.id] and _needs(job, each) for each in failed)
    ]


def finished_in_shot(job: QueuedJob) -> JobRecord | None:
    """The record of a job that was begun, if it was finished in its shot since."""
    for record in reversed(_done_alike(job)):
        if job.known is not None:
            if record.id not in job.known:
                return record
        # Records of shots tell whole seconds.
        elif record.finished[:19] >= job.started[:19]:
            return record
    return None


def _done_alike(job: QueuedJob) -> list[JobRecord]:
    """The records of its shot's jobs that did the same, oldest first."""
    try:
        records = [each.record for each in Shot.open(Path(job.shot)).jobs()]
    except ShotError:
        return []
    return [
        record
        for record in records
        if record.state == "done"
        and record.kind == job.kind
        and all(_same(record.options.get(name), value) for name, value in job.options.items())
    ]


def _needs(job: QueuedJob, other: QueuedJob) -> bool:
    """Whether a job needs what another, before it, makes."""
    return job.shot == other.shot and (not other.take or job.take == other.take)


def _asked(job: QueuedJob) -> tuple[object, ...]:
    return job.shot, job.kind, job.take, dict(job.options)


def _ended(job: QueuedJob, state: QueueState) -> QueuedJob:
    return replace(job, state=state, finished=now(), message="", code="", place="", remedy="")


def _waiting_again(record: QueueRecord, state: QueueState) -> QueueRecord:
    jobs = [replace(each, state="waiting") if each.state == state else each for each in record.jobs]
    return replace(record, jobs=tuple(jobs))


def _with(record: QueueRecord, job: QueuedJob) -> QueueRecord:
    jobs = tuple(job if each.id == job.id else each for each in record.jobs)
    return replace(record, jobs=jobs)


def _moment() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _same(one: Any, other: Any) -> bool:
    """Whether two options mean the same; what a file keeps of a number may be rounded."""
    if isinstance(one, float) or isinstance(other, float):
        try:
            return math.isclose(float(one), float(other), rel_tol=1e-5, abs_tol=1e-9)
        except (TypeError, ValueError):
            return False
    return bool(one == other)
