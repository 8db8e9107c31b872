# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Creates the backend's own environment with uv: aside first, renamed when it works.

Everything runs in a thread and in child processes; nothing goes into Blender's Python. Packages
are those of the lock (portraitgen.requirements). What is downloaded stays in uv's cache, so that
a second try goes on where the first one ended.
"""

import hashlib
import io
import json
import os
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from portraitgen import requirements
from portraitgen.errors import PortraitError
from portraitgen.requirements import bundle
from portraitgen.requirements.sources import Source, SourceError
from portraitgen.storage import move

from .background_process import BackgroundProcess, BackgroundProcessError, installed

_STAMP = "portraitgen-environment.json"


def has_nvidia() -> bool:
    """Whether an NVIDIA driver is installed."""
    return bool(installed("nvidia-smi"))


def python_in(folder: Path) -> Path:
    """The Python of a virtual environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


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


@dataclass(frozen=True)
class Plan:
    """What an environment is made of.

    Attributes:
        system: the system it is for.
        cuda: for an NVIDIA card.
    """

    system: requirements.System
    cuda: bool

    @staticmethod
    def here() -> "Plan":
        """This machine's.

        Raises:
            PortraitError: if this system is not offered.
        """
        return Plan(requirements.system(), has_nvidia())

    @property
    def megabytes(self) -> int:
        """About how much it downloads."""
        return requirements.download_mb(self.system, self.cuda)

    def sentences(self, source: Source) -> list[str]:
        """What is downloaded, from where and how much, to be read before it is."""
        torch = requirements.steps(self.system, self.cuda)[0]
        said = [f"{torch.label}, {torch.megabytes} MB, and packages, {self.megabytes} MB in all,"]
        if source.folder:
            return [*said, f"are installed from {source.folder}."]
        hosts = [source.of_step(step) for step in requirements.steps(self.system, self.cuda)]
        named = sorted({each.split("//")[-1].split("@")[-1].split("/")[0] for each in hosts})
        said.append(f"are downloaded from {' and '.join(named)}.")
        said.append("Python 3.12 is downloaded from github.com (35 MB) if this machine has none.")
        return said

    def identity(self, wheel: Path) -> dict[str, object]:
        """What tells one environment from another: the locked packages and the backend's wheel."""
        digest = hashlib.sha256(wheel.read_bytes())
        for step in requirements.steps(self.system, self.cuda):
            digest.update(step.file.read_bytes())
        return {"cuda": self.cuda, "contents": digest.hexdigest()}


def outdated(folder: Path) -> str:
    """Why an environment that was made here should be made again; empty if it should not.

    One that says nothing of itself was made by an earlier version.
    """
    if not python_in(folder).exists():
        return ""
    try:
        made = json.loads((folder / _STAMP).read_text("utf-8"))
        wanted = Plan(requirements.system(), made["cuda"] is True).identity(own_wheel())
    except (OSError, ValueError, KeyError, TypeError, PortraitError):
        made, wanted = None, None
    if made is None or made != wanted:
        return "The environment was made by another version; create it again"
    return ""


