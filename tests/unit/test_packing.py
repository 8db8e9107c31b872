# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is built: the same bits twice, nothing in it that does not belong, one version."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "backend" / "tools" / "packing.py"
PARTS = ("backend", "operators", "portraitgen_addon", "ui")
FILES = ("LICENSE", "__init__.py", "blender_manifest.toml")


def copy_of_the_sources(folder: Path) -> Path:
    unwanted = shutil.ignore_patterns(
        "__pycache__", "build", "*.egg-info", "benchmarks", "synthetic"
    )
    for name in PARTS:
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    return folder


def build(root: Path, target: Path, **environment: str) -> tuple[Path, Path]:
    subprocess.run(
        [sys.executable, TOOL, root, target],
        check=True,
        env=os.environ | {"SOURCE_DATE_EPOCH": "1764342000"} | environment,
    )
    return next(target.glob("*.whl")), next(target.glob("*.zip"))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("first")
    return build(copy_of_the_sources(folder / "sources"), folder / "dist")


def test_two_builds_of_the_same_sources_are_the_same_bits(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    # Another day, another umask, another place, and what an earlier build left behind.
    second = copy_of_the_sources(tmp_path / "elsewhere")
    for path in second.rglob("*.py"):
        path.chmod(0o700)
        os.utime(path, (1.5e9, 1.5e9))
    litter = second / "backend" / "build" / "lib" / "portraitgen"
    litter.mkdir(parents=True)
    (litter / "litter.py").write_text("")
    (second / "backend" / "portraitgen" / "__pycache__").mkdir()
    (second / "backend" / "portraitgen" / "__pycache__" / "x.pyc").write_bytes(b"")
    wheel, extension = build(second, tmp_path / "dist", PYTHONHASHSEED="7", TZ="Asia/Tokyo")
    assert digest(wheel) == digest(built[0]) and digest(extension) == digest(built[1])


PROGRAM = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--repo-dir") + 1])
zips = sorted(each.name for each in folder.glob("*.zip"))
if "bad" in zips[0]:
    sys.exit("this is no extension")
(folder / "index.json").write_text(json.dumps(zips))
"""


def test_a_repository_that_cannot_be_made_leaves_the_one_that_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its index was gone, and its packages with it, while whoever takes updates asked for them."""
    monkeypatch.syspath_prepend(str(TOOL.parent))
    from packing import build_repository

    program, blocked, served = tmp_path / "ext.py", tmp_path / "b.toml", tmp_path / "ser ved"
    program.write_text(PROGRAM)
    blocked.write_text("blocklist = []\n")

    def publish(name: str) -> list[str]:
        zipped = tmp_path / f"portraitgen-{name}.zip"
        zipped.write_bytes(name.encode())
        index = build_repository(Path(sys.executable), program, [zipped], blocked, served)
        assert json.loads(index.read_text()) == [zipped.name]
        return sorted(each.name for each in served.iterdir())

    first = publish("1")
    assert first == ["index.json", "portraitgen-1.zip"]
    with pytest.raises(subprocess.CalledProcessError):
        publish("bad")
    blocked.write_text("blocklist = [")
    with pytest.raises(ValueError, match="TOML|Invalid|Unclosed|value"):
        publish("2")
    assert sorted(each.name for each in served.iterdir()) == first
    blocked.write_text("blocklist = []\n")
    assert publish("2") == ["index.json", "portraitgen-2.zip"]


def test_another_commit_time_is_other_bits(built: tuple[Path, Path], tmp_path: Path) -> None:
    # The two builds above would be equal too if nothing of the time got in at all.
    with zipfile.ZipFile(built[1]) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(2025, 11, 28, 15, 0, 0)}


def test_the_wheel_holds_the_backend_and_all_its_data(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as archive:
        names = set(archive.namelist())
    info = {name for name in names if ".dist-info/" in name}
    package = ROOT / "backend" / "portraitgen"
    wanted = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and path.suffix not in (".nbi", ".nbc")
    }
    assert names - info == wanted
    assert "portraitgen/py.typed" in names and "portraitgen/requirements/packages.txt" in names
    assert {name.rpartition("/")[2] for name in info} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "top_level.txt",
    }
    assert not [name for name in names if "benchmark" in name or "synthetic" in name]


def test_the_extension_holds_its_rooms_the_licence_and_the_wheel(built: tuple[Path, Path]) -> None:
    wheel, extension = built
    with zipfile.ZipFile(extension) as archive:
        names = archive.namelist()
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
        assert archive.read(f"wheels/{wheel.name}") == wheel.read_bytes()
    wanted = {
        path.relative_to(ROOT).as_posix()
        for room in ("operators", "portraitgen_addon", "ui")
        for path in (ROOT / room).rglob("*.py")
    }
    assert set(names) == wanted | {*FILES, f"wheels/{wheel.name}"}
    assert len(names) == len(set(names))
    assert manifest["wheels"] == [f"./wheels/{wheel.name}"]


def test_the_version_is_the_same_wherever_it_is_said(built: tuple[Path, Path]) -> None:
    from portraitgen import __version__

    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text("utf-8"))
    assert manifest["version"] == __version__
    assert built[0].name.startswith(f"portraitgen-{__version__}-")
    assert built[1].name == f"portraitgen-{__version__}.zip"
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
