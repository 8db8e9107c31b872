# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only way in which files of a shot are written, moved, deleted and believed.

Standard library only. A shot folder may come from a stranger, lie on a share, and lose its disk at
any write. So

* files are written beside their place and renamed over it: a reader never meets half of anything;
* nothing is written, deleted or taken over through a link that leaves the shot;
* JSON is read within bounds: its size, its numbers, its depth;
* a full disk is told with its place and with what was free.
"""

import errno
import hashlib
import os
import re
import shutil
import stat
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from .bounded_json import dump_json, parse_json
from .errors import DiskFull, ShotError, StorageError
from .plain_text import as_size
from .process_identity import process_started, process_table

MAX_JSON = 64 * 1024 * 1024
"""The longest JSON file that is read, in bytes; a track of 10,000 frames takes 2 MB."""
# A track has 25 a frame; each takes a microsecond or two while Blender's window waits.
_MAX_VALUES = 2_000_000
_MAX_DIGESTED = 4 << 30
# Of folders in each other; a shot has seven.
_DEEPEST = 40
# What `atomic_path` makes; nothing is half written for so long.
_TEMPORARY = re.compile(r"\..+\.(?P<pid>\d{1,9})-(?P<table>[0-9a-f]{4})[0-9a-f]{4}(\.\w+)?")
_STRAY_SECONDS = 3600
# What systems and sync programs leave in every folder.
_LITTER = {".ds_store", "thumbs.db", "desktop.ini", "ehthumbs.db", ".directory", "icon\r"}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_RESTORE = "restore it from a backup"
# Windows lets nobody replace or delete what another program reads at that moment; most readers are
# done at once. A folder is opened as if it were forbidden there, so reading waits less.
_SHARING, _READING, _LOOK = 3.0, 0.3, 0.02
_MOUNT_POINT = 0xA0000003
_Thing = TypeVar("_Thing")


# Where a path may lead


def shot_root(path: Path) -> Path | None:
    """The shot folder that a path lies in, by its words alone; None outside of any shot.

    The outermost folder with a shot.json counts: a shot may contain another's record, and that
    must not free what lies under it from being checked.
    """
    path = Path(os.path.abspath(path))
    found = [folder for folder in path.parents if os.path.lexists(folder / "shot.json")]
    return found[-1] if found else None


def check_inside(path: Path) -> Path:
    """A path whose folder is in the shot it seems to lie in; paths outside of shots pass.

    Only the folder is followed: what is renamed over a link, or deleted, is the link itself.

    Raises:
        ShotError: if a link, or a junction, leads out of the shot.
    """
    path = Path(os.path.abspath(path))
    root = shot_root(path)
    if root is None:
        return path
    try:
        real_root, real = _real(root), _real(path.parent)
    except OSError as error:  # A loop of links.
        raise ShotError(
            f"the folder cannot be reached ({error})", path.parent, "delete it"
        ) from error
    if real != real_root and not real.startswith(real_root.rstrip(os.sep) + os.sep):
        raise ShotError(
            f"a link leads out of the shot, to {real}",
            path.parent,
            "delete the link, and put the folder itself in its place",
        )
    return path


def _real(path: Path) -> str:
    """Where a path leads, written in one way: Windows knows two for long ones, and no cases."""
    real = os.path.realpath(path)
    for start, plain in (("\\\\?\\UNC\\", "\\\\"), ("\\\\?\\", "")):
        if real.startswith(start):
            real = plain + real[len(start) :]
    return os.path.normcase(real)


def is_link(path: Path) -> bool:
    """Whether a path is a symbolic link or a junction."""
    try:
        facts = os.lstat(path)
    except (OSError, ValueError):
        return False
    return stat.S_ISLNK(facts.st_mode) or getattr(facts, "st_reparse_tag", 0) == _MOUNT_POINT


def check_own_folder(folder: Path) -> None:
    """Whether a folder, with all in it, is made of plain files and folders.

    Raises:
        ShotError: if it is, or holds, a link, a pipe or a device.
    """
    check_inside(folder)
    for path in [folder, *everything_in(folder)]:
        if len(path.parts) - len(folder.parts) >= _DEEPEST:
            raise ShotError("its folders are nested too deeply", folder, "delete it and run again")
        mode = os.lstat(path).st_mode
        if is_link(path) or not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise ShotError("this is no plain file or folder", path, "delete it and run again")


def check_own_file(path: Path) -> None:
    """Whether a file of a shot may be appended to: it is none yet, or a plain one.

    Raises:
        ShotError: if it is a link, has a second name, or is no plain file.
    """
    check_inside(path)
    if not os.path.lexists(path):
        return
    facts = os.lstat(path)
    if is_link(path) or not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
        raise ShotError("this is no plain file of the shot", path, "delete it and run again")


def everything_in(folder: Path, deepest: int = _DEEPEST) -> Iterator[Path]:
    """All in a folder and in those within it, without following links.

    Args:
        deepest: so many folders are gone into at most; no way to look at all of them, nor what
            Python's own walk needs to remember, is without an end.
    """
    waiting = [(folder, 1)]
    while waiting:
        top, depth = waiting.pop()
        try:
            with os.scandir(top) as scanned:
                found = sorted(each.name for each in scanned)
        except OSError:
            continue
        for path in (top / name for name in found):
            yield path
            # Before Python 3.12 junctions are folders.
            if depth < deepest and not is_link(path) and path.is_dir():
                waiting.append((path, depth + 1))


def is_litter(path: Path) -> bool:
    """Whether a file is what an operating system leaves in folders, or hidden."""
    name = path.name.lower()
    return name in _LITTER or name.startswith(".")


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, by name, without systems' own and hidden files, pipes and devices; []
    if it is none."""
    try:
        with os.scandir(folder) as scanned:
            found = [Path(each.path) for each in scanned if _is_kept(each)]
    except OSError:
        return []
    return sorted(path for path in found if not is_litter(path))


