# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shot folder: everything known about one shot, on disk. Standard library only.

    SHOT/
      shot.json             schema version, id, footage, body model
      track/0001/ ...       one version per solve or artist's edit; complete versions never change
      avatar/0001/ ...      one version per reconstruction
      takes/NAME/           take.json, edits/0001/ ..., frames/NAME.####.exr
      jobs/ID/              job.json, events.jsonl, log.txt and what is needed to resume
      locks/                who works on what right now

Files are written beside their place and renamed over it, folders are filled under `jobs` and
renamed into place, so that a reader never meets half of anything.
"""

import os
import re
import unicodedata
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .errors import ShotError
from .locks import Lock, Waiting, holders
from .path_mapping import here
from .records import (
    AvatarMetrics,
    AvatarRecord,
    BodyModelRecord,
    EditRecord,
    FootageRecord,
    JobRecord,
    ShotRecord,
    TakeRecord,
    TrackRecord,
)
from .schema import Values, plain
from .storage import (
    append_json,
    check_inside,
    check_own_folder,
    digests_of,
    entries,
    is_link,
    make_folder,
    move_folder,
    read_json,
    remove_tree,
    sweep,
    write_json,
)
from .versions import read_record

_VERSION = re.compile(r"[0-9]{4,9}")
_NAME = re.compile(r"[^\W_][\w .-]{0,63}")
# Devices to Windows, whatever follows a dot.
_RESERVED = re.compile(r"con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$", re.IGNORECASE)
_LONGEST_NAME = 160
# What takes something in is asked for again when it was cut off, and goes on from nothing.
_ASKED_ANEW = ("correct", "import", "retouch")


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Shot:
    """An opened shot folder.

    Attributes:
        path: the folder, absolute.
        record: the content of shot.json; change it through `update` only.
    """

    def __init__(self, path: Path, record: ShotRecord) -> None:
        self.path = path
        self.record = record

    @classmethod
    def create(
        cls, path: Path, footage: FootageRecord, body_model: BodyModelRecord | None = None
    ) -> "Shot":
        """Makes a new shot folder; what else lies in the folder stays.

        Args:
            path: the folder; made if it does not exist.
            footage: the plate, its path absolute or relative to the folder.
            body_model: the open body by default.

        Raises:
            ShotError: if the folder already is a shot, or is not a folder.
        """
        path = Path(path).absolute()
        if (path / "shot.json").exists():
            raise ShotError("the folder already is a shot", path, "choose another folder")
        if path.exists() and not path.is_dir():
            raise ShotError("this is a file", path, "give a folder for the shot")
        record = ShotRecord(
            id=uuid.uuid4().hex,
            created=now(),
            footage=footage,
            body_model=body_model or BodyModelRecord(),
        )
        path.mkdir(parents=True, exist_ok=True)
        record.write(path / "shot.json")
        return cls(path, record)

    @classmethod
    def open(cls, path: Path) -> "Shot":
        """Opens a shot folder.

        Raises:
            ShotError: if the folder is not a shot, is damaged, or was written by a newer version.
        """
        path = Path(path).absolute()
        if not (path / "shot.json").is_file():
            remedy = "track a plate into it first: portraitgen track SHOT --footage PLATE"
            raise ShotError("the folder is not a shot", path, remedy)
        return cls(path, ShotRecord.read(path / "shot.json"))

    def update(self, **changes: Any) -> None:
        """Rewrites shot.json with some fields changed."""
        self.record = replace(self.record, **changes)
        self.record.write(self.path / "shot.json")

    @property
    def footage_path(self) -> Path:
        """Where the plate lies on this machine; a relative path counts from the shot folder."""
        return here((self.path / self.record.footage.path).absolute())

    def relative(self, path: Path) -> str:
        """How shot.json names a file: relative when both lie on one volume, so that a moved
        project keeps its links; forward slashes on every system."""
        return relative_to(self.path, path)

    # Track and avatar versions

    def versions(self, kind: str) -> list[int]:
        """The complete versions of "track" or "avatar", ascending."""
        folder = self.path / kind
        found = [entry for entry in entries(folder) if _VERSION.fullmatch(entry.name)]
        return sorted(int(entry.name) for entry in found if entry.is_dir())

    def version_folder(self, kind: str, version: int | None = None) -> Path:
        """The folder of a version, the latest by default.

        Raises:
            ShotError: if there is none, or not that one.
        """
        versions = self.versions(kind)
        if not versions:
            remedy = {"track": "run track first", "avatar": "run reconstruct first"}[kind]
            raise ShotError(f"the shot has no {kind} yet", self.path, remedy)
        if version is None:
            version = versions[-1]
        if version not in versions:
            known = ", ".join(str(each) for each in versions)
            raise ShotError(f"there is no {kind} {version}", self.path, f"use one of {known}")
        return self.path / kind / f"{version:04d}"

    def publish(
        self, kind: str, folder: Path, record: TrackRecord | AvatarRecord | None = None
    ) -> int:
        """Moves a finished folder into place as the next version of "track" or "avatar".

        Args:
            folder: all that the version holds.
            record: its record, which is written with the digests of its tensors; a track's that
                names no version for its mattes holds its own. Without it the folder has one.

        Returns:
            The version's number.
        """
        parent = make_folder(self.path / kind)
        sweep(folder, older_than=-1)
        check_own_folder(folder)
        if record is not None:
            record = replace(record, digests=digests_of(folder))
        elif (own := folder / f"{kind}.json").exists():
            write_json(own, read_json(own) | {"digests": digests_of(folder)})
        version = (self.versions(kind) or [0])[-1] + 1
        while True:
            try:
                # The number is only known to be ours once the folder has it, and is told in it.
                if isinstance(record, TrackRecord):
                    mattes = record.mattes or version
                    replace(record, mattes=mattes).write(folder / "track.json")
                elif record is not None:
                    record.write(folder / "avatar.json")
                # A rename onto an existing folder that is not empty fails, so two never collide.
                move_folder(folder, parent / f"{version:04d}")
            except OSError:
                if not os.path.lexists(parent / f"{version:04d}"):
                    raise
                version += 1
                continue
            return version

    def published_by(self, kind: str, job: "Job") -> int | None:
        """The version of "track" or "avatar" that a job published before it was killed."""
        record: type[TrackRecord | AvatarRecord] = TrackRecord if kind == "track" else AvatarRecord
        for version in reversed(self.versions(kind)):
            # A damaged version is no reason not to make another.
            with suppress(ShotError):
                path = self.version_folder(kind, version) / f"{kind}.json"
                if record.read(path).job == job.id:
                    return version
        return None

    def track_record(self, version: int | None = None) -> TrackRecord:
        """track.json of a version, the latest by default.

        Raises:
            ShotError: if there is no such version, or it is damaged; names the one that is whole.
        """
        folder = self.version_folder("track", version)
        return read_record(folder, lambda each: TrackRecord.read(each / "track.json"))

    def avatar_record(self, version: int | None = None) -> AvatarRecord:
        """avatar.json of a version, the latest by default; raises as `track_record`."""
        folder = self.version_folder("avatar", version)
        return read_record(folder, lambda each: AvatarRecord.read(each / "avatar.json"))

    def avatar_metrics(self, version: int | None = None) -> AvatarMetrics:
        """metrics.json of a version, the latest by default; raises as `track_record`."""
        folder = self.version_folder("avatar", version)
        return read_record(folder, lambda each: AvatarMetrics.read(each / "metrics.json"))

    # Takes

    def takes(self) -> list[str]:
        """The names of all takes whose records can be read, oldest first."""
        return self._takes()[0]

    def damaged_takes(self) -> dict[str, str]:
        """Why the records of takes cannot be read, by name; they cost no other take anything."""
        return self._takes()[1]

    def _takes(self) -> tuple[list[str], dict[str, str]]:
        found, damaged = [], {}
        for entry in entries(self.path / "takes"):
            if not os.path.lexists(entry / "take.json"):
                continue
            try:
                check_take_name(unicodedata.normalize("NFC", entry.name))
                check_inside(entry / "take.json")
                found.append((self.take(entry.name).created, entry.name))
            except ShotError as error:
                damaged[entry.name] = str(error)
        return [name for _, name in sorted(found)], damaged

    def take_name(self, name: str) -> str:
        """The name of a take, that there is or that is to be made, in the one way to write it.

        Raises:
            ShotError: if it cannot be a folder's name on every system, or if another take's name
                is the same to systems that do not tell letters' cases, or accents, apart.
        """
        for known in (entry.name for entry in entries(self.path / "takes")):
            if known == name:
                return name
            if _folded(known) == _folded(name):
                if unicodedata.normalize("NFC", known) == unicodedata.normalize("NFC", name):
                    return known
                raise ShotError(
                    f"'{name}' and '{known}' are one name to some systems",
                    self.path / "takes",
                    "choose another name",
                )
        name = unicodedata.normalize("NFC", name)
        check_take_name(name)
        return name

    def take(self, name: str) -> TakeRecord:
        """take.json of a take.

        Takes of the first schema did not keep all that was asked; where the job that made one is
        still there, it knows.

        Raises:
            ShotError: if it is missing or damaged.
        """
        path = self.path / "takes" / name / "take.json"
        data = read_json(path)
        record = TakeRecord.from_json(data, path)
        if data.get("schema") == 1 and record.job:
            with suppress(ShotError):
                job = JobRecord.read(self.path / "jobs" / record.job / "job.json")
                return replace(record, settings={**record.settings, **job.options})
        return record

    def take_folder(self, name: str) -> Path:
        """The folder of a take that exists.

        Raises:
            ShotError: if the shot has no such take.
        """
        if name not in self.takes():
            if (reason := self.damaged_takes().get(name)) is not None:
                raise ShotError(reason.rstrip("."), "", "the other takes are whole")
            known = ", ".join(self.takes()) or "none yet"
            raise ShotError(f"there is no take '{name}'", self.path, f"the takes are: {known}")
        return self.path / "takes" / name

    def make_take(self, name: str) -> Path:
        """The folder of a take, which is made if there is none.

        Raises:
            ShotError: if the name cannot be a folder's name on every system.
        """
        check_take_name(name)
        folder = make_folder(self.path / "takes" / name)
        if not (folder / "take.json").exists():
            TakeRecord(created=now()).write(folder / "take.json")
        return folder

    def discard_take(self, name: str) -> Path:
        """Moves a take out of the way, into the shot's `trash`, from where it can be moved back.

        Returns:
            Where it lies now.

        Raises:
            ShotError: if there is no such take; ShotLocked: if a process works on it.
        """
        folder = self.take_folder(name)
        with self.hold(f"take:{name}", "delete"), self.hold(f"frames:{name}", "delete"):
            return self._discard(folder, name)

    def discard_mask(self, take: str) -> Path | None:
        """Moves a take's painted mask into the shot's `trash`.

        Returns:
            Where it lies now, None if there was none.

        Raises:
            ShotLocked: if a process works on the take.
        """
        check_take_name(take)
        folder = self.path / "takes" / take / "mask"
        with self.hold(f"take:{take}", "delete"):
            return self._discard(folder, f"{take}-mask") if folder.is_dir() else None

    def _discard(self, folder: Path, name: str) -> Path:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        target = self.path / "trash" / f"{name}-{stamp}-{uuid.uuid4().hex[:6]}"
        make_folder(target.parent)
        move_folder(folder, target)
        return target

    def edit_folder(self, take: str, edit: int | None = None) -> Path:
        """The folder of one of a take's edits, the current one by default.

        Raises:
            ShotError: if the take was never edited to the end, or has no such edit.
        """
        folder = self.take_folder(take)
        if edit is not None:
            known = self.versions(f"takes/{take}/edits")
            if edit not in known:
                numbers = ", ".join(str(each) for each in known) or "none yet"
                raise ShotError(f"take '{take}' has no edit {edit}", self.path, f"it has {numbers}")
            return folder / "edits" / f"{edit:04d}"
        edit = self.take(take).edit
        if not edit:
            raise ShotError(f"take '{take}' has no finished edit", self.path, "run edit first")
        return folder / "edits" / f"{edit:04d}"

    def edit_record(self, take: str, edit: int | None = None) -> EditRecord:
        """edit.json of a take's edit; raises as `edit_folder`, or if it is damaged, with the edit
        that is whole."""
        folder = self.edit_folder(take, edit)
        return read_record(folder, lambda each: EditRecord.read(each / "edit.json"))

    def publish_edit(self, take: str, folder: Path, record: EditRecord) -> int:
        """Moves a finished edit into the take and makes it the current one.

        The take is made if there is none; earlier edits stay in its `edits` folder. A job that was
        resumed after it published does not publish again.

        Args:
            folder: the edit, without its record.

        Raises:
            ShotError: if the take's name cannot be a folder's name on every system.
        """
        check_take_name(take)
        sweep(folder, older_than=-1)
        replace(record, digests=digests_of(folder)).write(folder / "edit.json")
        target = make_folder(self.path / "takes" / take / "edits")
        check_own_folder(folder)
        edits = self.versions(f"takes/{take}/edits")
        edit = edits[-1] if edits else 0
        if not edit or _job_of_edit(target / f"{edit:04d}" / "edit.json") != record.job:
            edit += 1
            move_folder(folder, target / f"{edit:04d}")
        known = (target.parent / "take.json").exists()
        old = self.take(take) if known else TakeRecord(created=now())
        replace(
            old, edit=edit, avatar=record.avatar, job=record.job, settings=record.settings
        ).write(target.parent / "take.json")
        return edit

    # Jobs

    def start_job(
        self, kind: str, options: Values, inputs: Mapping[str, object] | None = None
    ) -> "Job":
        """The job to run now: an unfinished one of the same kind, options and inputs, or a new one.

        Unfinished jobs of which the same was asked, but of what the shot was before, are outdated.

        Args:
            options: what is asked.
            inputs: what else identifies the run, such as versions and digests.
        """
        options, inputs = plain(options), plain(inputs or {})
        alike = [
            job
            for job in self.jobs()
            if job.record.unfinished and job.record.kind == kind and job.record.options == options
        ]
        for job in reversed(alike):
            if job.record.inputs == inputs:
                job.update(state="running", resumed=job.record.resumed + 1)
                return job
        for job in alike:
            job.update(state="outdated")
            remove_tree(job.folder / "work")
        self.sweep()
        # By microseconds too: their order is that of names.
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S%f")
        job_id = f"{stamp}-{kind}-{uuid.uuid4().hex[:6]}"
        record = JobRecord(
            id=job_id, kind=kind, options=options, inputs=inputs, state="running", started=now()
        )
        job = Job(make_folder(self.path / "jobs" / job_id), record)
        job.update()
        return job

    def sweep(self) -> None:
        """Deletes what killed processes left: halves of files, and work of jobs that are over.

        Raises:
            ShotError: if a link leads out of the shot.
        """
        sweep(self.path)
        at_work = {claim.purpose for claim in holders(self.path / "locks")}
        for job in self.jobs():
            if job.record.kind in _ASKED_ANEW and job.record.kind not in at_work:
                if job.record.unfinished:
                    self._take_up_edit(job)
                if job.record.state == "running":
                    job.update(state="outdated")
                remove_tree(job.folder / "work")
            elif job.record.state in ("done", "outdated"):
                remove_tree(job.folder / "work")

    def _take_up_edit(self, job: "Job") -> None:
        """Makes an edit current that a job published before it was cut off; it is whole."""
        for name in self.takes():
            take, edits = self.take(name), self.versions(f"takes/{name}/edits")
            path = self.path / "takes" / name / "edits" / f"{edits[-1] if edits else 0:04d}"
            if edits and edits[-1] > (take.edit or 0):
                with suppress(ShotError):
                    record = EditRecord.read(path / "edit.json")
                    if record.job == job.id:
                        replace(
                            take,
                            edit=edits[-1],
                            avatar=record.avatar,
                            job=job.id,
                            settings=record.settings,
                        ).write(self.path / "takes" / name / "take.json")

    def jobs(self) -> list["Job"]:
        """All jobs, oldest first; a folder whose record cannot be read is passed over."""
        jobs = []
        for folder in entries(self.path / "jobs"):
            if not is_link(folder) and (folder / "job.json").is_file():
                with suppress(ShotError):
                    jobs.append(Job(folder, JobRecord.read(folder / "job.json")))
        return jobs

    def job(self, job_id: str) -> "Job":
        """A job by its name.

        Raises:
            ShotError: if there is none, or its record is damaged.
        """
        found = [folder for folder in entries(self.path / "jobs") if folder.name == job_id]
        if not found or is_link(found[0]):
            raise ShotError(f"there is no job '{job_id}'", self.path, "start a new one")
        return Job(found[0], JobRecord.read(found[0] / "job.json"))

    def hold(
        self,
        resource: str,
        purpose: str,
        frames: Sequence[int] | None = None,
        waiting: Waiting | None = None,
    ) -> Lock:
        """Claims a part of the shot while a `with` block runs.

        Args:
            resource: "track", "avatar", "take:NAME" or "frames:NAME".
            purpose: what the holder does, for the message another process shows.
            frames: the frames claimed, None for all; those that share none never conflict.
            waiting: for how long another holder is waited for; not at all by default.

        Raises:
            ShotLocked: on entering, if a living process holds the same part; says who.
        """
        return Lock(self.path / "locks", resource, purpose, frames, waiting)


class Job:
    """The record of one run of a stage, with its events and its folder for work in progress."""

    def __init__(self, folder: Path, record: JobRecord) -> None:
        self.folder = folder
        self.record = record
        # Raises if another process has taken over what the job holds.
        self.check_held: Callable[[], None] = lambda: None

    @property
    def id(self) -> str:
        """The job's name, unique in the shot."""
        return self.folder.name

    @property
    def resumed(self) -> bool:
        """Whether this run continues one that was interrupted."""
        return self.record.resumed > 0

    @property
    def log(self) -> Path:
        """Where it writes down what it does, and the traces of its faults."""
        return self.folder / "log.txt"

    def update(self, **changes: Any) -> None:
        """Rewrites job.json with some fields changed."""
        self.record = replace(self.record, **changes, updated=now())
        self.record.write(self.folder / "job.json")

    def event(self, name: str, **facts: object) -> None:
        """Appends one line to events.jsonl."""
        append_json(self.folder / "events.jsonl", {"time": now(), "event": name} | facts)

    def finish(self, result: Mapping[str, object] | None = None) -> None:
        """Marks the job done and drops what was only needed to resume it."""
        self.update(
            state="done",
            finished=now(),
            result=result or {},
            message="",
            code="",
            place="",
            remedy="",
        )
        remove_tree(self.folder / "work")

    @property
    def work(self) -> Path:
        """Where the job keeps what it needs to resume; gone when it is done."""
        return make_folder(self.folder / "work")


def relative_to(folder: Path, path: Path) -> str:
    """How a shot in a folder names a file; see `Shot.relative`."""
    try:
        return Path(os.path.relpath(Path(path).absolute(), Path(folder).absolute())).as_posix()
    except ValueError:
        return Path(path).absolute().as_posix()


def check_take_name(name: str) -> None:
    """Whether a name can be a folder's name on every system.

    Raises:
        ShotError: if it cannot.
    """
    reserved = _RESERVED.fullmatch(name.partition(".")[0].strip())
    too_long = len(name.encode("utf-8", "surrogatepass")) > _LONGEST_NAME
    if not _NAME.fullmatch(name) or name.endswith((".", " ")) or reserved or too_long:
        raise ShotError(
            f"'{name}' cannot name a take",
            "take",
            "use letters, digits, spaces, '.', '_' and '-', beginning with a letter or digit",
        )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _job_of_edit(path: Path) -> str | None:
    """The job that published an edit, None if its record cannot be read."""
    with suppress(ShotError):
        return EditRecord.read(path).job
    return None
