# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The long-lived process behind Blender: requests in on stdin, answers and news out on stdout.

One job runs at a time, in a thread; quick requests are answered between its messages. When stdin
closes, the running job is asked to stop, keeps its checkpoint, and the process ends.
"""

import os
import platform
import sys
import threading
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from . import __version__, protocol
from .errors import Cancelled, OptionError, PortraitError
from .pipeline.run.job_context import readable
from .pipeline.run.progress import Reporter
from .protocol import Failure, Message, Notification, ProtocolError, Request, Result


class Channel:
    """Writes whole messages to one stream from any thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Sends one message; a reader that has gone away is no error here, stdin tells of it."""
        line = protocol.encode(message)
        with self._lock:
            try:
                self._stream.write(line)
                self._stream.flush()
            except (BrokenPipeError, ValueError):
                return


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
        self._send("note", text=text)


class Worker:
    """Answers requests and runs one job at a time."""

    def __init__(self, source: BinaryIO, channel: Channel) -> None:
        self._source = source
        self._channel = channel
        self._reporter: JobReporter | None = None
        self._thread: threading.Thread | None = None
        self._busy = False
        self._ended = threading.Event()
        self._methods: dict[str, Callable[[dict[str, Any]], Any]] = {
            "hello": self._hello,
            "describe": self._describe,
            "check": self._check,
            "models.list": self._models_list,
            "shot.create": self._shot_create,
            "shot.info": self._shot_info,
            "rig.export": self._rig_export,
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
        threading.Thread(target=self._beat, daemon=True).start()
        try:
            while not self._ended.is_set():
                line = self._source.readline(protocol.MAX_LINE + 1)
                if not line:
                    break
                if len(line) > protocol.MAX_LINE:
                    while line and not line.endswith(b"\n"):
                        line = self._source.readline(protocol.MAX_LINE)
                    text = f"the line is longer than {protocol.MAX_LINE} bytes"
                    self._channel.send(Failure(None, protocol.INVALID_REQUEST, text, {}))
                    continue
                self._answer(line)
        finally:
            self._ended.set()
            if self._reporter:
                self._reporter.cancel()
            if self._thread:
                self._thread.join()

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
        except (PortraitError, OSError) as error:
            failure = readable(error)
            data = {"code": failure.code, "place": failure.place, "hint": failure.remedy}
            answer = Failure(message.id, protocol.FAILED, str(failure), data)
        except KeyError as error:
            text = f"{message.method} needs the parameter {error}"
            answer = Failure(message.id, protocol.INVALID_PARAMS, text, {})
        except Exception as error:  # noqa: BLE001 - a fault in one request must not end the worker.
            traceback.print_exc()
            answer = Failure(message.id, protocol.FAILED, _fault(error), {"code": "fault"})
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
            target=self._run, args=(kind, shot, options, self._reporter), name=kind
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
        except (PortraitError, OSError) as error:
            failure = readable(error)
            facts = {"code": failure.code, "message": str(failure), "hint": failure.remedy}
            news = Notification("job.failed", {"job": reporter.job} | facts)
        except Exception as error:  # noqa: BLE001 - the worker outlives a fault in a job.
            traceback.print_exc()
            hint = "report it with what the worker printed"
            facts = {"code": "fault", "message": _fault(error), "hint": hint}
            news = Notification("job.failed", {"job": reporter.job} | facts)
        # Whoever hears of the end may start the next job at once.
        self._busy = False
        self._channel.send(news)

    def _job_cancel(self, params: dict[str, Any]) -> dict[str, Any]:
        if self._reporter and self._reporter.job == params["job"]:
            self._reporter.cancel()
        return {}

    def _preview_frame(self, params: dict[str, Any]) -> dict[str, Any]:
        from .pipeline.requests.preview import preview_frame

        return preview_frame(params)

    def _paint_start(self, params: dict[str, Any]) -> dict[str, Any]:
        from .pipeline.requests.paint import painted_shot

        return painted_shot(params)

    def _keys_keep(self, params: dict[str, Any]) -> dict[str, Any]:
        from .pipeline.data.key_frames import keep_key
        from .shot import Shot

        shot = Shot.open(Path(params["shot"]))
        return keep_key(shot, params["take"], int(params["frame"]), nearest=True)

    def _shutdown(self, params: dict[str, Any]) -> dict[str, Any]:
        self._ended.set()
        return {}


def _fault(error: BaseException) -> str:
    return f"the worker met a fault of its own: {type(error).__name__}: {error}"


def main() -> None:
    """Serves on stdin and stdout; everything any library prints goes to stderr."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    Worker(sys.stdin.buffer, Channel(stream)).serve()


if __name__ == "__main__":
    main()
