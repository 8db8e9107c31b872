# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs sent to a render farm: the submitter that is there, and how the farm's jobs stand.

Flamenco's Manager is asked over HTTP by a thread of its own, and only where Blender is online.
What it answers is a stranger's: read in bounds, and shown as text.
"""

import json
import subprocess
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
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
_OVER = ("completed", "failed", "canceled", "construction-failed")


@dataclass
class SentJob:
    """A job of Flamenco's.

    Attributes:
        id, name: as the Manager names it.
        status: the Manager's own word.
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
    """Opens Deadline's own dialog for a bundle.

    Raises:
        PortraitError: if the command is not there.
    """
    command = deadline()
    if not command:
        raise PortraitError(
            "Deadline Cloud's command is not here", "deadline", "pip install deadline[gui]"
        )
    subprocess.Popen(
        [command, "bundle", "gui-submit", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
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
    parts = urlsplit(manager.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PortraitError(
            f"'{manager}' is no address", "Flamenco Manager", "write it as http://farm:8080"
        )
    return f"{parts.scheme}://{parts.netloc}"


def _send(base: str, jobs: list[dict[str, object]], stop: threading.Event) -> None:
    try:
        for job in jobs:
            told = _asked(f"{base}/api/v3/jobs", job)
            sent = SentJob(told.id, told.name or str(job.get("name", "")))
            if not stop.is_set():
                farm.jobs.append(sent)
        farm.sending = False
        while not all(each.over for each in farm.jobs) and not stop.wait(_EVERY):
            for each in farm.jobs:
                _look(base, each)
    except PortraitError as error:
        farm.error = error
    finally:
        farm.sending = False


def _look(base: str, job: SentJob) -> None:
    """How a job stands; a Manager that does not answer is asked again."""
    place = f"{base}/api/v3/jobs/{quote(job.id, safe='')}"
    try:
        status = (_asked(place).status or job.status)[:40]
        tasks = _asked(f"{place}/tasks").tasks
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
        PortraitError: if it refuses, or cannot be reached.
    """
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(place, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            return _Answer.parse(parse_json(answer.read(_LARGEST)))
    except urllib.error.HTTPError as error:
        text = error.read(2000).decode("utf-8", "replace")
        try:
            text = _Answer.parse(parse_json(text)).message or text
        except ValueError:
            pass
        raise PortraitError(
            f"the Manager refused the job ({printable(text)[:300]})",
            place,
            "lay portraitgen.js into its scripts folder and start it again",
        ) from error
    except (OSError, ValueError) as error:
        raise PortraitError(
            f"Flamenco's Manager does not answer ({error})", place, "see that it runs"
        ) from error
