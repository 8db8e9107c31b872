# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that run beside Blender in a thread, with a log to read and a cancel at once."""

import os
import re
import shutil
import subprocess
import threading
import traceback
import zipfile
from collections import deque
from collections.abc import Callable
from pathlib import Path

from portraitgen.errors import Cancelled, PortraitError
from portraitgen.failures import readable

_LAST_LINES = 20
_SHARE = re.compile(r"(\d+) %")


class BackgroundProcessError(PortraitError):
    """A program beside Blender has failed."""

    code = "program"


def installed(name: str) -> str:
    """A program of this machine's, empty where it has none.

    Never one in the folder where Blender was started, into which Windows looks first: a stranger's
    shot may lie there.
    """
    found = shutil.which(name)
    return found if found and os.path.isabs(found) else ""


class BackgroundProcess:
    """Steps that run one after the other in a thread of their own; subclasses say which.

    Attributes:
        state: "running", "done", "failed" or "cancelled".
        step: what it does.
        share: how far it is, 0..1.
        message: why it failed.
        log: the last lines of what was said.
        log_file: where all of it is.
    """

    def __init__(self, log_file: Path) -> None:
        self.state = "running"
        self.step = ""
        self.share = 0.0
        self.message = ""
        self.log: deque[str] = deque(maxlen=400)
        self.log_file = log_file
        self._cancelled = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begins."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        self.thread.start()

    def cancel(self) -> None:
        """Stops at once; what was downloaded stays for the next try."""
        self._cancelled.set()
        if self._process is not None:
            self._process.kill()

    def work(self) -> None:
        """Does the steps. Runs in the thread: nothing of bpy here."""
        raise NotImplementedError

    def _run(self) -> None:
        try:
            self.work()
            self.share = 1.0
            self.state = "done"
        except Cancelled:
            self.state = "cancelled"
        except PortraitError as error:
            self._fail(str(error))
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            self._fail(f"{self.step}: {error}")
        except Exception as error:  # noqa: BLE001 - one that dies without a word runs for ever.
            self.say(traceback.format_exc())
            self._fail(f"{self.step}: {readable(error)}")

    def _fail(self, message: str) -> None:
        self.say(message)
        if self._cancelled.is_set():
            self.state = "cancelled"
        else:
            self.message, self.state = message, "failed"

    def check_cancelled(self) -> None:
        """Raises Cancelled if the user has cancelled."""
        if self._cancelled.is_set():
            raise Cancelled

    def say(self, line: str) -> None:
        """Writes a line into the log."""
        self.log.append(line)
        with open(self.log_file, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def call(
        self,
        command: list[str],
        extra: dict[str, str] | None = None,
        explain: Callable[[str], PortraitError] | None = None,
    ) -> None:
        """Runs a program, keeps what it says, and ends with it if it fails.

        Args:
            command: the program and its arguments.
            extra: environment variables to add.
            explain: makes one sentence of what it said last, if it fails.

        Raises:
            PortraitError: if it fails, as explain has it.
        """
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        self._process = subprocess.Popen(
            command,
            # Not where Blender was started: uv would read its own settings there.
            cwd=self.log_file.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=clean | (extra or {}),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        assert self._process.stdout
        said: deque[str] = deque(maxlen=_LAST_LINES)
        for line in self._process.stdout:
            said.append(line.strip())
            self.say(line.rstrip())
            if found := _SHARE.search(line):
                self.share = int(found[1]) / 100
        status = self._process.wait()
        self.check_cancelled()
        if status and explain:
            raise explain("\n".join(said))
        if status:
            raise BackgroundProcessError(
                " ".join(list(said)[-3:]) or f"{command[0]} ended with {status}",
                self.step,
                f"see {self.log_file}, mend it and try again",
            )
