# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The logs of jobs and of the backend, and a report that whoever mends a fault can read."""

import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

import portraitgen
from portraitgen.errors import PortraitError
from portraitgen.shot import Shot

from . import compat, scene_updates
from .session import session

_LINES = 80
_LONGEST = 1 << 20


def latest_log(shot: Any | None) -> Path | None:
    """The log of the shot's latest job, or else the backend's own; None if there is none."""
    if shot is not None:
        with suppress(PortraitError):
            logs = [job.log for job in Shot.open(shot.path).jobs() if job.log.is_file()]
            if logs:
                return max(logs, key=lambda log: log.stat().st_mtime)
    own = scene_updates.worker_log()
    return own if own.is_file() else None


def tail(path: Path, lines: int = _LINES) -> str:
    """The last lines of a log."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - _LONGEST))
        text = file.read(_LONGEST).decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-lines:]) + "\n"


def report(shot: Any | None) -> str:
    """Versions, the set-up, what went wrong, and the end of the logs."""
    parts = [
        f"PortraitGen for Blender {portraitgen.__version__}, Blender {compat.version_text()}",
        f"{platform.platform()}, Python {platform.python_version()}",
    ]
    if hello := session.hello:
        parts.append(f"Backend {hello.version}, Python {hello.python}, {hello.device}")
    parts.append(f"Backend: {session.state}")
    errors = [session.error, session.job.error if session.job else None]
    parts += [f"{error.code}: {error}" for error in errors if error is not None]
    if job := session.job:
        parts.append(f"Job {job.kind} ({job.state}): {dict(job.options)}")
        parts += [f"Note: {note}" for note in job.notes]
    logs = {latest_log(shot), scene_updates.worker_log()} - {None}
    for log in sorted(log for log in logs if log is not None and log.is_file()):
        parts += ["", f"--- {log}", tail(log)]
    return "\n".join(parts)
