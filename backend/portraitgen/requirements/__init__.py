# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The locked packages of the backend's environment, for every system and Python that is offered.

One list for Blender's *Create Environment* and *Make Offline Bundle*, for build.py and for a
terminal. The files beside this one are pip's requirements with hashes, made by
`backend/tools/lock_requirements.py`; every package they need is in them, so they are installed
without looking at dependencies. Standard library only.
"""

import json
import platform
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import PortraitError

FOLDER = Path(__file__).resolve().parent
PYTHONS = ("3.11", "3.12")
PYTORCH = "https://download.pytorch.org/whl/"
PYPI = "https://pypi.org/simple"


class NotOffered(PortraitError):  # noqa: N818
    """There is no locked set of packages for this system, Python or card."""

    code = "not_offered"


@dataclass(frozen=True)
class System:
    """A system that the packages are locked for.

    Attributes:
        name: its key in downloads.json.
        label: what people call it.
        platform: what uv calls it (--python-platform).
        wheels: what the platform tags of its wheels match.
    """

    name: str
    label: str
    platform: str
    wheels: str

    def takes(self, wheel: str, python: str) -> bool:
        """Whether its Python, "3.12" say, installs a wheel, by the wheel's name."""
        return _rank(wheel, python) > 0 and (
            wheel.endswith("-any.whl")
            or re.search(self.wheels, wheel.rpartition("-")[2]) is not None
        )

    def best(self, wheels: Iterable[str], python: str) -> str:
        """The wheel that fits best, by name; empty if none does."""
        fitting = sorted(wheel for wheel in wheels if self.takes(wheel, python))
        return max(fitting, key=lambda wheel: _rank(wheel, python), default="")


def _rank(wheel: str, python: str) -> int:
    """How closely a wheel was built for a Python: 3 just for it, 2 and later, 1 any, 0 not."""
    interpreters, abi, _ = wheel.removesuffix(".whl").split("-")[-3:]
    minor = int(python.partition(".")[2])
    ranks = [0]
    for tag in interpreters.split("."):
        if tag == f"cp3{minor}" and abi in (f"cp3{minor}", "none"):
            ranks.append(3)
        elif "abi3" in abi.split(".") and tag.startswith("cp3") and int(tag[3:]) <= minor:
            ranks.append(2)
        elif tag in ("py3", f"py3{minor}") and abi == "none":
            ranks.append(1)
    return max(ranks)


# What is locked and tested: PyTorch has no wheels for macOS on Intel.
SYSTEMS = {
    ("Linux", "x86_64"): System(
        "linux", "Linux x86_64", "x86_64-manylinux_2_28", r"manylinux\w*_x86_64"
    ),
    ("Windows", "AMD64"): System(
        "windows", "Windows x86_64", "x86_64-pc-windows-msvc", r"win_amd64"
    ),
    ("Darwin", "arm64"): System(
        "macos",
        "macOS 14 on Apple silicon",
        "aarch64-apple-darwin",
        r"macosx_\d+_\d+_(arm64|universal2)",
    ),
}


@dataclass(frozen=True)
class Step:
    """One file of requirements to install.

    Attributes:
        label: what it is, for people.
        file: pip's requirements with hashes.
        index: an index of its own that it is looked for in before the usual one; empty for none.
        megabytes: about how much it downloads.
    """

    label: str
    file: Path
    index: str
    megabytes: int


def system() -> System:
    """This machine's system.

    Raises:
        NotOffered: if no packages are locked for it.
    """
    here = platform.system(), platform.machine()
    if here not in SYSTEMS:
        offered = ", ".join(each.label for each in SYSTEMS.values())
        raise NotOffered(
            "PyTorch has no build for this system, or none that was tested",
            " ".join(here),
            f"use one of {offered}, or make an environment yourself and choose Existing Python",
        )
    return SYSTEMS[here]


def named(name: str) -> System:
    """The system of a name.

    Raises:
        NotOffered: if there is none.
    """
    for each in SYSTEMS.values():
        if each.name == name:
            return each
    known = ", ".join(each.name for each in SYSTEMS.values())
    raise NotOffered("no packages are locked for it", name, f"choose one of {known}")


def pythons(target: System, cuda: bool) -> tuple[str, ...]:
    """The Pythons that packages are locked for, the preferred one last."""
    return ("3.12",) if cuda and target.name == "windows" else PYTHONS


def steps(target: System, cuda: bool) -> list[Step]:
    """What is installed, in order.

    Args:
        target: the system it is for.
        cuda: for an NVIDIA card; PyTorch's CPU build otherwise.

    Raises:
        NotOffered: if the system takes no such card.
    """
    if cuda and target.name == "macos":
        raise NotOffered("NVIDIA cards are not supported", target.label, "choose the CPU")
    index = _torch_index(target, cuda)
    if cuda:
        return [
            _step("PyTorch for CUDA", "torch-cuda", target, index),
            _step("packages", "packages", target),
            _step("packages for CUDA", "cuda", target),
        ]
    return [
        _step("PyTorch for the CPU", "torch-cpu", target, index),
        _step("packages", "packages", target),
    ]


def checks(target: System) -> Step:
    """What the tests and checks of the repository need besides."""
    return _step("checks", "checks", target)


def download_mb(target: System, cuda: bool) -> int:
    """About how much creating an environment downloads, Python and uv not counted."""
    return sum(step.megabytes for step in steps(target, cuda))


def pinned(file: Path) -> dict[str, list[str]]:
    """The versions of each package that a file of requirements locks.

    A package has several where Pythons or systems take different ones.
    """
    found: dict[str, list[str]] = {}
    for line in file.read_text("utf-8").splitlines():
        name, is_pin, rest = line.partition("==")
        if is_pin and not line.startswith((" ", "#")):
            found.setdefault(name, []).append(rest.split(" ")[0])
    return found


def digests(file: Path, name: str) -> frozenset[str]:
    """The sha256 of every wheel of a package that a file of requirements admits."""
    found: set[str] = set()
    inside = False
    for line in file.read_text("utf-8").splitlines():
        if not line.startswith(" "):
            inside = line.startswith(f"{name}==")
        elif inside and "--hash=sha256:" in line:
            found.add(line.partition("--hash=sha256:")[2].split(" ")[0])
    return frozenset(found)


def this_python() -> str:
    """The running Python's version, as PYTHONS has them."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _torch_index(target: System, cuda: bool) -> str:
    """The index of PyTorch's own that has the build which PyPI has not."""
    if target.name == "linux" and not cuda:
        return PYTORCH + "cpu"
    return PYTORCH + "cu130" if target.name == "windows" and cuda else ""


def _step(label: str, name: str, target: System, index: str = "") -> Step:
    sizes = json.loads((FOLDER / "downloads.json").read_text("utf-8"))
    return Step(label, FOLDER / f"{name}.txt", index, sizes[name].get(target.name, 0))