def _is_kept(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a file, a folder, or a link, which whoever follows it judges."""
    try:
        return entry.is_file() or entry.is_dir() or entry.is_symlink()
    except OSError:
        return True


def is_plain(path: Path) -> bool:
    """Whether a path is a file, or nothing at all, which whoever opens it tells.

    Opening a pipe could wait for ever, in libraries where nothing can stop it.
    """
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True


# Writing


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends without an error.

    The temporary name keeps the suffix, so that encoders still recognise the format.

    Raises:
        StorageError: if the disk is full; ShotError: if `path` leaves its shot through a link.
    """
    path = check_inside(Path(path))
    temporary = temporary_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        # Windows makes no file last that is open for reading alone.
        with open(temporary, "r+b") as written:
            os.fsync(written.fileno())
        move(temporary, path)
    except Exception as error:
        if isinstance(error, OSError) and error.filename == str(temporary):
            error.filename = str(path)  # The name that people know.
        if isinstance(error, StorageError) or not is_disk_full(error):
            raise
        raise disk_full(path, _size_of(temporary)) from error
    finally:
        with suppress(OSError):
            remove_file(temporary)


def patiently(action: Callable[[], _Thing], seconds: float = _SHARING) -> _Thing:
    """Does something with a file, and on Windows again while another program has it open."""
    if sys.platform != "win32":
        return action()
    until = time.monotonic() + seconds
    while True:
        try:
            return action()
        except PermissionError:
            if time.monotonic() > until:
                raise
        time.sleep(_LOOK)


def move(source: Path, target: Path) -> None:
    """Renames a file over another, or a folder where none is, as `patiently` does."""
    patiently(lambda: os.replace(source, target))


def remove_file(path: Path) -> None:
    """Deletes a file, or a link, if it is there.

    Raises:
        OSError: if it cannot be deleted.
    """
    patiently(lambda: path.unlink(missing_ok=True))


def temporary_path(path: Path) -> Path:
    """A name beside a file or folder that tells which process of which machine makes it; what is
    left there is swept once that process is gone."""
    mark = f"{os.getpid()}-{process_table()}{uuid.uuid4().hex[:4]}"
    # Names have at most 255 bytes on most systems.
    return path.with_name(f".{path.stem[:50]}.{mark}{path.suffix}")


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file in one step; a reader sees the old or the new file, never a part."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, data: object) -> None:
    """Writes JSON in one step; numbers that are not finite are written as null."""
    write_bytes(path, dump_json(data, indent=1) + b"\n")


def append_json(path: Path, data: object) -> None:
    """Appends a line of JSON to a file of a shot.

    Raises:
        ShotError: if it is a link, or has a second name outside; StorageError: if the disk is full.
    """
    path, line = check_inside(path), dump_json(data) + b"\n"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    flags |= getattr(os, "O_NONBLOCK", 0)
    if is_link(path):
        raise ShotError("this is a link", path, "delete it and run again")
    try:
        handle = os.open(path, flags, 0o666)
        with os.fdopen(handle, "ab") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
                raise ShotError("this is no plain file of the shot", path, "delete it, run again")
            file.write(line)
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(path, len(line)) from error
        raise


def make_folder(path: Path) -> Path:
    """Makes a folder of a shot, with those above it, where it is none yet.

    Raises:
        ShotError: if a link would lead out of the shot.
    """
    check_inside(path / "inside")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(path, 0) from error
        raise
    return path


def move_folder(source: Path, target: Path) -> None:
    """Renames a folder of the shot; on to a folder that is not empty it fails.

    Raises:
        ShotError: if the folder is a link, or leaves the shot; OSError: if it cannot be renamed.
    """
    check_inside(source)
    check_inside(target)
    if is_link(source):
        raise ShotError("this is a link, no folder of the shot", source, "delete it")
    patiently(lambda: os.rename(source, target))


def remove_tree(path: Path) -> None:
    """Deletes a folder or a file of a shot; of a link, the link alone.

    What cannot be deleted stays.

    Raises:
        ShotError: if a link leads out of the shot.
    """
    check_inside(path)
    if is_link(path) or not path.is_dir():
        with suppress(OSError):
            remove_file(path)
    else:
        _remove_folder(path)


def _remove_folder(path: Path) -> None:
    """Deletes a folder, however deeply others are nested in it."""
    waiting = [path]
    while waiting:
        top = waiting.pop()
        for each in everything_in(top):
            if len(each.parts) - len(top.parts) == _DEEPEST and not is_link(each) and each.is_dir():
                aside = temporary_path(path)
                with suppress(OSError):
                    os.rename(each, aside)
                    waiting.append(aside)
        shutil.rmtree(top, ignore_errors=True)


def copy_folder(source: Path, target: Path, leave_out: str = "") -> None:
    """Copies a folder of a shot.

    Args:
        leave_out: a name of what is not copied.

    Raises:
        ShotError: if it holds a link, a pipe or a device, or is nested too deeply.
    """
    check_own_folder(source)
    check_inside(target)
    shutil.copytree(source, target, True, shutil.ignore_patterns(leave_out) if leave_out else None)


def strays(folder: Path, older_than: float = _STRAY_SECONDS, deepest: int = _DEEPEST) -> list[Path]:
    """The halves of files and folders that processes left in a folder, and so deep within it: of
    this machine's processes, those that do not run any more; of others, what has not changed for
    `older_than` seconds."""
    found = []
    present: float | None = None
    for path in everything_in(folder, deepest):
        mark = _TEMPORARY.fullmatch(path.name)
        if mark is None or is_link(path):
            continue
        with suppress(OSError):
            facts = path.stat()
            if not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):
                continue
            own = mark["table"] == process_table()
            dead = own and process_started(int(mark["pid"])) is None
            if not dead:
                present = _time_there(folder) if present is None else present
                dead = present - facts.st_mtime > older_than
            if dead:
                found.append(path)
    return found


