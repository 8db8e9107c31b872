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
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

from .background_process import BackgroundProcess, BackgroundProcessError
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


def download_gb() -> float:
    """About how much creating the environment downloads, GB."""
    return 4.5 if has_nvidia() else 1.3


def has_nvidia() -> bool:
    """Whether an NVIDIA driver is installed."""
    return shutil.which("nvidia-smi") is not None


class Creation(BackgroundProcess):
    """One creation of the environment."""

    STEPS = ("Fetching uv", "Making the environment", "Installing packages", "Trying it")

    def __init__(self, folder: Path, wheel: Path) -> None:
        super().__init__(folder.with_name(folder.name + ".log"))
        self.folder = folder
        self._wheel = wheel

    def work(self) -> None:
        """Makes it beside the old one, and puts it in its place when it works."""
        partial = self.folder.with_name(self.folder.name + ".partial")
        partial.parent.mkdir(parents=True, exist_ok=True)
        self._begin(0)
        uv = self._uv()
        self._begin(1)
        python = python_in(partial)
        if not python.exists():
            self.call(
                [str(uv), "venv", "--relocatable", "--clear", "--python", PYTHON, str(partial)]
            )
        self._begin(2)
        extras = "cuda,diffusion" if has_nvidia() else "diffusion"
        package = f"portraitgen[{extras}] @ {self._wheel.resolve().as_uri()}"
        install = [str(uv), "pip", "install", "--python", str(python), "--torch-backend", "auto"]
        self.call([*install, "--reinstall-package", "portraitgen", package])
        self._begin(3)
        self.call([str(python), "-c", "import portraitgen.worker, torch; print(torch.__version__)"])
        old = self.folder.with_name(self.folder.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if self.folder.exists():
            os.rename(self.folder, old)
        os.rename(partial, self.folder)
        shutil.rmtree(old, ignore_errors=True)

    def _begin(self, step: int) -> None:
        self.check_cancelled()
        self.step, self.share = self.STEPS[step], step / len(self.STEPS)
        self.say(self.step)

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
            raise BackgroundProcessError(
                f"the package index cannot be reached ({error.reason})",
                INDEX,
                "check the network, or install uv yourself so that it is found",
            ) from error

    def _download(self, url: str, sha256: str) -> bytes:
        data = bytearray()
        with urllib.request.urlopen(url, timeout=30) as answer:
            size = int(answer.headers.get("Content-Length", 0))
            while part := answer.read(_CHUNK):
                self.check_cancelled()
                data += part
                self.share = len(data) / size / len(self.STEPS) if size else 0.0
        if hashlib.sha256(data).hexdigest() != sha256:
            raise BackgroundProcessError(
                "the download is not what the index says", url, "try again"
            )
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
        raise BackgroundProcessError(
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
    raise BackgroundProcessError(
        f"the index has no uv {UV_VERSION} for {' '.join(system)}", INDEX, "install uv yourself"
    )


def own_wheel() -> Path:
    """The backend's wheel inside the installed extension.

    Raises:
        BackgroundProcessError: if the extension was not built with it.
    """
    folder = Path(__file__).resolve().parents[1] / "wheels"
    found = sorted(folder.glob("portraitgen-*.whl"))
    if not found:
        raise BackgroundProcessError(
            "the extension holds no backend", folder, "install the extension from its zip"
        )
    return found[-1]
