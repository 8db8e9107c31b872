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
import subprocess
import sys
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Of a process that runs, and does not say since when.
_UNKNOWN = "running"


@dataclass(frozen=True)
class ProcessIdentity:
    """A process.

    Attributes:
        host: the machine's name.
        boot, namespace: of its table of processes; None where the system gives none, "" where
            whoever wrote the identity did not say.
        pid: its number in that table.
        started: a mark of when it started, None where it is not known.
    """

    host: str
    boot: str | None
    namespace: str | None
    pid: int
    started: str | None


def process_identity() -> ProcessIdentity:
    """This process."""
    pid = os.getpid()
    return ProcessIdentity(socket.gethostname(), _boot(), _namespace(), pid, process_started(pid))


@cache
def process_table() -> str:
    """Four letters that stand for the table of processes that this process is in."""
    whole = hashlib.sha256(repr((socket.gethostname(), _boot(), _namespace())).encode())
    return whole.hexdigest()[:4]


def is_running(identity: ProcessIdentity) -> bool | None:
    """Whether the process of an identity runs; None if this process cannot look it up."""
    if not 0 < identity.pid < 2**31:
        return None
    if identity.boot != "":
        own = (_boot(), _namespace())
        if (identity.boot, identity.namespace) != own:
            return None
        if own[0] is None and identity.host != socket.gethostname():
            return None
    elif identity.host != socket.gethostname():
        return None
    started = process_started(identity.pid)
    if started is None:
        return False
    if _UNKNOWN in (started, identity.started):
        # Another process may have that number now; whether it does anything is seen.
        return True if identity.pid == os.getpid() else None
    return identity.started in (started, None)


@cache
def _boot() -> str | None:
    """The id of this boot of the kernel; elsewhere the machine's, as machines may share a name."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        node = uuid.getnode()
        # Where there is no network card, each process is told another number.
        return None if node >> 40 & 1 else f"{node:012x}"


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
    return _started_by_ps(pid)


def _started_by_ps(pid: int) -> str | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # Another user's.
    asked = ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)]
    try:
        told = subprocess.run(
            asked,
            env={"LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return _UNKNOWN
    state, _, started = told.stdout.strip().partition(" ")
    if state.startswith("Z"):
        return None
    return " ".join(started.split()) or _UNKNOWN


def _started_on_windows(pid: int) -> str | None:
    import ctypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined, unused-ignore]
    kernel.OpenProcess.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(kernel.OpenProcess(0x1000, False, pid))
    if not handle:
        refused = ctypes.get_last_error() == 5  # type: ignore[attr-defined, unused-ignore]
        return _UNKNOWN if refused else None
    try:
        code = ctypes.c_ulong()
        kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        times = [ctypes.c_ulonglong() for _ in range(4)]
        known = kernel.GetProcessTimes(handle, *(ctypes.byref(each) for each in times))
    finally:
        kernel.CloseHandle(handle)
    if code.value != 259:  # STILL_ACTIVE
        return None
    return str(times[0].value) if known else _UNKNOWN
