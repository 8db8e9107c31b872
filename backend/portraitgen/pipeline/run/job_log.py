# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job leaves to read: its log, and notes of what libraries warn of."""

import logging
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from logging.handlers import RotatingFileHandler
from pathlib import Path

from ... import __version__
from ...errors import Cancelled
from ...storage import check_own_file
from .progress import Reporter

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_LARGEST = 1 << 20
_PACKAGES = ("torch", "numpy", "ai-edge-litert", "av", "openimageio", "diffusers", "gsplat")
_OURS = logging.getLogger("portraitgen")
_log = logging.getLogger(__name__)


def versions() -> str:
    """One line of what runs: the program, Python, the system, the packages that decide results."""
    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    python = f"Python {platform.python_version()} on {platform.platform()}"
    return f"portraitgen {__version__}, {python}, {', '.join(found)}"


def log_to(path: Path) -> None:
    """Has this process write its log to a file from now on; an old one is kept as `.1`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = RotatingFileHandler(path, "a", _LARGEST, 1, "utf-8", errors="backslashreplace")
    file.setFormatter(logging.Formatter(FORMAT))
    logging.getLogger().addHandler(file)
    logging.captureWarnings(True)
    _OURS.setLevel(logging.INFO)
    _log.info("%s", versions())


class _Notes(logging.Handler):
    """Passes our own warnings on to whoever follows the job, each once."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(logging.WARNING)
        self._reporter = reporter
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        # Errors end the job, and are told as its failure.
        if record.levelno < logging.ERROR and text not in self._told:
            self._told.add(text)
            self._reporter.note(text)


@contextmanager
def warnings_as_notes(reporter: Reporter) -> Iterator[None]:
    """Tells what we warn of meanwhile to whoever follows the job."""
    notes = _Notes(reporter)
    _OURS.addHandler(notes)
    try:
        yield
    finally:
        _OURS.removeHandler(notes)


@contextmanager
def logged(path: Path, about: str) -> Iterator[None]:
    """Writes what happens meanwhile to a job's log, with the trace of what ends it.

    Args:
        path: the log, which grows: a job that is resumed goes on in it.
        about: what runs, its first line.
    """
    check_own_file(path)
    file = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace", delay=True)
    file.setFormatter(logging.Formatter(FORMAT))
    _OURS.setLevel(logging.INFO)
    root = logging.getLogger()
    root.addHandler(file)
    try:
        _log.info("%s", about)
        _log.info("%s", versions())
        yield
        _log.info("done")
    except (Cancelled, KeyboardInterrupt):
        _log.info("cancelled")
        raise
    except Exception as error:
        _log.error("%s", error, exc_info=True)
        raise
    finally:
        root.removeHandler(file)
        file.close()
