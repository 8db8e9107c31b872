# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SHA-256 of the very files that weights are opened from.

Weights are many gigabytes: a digest is kept in the user's cache until the file's size or time of
change is another one.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..errors import ShotError
from ..records import WeightsRecord
from ..schema import Data, Record
from ..user_folders import user_cache_folder
from .pipelines import check_pipeline, pipeline_class, weight_files
from .store import RECORD, Weights

_CHUNK = 1 << 22
# What belongs to a pipeline besides its weights: configurations and vocabularies.
_BESIDE, _LARGEST_BESIDE = (".json", ".txt", ".model", ".jinja"), 1 << 25
_MOST_KEPT = 2000
# A file that changed just now may change again within the same tick of the disk's clock.
_TICK_NS = 2_000_000_000

Progress = Callable[[int, int], None]
"""Told how many bytes are read, of how many; it may raise to stop."""


@dataclass(frozen=True)
class _Kept(Data):
    size: int
    changed: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class _Digests(Record):
    """The cache's file: digests by place."""

    files: Mapping[str, _Kept] = field(default_factory=dict)


def opened_files(path: Path) -> list[Path]:
    """The files that weights are opened from: the one, or those of a pipeline that are loaded.

    Raises:
        ModelError: if a folder that says to be a pipeline is none.
    """
    if path.is_file():
        return [path]
    beside = [
        file
        for file in sorted(path.rglob("*"))
        if file.suffix in _BESIDE
        and file.name != RECORD
        and file.is_file()
        and file.stat().st_size <= _LARGEST_BESIDE
    ]
    kind = pipeline_class(path)
    if not kind:
        return sorted(file for file in path.rglob("*.safetensors") if file.is_file()) + beside
    parts = weight_files(path, check_pipeline(path, [kind]))
    return [file for files in parts.values() for file in files] + beside


def measure(weights: Iterable[Weights], progress: Progress) -> tuple[WeightsRecord, ...]:
    """What is kept of weights with what they draw.

    Args:
        progress: called while files are read whose digests are not known.

    Raises:
        ModelError: as `opened_files`; OSError: if a file cannot be read.
    """
    all_files = [(each, opened_files(each.path)) for each in weights]
    known = _kept()
    unknown = [file for _, files in all_files for file in files if not _is_known(known, file)]
    unknown = list(dict.fromkeys(unknown))
    total, done = sum(file.stat().st_size for file in unknown), 0
    for file in unknown:
        remember(file, _digest(file, partial(_step, progress, done, total)))
        done += file.stat().st_size
    known = _kept()
    return tuple(_record(each, files, known) for each, files in all_files)


def _step(progress: Progress, begun: int, total: int, count: int) -> None:
    progress(begun + count, total)


def remember(path: Path, sha256: str) -> None:
    """Keeps a digest that was just measured, unless the file is too new to be told from a later
    one."""
    facts = path.stat()
    _measured[str(path.absolute())] = _Kept(facts.st_size, facts.st_mtime_ns, sha256)
    if time.time_ns() - facts.st_mtime_ns < _TICK_NS:
        return
    files = {**_read(), str(path.absolute()): _measured[str(path.absolute())]}
    # The latest stay.
    files = dict(list(files.items())[-_MOST_KEPT:])
    # Whoever cannot write there measures again.
    with suppress(OSError, ShotError):
        _Digests(files=files).write(_file())


# Of this process: also what is too new to be kept.
_measured: dict[str, _Kept] = {}


def _record(weights: Weights, files: list[Path], known: Mapping[str, _Kept]) -> WeightsRecord:
    folder = weights.path if weights.path.is_dir() else weights.path.parent
    digests = {
        file.relative_to(folder).as_posix(): known[str(file.absolute())].sha256 for file in files
    }
    expected = {file.path: file.sha256 for file in weights.expected if file.sha256}
    changed = tuple(path for path, each in digests.items() if expected.get(path, each) != each)
    whole = weights.revision or (weights.published if set(digests) <= set(expected) else "")
    return WeightsRecord(
        weights.name,
        weights.repository,
        "" if changed else whole,
        weights.licence,
        digests,
        changed,
    )


def _kept() -> dict[str, _Kept]:
    return {**_read(), **_measured}


def _is_known(known: Mapping[str, _Kept], path: Path) -> bool:
    kept, facts = known.get(str(path.absolute())), path.stat()
    return kept is not None and (kept.size, kept.changed) == (facts.st_size, facts.st_mtime_ns)


def _digest(path: Path, step: Callable[[int], None]) -> str:
    total, count = hashlib.sha256(), 0
    step(0)
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            total.update(chunk)
            count += len(chunk)
            step(count)
    return total.hexdigest()


def _file() -> Path:
    return user_cache_folder() / "weights.json"


def _read() -> Mapping[str, _Kept]:
    """The cache; empty where there is none that can be read."""
    try:
        return _Digests.read(_file()).files
    except (OSError, ShotError):
        return {}


def told(record: WeightsRecord) -> str:
    """What whoever edits should know of weights, as one sentence; empty if nothing."""
    if not record.changed:
        return ""
    more = f" and {len(record.changed) - 1} more" if len(record.changed) > 1 else ""
    return (
        f"{record.changed[0]}{more} of {record.name} is not the file that was fetched, or that its"
        " publisher lists; pictures name it by its own sha256, and no revision."
    )
