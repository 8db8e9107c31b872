# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where any error becomes place, cause and remedy. Standard library only."""

import errno
import os
import re
import sys
import tempfile
import traceback
from pathlib import Path

from .errors import DiskFull, OptionError, OutOfMemory, PortraitError, StorageError
from .storage import disk_full, is_disk_full

_LONGEST = 300
_LONGEST_PATH = 259
_MEMORY = re.compile(r"out of memory|can't allocate memory|insufficient memory|bad_alloc", re.I)


class ProgramFault(PortraitError):  # noqa: N818
    """Something that the program should have told better; its trace says where."""

    code = "fault"


def readable(error: BaseException) -> PortraitError:
    """Any error as one that a person can act on; our own stay as they are."""
    if isinstance(error, PortraitError):
        return error
    if is_disk_full(error):
        named = getattr(error, "filename", None)
        if isinstance(named, str | bytes):
            return disk_full(Path(os.fsdecode(named)))
        return DiskFull("the disk is full", "", "free some space and run it again")
    if isinstance(error, MemoryError) or _MEMORY.search(str(error)):
        return OutOfMemory(
            f"memory ran out ({_words(error)})",
            "this machine",
            "close other programs, or choose a smaller size or fewer frames",
        )
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, UnicodeError) or "embedded null" in str(error):
        return OptionError(
            f"a name holds characters that this system cannot use ({_words(error)})",
            "a path",
            "rename it with plain letters",
        )
    return ProgramFault(
        f"a fault of the program's own ({type(error).__name__}: {_words(error)})",
        _where(error),
        "report it with the job's log",
    )


def _words(error: BaseException) -> str:
    """What an error says, on one line and not too long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _where(error: BaseException) -> str:
    """The line of ours that met an error."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "portraitgen" in Path(frame.filename).parts]
    if not ours:
        return "portraitgen"
    return f"{Path(ours[-1].filename).name}, line {ours[-1].lineno}"


def _too_long(place: str) -> bool:
    """Whether a path is longer than Windows takes unless it is told to."""
    return sys.platform == "win32" and len(place) > _LONGEST_PATH


def _of_system(error: OSError) -> PortraitError:
    place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    exists = bool(place) and os.path.lexists(place)
    match error.errno:
        case errno.EACCES | errno.EPERM | errno.EROFS | errno.ENOENT if _too_long(place):
            return StorageError(
                f"the path has {len(place)} characters, and this system takes {_LONGEST_PATH}",
                place[-80:],
                "choose a shorter folder, or turn long paths on in Windows",
            )
        case errno.EACCES if exists and sys.platform == "win32" and os.access(place, os.W_OK):
            # It does not tell a file that is open elsewhere from one that is forbidden.
            return StorageError(
                "another program uses this, or it is not allowed", place, "close it there"
            )
        case errno.EACCES | errno.EPERM | errno.EROFS:
            if exists and not os.path.isdir(place) and not os.access(place, os.R_OK):
                return StorageError(
                    "reading this is not allowed", place, "allow it, or choose another file"
                )
            return StorageError(
                "writing here is not allowed", place, "choose a folder that you may write to"
            )
        case errno.ENOENT if "usable temporary directory" in str(error):
            return StorageError(
                "no folder for temporary files can be written to",
                tempfile.tempdir or os.environ.get("TMPDIR", ""),
                "set TMPDIR to one that can",
            )
        case errno.ENOENT:
            return StorageError("the file is missing", place, "check the path")
        case errno.EISDIR:
            return StorageError("this is a folder, not a file", place, "check the path")
        case errno.ENOTDIR:
            return StorageError("a part of the path is a file", place, "check the path")
        case errno.EEXIST | errno.ENOTEMPTY:
            return StorageError("something lies here already", place, "move it away")
        case errno.ENAMETOOLONG:
            return StorageError("the name is too long", place[-80:], "choose a shorter one")
        case errno.ELOOP:
            return StorageError("the links here lead round in a circle", place, "delete them")
        case errno.EMFILE | errno.ENFILE:
            return StorageError("too many files are open", place, "close other programs")
        case errno.EIO | errno.ESTALE | errno.ENODEV | errno.ENXIO:
            return StorageError(
                "the disk or the share does not answer", place, "check it, and run it again"
            )
        case errno.EBUSY | errno.ETXTBSY:
            return StorageError("another program uses this file", place, "close it there")
        case errno.EPIPE | errno.ECONNRESET | errno.ECONNABORTED:
            return StorageError("the other program has ended", place, "start it again")
        case errno.ENOMEM:
            return OutOfMemory("memory ran out", "this machine", "close other programs")
        case _:
            # Windows: a sharing violation, a lock violation.
            if getattr(error, "winerror", None) in (32, 33):
                return StorageError("another program uses this file", place, "close it there")
            reason = (error.strerror or _words(error)).lower()
            return StorageError(f"the system refused ({reason})", place, "check the disk")
