# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which process this is, so that another can tell whether it still lives.

Standard library only. A process id means something only to those who share its table of processes:
the same boot of the
same kernel, and the same process namespace. Containers with one host name do not share it, two of
one machine with different names may.
"""

import hashlib
import os
import socket
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any


def process_identity() -> dict[str, Any]:
    """This process: host, boot and namespace of its table, process id, and when it started."""
    return {
        "host": socket.gethostname(),
        "boot": _boot(),
        "namespace": _namespace(),
        "pid": os.getpid(),
        "process_started": process_started(os.getpid()),
    }


@cache
def process_table() -> str:
    """Four letters that stand for the table of processes that this process is in."""
    whole = hashlib.sha256(repr((socket.gethostname(), _boot(), _namespace())).encode())
    return whole.hexdigest()[:4]


def is_running(identity: Mapping[str, Any]) -> bool | None:
    """Whether the process of an identity runs; None if this process cannot look it up."""
    pid = identity.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool) or not 0 < pid < 2**31:
        return None
    if "boot" in identity:
        own = (_boot(), _namespace())
        if (identity["boot"], identity.get("namespace")) != own:
            return None
        if own[0] is None and identity.get("host") != socket.gethostname():
            return None
    elif identity.get("host") != socket.gethostname():
        return None
    started = process_started(pid)
    return started is not None and identity.get("process_started") in (started, None)


@cache
def _boot() -> str | None:
    """The id of this boot of the kernel, where the system gives one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        return None


@cache
def _namespace() -> str | None:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def process_started(pid: int) -> str | None:
    """A mark that differs between two processes with one id; None if no such process runs."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            return None
        fields = stat.rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else fields[19].decode()
    if sys.platform == "win32":
        return _started_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return "running"
    return "running"


def _started_on_windows(pid: int) -> str | None:
    import ctypes

    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined, unused-ignore]
    handle = kernel.OpenProcess(0x1000, False, pid)
    if not handle:
        return None
    try:
        code = ctypes.c_ulong()
        kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        times = [ctypes.c_ulonglong() for _ in range(4)]
        known = kernel.GetProcessTimes(handle, *(ctypes.byref(each) for each in times))
    finally:
        kernel.CloseHandle(handle)
    if code.value != 259:
        return None
    return str(times[0].value) if known else "running"
