# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The locked packages of one system in a folder, for machines that have no network.

The folder is built aside and renamed when it is whole; what has come is kept for the next try,
and a file that came in part goes on where it ended. Standard library only.
"""

import hashlib
import http.client
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..storage import move
from . import System, checks, steps
from .sources import Source, SourceError

SCHEMA = 1
_CHUNK = 1 << 18


@dataclass(frozen=True)
class Pin:
    """One locked package: name, version, and the sha256 of every wheel that it may be."""

    name: str
    version: str
    digests: frozenset[str]


def pins(file: Path, system: System, python: str) -> list[Pin]:
    """What a file of requirements locks for a system and a Python, "3.12" say."""
    platforms = {"linux": "linux", "windows": "win32", "macos": "darwin"}
    place = {"sys_platform": platforms[system.name], "python_version": python}
    found = []
    for entry in file.read_text("utf-8").replace("\\\n", " ").splitlines():
        if not entry or entry.startswith("#"):
            continue
        wanted, *hashes = entry.split("--hash=sha256:")
        pin, _, marker = wanted.partition(";")
        if _holds(marker, place):
            name, _, version = pin.strip().partition("==")
            found.append(Pin(name, version, frozenset(each.strip() for each in hashes)))
    return found


def _holds(marker: str, place: dict[str, str]) -> bool:
    """Whether a marker holds, of the kind that lock_requirements.py writes."""
    for part in marker.split(" and "):
        choices = [each.split(" == ") for each in part.strip(" ()").split(" or ") if each]
        if choices and not any(place[key.strip()] == value.strip(" '") for key, value in choices):
            return False
    return True


def collect(
    system: System,
    python: str,
    cuda: bool,
    target: Path,
    source: Source,
    wheel: Path,
    report: Callable[[float, str], None],
) -> Path:
    """Downloads every locked wheel, uv and the backend's own wheel, and says how to use them.

    Args:
        system: the system that the other machine has.
        python: its Python, "3.12" say.
        cuda: for an NVIDIA card.
        target: the folder to make.
        source: where from.
        wheel: the backend's wheel.
        report: is told how far it is, 0..1, and what comes; what it raises ends the work.

    Returns:
        The folder.

    Raises:
        SourceError: if a wheel cannot be had, or is not the one that is locked.
    """
    if target.exists():
        raise SourceError("this is there already", target, "choose another folder or remove it")
    partial = target.with_name(target.name + ".partial")
    wheels = partial / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    plan = [
        (source.of_step(step), pin)
        for step in steps(system, cuda)
        for pin in pins(step.file, system, python)
    ]
    uv = [pin for pin in pins(checks(system).file, system, python) if pin.name == "uv"]
    plan += [(source.index or checks_index(source, system), pin) for pin in uv]
    kept = set()
    for number, (index, pin) in enumerate(plan):
        report(number / len(plan), f"{pin.name} {pin.version}")
        name, address = find(pin, index, system, python, source)
        kept.add(name)
        for share in download(address, wheels / name, pin.digests, source):
            report((number + share) / len(plan), f"{pin.name} {pin.version}")
    kept.add(wheel.name)
    shutil.copy(wheel, wheels / wheel.name)
    for other in wheels.iterdir():
        if other.name not in kept:
            other.unlink()  # Of an earlier version that was not finished.
    for step in steps(system, cuda):
        shutil.copy(step.file, partial / step.file.name)
    facts = {"schema": SCHEMA, "system": system.name, "python": python, "cuda": cuda}
    (partial / "bundle.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    files = [step.file.name for step in steps(system, cuda)]
    (partial / "README.txt").write_text(_text(system, python, cuda, files, wheel.name), "utf-8")
    move(partial, target)
    return target


def checks_index(source: Source, system: System) -> str:
    """The index of packages that are not PyTorch's."""
    return source.of_step(checks(system))


def find(pin: Pin, index: str, system: System, python: str, source: Source) -> tuple[str, str]:
    """The name and the address of the wheel of a package that fits best.

    Raises:
        SourceError: if the index has none that is locked.
    """
    if source.folder:
        there = {path.name: (path.as_uri(), "") for path in source.wheels().glob("*.whl")}
    else:
        there = source.page(index, pin.name)
    stem = f"{pin.name.replace('-', '_').lower()}-{pin.version}-"
    fitting = {
        name: address
        for name, (address, digest) in there.items()
        if name.endswith(".whl")
        and name.lower().replace(".", "_").startswith(stem.replace(".", "_"))
        and (digest in pin.digests if digest else True)
    }
    best = system.best(fitting, python)
    if not best:
        raise source.told(f"{index} requires {pin.name}=={pin.version}")
    return best, fitting[best]


def download(url: str, path: Path, digests: frozenset[str], source: Source) -> Iterator[float]:
    """Downloads a file, goes on where an earlier try ended, and checks it.

    Yields:
        How far it is, 0..1.

    Raises:
        SourceError: if it cannot be had or is not one of the files that are locked.
    """
    if path.exists() and _sha256(path) in digests:
        return
    part = path.with_name(path.name + ".part")
    start = part.stat().st_size if part.exists() else 0
    with source.open(url, start) as answer:
        done = start if start and getattr(answer, "status", None) == 206 else 0
        size = done + int(answer.headers.get("Content-Length") or 0)
        with open(part, "ab" if done else "wb") as file:
            while data := _read(answer, url, source):
                file.write(data)
                done += len(data)
                yield min(done / size, 1.0) if size else 0.0
    if done < size:
        raise source.told(f"{url} connection lost at {done} of {size} bytes")
    if _sha256(part) not in digests:
        part.unlink()
        raise source.told(f"{url} is not the file")
    move(part, path)


def _read(answer: Any, url: str, source: Source) -> bytes:
    try:
        data: bytes = answer.read(_CHUNK)
        return data
    except (OSError, http.client.HTTPException) as error:
        raise source.told(f"{url} connection lost ({error})") from error


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text(system: System, python: str, cuda: bool, files: list[str], wheel: str) -> str:
    card = "with an NVIDIA card" if cuda else "without an NVIDIA card"
    lists = " ".join(f"-r {name}" for name in files)
    run = r"env\Scripts\python" if system.name == "windows" else "env/bin/python"
    return f"""PortraitGen, packages for {system.label}, Python {python}, {card}

This machine needs Python {python}; where it has none, install it from python.org first.

In Blender: install the extension from its zip. In its preferences set Packages From to
Wheel Folder, choose this folder, and press Create Environment. Blender may stay offline.

At a terminal, in this folder:

    python{python} -m venv env
    {run} -m pip install --no-index --find-links wheels --no-deps --require-hashes {lists}
    {run} -m pip install --no-index --no-deps wheels/{wheel}

Every wheel is checked against the sha256 in the lists.
"""
