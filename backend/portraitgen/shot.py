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

import json
import os
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .errors import ShotError
from .locks import Lock
from .storage import (
    append_json,
    check_own_folder,
    entries,
    is_link,
    make_folder,
    move_folder,
    read_json,
    remove_tree,
    sweep,
    write_json,
)

SCHEMA = 1
_VERSION = re.compile(r"[0-9]{4,9}")
_NAME = re.compile(r"[^\W_][\w .-]{0,63}")


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Shot:
    """An opened shot folder.

    Attributes:
        path: the folder, absolute.
        facts: the content of shot.json; change it through `update` only.
    """

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path = path
        self.facts = facts

    @classmethod
    def create(
        cls, path: Path, footage: Mapping[str, Any], body_model: Mapping[str, Any] | None = None
    ) -> "Shot":
        """Makes a new shot folder; what else lies in the folder stays.

        Args:
            path: the folder; made if it does not exist.
            footage: the plate's facts, with `path` absolute or relative to the folder.
            body_model: `path` (None for the open body), `name`, `sha256`.

        Raises:
            ShotError: if the folder already is a shot, or is not a folder.
        """
        path = Path(path).absolute()
        if (path / "shot.json").exists():
            raise ShotError("the folder already is a shot", path, "choose another folder")
        if path.exists() and not path.is_dir():
            raise ShotError("this is a file", path, "give a folder for the shot")
        facts = {
            "schema": SCHEMA,
            "id": uuid.uuid4().hex,
            "created": now(),
            "footage": dict(footage),
            "body_model": dict(body_model or {"path": None}),
        }
        path.mkdir(parents=True, exist_ok=True)
        write_json(path / "shot.json", facts)
        return cls(path, facts)

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
        facts = read_json(path / "shot.json")
        _check_schema(facts, path / "shot.json")
        for key, kind in (("id", str), ("footage", dict), ("body_model", dict)):
            if not isinstance(facts.get(key), kind):
                raise ShotError(
                    f"'{key}' is missing", path / "shot.json", "restore it from a backup"
                )
        return cls(path, facts)

    def update(self, **changes: Any) -> None:
        """Rewrites shot.json with some facts changed."""
        self.facts = self.facts | changes
        write_json(self.path / "shot.json", self.facts)

    @property
    def footage_path(self) -> Path:
        """Where the plate lies; a relative path counts from the shot folder."""
        return (self.path / self.facts["footage"]["path"]).absolute()

    def relative(self, path: Path) -> str:
        """How shot.json names a file: relative when both lie on one volume, so that a moved
        project keeps its links; forward slashes on every system."""
        try:
            return Path(os.path.relpath(Path(path).absolute(), self.path)).as_posix()
        except ValueError:
            return Path(path).absolute().as_posix()

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

    def publish(self, kind: str, folder: Path) -> int:
        """Moves a finished folder into place as the next version of "track" or "avatar".

        Returns:
            The version's number.
        """
        parent = make_folder(self.path / kind)
        check_own_folder(folder)
        version = (self.versions(kind) or [0])[-1] + 1
        while True:
            try:
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
        for version in reversed(self.versions(kind)):
            facts = read_json(self.path / kind / f"{version:04d}" / f"{kind}.json")
            if facts.get("job") == job.id:
                return version
        return None

    # Takes

    def takes(self) -> list[str]:
        """The names of all takes, oldest first."""
        folder = self.path / "takes"
        if not folder.is_dir():
            return []
        found = [entry for entry in folder.iterdir() if (entry / "take.json").is_file()]
        return [
            entry.name
            for entry in sorted(
                found, key=lambda e: (read_json(e / "take.json")["created"], e.name)
            )
        ]

    def take_folder(self, name: str) -> Path:
        """The folder of a take that exists.

        Raises:
            ShotError: if the shot has no such take.
        """
        if name not in self.takes():
            known = ", ".join(self.takes()) or "none yet"
            raise ShotError(f"there is no take '{name}'", self.path, f"the takes are: {known}")
        return self.path / "takes" / name

    def new_take(self, name: str, facts: Mapping[str, Any]) -> Path:
        """Makes a take's folder, or gives an existing one back with its settings renewed.

        What earlier edits of the take made stays in its `edits` folder.

        Raises:
            ShotError: if the name cannot be a folder's name on every system.
        """
        check_take_name(name)
        folder = self.path / "takes" / name
        make_folder(folder)
        old = read_json(folder / "take.json") if (folder / "take.json").exists() else {}
        write_json(folder / "take.json", {"schema": SCHEMA, "created": now()} | old | dict(facts))
        return folder

    def discard_take(self, name: str) -> Path:
        """Moves a take out of the way, into the shot's `trash`, from where it can be moved back.

        Returns:
            Where it lies now.

        Raises:
            ShotError: if there is no such take; ShotLocked: if a process works on it.
        """
        folder = self.take_folder(name)
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        target = self.path / "trash" / f"{name}-{stamp}-{uuid.uuid4().hex[:6]}"
        make_folder(target.parent)
        with self.hold(f"take:{name}", "delete"), self.hold(f"frames:{name}", "delete"):
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
        edit = read_json(folder / "take.json").get("edit")
        if not edit:
            raise ShotError(f"take '{take}' has no finished edit", self.path, "run edit first")
        return folder / "edits" / f"{int(edit):04d}"

    def publish_edit(self, take: str, folder: Path, facts: Mapping[str, Any]) -> int:
        """Moves a finished edit into the take and makes it the current one.

        Args:
            facts: of the edit, `job` among them: a job resumed after it published does not again.
        """
        target = make_folder(self.path / "takes" / take / "edits")
        check_own_folder(folder)
        edits = self.versions(f"takes/{take}/edits")
        if (
            edits
            and read_json(target / f"{edits[-1]:04d}" / "edit.json").get("job") == facts["job"]
        ):
            edit = edits[-1]  # Published before the job was killed.
        else:
            edit = edits[-1] + 1 if edits else 1
            move_folder(folder, target / f"{edit:04d}")
        self.new_take(take, dict(facts) | {"edit": edit})
        return edit

    # Jobs

    def start_job(self, kind: str, options: Mapping[str, Any]) -> "Job":
        """The job to run now: an unfinished one of the same kind and options, or a new one."""
        options = json.loads(json.dumps(dict(options)))
        for job in reversed(self.jobs()):
            if (
                job.facts["kind"] == kind
                and job.facts["options"] == options
                and job.facts["state"] != "done"
            ):
                job.update(state="running", resumed=job.facts.get("resumed", 0) + 1)
                return job
        sweep(self.path)
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        job_id = f"{stamp}-{kind}-{uuid.uuid4().hex[:6]}"
        facts = {"schema": SCHEMA, "id": job_id, "kind": kind, "options": options}
        folder = self.path / "jobs" / job_id
        make_folder(folder)
        job = Job(folder, facts | {"state": "running", "started": now(), "resumed": 0})
        job.update()
        return job

    def jobs(self) -> list["Job"]:
        """All jobs, oldest first; a folder whose record cannot be read is passed over."""
        folder = self.path / "jobs"
        jobs = []
        for record in (entry / "job.json" for entry in entries(folder) if not is_link(entry)):
            try:
                facts = read_json(record)
            except ShotError:
                continue
            if {"kind", "options", "state"} <= facts.keys():
                jobs.append(Job(record.parent, facts))
        return jobs

    def hold(self, resource: str, purpose: str, frames: range | None = None) -> Lock:
        """Claims a part of the shot while a `with` block runs.

        Args:
            resource: "track", "avatar", "take:NAME" or "frames:NAME".
            purpose: what the holder does, for the message another process shows.
            frames: the frames claimed, None for all; disjoint ranges never conflict.

        Raises:
            ShotLocked: on entering, if a living process holds the same part; says who.
        """
        return Lock(self.path / "locks", resource, purpose, frames)