class Creation(BackgroundProcess):
    """One creation of the environment."""

    STEPS = ("Fetching uv", "Making the environment", "Installing packages", "Trying it")

    def __init__(self, folder: Path, wheel: Path, source: Source, plan: Plan) -> None:
        super().__init__(folder.with_name(folder.name + ".log"))
        self.folder = folder
        self._wheel = wheel
        self._source = source
        self._plan = plan

    def work(self) -> None:
        """Makes it beside the old one, and puts it in its place when it works.

        Raises:
            PortraitError: if a package cannot be had or the environment does not work.
        """
        partial, old = (
            self.folder.with_name(self.folder.name + end) for end in (".partial", ".old")
        )
        if old.exists() and not self.folder.exists():
            move(old, self.folder)  # Blender ended between the two renames below.
        partial.parent.mkdir(parents=True, exist_ok=True)
        self._source.check()
        self._begin(0)
        uv = self._uv()
        self._begin(1)
        identity = self._plan.identity(self._wheel)
        self._make(uv, partial, identity)
        self._begin(2)
        self._install(uv, python_in(partial))
        self._begin(3)
        python = str(python_in(partial))
        self.call(
            [python, "-P", "-c", "import portraitgen.worker, torch; print(torch.__version__)"]
        )
        (partial / _STAMP).write_text(json.dumps(identity), "utf-8")
        partial.with_name(partial.name + ".json").unlink()
        shutil.rmtree(old, ignore_errors=True)
        if self.folder.exists():
            move(self.folder, old)
        move(partial, self.folder)
        shutil.rmtree(old, ignore_errors=True)

    def _make(self, uv: Path, partial: Path, identity: dict[str, object]) -> None:
        """An empty environment, or the one that an earlier try for the same packages began."""
        begun = partial.with_name(partial.name + ".json")
        if python_in(partial).exists() and begun.exists():
            if begun.read_text("utf-8") == json.dumps(identity):
                return
        pythons = requirements.pythons(self._plan.system, self._plan.cuda)
        wanted = pythons[0] if len(pythons) == 1 else ">=3.11,<3.13"
        own = f"{sys.version_info.major}.{sys.version_info.minor}"
        venv = [str(uv), "venv", "--relocatable", "--clear"]
        try:
            self._call([*venv, "--python", wanted, str(partial)])
        except PortraitError:
            # Blender's own Python will do as the base where no other can be had.
            if own not in pythons:
                raise
            self.say("Taking Blender's own Python as the base")
            self._call([*venv, "--python", sys.executable, str(partial)])
        begun.write_text(json.dumps(identity), "utf-8")

    def _install(self, uv: Path, python: Path) -> None:
        """The locked packages, each checked by its sha256, and the backend's wheel."""
        install = [str(uv), "pip", "install", "--python", str(python), "--no-deps"]
        steps = requirements.steps(self._plan.system, self._plan.cuda)
        for step in steps:
            self.check_cancelled()
            self.step = f"Installing {step.label}, {step.megabytes} MB"
            self.say(self.step)
            where = self._source.arguments(step)
            self._call([*install, "--require-hashes", *where, "-r", str(step.file)])
            self.share += 1 / len(self.STEPS) / (len(steps) + 1)
        self._call([*install, "--reinstall", str(self._wheel.resolve())])

    def _call(self, command: list[str]) -> None:
        self.call(command, self._source.environment(), self._source.told)

    def _begin(self, step: int) -> None:
        self.check_cancelled()
        self.step, self.share = self.STEPS[step], step / len(self.STEPS)
        self.say(self.step)

    def _uv(self) -> Path:
        """uv: the one on this machine, or the locked one, downloaded once."""
        name = "uv.exe" if os.name == "nt" else "uv"
        if found := installed("uv"):
            return Path(found)
        checks = requirements.checks(self._plan.system)
        pin = next(
            each
            for each in bundle.pins(checks.file, self._plan.system, requirements.PYTHONS[-1])
            if each.name == "uv"
        )
        path = self.folder.with_name(f"uv-{pin.version}") / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            index = bundle.checks_index(self._source, self._plan.system)
            python = requirements.PYTHONS[-1]
            file, address = bundle.find(pin, index, self._plan.system, python, self._source)
            wheel = path.parent / file
            for share in bundle.download(address, wheel, pin.digests, self._source):
                self.check_cancelled()
                self.share = share / len(self.STEPS)
            temporary = path.with_name(name + ".part")
            with zipfile.ZipFile(io.BytesIO(wheel.read_bytes())) as archive:
                entries = [each for each in archive.namelist() if each.endswith(f"scripts/{name}")]
                temporary.write_bytes(archive.read(entries[0]))
            temporary.chmod(0o755)
            move(temporary, path)
            wheel.unlink()
        return path


class Bundling(BackgroundProcess):
    """The making of one offline bundle."""

    def __init__(self, target: Path, plan: Plan, python: str, source: Source, wheel: Path) -> None:
        super().__init__(target.with_name(target.name + ".log"))
        self.target = target
        self._plan, self._python = plan, python
        self._source, self._wheel = source, wheel

    def work(self) -> None:
        """Downloads the wheels.

        Raises:
            PortraitError: if one cannot be had.
        """
        self.step = "Making the bundle"
        self._source.check()
        offered = requirements.pythons(self._plan.system, self._plan.cuda)
        if self._python not in offered:
            raise SourceError(
                f"nothing is locked for Python {self._python} with this card",
                self._plan.system.label,
                f"choose Python {offered[-1]}",
            )
        bundle.collect(
            self._plan.system,
            self._python,
            self._plan.cuda,
            self.target,
            self._source,
            self._wheel,
            self._report,
        )
        self.say(f"Made {self.target}")

    def _report(self, share: float, what: str) -> None:
        self.check_cancelled()
        if self.step != what:
            self.say(what)
        self.share, self.step = share, what
