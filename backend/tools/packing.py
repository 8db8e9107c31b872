# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs the wheel and the extension so that one commit gives the same bits. Standard library only.

Times are the commit's, modes are fixed, entries are sorted: neither the clock, the user's umask
nor the order in which a disk lists files shows. The same Python gives the same bits everywhere
(another zlib may press them otherwise).
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path

# What a wheel of the backend is made of, of all that lies in backend/.
_SOURCES = ("README.md", "pyproject.toml", "portraitgen")
_EARLIEST = 315532800  # 1980, the first time that a zip knows.


def commit_time(root: Path) -> int:
    """When the commit was made, seconds since 1970; SOURCE_DATE_EPOCH if it is set.

    1980 outside a repository, so that an archive of the sources gives the same bits too.
    """
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return max(int(given), _EARLIEST)
    command = ["git", "log", "-1", "--format=%ct"]
    try:
        said = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
        return int(said)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return _EARLIEST


def version(root: Path) -> str:
    """The version, from the one place that has it."""
    text = (root / "backend" / "portraitgen" / "__init__.py").read_text("utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert found, "portraitgen/__init__.py names no version"
    return found[1]


def pack(target: Path, entries: Iterable[tuple[str, bytes]], seconds: int) -> None:
    """Writes a zip whose bits depend on names, contents and the time only."""
    date = time.gmtime(seconds)[:6]
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in entries:
            info = zipfile.ZipInfo(name, date)
            info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 3
            info.external_attr = 0o100644 << 16
            archive.writestr(info, data, compresslevel=6)


def build_wheel(python: Path, root: Path, target: Path) -> Path:
    """Builds the backend's wheel from its sources alone.

    Args:
        python: a Python with setuptools and pip.
        root: the repository.
        target: the folder it goes to; older wheels of ours there are removed.

    Raises:
        subprocess.CalledProcessError: if it cannot be built.
    """
    target.mkdir(parents=True, exist_ok=True)
    seconds = commit_time(root)
    with tempfile.TemporaryDirectory() as folder:
        # A copy: what an earlier build or an editor left in the tree does not get in.
        sources = Path(folder) / "backend"
        sources.mkdir()
        for name in _SOURCES:
            entry = root / "backend" / name
            if entry.is_dir():
                unwanted = shutil.ignore_patterns("__pycache__", "*.pyc", "*.nbi", "*.nbc", ".*")
                shutil.copytree(entry, sources / name, ignore=unwanted)
            else:
                shutil.copy(entry, sources / name)
        command = [python, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--no-build-isolation", "--wheel-dir", folder, sources]
        subprocess.run(
            [str(word) for word in command],
            check=True,
            env=os.environ | {"SOURCE_DATE_EPOCH": str(seconds), "PYTHONHASHSEED": "0"},
        )
        raw = next(Path(folder).glob("portraitgen-*.whl"))
        for old in target.glob("portraitgen-*.whl"):
            old.unlink()
        with zipfile.ZipFile(raw) as archive:
            # A wheel's own record comes last, as the format has it.
            names = sorted(archive.namelist(), key=lambda name: (".dist-info/" in name, name))
            pack(target / raw.name, ((name, archive.read(name)) for name in names), seconds)
    return target / raw.name


def build_extension(root: Path, wheel: Path, target: Path) -> Path:
    """Packs the Blender extension with the backend's wheel inside.

    Returns:
        The zip, in the folder `target`.
    """
    manifest = (root / "blender_manifest.toml").read_text("utf-8")
    number = version(root)
    manifest, versions = re.subn(
        r'^version = ".+"$', f'version = "{number}"', manifest, flags=re.MULTILINE
    )
    manifest, wheels = re.subn(
        r"^wheels = .*$", f'wheels = ["./wheels/{wheel.name}"]', manifest, flags=re.MULTILINE
    )
    assert versions == wheels == 1, "blender_manifest.toml names no version or no wheels"
    entries = [
        ("blender_manifest.toml", manifest.encode()),
        (f"wheels/{wheel.name}", wheel.read_bytes()),
    ]
    for name in ("LICENSE", "__init__.py", "operators", "portraitgen_addon", "ui"):
        entry = root / name
        for file in sorted(entry.rglob("*.py")) if entry.is_dir() else [entry]:
            entries.append((file.relative_to(root).as_posix(), file.read_bytes()))
    path = target / f"portraitgen-{number}.zip"
    pack(path, entries, commit_time(root))
    return path


def build_repository(
    python: Path, blender_ext: Path, zips: Iterable[Path], blocklist: Path, target: Path
) -> Path:
    """Makes a folder that Blender takes extensions from, by Blender's own program.

    Blender wants one zip for each range of its versions; a server of files is enough for the rest.

    Args:
        python: that runs Blender's program.
        blender_ext: Blender's own `blender_ext.py`.
        zips: the extension, one for each range.
        blocklist: TOML, of versions that are not to be used; those that it holds are in the index.
        target: the folder; what it held of ours is removed once all is made.

    Returns:
        The index, whose address Blender is given.

    Raises:
        ValueError: if the list of blocked versions cannot be read.
        subprocess.CalledProcessError: if Blender's program refuses.
    """
    target.mkdir(parents=True, exist_ok=True)
    # Aside, since somebody may be served from it all the while.
    with tempfile.TemporaryDirectory(prefix=".portraitgen-", dir=target) as name:
        aside = Path(name)
        for each in zips:
            shutil.copyfile(each, aside / each.name)
        command = [python, blender_ext, "server-generate", "--repo-dir", aside]
        # Blender's program refuses an empty list.
        if tomllib.loads(blocklist.read_text("utf-8")).get("blocklist"):
            command += ["--repo-config", blocklist]
        subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
        # The index last: what it names is there by then.
        made = sorted(aside.iterdir(), key=lambda each: each.name == "index.json")
        for each in made:
            os.replace(each, target / each.name)
    for old in {*target.glob("portraitgen-*.zip")} - {target / each.name for each in made}:
        old.unlink()
    return target / "index.json"


def main() -> None:
    """Builds wheel and extension: python packing.py REPOSITORY TARGET."""
    root, target = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    print(build_extension(root, build_wheel(Path(sys.executable), root, target), target))


if __name__ == "__main__":
    main()
