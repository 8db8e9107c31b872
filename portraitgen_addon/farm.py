# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs sent to a render farm: the submitter that is there, and how the farm's jobs stand.

Flamenco's Manager is asked over HTTP by a thread of its own, and only where Blender is online.
What it answers is a stranger's: read in bounds, and shown as text.
"""

import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import quote, urlsplit

from portraitgen.bounded_json import parse_json
from portraitgen.errors import PortraitError
from portraitgen.plain_text import printable
from portraitgen.schema import Data

from .background_process import installed

_TIMEOUT = 20.0
_LARGEST = 4 << 20
_EVERY = 5.0
_OVER = ("completed", "failed", "canceled", "construction-failed", "gone")
_NOT_FOUND = 404


@dataclass
class SentJob:
    """A job of Flamenco's.

    Attributes:
        id, name: as the Manager names it.
        status: the Manager's own word; "gone" once it knows the job no more.
        done, tasks: how many of its tasks are completed.
        error: why nothing is known of it, empty if it is.
    """

    id: str
    name: str
    status: str = "queued"
    done: int = 0
    tasks: int = 0
    error: str = ""

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.status in _OVER

    def __str__(self) -> str:
        count = f", {self.done} of {self.tasks} tasks" if self.tasks else ""
        return printable(f"{self.name}: {self.status}{count}")


@dataclass
class Farm:
    """What was sent from this Blender.

    Attributes:
        jobs: of Flamenco's, the latest sending's.
        sending: whether a sending is under way.
        error: why it failed, None if it did not.
    """

    jobs: list[SentJob] = field(default_factory=list)
    sending: bool = False
    error: PortraitError | None = None
    stop: threading.Event = field(default_factory=threading.Event)


farm = Farm()
"""The farm of this Blender."""


def deadline() -> str:
    """Deadline Cloud's command, empty where there is none."""
    return installed("deadline")