def _time_there(folder: Path) -> float:
    """The time by the clock that dates the files of a folder, which may be a file server's."""
    probe = temporary_path(folder / "time")
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with suppress(OSError):
            remove_file(probe)


def sweep(folder: Path, older_than: float = _STRAY_SECONDS, deepest: int = _DEEPEST) -> int:
    """Deletes what killed processes left half made in a folder, as `strays` finds it.

    Returns:
        How many bytes of files that gave back.
    """
    freed = 0
    for path in strays(folder, older_than, deepest):
        with suppress(OSError):
            size = path.stat().st_size
            if path.is_dir():
                remove_tree(path)
            else:
                remove_file(path)
                freed += size
    return freed


def is_disk_full(error: BaseException) -> bool:
    """Whether a write failed for want of space, whichever library says so."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    text = str(error)
    return (
        "No space left on device" in text or re.search(r"os error (28|112|122)\b", text) is not None
    )


def disk_full(path: Path, written: int = 0) -> DiskFull:
    """What is told when the disk is full: where, and how much was left."""
    left = ""
    with suppress(OSError):
        folder = next(each for each in [path, *path.parents] if each.exists())
        free = shutil.disk_usage(folder).free
        left = f", {as_size(free)} are free and {as_size(written)} were written of this file"
    return DiskFull(f"the disk is full{left}", path, "free some space and run it again")


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


# Reading


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a plain file of at most `limit` bytes.

    Raises:
        ShotError: if it is a pipe, a device, a folder, or longer; OSError: if it cannot be read.
    """
    # Without waiting: a pipe with nobody at its other end would keep us for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = patiently(lambda: os.open(path, flags), _READING)
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode):
        os.close(handle)
        raise ShotError("this is no plain file", path, _RESTORE)
    with os.fdopen(handle, "rb") as file:
        if facts.st_size > limit:
            size = as_size(facts.st_size)
            raise ShotError(f"the file is too large ({size})", path, _RESTORE)
        return file.read(limit + 1)[: limit + 1]


