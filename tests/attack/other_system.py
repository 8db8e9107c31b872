# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the command line on a Linux that has only what another system has.

python other_system.py win32|darwin WORDS... [and WORDS...]
"""

import builtins
import ctypes
import errno
import fcntl
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

# What looks at the real system as it is imported.
import av  # noqa: F401
import cv2  # noqa: F401
import numba  # noqa: F401
import numpy as np  # noqa: F401
import OpenEXR  # noqa: F401
import OpenImageIO  # noqa: F401
import torch  # noqa: F401


class _Kernel:
    """kernel32 of Windows, as far as it is asked."""

    def __init__(self, name: str = "", **more: Any) -> None:
        self.OpenProcess: Any = lambda access, inherit, pid: pid

    def GetExitCodeProcess(self, handle: Any, code: Any) -> int:
        code._obj.value = 259
        return 1

    def GetProcessTimes(self, handle: Any, *times: Any) -> int:
        times[0]._obj.value = handle.value
        return 1

    def CloseHandle(self, handle: Any) -> int:
        return 1


def _no_proc(event: str, given: tuple[Any, ...]) -> None:
    if event == "open" and str(given[0]).startswith("/proc/"):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", given[0])


def _busy(real: Callable[..., Any], at: int) -> Callable[..., Any]:
    """Each file of the shot is refused at first: an indexer has it open."""
    seen = set()

    def call(*given: Any, **more: Any) -> Any:
        place = str(given[at])
        if "/shot/" in place and place not in seen and not more:
            seen.add(place)
            raise PermissionError(errno.EACCES, "The process cannot access the file", given[at])
        return real(*given, **more)

    return call


def _fsync(handle: int) -> None:
    if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, "Bad file descriptor")


def _no_link(*given: Any, **more: Any) -> None:
    raise OSError(errno.EPERM, "A required privilege is not held by the client")


def become(system: str) -> None:
    """Takes away what the other system has not got."""
    sys.platform = system
    missing = ["memfd_create", "pidfd_open", "setns", "unshare"]
    if system == "win32":
        missing += ["set_blocking", "killpg", "getuid", "geteuid", "fork", "setsid", "mkfifo"]
        missing += ["O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "uname", "statvfs", "getpgid"]
        for name in ("SIGHUP", "SIGQUIT", "SIGCHLD", "SIGPIPE", "SIGUSR1", "SIGALRM"):
            delattr(signal, name)
        for name in ("fcntl", "resource", "pwd", "grp", "termios"):
            sys.modules[name] = None  # type: ignore[assignment]
        for name, at in (("replace", 1), ("rename", 0), ("unlink", 0)):
            setattr(os, name, _busy(getattr(os, name), at))
        os.fsync = _fsync
        os.symlink = _no_link
        wake, wanted = signal.set_wakeup_fd, os.set_blocking

        def set_wakeup_fd(handle: int, **more: Any) -> int:
            if handle >= 0:
                wanted(handle, False)  # This system's wish.
            return wake(handle, **more)

        signal.set_wakeup_fd = set_wakeup_fd  # type: ignore[assignment]
        ctypes.WinDLL = _Kernel  # type: ignore[attr-defined]
        ctypes.get_last_error = lambda: 0  # type: ignore[attr-defined]
        read = builtins.open

        def open_file(file: Any, *given: Any, **more: Any) -> Any:
            if not isinstance(file, int) and os.path.isdir(file):
                raise PermissionError(errno.EACCES, "Permission denied", file)
            return read(file, *given, **more)

        builtins.open = open_file  # type: ignore[assignment]
    for name in missing:
        if hasattr(os, name):
            delattr(os, name)
    sys.addaudithook(_no_proc)


if __name__ == "__main__":
    become(sys.argv[1])
    from portraitgen.cli import main

    words: list[str] = []
    for word in [*sys.argv[2:], "and"]:
        if word == "and":
            print("running", *words, flush=True)
            main(words)
            words = []
        else:
            words.append(word)
