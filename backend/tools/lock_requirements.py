# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks the backend's packages for every system and Python that is offered.

    python backend/tools/lock_requirements.py            the newest that the ranges allow
    python backend/tools/lock_requirements.py --check    only says what would change

Resolves backend/pyproject.toml once for all of them by uv (`pip install uv`), so that every
system gets the same versions where it can, and writes portraitgen/requirements/*.txt and
downloads.json. The lock holds wheels only, each with its sha256; nothing is built from source.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from packaging.markers import Marker

BACKEND = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(BACKEND))

from portraitgen import requirements  # noqa: E402

TORCH = "2.13.0"
# Environments that markers are asked about: pip's names for the systems that are offered.
_SYSTEMS = {
    "linux": {"sys_platform": "linux", "platform_machine": "x86_64", "os_name": "posix",
              "platform_system": "Linux"},
    "windows": {"sys_platform": "win32", "platform_machine": "AMD64", "os_name": "nt",
                "platform_system": "Windows"},
    "macos": {"sys_platform": "darwin", "platform_machine": "arm64", "os_name": "posix",
              "platform_system": "Darwin"},
}  # fmt: skip
_CUDA_LIBRARIES = re.compile(r"nvidia-|triton$|cuda-")


@dataclass
class Package:
    """One version of a package: the wheels that the systems take and where it is wanted.

    Attributes:
        wheels: (file name, sha256, bytes) of each.
        places: (system, Python) that install this version.
    """

    name: str
    version: str
    wheels: list[tuple[str, str, int]]
    places: set[tuple[str, str]] = field(default_factory=set)

    def on(self, systems: Iterable[str]) -> "Package":
        """The same, on some systems only."""
        places = {place for place in self.places if place[0] in set(systems)}
        wheels = [each for each in self.wheels if any(_fits(each[0], *place) for place in places)]
        return Package(self.name, self.version, wheels, places)


def resolve(extras: Iterable[str]) -> list[Package]:
    """What uv resolves for the backend and some of its extras."""
    with tempfile.TemporaryDirectory() as folder:
        out, limits = Path(folder) / "pylock.toml", Path(folder) / "constraints.txt"
        limits.write_text(f"torch=={TORCH}\n")
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal",
                   "--fork-strategy", "fewest",
                   "--python-version", requirements.PYTHONS[0], "--only-binary", ":all:",
                   "--format", "pylock.toml", "--constraints", str(limits),
                   "--output-file", str(out), "pyproject.toml"]  # fmt: skip
        for extra in extras:
            command += ["--extra", extra]
        if subprocess.run(command, cwd=BACKEND, stdout=subprocess.DEVNULL).returncode:
            sys.exit("lock_requirements.py: uv found no versions that go together; see above.")
        return [
            found for row in tomllib.loads(out.read_text())["packages"] if (found := _package(row))
        ]


def _package(row: dict[str, Any]) -> Package | None:
    """A package of uv's lock, None if no system that is offered installs it."""
    marker = Marker(row["marker"]) if row.get("marker") else None
    files = [
        (unquote(wheel["url"].rpartition("/")[2]), wheel["hashes"]["sha256"], wheel["size"])
        for wheel in row.get("wheels", [])
    ]
    found = Package(row["name"], row.get("version", ""), [])
    for system, facts in _SYSTEMS.items():
        for python in requirements.PYTHONS:
            environment = facts | {
                "python_version": python, "python_full_version": f"{python}.9",
                "implementation_name": "cpython", "platform_python_implementation": "CPython",
            }  # fmt: skip
            if marker is not None and not marker.evaluate(environment):
                continue
            fitting = [each for each in files if _fits(each[0], system, python)]
            if not fitting:
                sys.exit(f"lock_requirements.py: {row['name']} has no wheel for {system}, {python}")
            found.places.add((system, python))
            found.wheels += [each for each in fitting if each not in found.wheels]
    return found if found.places else None


def _fits(wheel: str, system: str, python: str) -> bool:
    """Whether a system's Python installs a wheel, by its name."""
    return requirements.named(system).takes(wheel, python)


def pytorch_wheels(channel: str, wanted: list[str]) -> list[tuple[str, str, int]]:
    """Wheels of an index of PyTorch's own; what is locked already where it cannot be reached."""
    kept = requirements.FOLDER / "pytorch.json"
    known = json.loads(kept.read_text()) if kept.exists() else {}
    try:
        with urllib.request.urlopen(f"{requirements.PYTORCH}{channel}/torch/", timeout=30) as page:
            text = page.read().decode()
    except urllib.error.URLError as error:
        print(f"{requirements.PYTORCH}{channel} is not reached ({error.reason}); its wheels stay")
    else:
        links = re.findall(r'href="([^"#]+)#sha256=([0-9a-f]{64})', text)
        found = {unquote(url.rpartition("/")[2]): (url, digest) for url, digest in links}
        for name in wanted:
            request = urllib.request.Request(
                urllib.request.urljoin(requirements.PYTORCH, found[name][0]), method="HEAD"
            )
            with urllib.request.urlopen(request, timeout=30) as answer:
                known[name] = [found[name][1], int(answer.headers["Content-Length"])]
        kept.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    if missing := [name for name in wanted if name not in known]:
        sys.exit(f"lock_requirements.py: no digest is known of {', '.join(missing)}")
    return [(name, *known[name]) for name in wanted]


def own_torch(label: str, system: str, pythons: Iterable[str], platform: str) -> Package:
    """PyTorch's build for a card or a CPU that PyPI has not."""
    names = [
        f"torch-{TORCH}+{label}-cp{short}-cp{short}-{platform}.whl"
        for short in (each.replace(".", "") for each in pythons)
    ]
    places = {(system, python) for python in pythons}
    return Package("torch", f"{TORCH}+{label}", pytorch_wheels(label, names), places)


def marker(package: Package) -> str:
    """Where a version is installed, as short as it can be said."""
    systems = {system for system, _ in package.places}
    pythons = {python for _, python in package.places}
    assert package.places == {(a, b) for a in systems for b in pythons}, package
    said = []
    if systems != set(_SYSTEMS):
        names = [f"sys_platform == '{_SYSTEMS[each]['sys_platform']}'" for each in sorted(systems)]
        said.append(names[0] if len(names) == 1 else f"({' or '.join(names)})")
    if pythons != set(requirements.PYTHONS):
        said.append(" or ".join(f"python_version == '{each}'" for each in sorted(pythons)))
    return f" ; {' and '.join(said)}" if said else ""


def text(title: str, packages: list[Package]) -> str:
    """A file of requirements."""
    lines = [
        f"# {title}",
        "# Made by backend/tools/lock_requirements.py; not to be edited by hand.",
    ]
    for each in sorted(packages, key=lambda each: (each.name, each.version)):
        lines.append(f"{each.name}=={each.version}{marker(each)} \\")
        digests = sorted({digest for _, digest, _ in each.wheels})
        lines += [f"    --hash=sha256:{digest} \\" for digest in digests[:-1]]
        lines.append(f"    --hash=sha256:{digests[-1]}")
    return "\n".join(lines) + "\n"


def megabytes(packages: list[Package]) -> dict[str, int]:
    """What each system downloads on its preferred Python."""
    found = {}
    for system in _SYSTEMS:
        python = requirements.PYTHONS[-1]
        total = 0
        for each in packages:
            if (system, python) in each.places:
                sizes = {name: size for name, _, size in each.wheels}
                total += sizes[requirements.named(system).best(sizes, python)]
        found[system] = round(total / 1e6)
    return found


def lock() -> dict[str, list[Package]]:
    """Every file's packages, from one resolution."""
    everything = resolve(["diffusion", "cuda", "dev"])
    names = {
        "packages": {each.name for each in resolve(["diffusion"])},
        "cuda": {each.name for each in resolve(["diffusion", "cuda"])},
        "checks": {each.name for each in resolve(["diffusion", "dev"])},
    }
    plain, with_card, with_checks = [], [], []
    torch, libraries = [], []
    for each in everything:
        if each.name == "torch":
            torch.append(each)
        elif _CUDA_LIBRARIES.match(each.name):
            libraries.append(each)
        elif each.name in names["packages"]:
            plain.append(each)
        else:
            if each.name in names["cuda"]:
                with_card.append(each.on(["linux", "windows"]))
            if each.name in names["checks"]:
                with_checks.append(each)
    return {
        "packages": plain,
        "torch-cpu": [each.on(["windows", "macos"]) for each in torch]
        + [own_torch("cpu", "linux", requirements.PYTHONS, "manylinux_2_28_x86_64")],
        "torch-cuda": [each.on(["linux"]) for each in torch] + libraries
        + [own_torch("cu130", "windows", ["3.12"], "win_amd64")],
        "cuda": with_card,
        "checks": with_checks,
    }  # fmt: skip


_TITLES = {
    "packages": "What the backend and its diffusion editors need, but for PyTorch.",
    "torch-cpu": "PyTorch for the CPU (on macOS, for Metal too).",
    "torch-cuda": "PyTorch for NVIDIA cards, with the CUDA libraries it needs.",
    "cuda": "What draws Gaussians on NVIDIA cards.",
    "checks": "What the repository's tests and checks need besides.",
}


def main() -> None:
    """Writes the lock."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="change nothing, say what would change"
    )
    check = parser.parse_args().check
    sizes, changed = {}, False
    for name, packages in lock().items():
        path = requirements.FOLDER / f"{name}.txt"
        before = requirements.pinned(path) if path.exists() else {}
        body = text(_TITLES[name], packages)
        if not check:
            path.write_text(body, encoding="utf-8", newline="\n")
        after: dict[str, list[str]] = {}
        for each in sorted(packages, key=lambda each: each.version):
            after.setdefault(each.name, []).append(each.version)
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) != after.get(key):
                old, new = (" and ".join(each.get(key, ["none"])) for each in (before, after))
                print(f"{name}: {key} {old} -> {new}")
                changed = True
        sizes[name] = megabytes(packages)
    if not check:
        (requirements.FOLDER / "downloads.json").write_text(
            json.dumps(sizes, indent=1) + "\n", encoding="utf-8", newline="\n"
        )
    print("Nothing changes." if not changed else "")


if __name__ == "__main__":
    main()