def open_deadline(folder: Path) -> None:
    """Opens Deadline's own dialog for a bundle; if it fails, that is told once it has ended.

    Raises:
        PortraitError: if the command is not there.
    """
    command = deadline()
    if not command:
        raise PortraitError(
            "Deadline Cloud's command is not here", "deadline", "pip install deadline[gui]"
        )
    dialog = subprocess.Popen(
        [command, "bundle", "gui-submit", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    farm.error = None
    threading.Thread(target=_wait_for, args=(dialog,), daemon=True, name="deadline").start()


def _wait_for(dialog: subprocess.Popen[bytes]) -> None:
    _, said = dialog.communicate()
    if dialog.returncode:
        words = printable(" ".join(said.decode("utf-8", "replace").split()))[-300:]
        farm.error = PortraitError(
            f"Deadline's dialog has failed ({words or f'status {dialog.returncode}'})",
            "deadline",
            "run deadline bundle gui-submit with the job's folder in a terminal",
        )


def send_to_flamenco(manager: str, files: list[Path]) -> None:
    """Sends the jobs that some files describe, and follows them until they have ended.

    Args:
        manager: as http://farm:8080.

    Raises:
        PortraitError: if that is no address.
    """
    base = address_of(manager)
    jobs = [json.loads(file.read_text("utf-8")) for file in files]
    farm.stop.set()
    farm.stop = threading.Event()
    farm.jobs, farm.sending, farm.error = [], True, None
    threading.Thread(
        target=_send, args=(base, jobs, farm.stop), daemon=True, name="flamenco"
    ).start()


def end() -> None:
    """Follows nothing any more; the farm's jobs go on."""
    farm.stop.set()
    farm.sending = False


def address_of(manager: str) -> str:
    """The address of a Manager, without what follows its host.

    Raises:
        PortraitError: if it is none.
    """
    try:
        parts = urlsplit(manager.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        # Names and passwords go to no Manager, and blanks to no host.
        usable = usable and "@" not in parts.netloc and parts.netloc.isprintable()
        usable = usable and not any(each.isspace() for each in parts.netloc)
    except ValueError:
        usable = False
    if not usable:
        raise PortraitError(
            f"'{manager}' is no address", "Flamenco Manager", "write it as http://farm:8080"
        )
    return f"{parts.scheme}://{parts.netloc}"


def _send(base: str, jobs: list[dict[str, object]], stop: threading.Event) -> None:
    """Sends jobs, then looks after those that were taken, all of them or not."""
    sent: list[SentJob] = []
    error: PortraitError | None = None
    try:
        for job in jobs:
            sent.append(_sent(base, job))
            if not stop.is_set():
                farm.jobs.append(sent[-1])
    except PortraitError as told:
        error = told
        if sent:
            names = ", ".join(each.name for each in sent)
            error = PortraitError(
                f"{told.message}; {len(sent)} of {len(jobs)} jobs were sent before ({names})",
                told.place,
                f"{told.remedy}, then send the other shots alone",
            )
    if not stop.is_set():
        farm.error, farm.sending = error, False
    while not all(each.over for each in sent) and not stop.wait(_EVERY):
        for each in sent:
            if not each.over and not stop.is_set():
                _look(base, each)


def _sent(base: str, job: dict[str, object]) -> SentJob:
    """A job that was sent.

    Raises:
        PortraitError: if the Manager refuses it, does not answer, or answers as none does.
    """
    place = f"{base}/api/v3/jobs"
    try:
        told = _asked(place, job)
    except urllib.error.HTTPError as refusal:
        raise PortraitError(
            f"the Manager refused the job ({_reason(refusal)})",
            place,
            "lay portraitgen.js into its scripts folder and start it again",
        ) from refusal
    if not told.id:
        raise PortraitError("what answers is no Manager of Flamenco's", place, "check the address")
    return SentJob(told.id, told.name or str(job.get("name", "")))


def _look(base: str, job: SentJob) -> None:
    """How a job stands; a Manager that does not answer is asked again."""
    place = f"{base}/api/v3/jobs/{quote(job.id, safe='')}"
    try:
        status = (_asked(place).status or job.status)[:40]
        tasks = _asked(f"{place}/tasks").tasks
    except urllib.error.HTTPError as refusal:
        if refusal.code == _NOT_FOUND:
            job.error, job.status = "", "gone"
        else:
            job.error = f"The Manager does not say how it stands ({_reason(refusal)})."
        return
    except PortraitError as error:
        job.error = str(error)
        return
    job.error = ""
    if tasks is not None:
        job.tasks = len(tasks)
        job.done = sum(each.status == "completed" for each in tasks)
    # Last: whoever sees that it is over sees how far it came.
    job.status = status


@dataclass(frozen=True)
class _Task(Data):
    status: str = ""


@dataclass(frozen=True)
class _Answer(Data):
    """What a Manager tells of a job, of its tasks, or of why it refused."""

    id: str = ""
    name: str = ""
    status: str = ""
    tasks: tuple[_Task, ...] | None = None
    message: str = ""


def _asked(place: str, body: object = None) -> _Answer:
    """What a Manager answers.

    Raises:
        PortraitError: if it cannot be reached, or does not answer; HTTPError: if it refuses.
    """
    data = json.dumps(body).encode() if body is not None else None
    try:
        request = urllib.request.Request(place, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            return _Answer.parse(parse_json(_read(answer)))
    except urllib.error.HTTPError:
        raise
    except (OSError, ValueError, HTTPException) as error:
        reason = printable(str(error) or type(error).__name__)[:300]
        raise PortraitError(
            f"Flamenco's Manager does not answer ({reason})", place, "see that it runs"
        ) from error


def _read(answer: HTTPResponse) -> bytes:
    """What is answered, within bounds of size and time.

    Raises:
        ValueError: if it is more; TimeoutError: if it takes longer.
    """
    until = time.monotonic() + _TIMEOUT
    read = bytearray()
    while piece := answer.read1(1 << 16):
        read += piece
        if len(read) > _LARGEST:
            raise ValueError("it says too much")
        if time.monotonic() > until:
            raise TimeoutError("it is too slow")
    return bytes(read)


def _reason(refusal: urllib.error.HTTPError) -> str:
    """Why a Manager refused, in its own words."""
    try:
        text = refusal.read(2000).decode("utf-8", "replace")
    except (OSError, HTTPException):
        text = ""
    with suppress(ValueError):
        text = _Answer.parse(parse_json(text)).message or text
    return printable(text)[:300] or f"status {refusal.code}"