def read_json(path: Path, most: int = _MAX_VALUES) -> dict[str, Any]:
    """Reads a JSON object.

    Args:
        most: how many values it may hold.

    Raises:
        ShotError: if the file is missing, is not JSON, is no object or leaves the bounds of
            `parse_json`.
    """
    path = Path(path)
    try:
        data = parse_json(read_bytes(path, MAX_JSON), most)
    except FileNotFoundError:
        raise ShotError("the file is missing", path, _RESTORE) from None
    except (OSError, ValueError) as error:
        raise ShotError(f"the file cannot be read ({error})", path, _RESTORE) from error
    if not isinstance(data, dict):
        raise ShotError("the file holds no JSON object", path, _RESTORE)
    return data


# Digests


def digests_of(folder: Path) -> dict[str, str]:
    """The digests of a folder's files of tensors, by name."""
    return {each.name: file_digest(each) for each in sorted(folder.glob("*.safetensors"))}


def check_digests(folder: Path, digests: Mapping[str, str]) -> None:
    """Whether files are those that a version's record tells of.

    Raises:
        ShotError: if one is missing or has changed.
    """
    for name, digest in digests.items():
        path = folder / Path(name).name
        try:
            known = file_digest(path)
        except OSError as error:
            raise ShotError("the file is missing or cannot be read", path, _RESTORE) from error
        if known != digest:
            raise ShotError("the file is not the one that its record tells of", path, _RESTORE)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal.

    Raises:
        ShotError: if it is a pipe or a device, or too large; OSError: if it cannot be read.
    """
    if not is_plain(path):
        raise ShotError("this is no plain file", path, _RESTORE)
    whole = hashlib.sha256()
    with open(path, "rb") as file:
        # A hole of terabytes takes no room, and hours to read.
        if (size := os.fstat(file.fileno()).st_size) > _MAX_DIGESTED:
            raise ShotError(f"the file is too large ({as_size(size)})", path, _RESTORE)
        while block := file.read(1 << 20):
            whole.update(block)
    return whole.hexdigest()
