# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Creates the backend's own environment with uv: aside first, renamed when it works.

Everything runs in a thread and in child processes; nothing goes into Blender's Python. Packages
that are downloaded stay in uv's cache, so that a second try goes on where the first one ended.
"""

import hashlib
import html.parser
import io
import os
import platform
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections import deque
from collections.abc import Callable
from pathlib import Path

from portraitgen.errors import Cancelled, PortraitError

from .preferences import python_in

INDEX = "https://pypi.org/simple/uv/"
UV_VERSION = "0.9.7"
# mediapipe has no wheels for later ones.
PYTHON = ">=3.11,<3.13"
_CHUNK = 1 << 18
_SYSTEMS = {
    ("Linux", "x86_64"): "manylinux_2_17_x86_64",
    ("Linux", "aarch64"): "manylinux_2_17_aarch64",
    ("Darwin", "arm64"): "macosx_11_0_arm64",
    ("Darwin", "x86_64"): "macosx_10_12_x86_64",
    ("Windows", "AMD64"): "win_amd64",
}


class SetupError(PortraitError):
    """The environment cannot be created."""

    code = "environment"


def download_gb() -> float:
    """About how much creating the environment downloads, GB."""
    return 4.5 if has_nvidia() else 1.3


def has_nvidia() -> bool:
    """Whether an NVIDIA driver is installed."""
    return shutil.which("nvidia-smi") is not None


class Creation:
    """One creation of the environment, running in a thread of its own.

    Attributes:
        state: "running", "done", "failed" or "cancelled".
        step: what it does.
        share: how far it is, 0..1.
        message: why it failed.
        log: the last lines of what it said.
    """

    STEPS = ("Fetching uv", "Making the environment", "Installing packages", "Trying it")

    def __init__(self, folder: Path, wheel: Path, changed: Callable[[], None]) -> None:
        self.folder = folder
        self.state = "running"
        self.step = self.STEPS[0]
        self.share = 0.0
        self.message = ""
        self.log: deque[str] = deque(maxlen=400)
        self._wheel = wheel
        self._changed = changed
        self._cancelled = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self.log_file = folder.with_name(folder.name + ".log")
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def cancel(self) -> None:
        """Stops at once; what was downloaded stays for the next try."""
        self._cancelled.set()
        if self._process is not None:
            self._process.kill()

    def _run(self) -> None:
        try:
            self._create()
            self.state = "done"
        except Cancelled:
            self.state = "cancelled"
        except PortraitError as error:
            self._fail(str(error))
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            self._fail(f"{self.step}: {error}")
        self._changed()

    def _fail(self, message: str) -> None:
        self.state, self.message = (
            ("cancelled", "") if self._cancelled.is_set() else ("failed", message)
        )
        self._say(message)

    def _create(self) -> None:
        partial = self.folder.with_name(self.folder.name + ".partial")
        partial.parent.mkdir(parents=True, exist_ok=True)
        self._begin(0)
        uv = self._uv()
        self._begin(1)
        python = python_in(partial)
        if not python.exists():
            self._call(
                [str(uv), "venv", "--relocatable", "--clear", "--python", PYTHON, str(partial)]
            )
        self._begin(2)
        extras = "cuda,diffusion" if has_nvidia() else "diffusion"
        package = f"portraitgen[{extras}] @ {self._wheel.resolve().as_uri()}"
        install = [str(uv), "pip", "install", "--python", str(python), "--torch-backend", "auto"]
        self._call([*install, "--reinstall-package", "portraitgen", package])
        self._begin(3)
        self._call(
            [str(python), "-c", "import portraitgen.worker, torch; print(torch.__version__)"]
        )
        old = self.folder.with_name(self.folder.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if self.folder.exists():
            os.rename(self.folder, old)
        os.rename(partial, self.folder)
        shutil.rmtree(old, ignore_errors=True)
        self.share = 1.0

    def _begin(self, step: int) -> None:
        if self._cancelled.is_set():
            raise Cancelled
        self.step, self.share = self.STEPS[step], step / len(self.STEPS)
        self._say(self.step)

    def _say(self, line: str) -> None:
        self.log.append(line)
        with open(self.log_file, "a", encoding="utf-8") as file:
            file.write(line + "\n")
        self._changed()

    def _call(self, command: list[str]) -> None:
        """Runs a program, keeps what it says, and ends with it if it fails."""
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        assert self._process.stdout
        said: deque[str] = deque(maxlen=3)
        for line in self._process.stdout:
            said.append(line.strip())
            self._say(line.rstrip())
        status = self._process.wait()
        if self._cancelled.is_set():
            raise Cancelled
        if status:
            raise SetupError(
                " ".join(said) or f"{command[0]} ended with {status}",
                self.step,
                f"see {self.log_file}, mend it and create the environment again",
            )

    def _uv(self) -> Path:
        name = "uv.exe" if os.name == "nt" else "uv"
        if found := shutil.which("uv"):
            return Path(found)
        path = self.folder.with_name(name)
        if not path.exists():
            data = self._download(*_uv_wheel(self._read_index()))
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                entry = next(
                    each for each in archive.namelist() if each.endswith(f"scripts/{name}")
                )
                temporary = path.with_suffix(".part")
                temporary.write_bytes(archive.read(entry))
            temporary.chmod(0o755)
            os.replace(temporary, path)
        return path

    def _read_index(self) -> str:
        try:
            with urllib.request.urlopen(INDEX, timeout=30) as answer:
                text: str = answer.read().decode()
                return text
        except urllib.error.URLError as error:
            raise SetupError(
                f"the package index cannot be reached ({error.reason})",
                INDEX,
                "check the network, or install uv yourself so that it is found",
            ) from error

    def _download(self, url: str, sha256: str) -> bytes:
        data = bytearray()
        with urllib.request.urlopen(url, timeout=30) as answer:
            size = int(answer.headers.get("Content-Length", 0))
            while part := answer.read(_CHUNK):
                if self._cancelled.is_set():
                    raise Cancelled
                data += part
                self.share = len(data) / size / len(self.STEPS) if size else 0.0
                self._changed()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise SetupError("the download is not what the index says", url, "try again")
        return bytes(data)


class _Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value for key, value in attributes if key == "href" and value]


def _uv_wheel(index: str) -> tuple[str, str]:
    """The address and the sha256 of this machine's wheel of uv, from the index's page."""
    system = platform.system(), platform.machine()
    tag = _SYSTEMS.get(system)
    if tag is None:
        raise SetupError(
            f"uv has no build for {' '.join(system)}",
            sys.platform,
            "make an environment yourself and choose Existing Python",
        )
    parser = _Links()
    parser.feed(index)
    for link in parser.links:
        url, _, digest = link.partition("#sha256=")
        name = url.rpartition("/")[2]
        if name.startswith(f"uv-{UV_VERSION}-") and tag in name and name.endswith(".whl"):
            return urllib.parse.urljoin(INDEX, url), digest
    raise SetupError(
        f"the index has no uv {UV_VERSION} for {' '.join(system)}", INDEX, "install uv yourself"
    )


def own_wheel() -> Path:
    """The backend's wheel inside the installed extension.

    Raises:
        SetupError: if the extension was not built with it.
    """
    folder = Path(__file__).resolve().parents[1] / "wheels"
    found = sorted(folder.glob("portraitgen-*.whl"))
    if not found:
        raise SetupError(
            "the extension holds no backend", folder, "install the extension from its zip"
        )
    return found[-1]
