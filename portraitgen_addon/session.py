# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""This Blender's one conversation with the backend: the process, its job, what waits for Blender.

Nothing here keeps Blender's data: jobs name their scene and shot by name and id, so that undo,
a loaded file or a deleted scene cannot leave a dangling reference.
"""

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portraitgen import protocol
from portraitgen.errors import PortraitError
from portraitgen.messages import jobs
from portraitgen.messages.base import Call, Told
from portraitgen.messages.setup import Describe, Description, Hello, HelloAnswer
from portraitgen.schema import Values

from .job_labels import job_label
from .worker import A, OnError, OnResult, Worker, WorkerError

TICK_BUDGET = 0.005
_CUT_OFF = "The backend was ended; the job can be resumed."


@dataclass
class Job:
    """A job as Blender follows it.

    Attributes:
        kind, shot_id, folder: what runs on which shot.
        scene: the scene that its results go to, by its `session_uid`, fixed when it starts; 0 for
            whichever has the shot.
        take: the take it works on, empty for none.
        options: what it was started with.
        record: the job of the shot's folder that it goes on with, empty for a new one.
        author: whose handiwork it takes over, empty for nobody named.
        id: the backend's name for it, empty until it has answered.
        state: "starting", "running", "cancelling", "done", "cancelled" or "failed".
        stage, step, steps, eta_s: how far its stage is.
        share, left_s: how much of the whole job is done, 0..1, and the time that is left of it.
        error: why it failed, None if it did not.
        message: more to say of its end.
        notes: what it told on the way.
        preview: the latest picture of the work so far.
        curve: what training has reached, (step, PSNR) pairs.
        frames: the files of finished frames by frame number.
        result: what it made, once it is done.
        fault: why a finished frame could not be shown, None if all could.
    """

    kind: str
    shot_id: str
    folder: Path
    scene: int
    take: str = ""
    options: Values = field(default_factory=dict)
    record: str = ""
    author: str = ""
    id: str = ""
    state: str = "starting"
    stage: str = ""
    step: int = 0
    steps: int = 0
    eta_s: float | None = None
    share: float = 0.0
    left_s: float | None = None
    error: PortraitError | None = None
    message: str = ""
    notes: list[str] = field(default_factory=list)
    preview: str = ""
    fault: PortraitError | None = None
    curve: list[tuple[int, float]] = field(default_factory=list)
    frames: dict[int, str] = field(default_factory=dict)
    result: Mapping[str, object] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("starting", "running", "cancelling")


class Session:
    """The conversation. One exists a Blender; `session` below is it.

    Attributes:
        state: "off", "starting", "ready" or "failed".
        error: what went wrong last, None if nothing did.
        doing: what a person waits for besides a job, empty for nothing.
        asked: the request that is answered then, if there is one.
        told, told_of_splats: what was assumed or left out by what a person asked for last, of
            tracks and of splats.
        tried: the same of the frame that was tried last.
        hello: what the worker said of itself.
        description: its editors and job options, None until it has told.
        job: the job that runs or ran last, None before the first.
    """

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._queued: list[Callable[[], None]] = []
        self._pending: list[Callable[[], None]] = []
        self.state = "off"
        self.error: PortraitError | None = None
        self.doing = ""
        self.asked: Call[Any] | None = None
        self.told: tuple[str, ...] = ()
        self.told_of_splats: tuple[str, ...] = ()
        self.tried: tuple[str, ...] = ()
        self.hello: HelloAnswer | None = None
        self.description: Description | None = None
        self.job: Job | None = None
        self.on_change: Callable[[], None] = lambda: None
        self.on_description: Callable[[Description], None] = lambda description: None
        self.on_frame: Callable[[Job, int], None] = lambda job, frame: None
        self.on_done: Callable[[Job, Mapping[str, object]], None] = lambda job, result: None
        self.on_tick: Callable[[], None] = lambda: None
        self.on_look: Callable[[], None] = lambda: None
        self.may_touch_scene: Callable[[], bool] = lambda: True
        self.longest_tick = 0.0

    @property
    def message(self) -> str:
        """What went wrong last in a sentence, empty if nothing did."""
        return str(self.error) if self.error else ""

    @property
    def pid(self) -> int | None:
        """The worker's process, None while there is none."""
        return self._worker.pid if self._worker and self._worker.alive else None

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return self.job is not None and self.job.active

    @property
    def waiting_work(self) -> bool:
        """Whether work on Blender's data waits to be done."""
        return bool(self._pending)

    def start(self, command: list[str]) -> None:
        """Starts the worker unless it lives; what is asked meanwhile waits until it is ready.

        Raises:
            WorkerError: if the process cannot be started.
        """
        if self._worker and self._worker.alive:
            return
        self.state, self.error = "starting", None
        try:
            self._worker = Worker(command, self._notified, self._lost)
        except WorkerError as error:
            self._fail(error)
            raise
        self._worker.ask(Hello(protocol.PROTOCOL), self._greeted, self._fail)

    def ask(self, call: Call[A], on_result: OnResult[A], on_error: OnError) -> None:
        """Sends a request, now or as soon as the worker is ready."""

        def send() -> None:
            assert self._worker
            try:
                self._worker.ask(call, self._safely(on_result), on_error)
            except WorkerError as error:
                on_error(error)

        if self.state == "ready":
            send()
        elif self.state == "starting":
            self._queued.append(send)
        else:
            on_error(self.error or WorkerError("the backend is not running"))

    def run(self, job: Job) -> None:
        """Starts a job, or goes on with the one that `job.record` names.

        Raises:
            WorkerError: if another one runs.
        """
        if self.busy:
            assert self.job
            raise WorkerError(
                f"{job_label(self.job.kind)} is running", remedy="cancel it or wait for its end"
            )
        self.job = job

        def began(answer: jobs.JobStarted) -> None:
            job.id = answer.job
            if job.state == "cancelling":
                self._cancel(job)
            elif job.active:
                # One that fails at once tells so before its start is answered.
                job.state = "running"

        def on_error(error: PortraitError) -> None:
            self._end(job, "failed", error)

        folder = str(job.folder)
        call: Call[jobs.JobStarted] = jobs.StartJob(job.kind, folder, job.options, job.author)
        if job.record:
            call = jobs.ResumeJob(folder, job.record, job.author)
        self.ask(call, began, on_error)
        self.on_change()

    def cancel(self) -> None:
        """Cancels the running job; a second time ends the worker, whatever it does."""
        job = self.job
        if job is None or not job.active:
            return
        if job.state == "cancelling":
            self.end()
            self._end(job, "cancelled", None, _CUT_OFF)
            return
        waiting = job.state == "starting"
        job.state = "cancelling"
        if not waiting:
            self._cancel(job)
        self.on_change()

    def _cancel(self, job: Job) -> None:
        self.ask(jobs.CancelJob(job.id), lambda answer: None, lambda error: None)

    def end(self) -> None:
        """Ends the worker and gives its memory back; a running job keeps its checkpoint."""
        if self._worker:
            self._worker.end()
        self._worker = None
        self.state, self.hello = "off", None
        self._queued.clear()
        if self.job and self.job.active:
            self._end(self.job, "cancelled", None, _CUT_OFF)
        self.on_change()

    def later(self, work: Callable[[], None]) -> None:
        """Runs work on Blender's data as soon as it may be changed, in order."""
        self._pending.append(work)

    def tick(self) -> None:
        """Handles what has arrived and what waits for Blender; called by a timer or a test."""
        began = time.perf_counter()
        if self._worker:
            self._worker.drain(TICK_BUDGET)
        worked = False
        while self._pending and self.may_touch_scene():
            if time.perf_counter() - began > TICK_BUDGET:
                break
            worked = True
            self._guarded(self._pending.pop(0))
        if worked:
            # What it brought is shown now, not when the mouse moves next.
            self.on_change()
        self.longest_tick = max(self.longest_tick, time.perf_counter() - began)
        self._guarded(self.on_tick)

    # What the worker says

    def _greeted(self, hello: HelloAnswer) -> None:
        self.hello = hello
        assert self._worker
        self._worker.ask(Describe(), self._described, self._fail)

    def _described(self, description: Description) -> None:
        self.description = description
        self.state = "ready"
        self._guarded(lambda: self.on_description(description))
        queued, self._queued = self._queued, []
        for send in queued:
            send()
        self.on_change()

    def _fail(self, error: PortraitError) -> None:
        self.state, self.error = "failed", error
        queued, self._queued = self._queued, []
        for send in queued:
            send()
        self.on_change()

    def _lost(self, error: PortraitError) -> None:
        self._worker = None
        self.hello = None
        self._fail(error)
        if self.job and self.job.active:
            self._end(self.job, "failed", error)

    def _notified(self, told: Told) -> None:
        job = self.job
        if job is None or not job.active:
            return
        match told:
            case jobs.JobProgress(job=id) if self._is(job, id):
                job.stage, job.step = told.stage, told.step
                job.steps, job.eta_s = told.steps, told.eta_s
                job.share, job.left_s = told.share, told.left_s
                if (psnr := told.metrics.get("psnr")) is not None:
                    job.curve.append((job.step, psnr))
            case jobs.JobFrame(job=id) if self._is(job, id):
                frame = told.frame
                job.frames[frame] = told.plate or told.path
                self.later(lambda: self._show(job, frame))
            case jobs.JobPreview(job=id) if self._is(job, id):
                job.preview = told.path
            case jobs.JobNote(job=id) if self._is(job, id):
                job.notes.append(told.text)
            case jobs.JobDone(job=id) if self._is(job, id):
                result = job.result = told.result
                self.later(lambda: self._finish(job, result))
            case jobs.JobFailed(job=id) if self._is(job, id):
                self._end(job, "failed", told.error.error())
            case jobs.JobCancelled(job=id) if self._is(job, id):
                self._end(job, "cancelled", None)
        self.on_change()

    @staticmethod
    def _is(job: Job, told: str) -> bool:
        """Whether a notification is of a job; what comes before its name is known is."""
        return not job.id or told == job.id

    def _show(self, job: Job, frame: int) -> None:
        try:
            self.on_frame(job, frame)
        except PortraitError as error:
            job.fault = error

    def _finish(self, job: Job, result: Mapping[str, object]) -> None:
        """Brings a result into the scene; a job whose result cannot be brought in has failed."""
        try:
            self.on_done(job, result)
        except PortraitError as error:
            self._end(job, "failed", error)
        except Exception as error:  # noqa: BLE001 - told to the user; the trace goes to the console.
            traceback.print_exc()
            text = f"the result could not be brought into the scene: {error}"
            self._end(job, "failed", PortraitError(text))
        else:
            self._end(job, "failed" if job.fault else "done", job.fault)

    def _end(self, job: Job, state: str, error: PortraitError | None, message: str = "") -> None:
        job.state, job.error, job.eta_s, job.left_s = state, error, None, None
        job.message = str(error) if error else message
        self.on_change()

    def _safely(self, on_result: OnResult[A]) -> OnResult[A]:
        return lambda answer: self._guarded(lambda: on_result(answer))

    def _guarded(self, work: Callable[[], None]) -> None:
        """One fault of ours must not stop the messages behind it."""
        try:
            work()
        except PortraitError as error:
            self.error = error
            self.on_change()
        except Exception as error:  # noqa: BLE001 - told to the user; the trace goes to the console.
            traceback.print_exc()
            self.error = PortraitError(f"the extension met a fault of its own ({error})")
            self.on_change()


session = Session()
"""The session of this Blender."""
