# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The long-lived process behind Blender: requests in on stdin, answers and news out on stdout.

One job runs at a time, in a thread; quick requests are answered between its messages. When stdin
closes, the running job is asked to stop, keeps its checkpoint, and the process ends.
"""

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
from .errors import Cancelled, OptionError, PortraitError
from .failures import ProgramFault, readable
from .pipeline.run.progress import Reporter
from .protocol import Failure, Message, Notification, ProtocolError, Request, Result
from .stopping import Stopped, end_soon, graceful_stop

# How many requests wait while one is answered, and how often the end is looked for, in seconds.
_WAITING = 256
_TICK = 0.2


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
    failure = readable(error)
    match message:
        case Notification("job.done" | "job.failed", params):
            facts = {"code": failure.code, "message": str(failure), "hint": failure.remedy}
            return Notification("job.failed", {"job": params.get("job")} | facts)
        case Result(id) | Failure(id):
            data = {"code": failure.code, "place": failure.place, "hint": failure.remedy}
            return Failure(id, protocol.FAILED, str(failure), data)
        case _:
            return Notification("heartbeat", {})


class JobReporter(Reporter):
    """Turns a job's news into notifications."""

    def __init__(self, channel: Channel, job: str) -> None:
        super().__init__()
        self._channel = channel
        self.job = job

    def _send(self, method: str, **params: Any) -> None:
        self._channel.send(Notification(f"job.{method}", {"job": self.job} | params))

    def progress(
        self, stage: str, step: int, steps: int, eta_s: float | None, metrics: dict[str, float]
    ) -> None:
        """Sends job.progress."""
        finite = {name: value for name, value in metrics.items() if value - value == 0}
        self._send("progress", stage=stage, step=step, steps=steps, eta_s=eta_s, metrics=finite)

    def frame(self, take: str, frame: int, path: Path, plate: Path | None = None) -> None:
        """Sends job.frame."""
        full = str(plate) if plate else None
        self._send("frame", take=take, frame=frame, path=str(path), plate=full)

    def preview(self, path: Path) -> None:
        """Sends job.preview."""
        self._send("preview", path=str(path))

    def note(self, text: str) -> None:
        """Sends job.note."""
        super().note(text)
        self._send("note", text=text)


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
        self._methods: dict[str, Callable[[dict[str, Any]], Any]] = {
            "hello": self._hello,
            "describe": self._describe,
            "check": self._check,
            "models.list": self._models_list,
            "shot.create": self._shot_create,
            "shot.info": self._shot_info,
            "rig.export": self._rig_export,
            "splats.cloud": self._splats_cloud,
            "splats.export": self._splats_export,
            "splats.import": self._splats_import,
            "track.publish": self._track_publish,
            "track.solve_pins": self._track_solve_pins,
            "job.start": self._job_start,
            "job.cancel": self._job_cancel,
            "preview.frame": self._preview_frame,
            "paint.start": self._paint_start,
            "keys.keep": self._keys_keep,
            "shutdown": self._shutdown,
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
        method = self._methods.get(message.method)
        if method is None:
            text = f"there is no method '{message.method}'"
            self._channel.send(Failure(message.id, protocol.METHOD_NOT_FOUND, text, {}))
            return
        try:
            answer: Message = Result(message.id, method(message.params))
        except KeyError as error:
            text = f"{message.method} needs the parameter {error}"
            answer = Failure(message.id, protocol.INVALID_PARAMS, text, {})
        except Exception as error:  # noqa: BLE001 - a fault in one request must not end the worker.
            failure = _told(error)
            data = {"code": failure.code, "place": failure.place, "hint": failure.remedy}
            answer = Failure(message.id, protocol.FAILED, str(failure), data)
        self._channel.send(answer)

    def _beat(self) -> None:
        while not self._ended.wait(protocol.HEARTBEAT):
            self._channel.send(Notification("heartbeat", {}))

    def _hello(self, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("protocol") != protocol.PROTOCOL:
            raise PortraitError(
                f"the worker speaks protocol {protocol.PROTOCOL}, Blender's extension"
                f" {params.get('protocol')}",
                remedy="update the environment in the extension's preferences",
            )
        from .pipeline.requests.diagnostics import device_name

        return {
            "protocol": protocol.PROTOCOL,
            "version": __version__,
            "python": platform.python_version(),
            "device": device_name(),
            "pid": os.getpid(),
        }

    def _describe(self, params: dict[str, Any]) -> dict[str, Any]:
        from .editing.registry import describe_editors
        from .pipeline.registry import MEMORY_GB, describe_jobs

        return {
            "editors": describe_editors(),
            "settings": describe_jobs(),
            "memory_gb": MEMORY_GB,
        }

    def _check(self, params: dict[str, Any]) -> dict[str, Any]:
        from .pipeline.requests.diagnostics import check_setup

        return {"rows": check_setup()}

    def _models_list(self, params: dict[str, Any]) -> dict[str, Any]:
        from .models.manifest import models
        from .models.store import models_folder, state_of

        rows = [state_of(model, digests=False) for model in models().values()]
        return {"folder": str(models_folder()), "rows": rows}

    def _shot_create(self, params: dict[str, Any]) -> dict[str, Any]:
        from .pipeline.data.shots import create_shot, info

        facts = {key: value for key, value in params.items() if key not in ("shot", "footage")}
        return info(create_shot(Path(params["shot"]), Path(params["footage"]), facts))

    def _shot_info(self, params: dict[str, Any]) -> dict[str, Any]:
        from .pipeline.data.shots import info
        from .shot import Shot

        return info(Shot.open(Path(params["shot"])))

    def _rig_export(self, params: dict[str, Any]) -> dict[str, Any]:
        from .pipeline.requests.rig import export_rig
        from .shot import Shot

        return export_rig(Shot.open(Path(params["shot"])), params.get("version"))

    def _splats_cloud(self, params: dict[str, Any]) -> dict[str, Any]:
        from .pipeline.requests.splats import export_cloud
        from .shot import Shot

        return export_cloud(
            Shot.open(Path(params["shot"])), params.get("take", ""), params.get("version")
        )

    def _splats_export(self, params: dict[str, Any]) -> dict[str, Any]:
        from .pipeline.requests.splats import export_splats
        from .shot import Shot

        world = params.get("world")
        return export_splats(
            Shot.open(Path(params["shot"])),
            Path(params["path"]),
            params.get("take", ""),
            params.get("frames", ""),
            params.get("version"),
            Path(world) if world else None,
        )

    def _splats_import(self, params: dict[str, Any]) -> dict[str, Any]:
        from .pipeline.requests.splats import import_splats
        from .shot import Shot

        world = params.get("world")
        return import_splats(
            Shot.open(Path(params["shot"])),
            Path(params["path"]),
            params["frame"],
            params.get("take", ""),
            params.get("version"),
            Path(world) if world else None,
        )

    def _track_publish(self, params: dict[str, Any]) -> dict[str, Any]:
        from .pipeline.requests.rig import publish_motion
        from .shot import Shot

        shot = Shot.open(Path(params["shot"]))
        span = params.get("span")
        return publish_motion(
            shot,
            params["base"],
            Path(params["path"]),
            "artist",
            (int(span[0]), int(span[1])) if span else None,
        )

    def _track_solve_pins(self, params: dict[str, Any]) -> dict[str, Any]:
        from .pipeline.requests.pins import solve_pins

        return solve_pins(params)

    def _job_start(self, params: dict[str, Any]) -> dict[str, Any]:
        if self._busy:
            raise PortraitError("another job is running", remedy="wait until it ends or cancel it")
        kind, shot, options = params["kind"], Path(params["shot"]), params.get("options", {})
        if not isinstance(options, dict):
            raise OptionError("the options are no object", "options", "send name and value pairs")
        from .pipeline.registry import options_of
        from .settings import parse

        parse(options_of(kind), options)
        self._busy = True
        self._reporter = JobReporter(self._channel, uuid.uuid4().hex)
        self._thread = threading.Thread(
            target=self._run, args=(kind, shot, options, self._reporter), name=kind, daemon=True
        )
        self._thread.start()
        return {"job": self._reporter.job}

    def _run(self, kind: str, shot: Path, options: dict[str, Any], reporter: JobReporter) -> None:
        from .pipeline.registry import run

        try:
            result = run(kind, shot, options, reporter)
            news = Notification("job.done", {"job": reporter.job, "result": result})
        except Cancelled:
            news = Notification("job.cancelled", {"job": reporter.job})
        except BaseException as error:  # noqa: BLE001 - the worker outlives a fault in a job.
            failure = _told(error)
            facts = {"code": failure.code, "message": str(failure), "hint": failure.remedy}
            news = Notification("job.failed", {"job": reporter.job} | facts)
        # Whoever hears of the end may start the next job at once.
        self._busy = False
        self._channel.send(news)

    def _job_cancel(self, params: dict[str, Any]) -> dict[str, Any]:
        if self._reporter and self._reporter.job == params["job"]:
            self._reporter.cancel()
        return {}

    def _preview_frame(self, params: dict[str, Any]) -> dict[str, Any]:
        from .pipeline.jobs.edit import EditOptions
        from .pipeline.requests.preview import preview_frame
        from .settings import parse
        from .shot import Shot

        shot, options = Shot.open(Path(params["shot"])), parse(EditOptions, params["settings"])
        return {"path": str(preview_frame(shot, int(params["frame"]), options))}

    def _paint_start(self, params: dict[str, Any]) -> dict[str, Any]:
        from .pipeline.requests.paint import painted_shot

        return painted_shot(params)

    def _keys_keep(self, params: dict[str, Any]) -> dict[str, Any]:
        from .pipeline.data.key_frames import keep_key
        from .shot import Shot

        shot = Shot.open(Path(params["shot"]))
        return keep_key(shot, params["take"], int(params["frame"]), nearest=True)

    def _shutdown(self, params: dict[str, Any]) -> dict[str, Any]:
        self._over = True
        return {}


def _told(error: BaseException) -> PortraitError:
    """An error as people read it; of a fault of ours, whoever mends it sees the trace."""
    failure = readable(error)
    if isinstance(failure, ProgramFault):
        traceback.print_exc()
    return failure


def main() -> None:
    """Serves on stdin and stdout; everything any library prints goes to stderr."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        with graceful_stop():
            Worker(sys.stdin.buffer, Channel(stream), lambda: end_soon(1)).serve()
    except KeyboardInterrupt as stop:
        sys.exit(stop.status if isinstance(stop, Stopped) else 130)


if __name__ == "__main__":
    main()
