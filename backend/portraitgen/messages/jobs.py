# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of the worker, and what it tells of them by itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from ..schema import Data, Values
from .base import Call, ErrorData, Nothing, Told


@dataclass(frozen=True)
class JobStarted(Data):
    """The worker's name for a job that runs now."""

    job: str


@dataclass(frozen=True)
class StartJob(Call[JobStarted]):
    """Starts a job; options that are left out have their defaults.

    Attributes:
        author: whose handiwork it takes over, empty for nobody named.
    """

    METHOD: ClassVar[str] = "job.start"
    ANSWER: ClassVar[type[Data]] = JobStarted
    kind: str
    shot: str
    options: Values = field(default_factory=dict)
    author: str = ""


@dataclass(frozen=True)
class ResumeJob(Call[JobStarted]):
    """Goes on with a job of a shot's folder `jobs`, by its name there, with its own options.

    Attributes:
        author: whose handiwork it takes over, empty for nobody named.
    """

    METHOD: ClassVar[str] = "job.resume"
    ANSWER: ClassVar[type[Data]] = JobStarted
    shot: str
    record: str
    author: str = ""


@dataclass(frozen=True)
class CancelJob(Call[Nothing]):
    """Asks a job to stop."""

    METHOD: ClassVar[str] = "job.cancel"
    ANSWER: ClassVar[type[Data]] = Nothing
    job: str


@dataclass(frozen=True)
class Shutdown(Call[Nothing]):
    """Ends the worker."""

    METHOD: ClassVar[str] = "shutdown"
    ANSWER: ClassVar[type[Data]] = Nothing


@dataclass(frozen=True)
class Heartbeat(Told):
    """The worker lives; told every `protocol.HEARTBEAT` seconds."""

    METHOD: ClassVar[str] = "heartbeat"


@dataclass(frozen=True)
class JobProgress(Told):
    """How far a job is.

    Attributes:
        stage, step, steps, eta_s: its stage, and the time that is left of that.
        share, left_s: of the whole job: what is done of it, 0..1, and the time that is left;
            None while nobody can tell.
    """

    METHOD: ClassVar[str] = "job.progress"
    job: str
    stage: str
    step: int
    steps: int
    eta_s: float | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    share: float = 0.0
    left_s: float | None = None


@dataclass(frozen=True)
class JobFrame(Told):
    """A frame of a take is on disk; `plate` is its full plate, if one was asked for."""

    METHOD: ClassVar[str] = "job.frame"
    job: str
    take: str
    frame: int
    path: str
    plate: str | None = None


@dataclass(frozen=True)
class JobPreview(Told):
    """A picture of the work so far."""

    METHOD: ClassVar[str] = "job.preview"
    job: str
    path: str


@dataclass(frozen=True)
class JobNote(Told):
    """Something the user should know."""

    METHOD: ClassVar[str] = "job.note"
    job: str
    text: str


@dataclass(frozen=True)
class JobDone(Told):
    """A job has ended; `result` is what it made."""

    METHOD: ClassVar[str] = "job.done"
    job: str
    result: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class JobFailed(Told):
    """A job has failed."""

    METHOD: ClassVar[str] = "job.failed"
    job: str
    error: ErrorData


@dataclass(frozen=True)
class JobCancelled(Told):
    """A job has stopped as it was asked to; it can be resumed."""

    METHOD: ClassVar[str] = "job.cancelled"
    job: str