class Job:
    """The record of one run of a stage, with its events and its folder for work in progress."""

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.folder = folder
        self.facts = facts

    @property
    def id(self) -> str:
        """The job's name, unique in the shot."""
        return self.folder.name

    @property
    def resumed(self) -> bool:
        """Whether this run continues one that was interrupted."""
        return bool(self.facts.get("resumed"))

    def update(self, **changes: Any) -> None:
        """Rewrites job.json with some facts changed."""
        self.facts = self.facts | changes | {"updated": now()}
        write_json(self.folder / "job.json", self.facts)

    def event(self, name: str, **facts: Any) -> None:
        """Appends one line to events.jsonl."""
        append_json(self.folder / "events.jsonl", {"time": now(), "event": name} | facts)

    def finish(self, **facts: Any) -> None:
        """Marks the job done and drops what was only needed to resume it."""
        self.update(state="done", finished=now(), **facts)
        remove_tree(self.folder / "work")

    @property
    def work(self) -> Path:
        """Where the job keeps what it needs to resume; gone when it is done."""
        return make_folder(self.folder / "work")


def check_take_name(name: str) -> None:
    """Whether a name can be a folder's name on every system.

    Raises:
        ShotError: if it cannot.
    """
    if not _NAME.fullmatch(name) or name.endswith((".", " ")):
        raise ShotError(
            f"'{name}' cannot name a take",
            "take",
            "use letters, digits, spaces, '.', '_' and '-', beginning with a letter or digit",
        )


def _check_schema(facts: Mapping[str, Any], place: Path) -> None:
    schema = facts.get("schema")
    if not isinstance(schema, int):
        raise ShotError("the schema version is missing", place, "restore it from a backup")
    if schema > SCHEMA:
        raise ShotError(
            f"the shot has schema {schema}, this version reads up to {SCHEMA}",
            place,
            "update PortraitGen",
        )
