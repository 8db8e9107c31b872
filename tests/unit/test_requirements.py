# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock: whole on every system and Python that is offered, and within the open ranges."""

import importlib.util
import os
import platform
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from portraitgen import requirements

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "backend" / "pyproject.toml").read_text("utf-8"))
SYSTEMS = list(requirements.SYSTEMS.values())
FILES = sorted(requirements.FOLDER.glob("*.txt"))
_MARKERS = {
    "linux": {"sys_platform": "linux", "platform_machine": "x86_64"},
    "windows": {"sys_platform": "win32", "platform_machine": "AMD64"},
    "macos": {"sys_platform": "darwin", "platform_machine": "arm64"},
}


def entries(file: Path) -> list[tuple[Requirement, list[str]]]:
    """Each requirement of a file with its digests, read as pip does."""
    joined = file.read_text("utf-8").replace("\\\n", " ")
    found = []
    for line in joined.splitlines():
        if line and not line.startswith("#"):
            wanted, *hashes = line.split("--hash=sha256:")
            found.append((Requirement(wanted.strip()), [each.strip() for each in hashes]))
    return found


def names(file: Path, system: str, python: str) -> list[str]:
    place = _MARKERS[system] | {"python_version": python, "python_full_version": f"{python}.5"}
    return [
        each.name for each, _ in entries(file) if each.marker is None or each.marker.evaluate(place)
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_package_is_pinned_and_hashed(file: Path) -> None:
    assert entries(file)
    for wanted, hashes in entries(file):
        assert [each.operator for each in wanted.specifier] == ["=="], wanted
        assert hashes and all(len(each) == 64 for each in hashes), wanted


@pytest.mark.parametrize("cuda", [False, True])
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_every_environment_holds_what_the_backend_declares(
    system: requirements.System, cuda: bool
) -> None:
    if cuda and system.name == "macos":
        with pytest.raises(requirements.NotOffered, match="NVIDIA cards are not supported"):
            requirements.steps(system, cuda)
        return
    declared = PROJECT["project"]["dependencies"]
    extras = PROJECT["project"]["optional-dependencies"]
    declared = declared + extras["diffusion"] + (extras["cuda"] if cuda else [])
    for python in requirements.pythons(system, cuda):
        got = [
            name
            for step in requirements.steps(system, cuda)
            for name in names(step.file, system.name, python)
        ]
        assert len(got) == len(set(got)), "a package twice"
        missing = {Requirement(each).name.replace("_", "-") for each in declared} - set(got)
        assert not missing, (system.label, python, missing)


def test_what_is_locked_lies_in_the_open_ranges() -> None:
    declared = PROJECT["project"]["dependencies"]
    for extra in ("diffusion", "cuda", "dev"):
        declared = declared + PROJECT["project"]["optional-dependencies"][extra]
    ranges = {Requirement(each).name.replace("_", "-"): Requirement(each) for each in declared}
    for file in FILES:
        for wanted, _ in entries(file):
            if wanted.name in ranges:
                version = next(iter(wanted.specifier)).version
                assert ranges[wanted.name].specifier.contains(version, prereleases=True), wanted


def test_readers_of_pictures_are_those_whose_faults_are_mended() -> None:
    packages = requirements.pinned(requirements.FOLDER / "packages.txt")
    assert [each for each in packages["opencv-contrib-python"] if each < "4.12"] == []
    assert packages["openimageio"][0].startswith("3.2.")


@pytest.mark.parametrize(
    ("here", "said"), [(("Linux", "aarch64"), "Linux aarch64"), (("Darwin", "x86_64"), "Darwin")]
)
def test_a_system_without_builds_is_told_so(
    here: tuple[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: here[0])
    monkeypatch.setattr(platform, "machine", lambda: here[1])
    with pytest.raises(requirements.NotOffered, match=said) as refused:
        requirements.system()
    assert "choose Existing Python" in refused.value.remedy


def test_a_wheel_is_taken_where_pip_takes_it() -> None:
    linux, windows, macos = (requirements.named(name) for name in ("linux", "windows", "macos"))
    for wheel, system, python, fits in (
        ("a-1-py3-none-any.whl", linux, "3.11", True),
        ("a-1-py2.py3-none-any.whl", macos, "3.12", True),
        ("a-1-cp311-abi3-manylinux_2_28_x86_64.whl", linux, "3.12", True),
        ("a-1-cp312-abi3-manylinux_2_28_x86_64.whl", linux, "3.11", False),
        ("a-1-cp312-cp312-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", linux, "3.12", False),
        ("a-1-cp312-cp312-musllinux_1_2_x86_64.whl", linux, "3.12", False),
        ("a-1-cp312-cp312-win_amd64.whl", windows, "3.12", True),
        ("a-1-cp312-cp312-win_arm64.whl", windows, "3.12", False),
        ("a-1-cp312-cp312t-macosx_11_0_arm64.whl", macos, "3.12", False),
        ("a-1-cp312-cp312-macosx_11_0_universal2.whl", macos, "3.12", True),
        ("a-1-cp312-cp312-macosx_10_12_x86_64.whl", macos, "3.12", False),
    ):
        assert system.takes(wheel, python) is fits, wheel
    both = ["a-1-py3-none-any.whl", "a-1-cp311-cp311-win_amd64.whl"]
    assert windows.best(both, "3.11") == both[1] and windows.best(both, "3.12") == both[0]


def _reached(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=20):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_every_system_resolves(system: requirements.System, tmp_path: Path) -> None:
    """uv finds a wheel with a locked digest for each package, without installing any."""
    if importlib.util.find_spec("uv") is None:
        pytest.skip("uv is not installed")
    if not _reached(f"{requirements.PYPI}/numpy/"):
        pytest.skip("the package index is not reached")
    for cuda in (False, True):
        if cuda and system.name == "macos":
            continue
        for step in requirements.steps(system, cuda):
            if step.index and not _reached(f"{step.index}/torch/"):
                continue  # Its digests are those of what is installed where it is reached.
            for python in requirements.pythons(system, cuda):
                done = subprocess.run(
                    [sys.executable, "-m", "uv", "pip", "install", "--dry-run", "--no-deps"]
                    + ["--require-hashes", "--only-binary", ":all:", "--python-version", python]
                    + ["--python-platform", system.platform, "--target", str(tmp_path / "none")]
                    + ["--python", sys.executable, "-r", str(step.file)]
                    + (["--index", step.index] if step.index else []),
                    capture_output=True,
                    text=True,
                    env=os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"},
                )
                assert done.returncode == 0, (system.label, python, done.stderr[-2000:])
                assert "Would install" in done.stderr
