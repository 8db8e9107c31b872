# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The long-lived process behind Blender: requests in on stdin, what it says out on stdout.

One job runs at a time, in a thread; quick requests are answered between its messages. When stdin
closes, the running job is asked to stop, keeps its checkpoint, and the process ends.
"""

import logging
import os
import platform
import queue
import sys
import threading
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from . import __version__, protocol
from .errors import Cancelled, PortraitError, ShotError
from .failures import ProgramFault, readable
from .messages import farm, jobs, setup, shots, splats, takes, tracks
from .messages.base import Call, ErrorData, Nothing, Told
from .messages.tables import CALLS
from .pipeline.run.job_log import log_to
from .pipeline.run.progress import OverallProgress, Reporter
from .protocol import Failure, Message, Notification, ProtocolError, Request, Result
from .schema import Data, Misfit, Values
from .settings import parse
from .shot import Shot
from .startup import settle
from .stopping import Stopped, end_soon, graceful_stop

# How many requests wait while one is answered, and how often the end is looked for, in seconds.
_WAITING = 256
_TICK = 0.2
_log = logging.getLogger(__name__)


class Channel:
    """Writes whole messages to one stream from any thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Sends one message; a reader that has gone away is no error here, stdin tells of it.

        A message that cannot be written down, which is a fault of ours, becomes one that says so:
        whoever waits for an answer or for a job's end gets it.
        """
        try:
            line = protocol.encode(message)
        except (TypeError, ValueError, RecursionError) as error:
            line = protocol.encode(_unsayable(message, error))
        with self._lock:
            try:
                self._stream.write(line)
                self._stream.flush()
            except (OSError, ValueError):
                return


def _unsayable(message: Message, error: Exception) -> Message:
    failure = ErrorData.of(readable(error))
    match message:
        case Notification("job.done" | "job.failed", params):
            return _message(jobs.JobFailed(str(params.get("job")), failure))
        case Result(id) | Failure(id):
            return Failure(id, protocol.FAILED, str(failure.error()), failure.to_json())
        case _:
            return _message(jobs.Heartbeat())


def _message(told: Told) -> Notification:
    return Notification(told.METHOD, told.to_json())


class JobReporter(Reporter):
    """Turns what a job tells into notifications."""

    def __init__(self, channel: Channel, job: str, kind: str = "") -> None:
        super().__init__()
        self._channel = channel
        self._overall = OverallProgress(kind)
        self.job = job

    def _send(self, told: Told) -> None:
        self._channel.send(_message(told))

    def progress(
        self, stage: str, step: int, steps: int, eta_s: float | None, metrics: dict[str, float]
    ) -> None:
        """Sends job.progress."""
        finite = {name: float(value) for name, value in metrics.items() if value - value == 0}
        share = self._overall.share(stage, step, steps)
        told = (stage, step, steps, eta_s, finite, share, self._overall.left_s)
        self._send(jobs.JobProgress(self.job, *told))

    def frame(self, take: str, frame: int, path: Path, plate: Path | None = None) -> None:
        """Sends job.frame."""
        full = str(plate) if plate else None
        self._send(jobs.JobFrame(self.job, take, frame, str(path), full))

    def preview(self, path: Path) -> None:
        """Sends job.preview."""
        self._send(jobs.JobPreview(self.job, str(path)))

    def note(self, text: str) -> None:
        """Sends job.note."""
        super().note(text)
        self._send(jobs.JobNote(self.job, text))


class Worker:
    """Answers requests and runs one job at a time.

    Args:
        source: where requests come from; the worker ends when it closes.
        channel: where answers go.
        at_end: called as soon as the worker is to end, whatever it is doing at that moment.
    """

    def __init__(
        self, source: BinaryIO, channel: Channel, at_end: Callable[[], None] = lambda: None
    ) -> None:
        self._source = source
        self._at_end = at_end
        self._lines: queue.Queue[bytes] = queue.Queue(_WAITING)
        self._channel = channel
        self._reporter: JobReporter | None = None
        self._thread: threading.Thread | None = None
        self._busy = False
        self._over = False
        self._ended = threading.Event()
        # Each takes the parsed call of its type, and gives the answer that the call names.
        self._methods: dict[type[Call[Any]], Callable[[Any], Data]] = {
            setup.Hello: self._hello,
            setup.Describe: self._describe,
            setup.Check: self._check,
            setup.RunSelfTest: self._run_self_test,
            setup.ListModels: self._list_models,
            shots.CreateShot: self._create_shot,
            shots.ProbePlate: self._probe_plate,
            shots.SplitPlate: self._split_plate,
            shots.FindFaces: self._find_faces,
            shots.RelinkPlate: self._relink_plate,
            shots.InfoOfShot: self._info_of_shot,
            tracks.ExportRig: self._export_rig,
            splats.ExportCloud: self._export_cloud,
            splats.ExportSplats: self._export_splats,
            splats.ImportSplats: self._import_splats,
            tracks.PublishTrack: self._publish_track,
            tracks.ImportTrack: self._import_track,
            tracks.ExportTrack: self._export_track,
            tracks.SolvePins: self._solve_pins,
            takes.TryFrame: self._try_frame,
            takes.ListLooks: self._list_looks,
            takes.ShowLook: self._show_look,
            takes.StartPainting: self._start_painting,
            takes.KeepKey: self._keep_key,
            farm.WriteBundle: self._write_bundle,
            jobs.StartJob: self._start_job,
            jobs.ResumeJob: self._resume_job,
            jobs.CancelJob: self._cancel_job,
            jobs.Shutdown: self._shutdown,
        }

    def serve(self) -> None:
        """Reads requests until stdin closes or a shutdown is asked for."""
        threading.Thread(target=self._beat, daemon=True, name="heartbeat").start()
        # Beside what answers, so that the end is noticed while an answer takes long, or hangs.
        threading.Thread(target=self._read, daemon=True, name="requests").start()
        try:
            while True:
                try:
                    line = self._lines.get(timeout=_TICK)
                except queue.Empty:
                    if self._ended.is_set():
                        break
                    continue
                self._answer(line)
                if self._over:
                    break
        finally:
            self._end()
            if self._thread:
                self._thread.join()

    def _read(self) -> None:
        try:
            while line := self._source.readline(protocol.MAX_LINE + 1):
                if len(line) > protocol.MAX_LINE:
                    while line and not line.endswith(b"\n"):
                        line = self._source.readline(protocol.MAX_LINE)
                    text = f"the line is longer than {protocol.MAX_LINE} bytes"
                    self._channel.send(Failure(None, protocol.INVALID_REQUEST, text, {}))
                    continue
                self._lines.put(line)
        except (OSError, ValueError):
            return  # Closed, as at its end.
        finally:
            self._end()

    def _end(self) -> None:
        """Has everything stop; the second time it does nothing."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._at_end()
        if self._reporter:
            self._reporter.cancel()

    def _answer(self, line: bytes) -> None:
        try:
            message = protocol.decode(line)
        except ProtocolError as error:
            self._channel.send(Failure(error.id, error.code, str(error), {}))
            return
        if not isinstance(message, Request):
            return  # Notifications and stray answers ask for nothing.
        self._channel.send(self._answer_to(message))

    def _answer_to(self, request: Request) -> Message:
        kind = CALLS.get(request.method)
        if kind is None:
            text = f"there is no method '{request.method}'"
            return Failure(request.id, protocol.METHOD_NOT_FOUND, text, {})
        try:
            call = kind.parse(request.params)
        except Misfit as misfit:
            text = f"{request.method}: the parameter {misfit}"
            return Failure(request.id, protocol.INVALID_PARAMS, text, {})
        try:
            return Result(request.id, self._methods[kind](call).to_json())
        except Exception as error:  # noqa: BLE001 - a fault in one request must not end the worker.
            failure = _told(error)
            data = ErrorData.of(failure).to_json()
            return Failure(request.id, protocol.FAILED, str(failure), data)

    def _beat(self) -> None:
        while not self._ended.wait(protocol.HEARTBEAT):
            self._channel.send(_message(jobs.Heartbeat()))

    def _hello(self, call: setup.Hello) -> setup.HelloAnswer:
        if call.protocol != protocol.PROTOCOL:
            raise PortraitError(
                f"the worker speaks protocol {protocol.PROTOCOL}, Blender's extension"
                f" {call.protocol}",
                remedy="update the environment in the extension's preferences",
            )
        from .pipeline.requests.diagnostics import device_name

        return setup.HelloAnswer(
            protocol=protocol.PROTOCOL,
            version=__version__,
            python=platform.python_version(),
            device=device_name(),
            pid=os.getpid(),
        )

    def _describe(self, call: setup.Describe) -> setup.Description:
        from .editing.registry import describe_editors
        from .pipeline.registry import MEMORY_GB, describe_jobs

        return setup.Description(describe_editors(), describe_jobs(), MEMORY_GB)

    def _check(self, call: setup.Check) -> setup.Checked:
        from .pipeline.requests.diagnostics import check_setup

        return setup.Checked(check_setup())

    def _run_self_test(self, call: setup.RunSelfTest) -> setup.SelfTested:
        from .pipeline.requests.selftest import SelfTest, report_folder

        if self._busy:
            raise PortraitError("a job runs", "self-test", "run it once the job has ended")
        test = SelfTest(report_folder(), self._go_on)
        rows = test.run()
        return setup.SelfTested(rows, str(test.report()[0]))

    def _go_on(self, part: str) -> None:
        """Called between parts of what takes long.

        Raises:
            Cancelled: once the worker is to end.
        """
        if self._ended.is_set():
            raise Cancelled

    def _list_models(self, call: setup.ListModels) -> setup.ModelList:
        from .models.manifest import models
        from .models.store import models_folder, state_of

        rows = tuple(state_of(model, digests=False) for model in models().values())
        return setup.ModelList(str(models_folder()), rows)

    def _create_shot(self, call: shots.CreateShot) -> shots.ShotInfo:
        from .pipeline.data.shots import create_shot, info

        said = _said(call)
        shot, footage = Path(said.pop("shot")), Path(said.pop("footage"))
        return info(create_shot(shot, footage, said))

    def _probe_plate(self, call: shots.ProbePlate) -> shots.PlateFacts:
        from .pipeline.requests.probe import glance

        said = _said(call)
        return glance(Path(said.pop("footage")), said)

    def _split_plate(self, call: shots.SplitPlate) -> shots.PlateSplit:
        from .pipeline.requests.split import split_at_cuts

        said = _said(call)
        footage, folder = Path(said.pop("footage")), Path(said.pop("folder"))
        parts = split_at_cuts(footage, folder, said, said.pop("span", None))
        return shots.PlateSplit(
            tuple(
                shots.PlatePart(
                    frames[0],
                    frames[-1],
                    str(shot.path) if shot else None,
                    shot.record.id if shot else None,
                )
                for frames, shot in parts
            )
        )

    def _find_faces(self, call: shots.FindFaces) -> shots.FacesFound:
        from .pipeline.requests.faces import faces_of

        frame, faces = faces_of(Shot.open(Path(call.shot)), call.frame, call.span)
        return shots.FacesFound(frame, faces)

    def _relink_plate(self, call: shots.RelinkPlate) -> shots.PlateRelinked:
        from .pipeline.requests.relink import relink

        where = Path(call.where) if call.where else None
        return shots.PlateRelinked(str(relink(Shot.open(Path(call.shot)), where)))

    def _info_of_shot(self, call: shots.InfoOfShot) -> shots.ShotInfo:
        from .pipeline.data.shots import info

        return info(Shot.open(Path(call.shot)))

    def _export_rig(self, call: tracks.ExportRig) -> tracks.RigExported:
        from .pipeline.requests.rig import export_rig

        return export_rig(Shot.open(Path(call.shot)), call.version)

    def _export_cloud(self, call: splats.ExportCloud) -> splats.CloudExported:
        from .pipeline.requests.splat_cloud import export_cloud

        return export_cloud(Shot.open(Path(call.shot)), call.take, call.version)

    def _export_splats(self, call: splats.ExportSplats) -> splats.SplatsExported:
        from .pipeline.requests.splats import export_splats

        shot, path = Shot.open(Path(call.shot)), Path(call.path)
        world = Path(call.world) if call.world else None
        return export_splats(shot, path, call.take, call.frames, call.version, world)

    def _import_splats(self, call: splats.ImportSplats) -> splats.SplatsImported:
        from .pipeline.requests.retouched_splats import import_splats

        shot, path = Shot.open(Path(call.shot)), Path(call.path)
        world = Path(call.world) if call.world else None
        return import_splats(
            shot,
            path,
            call.frame,
            call.take,
            call.version,
            world,
            author=call.author,
            untouched=Path(call.untouched) if call.untouched else None,
        )

    def _publish_track(self, call: tracks.PublishTrack) -> tracks.TrackPublished:
        from .pipeline.requests.rig import publish_motion

        shot = Shot.open(Path(call.shot))
        return publish_motion(
            shot, call.base, Path(call.path), "artist", call.span, author=call.author
        )

    def _import_track(self, call: tracks.ImportTrack) -> tracks.TrackPublished:
        from .pipeline.requests.track_import import ImportOptions, import_track

        model = Path(call.smplx_model) if call.smplx_model else None
        hands = None if call.hands == "file" else call.hands
        options = ImportOptions(model, call.fps, call.first, call.focal, hands, call.head)
        return import_track(Shot.open(Path(call.shot)), Path(call.path), options)

    def _export_track(self, call: tracks.ExportTrack) -> tracks.TrackExported:
        from .pipeline.requests.track_export import ExportOptions, export_track

        model = Path(call.smplx_model) if call.smplx_model else None
        options = ExportOptions(call.version, model, call.hands)
        return export_track(Shot.open(Path(call.shot)), Path(call.path), options)

    def _solve_pins(self, call: tracks.SolvePins) -> tracks.PinsSolved:
        from .pipeline.requests.pins import solve_pins

        return solve_pins(call)

    def _try_frame(self, call: takes.TryFrame) -> takes.FrameTried:
        from .pipeline.jobs.edit import EditOptions
        from .pipeline.requests.preview import preview_frame

        options = parse(EditOptions, call.settings)
        return preview_frame(Shot.open(Path(call.shot)), call.frame, options)

    def _list_looks(self, call: takes.ListLooks) -> takes.LookList:
        from .pipeline.requests.looks import list_looks

        return list_looks()

    def _show_look(self, call: takes.ShowLook) -> takes.LookShown:
        from .pipeline.requests.looks import show_look

        return show_look(call)

    def _start_painting(self, call: takes.StartPainting) -> takes.PaintStarted:
        from .pipeline.requests.paint import start_painting

        shot = Shot.open(Path(call.shot))
        return start_painting(shot, call.take, call.frame, call.mask, author=call.author)

    def _keep_key(self, call: takes.KeepKey) -> takes.KeyKept:
        from .pipeline.data.key_frames import keep_key

        shot = Shot.open(Path(call.shot))
        return keep_key(shot, call.take, call.frame, nearest=True, author=call.author)

    def _write_bundle(self, call: farm.WriteBundle) -> farm.BundleWritten:
        from .farm.request import bundle_for

        return bundle_for(call)

    def _start_job(self, call: jobs.StartJob) -> jobs.JobStarted:
        return self._begin(call.kind, Path(call.shot), call.options, call.author)

    def _resume_job(self, call: jobs.ResumeJob) -> jobs.JobStarted:
        record = Shot.open(Path(call.shot)).job(call.record).record
        if not record.unfinished:
            raise ShotError(f"the job is {record.state}", call.record, "start a new one")
        return self._begin(record.kind, Path(call.shot), record.options, call.author)

    def _begin(self, kind: str, shot: Path, options: Values, author: str) -> jobs.JobStarted:
        if self._busy:
            raise PortraitError("another job is running", remedy="wait until it ends or cancel it")
        from .pipeline.registry import options_of

        parse(options_of(kind), options)
        self._busy = True
        self._reporter = JobReporter(self._channel, uuid.uuid4().hex, kind)
        self._reporter.author = author
        self._thread = threading.Thread(
            target=self._run, args=(kind, shot, options, self._reporter), name=kind, daemon=True
        )
        self._thread.start()
        return jobs.JobStarted(self._reporter.job)

    def _run(self, kind: str, shot: Path, options: Values, reporter: JobReporter) -> None:
        from .pipeline.registry import run

        end: Told
        try:
            end = jobs.JobDone(reporter.job, run(kind, shot, options, reporter).told())
        except Cancelled:
            end = jobs.JobCancelled(reporter.job)
        except BaseException as error:  # noqa: BLE001 - the worker outlives a fault in a job.
            end = jobs.JobFailed(reporter.job, ErrorData.of(_told(error)))
        # Whoever hears of the end may start the next job at once.
        self._busy = False
        self._channel.send(_message(end))

    def _cancel_job(self, call: jobs.CancelJob) -> Nothing:
        if self._reporter and self._reporter.job == call.job:
            self._reporter.cancel()
        return Nothing()

    def _shutdown(self, call: jobs.Shutdown) -> Nothing:
        self._over = True
        return Nothing()


def _told(error: BaseException) -> PortraitError:
    """An error as people read it; of a fault of ours, whoever mends it sees the trace."""
    failure = readable(error)
    if isinstance(failure, ProgramFault):
        _log.error("%s", failure, exc_info=error)
        traceback.print_exception(error)
    return failure


def _said(call: Call[Any]) -> dict[str, Any]:
    """What a call says; 0 is something, None and False are not."""
    return {
        key: value for key, value in vars(call).items() if value is not None and value is not False
    }


def main() -> None:
    """Serves on stdin and stdout; everything any library prints goes to stderr."""
    settle()
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if path := os.environ.get("PORTRAITGEN_WORKER_LOG"):
        log_to(Path(path))
    try:
        with graceful_stop():
            # Of its own: a thread that waits for input must not hold what Python closes at its end.
            source = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
            Worker(source, Channel(stream), lambda: end_soon(1)).serve()
    except KeyboardInterrupt as stop:
        sys.exit(stop.status if isinstance(stop, Stopped) else 130)


if __name__ == "__main__":
    main()
