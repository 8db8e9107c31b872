# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""This Blender's one conversation with the backend: the process, its job, what waits for Blender.

Nothing here keeps Blender's data: jobs name their scene and shot by name and id, so that undo,
a loaded file or a deleted scene cannot leave a dangling reference.
"""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portraitgen import protocol
from portraitgen.errors import PortraitError
from portraitgen.protocol import Notification

from .worker import Refused, Worker, WorkerError

TICK_BUDGET = 0.005
Answered = Callable[[Any], None]


@dataclass
class Job:
    """A job as Blender follows it.

    Attributes:
        kind, shot_id, folder: what runs on which shot.
        scene: the name of the scene its results go to, fixed when it starts.
        take: the take it works on, empty for none.
        options: what it was started with, to resume it.
        id: the backend's name for it, empty until it has answered.
        state: "starting", "running", "cancelling", "done", "cancelled" or "failed".
        stage, step, steps, eta_s: its progress.
        message: why it failed.
        notes: what it told on the way.
        preview: the latest picture of the work so far.
        curve: what training has reached, (step, PSNR) pairs.
        frames: the files of finished frames by frame number.
        fault: why a finished frame could not be shown, empty if all could.
    """

    kind: str
    shot_id: str
    folder: Path
    scene: str
    take: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    id: str = ""
    state: str = "starting"
    stage: str = ""
    step: int = 0
    steps: int = 0
    eta_s: float | None = None
    message: str = ""
    notes: list[str] = field(default_factory=list)
    preview: str = ""
    fault: str = ""
    curve: list[tuple[int, float]] = field(default_factory=list)
    frames: dict[int, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("starting", "running", "cancelling")

    @property
    def share(self) -> float:
        """How much of the stage is done, 0..1."""
        return self.step / self.steps if self.steps else 0.0


class Session:
    """The conversation. One exists a Blender; `session` below is it.

    Attributes:
        state: "off", "starting", "ready" or "failed".
        message: why it failed.
        doing: what a person waits for besides a job, empty for nothing.
        hello: what the worker said of itself.
        description: its editors and job options, None until it has told.
        job: the job that runs or ran last, None before the first.
    """

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._queued: list[Callable[[], None]] = []
        self._pending: list[Callable[[], None]] = []
        self.state = "off"
        self.message = ""
        self.doing = ""
        self.hello: dict[str, Any] = {}
        self.description: dict[str, Any] | None = None
        self.job: Job | None = None
        self.on_change: Callable[[], None] = lambda: None
        self.on_description: Callable[[dict[str, Any]], None] = lambda description: None
        self.on_frame: Callable[[Job, int], None] = lambda job, frame: None
        self.on_done: Callable[[Job, dict[str, Any]], None] = lambda job, result: None
        self.may_touch_scene: Callable[[], bool] = lambda: True
        self.longest_tick = 0.0

    @property
    def pid(self) -> int | None:
        """The worker's process, None while there is none."""
        return self._worker.pid if self._worker and self._worker.alive else None

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return self.job is not None and self.job.active

    def start(self, command: list[str]) -> None:
        """Starts the worker unless it lives; what is asked meanwhile waits until it is ready.

        Raises:
            WorkerError: if the process cannot be started.
        """
        if self._worker and self._worker.alive:
            return
        self.state, self.message = "starting", ""
        try:
            self._worker = Worker(command, self._news, self._lost)
        except WorkerError as error:
            self._fail(error)
            raise
        params = {"protocol": protocol.PROTOCOL}
        self._worker.ask("hello", params, self._greeted, self._fail)

    def ask(
        self, method: str, params: dict[str, Any], answered: Answered, refused: Refused
    ) -> None:
        """Sends a request, now or as soon as the worker is ready."""

        def send() -> None:
            assert self._worker
            try:
                self._worker.ask(method, params, self._safely(answered), refused)
            except WorkerError as error:
                refused(error)

        if self.state == "ready":
            send()
        elif self.state == "starting":
            self._queued.append(send)
        else:
            refused(WorkerError(self.message or "the backend is not running"))

    def run(self, job: Job) -> None:
        """Starts a job.

        Raises:
            WorkerError: if another one runs.
        """
        if self.busy:
            assert self.job
            raise WorkerError(f"{self.job.kind} is running", remedy="cancel it or wait for its end")
        self.job = job
        params = {"kind": job.kind, "shot": str(job.folder), "options": job.options}

        def began(answer: dict[str, Any]) -> None:
            job.id = answer["job"]
            if job.state == "cancelling":
                self._cancel(job)
            else:
                job.state = "running"

        def refused(error: PortraitError) -> None:
            self._end(job, "failed", str(error))

        self.ask("job.start", params, began, refused)
        self.on_change()

    def cancel(self) -> None:
        """Cancels the running job; a second time ends the worker, whatever it does."""
        job = self.job
        if job is None or not job.active:
            return
        if job.state == "cancelling":
            self.end()
            self._end(job, "cancelled", "The backend was ended; the job can be resumed.")
            return
        waiting = job.state == "starting"
        job.state = "cancelling"
        if not waiting:
            self._cancel(job)
        self.on_change()

    def _cancel(self, job: Job) -> None:
        self.ask("job.cancel", {"job": job.id}, lambda answer: None, lambda error: None)

    def end(self) -> None:
        """Ends the worker and gives its memory back; a running job keeps its checkpoint."""
        if self._worker:
            self._worker.end()
        self._worker = None
        self.state, self.hello = "off", {}
        self._queued.clear()
        if self.job and self.job.active:
            self._end(self.job, "cancelled", "The backend was ended; the job can be resumed.")
        self.on_change()

    def later(self, work: Callable[[], None]) -> None:
        """Runs work on Blender's data as soon as it may be changed, in order."""
        self._pending.append(work)

    def tick(self) -> None:
        """Handles what has arrived and what waits for Blender; called by a timer or a test."""
        began = time.perf_counter()
        if self._worker:
            self._worker.drain(TICK_BUDGET)
        while self._pending and self.may_touch_scene():
            if time.perf_counter() - began > TICK_BUDGET:
                break
            self._guarded(self._pending.pop(0))
        self.longest_tick = max(self.longest_tick, time.perf_counter() - began)

    # What the worker says

    def _greeted(self, hello: dict[str, Any]) -> None:
        self.hello = hello
        assert self._worker
        self._worker.ask("describe", {}, self._described, self._fail)

    def _described(self, description: dict[str, Any]) -> None:
        self.description = description
        self.state = "ready"
        self._guarded(lambda: self.on_description(description))
        queued, self._queued = self._queued, []
        for send in queued:
            send()
        self.on_change()

    def _fail(self, error: PortraitError) -> None:
        self.state, self.message = "failed", str(error)
        queued, self._queued = self._queued, []
        for send in queued:
            send()
        self.on_change()

    def _lost(self, error: PortraitError) -> None:
        self._worker = None
        self.hello = {}
        self._fail(error)
        if self.job and self.job.active:
            self._end(self.job, "failed", str(error))

    def _news(self, news: Notification) -> None:
        job, params = self.job, news.params
        if job is None or not job.active or (job.id and params.get("job") != job.id):
            return
        match news.method:
            case "job.progress":
                job.stage, job.step = params["stage"], params["step"]
                job.steps, job.eta_s = params["steps"], params["eta_s"]
                if (psnr := params["metrics"].get("psnr")) is not None:
                    job.curve.append((job.step, psnr))
            case "job.frame":
                frame = int(params["frame"])
                job.frames[frame] = params.get("plate") or params["path"]
                self.later(lambda: self._show(job, frame))
            case "job.preview":
                job.preview = params["path"]
            case "job.note":
                job.notes.append(params["text"])
            case "job.done":
                self.later(lambda: self._finish(job, params["result"]))
            case "job.failed":
                self._end(job, "failed", params["message"])
            case "job.cancelled":
                self._end(job, "cancelled", "")
        self.on_change()

    def _show(self, job: Job, frame: int) -> None:
        try:
            self.on_frame(job, frame)
        except PortraitError as error:
            job.fault = str(error)

    def _finish(self, job: Job, result: dict[str, Any]) -> None:
        """Brings a result into the scene; a job whose result cannot be brought in has failed."""
        try:
            self.on_done(job, result)
        except PortraitError as error:
            self._end(job, "failed", str(error))
        except Exception as error:  # noqa: BLE001 - told to the user; the trace goes to the console.
            traceback.print_exc()
            self._end(job, "failed", f"the result could not be brought into the scene: {error}")
        else:
            self._end(job, "failed" if job.fault else "done", job.fault)

    def _end(self, job: Job, state: str, message: str) -> None:
        job.state, job.message, job.eta_s = state, message, None
        self.on_change()

    def _safely(self, answered: Answered) -> Answered:
        return lambda answer: self._guarded(lambda: answered(answer))

    def _guarded(self, work: Callable[[], None]) -> None:
        """One fault of ours must not stop the messages behind it."""
        try:
            work()
        except PortraitError as error:
            self.message = str(error)
            self.on_change()
        except Exception as error:  # noqa: BLE001 - told to the user; the trace goes to the console.
            traceback.print_exc()
            self.message = f"the extension met a fault of its own: {error}"
            self.on_change()


session = Session()
"""The session of this Blender."""
