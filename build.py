#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets up and runs what a fresh machine needs. Standard library only.

python3 build.py demo        the whole job on the embedded clip, or on --footage
python3 build.py test        style, types and every test this machine can run
python3 build.py extension   the Blender extension as a zip, into dist/
python3 build.py wheel       the backend as a wheel, into dist/
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
DIST = ROOT / "dist"
EXTENSION = ("__init__.py", "LICENSE", "portraitgen_addon", "operators", "ui")
# The oldest Blender supported and the one in between; the current one is tried in its window.
BLENDERS = {"4.5": "4.5.15", "5.0": "5.0.1"}


def run(command: list[str | Path], **environment: str) -> None:
    """Runs a command in the repository and ends the build with its status if it fails."""
    print("+", " ".join(str(part) for part in command), flush=True)
    status = subprocess.run(command, cwd=ROOT, env=os.environ | environment).returncode
    if status:
        sys.exit(status)


def environment(name: str, requirements: list[str]) -> Path:
    """A virtual environment with the requirements, made once and remade when they change.

    Returns:
        Its Python.
    """
    folder = ROOT / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    manifest = (ROOT / "backend" / "pyproject.toml").read_text()
    wanted = hashlib.sha256("\n".join([sys.version, manifest, *requirements]).encode()).hexdigest()
    stamp = folder / ".complete"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"Setting up {folder.name}; this happens once", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements])
    stamp.write_text(wanted)
    return python


def backend() -> Path:
    """The Python of the backend's own environment."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 12):
        sys.exit("build.py: the backend's packages need Python 3.11 (or 3.12); run it with one.")
    return environment(".venv", ["-e", "backend[cpu,diffusion,dev]"])


def bpy_environment(series: str) -> Path | None:
    """The Python of an environment with one of the Blenders as a module, and pytest.

    Returns:
        None, said aloud, where this Python cannot hold it.
    """
    if sys.version_info[:2] != (3, 11):
        print(f"Skipped: Blender {series} as a module needs Python 3.11", flush=True)
        return None
    return environment(f".venv-bpy-{series}", [f"bpy=={BLENDERS[series]}", "pytest"])


def wheel(python: Path) -> Path:
    """Builds the backend's wheel into dist/."""
    DIST.mkdir(exist_ok=True)
    for old in DIST.glob("portraitgen-*.whl"):
        old.unlink()
    run(
        [
            python,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--wheel-dir",
            DIST,
            ROOT / "backend",
        ]
    )
    shutil.rmtree(ROOT / "backend" / "build", ignore_errors=True)
    return next(DIST.glob("portraitgen-*.whl"))


def extension(python: Path) -> Path:
    """Builds the Blender extension, the backend's wheel inside, into dist/."""
    built = wheel(python)
    manifest = (ROOT / "blender_manifest.toml").read_text()
    version = re.search(r'^version = "(.+)"$', manifest, re.MULTILINE)
    assert version, "blender_manifest.toml names no version"
    manifest = re.sub(r"^wheels = .*$", f'wheels = ["./wheels/{built.name}"]', manifest, flags=re.M)
    target = DIST / f"portraitgen-{version[1]}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("blender_manifest.toml", manifest)
        archive.write(built, f"wheels/{built.name}")
        for name in EXTENSION:
            entry = ROOT / name
            for file in sorted(entry.rglob("*.py")) if entry.is_dir() else [entry]:
                archive.write(file, file.relative_to(ROOT).as_posix())
    print(f"Built {target.relative_to(ROOT)}")
    return target


def demo(arguments: list[str]) -> None:
    """Runs the main job and leaves its folder."""
    if not any(word.split("=")[0] == "--footage" for word in arguments):
        arguments = ["--footage", str(ROOT / "tests" / "data" / "performer.mp4"), *arguments]
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--footage", type=Path)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    given, _ = parser.parse_known_args(arguments)
    python = backend()
    run([python, "-m", "portraitgen.demo", *arguments])
    blender = bpy_environment("5.0")
    if blender is None:
        return
    script = ROOT / "backend" / "tools" / "demo_blend.py"
    run([blender, script, given.out, given.footage, "moonlight", extension(python), python])


def check_extension_types(python: Path) -> None:
    """Checks the extension as the package that Blender makes of this folder."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "blender_extension"
        package.mkdir()
        for name in ("portraitgen_addon", "operators", "ui"):
            shutil.copytree(ROOT / name, package / name)
        parts = [f"blender_extension.{name}" for name in ("portraitgen_addon", "operators", "ui")]
        packages = [word for part in parts for word in ("-p", part)]
        run(
            [python, "-m", "mypy", "--config-file", "pyproject.toml", *packages],
            MYPYPATH=os.pathsep.join([folder, str(ROOT / "backend")]),
        )


def test() -> None:
    """Checks style and types, then runs the tests; what this machine lacks is skipped aloud."""
    python = backend()
    run([python, "-m", "ruff", "check", "."])
    run([python, "-m", "ruff", "format", "--check", "."])
    run([python, "-m", "mypy"])
    check_extension_types(python)
    # A reference for the body model's test, never shipped; it declares needs the test has not.
    run([python, "-m", "pip", "install", "--quiet", "--no-deps", "smplx==0.1.28"])
    zipped = extension(python)
    installed = {"PORTRAITGEN_EXTENSION": str(zipped), "PORTRAITGEN_PYTHON": str(python)}
    # What is quickest to fail comes first, and the suite that every machine can run last.
    if os.environ.get("PORTRAITGEN_BLENDER"):
        run(
            [python, "-m", "pytest", "tests/window", "-c", "tests/window/pytest.ini", "-rs"],
            **installed,
        )
    else:
        print("NOT TESTED: the window, PORTRAITGEN_BLENDER does not name a Blender", flush=True)
    for series in BLENDERS:
        blender = bpy_environment(series)
        if blender is not None:
            run(
                [blender, "-m", "pytest", "tests/blender", "-c", "tests/blender/pytest.ini", "-rs"],
                **installed,
            )
    run([python, "-m", "pytest", "tests/unit", "-n", "2", "-rs"], OMP_NUM_THREADS="1")
    run([python, "-m", "pytest", "tests/attack", "-n", "2", "-rs"], OMP_NUM_THREADS="1")


def main() -> None:
    """Runs the command given on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("demo", "test", "extension", "wheel"))
    arguments, rest = parser.parse_known_args()
    if rest and arguments.command != "demo":
        parser.error(f"{arguments.command} takes no options, but got {' '.join(rest)}")
    match arguments.command:
        case "demo":
            demo(rest)
        case "test":
            test()
        case "extension":
            extension(backend())
        case "wheel":
            wheel(backend())


if __name__ == "__main__":
    main()
