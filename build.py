#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets up and runs what a fresh machine needs. Standard library only.

python3 build.py demo        the whole job on the embedded clip, or on --footage
python3 build.py test        style, types and every test this machine can run
python3 build.py style       ruff and mypy alone, as before a commit
python3 build.py extension   the Blender extension as a zip, into dist/
python3 build.py wheel       the backend as a wheel, into dist/
python3 build.py repository  a folder that Blender takes the extension from, into dist/ or --out
python3 build.py bundle      the packages of a machine without network, into dist/ or --out
python3 build.py audit       what is known against the locked packages, from PyPI

Every package is installed in its locked version, checked by its sha256
(backend/portraitgen/requirements). test --newest runs the unit tests in the newest packages that
backend/pyproject.toml allows instead, and says what differs.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent
DIST = ROOT / "dist"
sys.path[:0] = [str(ROOT / "backend"), str(ROOT / "backend" / "tools")]

import packing  # noqa: E402

from portraitgen import requirements  # noqa: E402
from portraitgen.errors import PortraitError  # noqa: E402
from portraitgen.requirements import bundle as bundles  # noqa: E402
from portraitgen.requirements.sources import Source  # noqa: E402

# Not the one of a virtual environment that build.py may be run with, and may make anew.
PYTHON = Path(getattr(sys, "_base_executable", sys.executable))
# Every series of Blender that is supported, with the Python its module needs.
BLENDERS = {
    "4.5": ("4.5.15", "3.11"),
    "5.0": ("5.0.1", "3.11"),
    "5.2": ("5.2.3", "3.13"),
    "5.3": ("5.3.0", "3.13"),
}
# What is tested on a second Python: reading footage, the main job and the worker.
SECOND_PYTHON = ("test_footage_*.py", "test_media_*.py", "test_main_job*.py", "test_worker.py")
PIP = ("-m", "pip", "install", "-qq", "--disable-pip-version-check")


def run(command: list[str | Path], **environment: str) -> None:
    """Runs a command in the repository and ends the build with its status if it fails."""
    print("+", " ".join(str(part) for part in command), flush=True)
    status = subprocess.run(command, cwd=ROOT, env=os.environ | environment).returncode
    if status:
        sys.exit(status)


def say(line: str) -> None:
    """Prints a line at once, before what a command that follows prints."""
    print(line, flush=True)


def python_in(folder: Path) -> Path:
    """The Python of a virtual environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def find_python(version: str) -> Path | None:
    """A Python of a version on this machine, None if there is none."""
    if version == requirements.this_python():
        return PYTHON
    pyenv = Path.home() / ".pyenv" / "versions"
    places = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python"))]
    commands = [[str(place)] for place in places if place]
    if os.name == "nt":
        commands.append(["py", f"-{version}"])
    for command in commands:
        asked = [*command, "-c", "import sys; print(sys.executable); print(sys.version)"]
        try:
            said = subprocess.run(asked, capture_output=True, text=True)
        except OSError:
            continue
        if said.returncode == 0 and said.stdout.splitlines()[1].startswith(version + "."):
            return Path(said.stdout.splitlines()[0])
    return None


class Environment:
    """A virtual environment that is made once, and made anew when what it holds changes."""

    def __init__(self, name: str, base: Path, holds: list[str | Path]) -> None:
        self.folder = ROOT / name
        self.python = python_in(self.folder)
        self._base = base
        self._stamp = self.folder / ".complete"
        said = [
            str(base),
            *(each.read_text() if isinstance(each, Path) else each for each in holds),
        ]
        self._wanted = hashlib.sha256("\n".join(said).encode()).hexdigest()

    def begin(self) -> bool:
        """Whether it has to be filled; it is empty then."""
        if self.folder.is_symlink():
            say(f"{self.folder.name} is a link: what it leads to is used as it is")
            return False
        if self._stamp.exists() and self._stamp.read_text() == self._wanted:
            return False
        say(f"Setting up {self.folder.name}; this happens once")
        shutil.rmtree(self.folder, ignore_errors=True)
        run([self._base, "-m", "venv", self.folder])
        return True

    def end(self) -> None:
        """Says that it is whole."""
        self._stamp.write_text(self._wanted)

    def install(self, *words: str | Path) -> None:
        """Installs what pip is asked for."""
        run([self.python, *PIP, *words])

    def try_install(self, *words: str | Path) -> str:
        """Installs it if it can be had; otherwise what pip said last."""
        command: list[str | Path] = [self.python, *PIP, *words]
        say("+ " + " ".join(str(part) for part in command))
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        lines = done.stderr.strip().splitlines() or [f"pip ended with {done.returncode}"]
        return lines[-1] if done.returncode else ""

    def put(self, wheel: Path) -> None:
        """Installs the backend's wheel unless just this one is installed."""
        if self.folder.is_symlink():
            return
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        installed = self.folder / ".wheel"
        if not installed.exists() or installed.read_text() != digest:
            self.install("--no-deps", "--force-reinstall", wheel)
            installed.write_text(digest)


def locked(name: str, base: Path, allow_cuda: bool = False) -> Environment | None:
    """The backend's environment from the lock, without the backend itself.

    PyTorch's CPU build comes first, from where pip is told to look, then from PyTorch's own index.

    Args:
        name: its folder.
        base: the Python it is made of.
        allow_cuda: take the CUDA build, of gigabytes, where the CPU build cannot be had.

    Returns:
        None, said aloud, if PyTorch cannot be had.
    """
    system = requirements.system()
    torch, packages = requirements.steps(system, cuda=False)
    checks = requirements.checks(system)
    made = Environment(name, base, [torch.file, packages.file, checks.file])
    if not made.begin():
        return made
    total = torch.megabytes + packages.megabytes + checks.megabytes
    say(f"About {total} MB are downloaded, {torch.megabytes} MB of them {torch.label}")
    hashed: tuple[str | Path, ...] = ("--no-deps", "--require-hashes", "-r")
    failed = made.try_install(*hashed, torch.file)
    if failed and torch.index:
        failed = made.try_install("--index-url", torch.index, *hashed, torch.file)
    if failed:
        say(f"{torch.label} cannot be had for {base}: {failed}")
        other = requirements.steps(system, cuda=True)[0]
        if not allow_cuda:
            say(f"{other.label} ({other.megabytes} MB) would do: --allow-cuda takes it")
            return None
        say(f"Taking {other.label} instead; about {other.megabytes} MB are downloaded")
        if failed := made.try_install(*hashed, other.file):
            say(f"{other.label} cannot be had either: {failed}")
            return None
    made.install(*hashed, packages.file)
    made.install(*hashed, checks.file)
    check_conflicts(made)
    made.end()
    return made


def check_conflicts(made: Environment) -> None:
    """Ends the build if the locked packages do not go together."""
    command = [str(made.python), "-m", "pip", "check"]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    conflicts = [line for line in said.splitlines() if line and not line.startswith("No broken")]
    if conflicts:
        sys.exit("build.py: the locked packages do not go together: " + "; ".join(conflicts))


def tools() -> Environment:
    """The environment that builds, checks and runs the backend; its wheel is put in by `put`."""
    if requirements.this_python() not in requirements.PYTHONS:
        offered = " or ".join(requirements.PYTHONS)
        sys.exit(f"build.py: the backend's packages need Python {offered}; run it with one.")
    made = locked(".venv", PYTHON)
    if made is None:
        sys.exit("build.py: without PyTorch there is nothing to build; see above.")
    return made


def wheel(made: Environment) -> Path:
    """Builds the backend's wheel into dist/."""
    return packing.build_wheel(made.python, ROOT, DIST)


def extension(made: Environment) -> Path:
    """Builds the Blender extension, the backend's wheel inside, into dist/."""
    target = packing.build_extension(ROOT, wheel(made), DIST)
    say(f"Built {target.relative_to(ROOT)}")
    return target


def bpy_environment(series: str) -> Path | None:
    """The Python of an environment with one of the Blenders as a module, and pytest.

    Returns:
        None, said aloud, where no Python can hold it.
    """
    release, version = BLENDERS[series]
    base = find_python(version)
    if base is None:
        say(f"NOT TESTED: Blender {series}, its module needs Python {version}")
        return None
    made = Environment(f".venv-bpy-{series}", base, [f"bpy=={release}", "pytest"])
    if made.begin():
        pytest = requirements.pinned(requirements.checks(requirements.system()).file)["pytest"][0]
        made.install(f"bpy=={release}", f"pytest=={pytest}")
        made.end()
    return made.python


def demo(arguments: list[str]) -> None:
    """Runs the main job and leaves its folder."""
    if not any(word.split("=")[0] == "--footage" for word in arguments):
        arguments = ["--footage", str(ROOT / "tests" / "data" / "performer.mp4"), *arguments]
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--footage", type=Path)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    given, _ = parser.parse_known_args(arguments)
    made = tools()
    zipped = extension(made)
    made.put(next(DIST.glob("portraitgen-*.whl")))
    run([made.python, "-m", "portraitgen.demo", *arguments])
    blender = bpy_environment("5.0")
    if blender is None:
        return
    script = ROOT / "backend" / "tools" / "demo_blend.py"
    run([blender, script, given.out, given.footage, "moonlight", zipped, made.python])


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


def style(python: Path) -> None:
    """Checks style and types of both programs."""
    run([python, "-m", "ruff", "check", "."])
    run([python, "-m", "ruff", "format", "--check", "."])
    run([python, "-m", "mypy"])
    check_extension_types(python)


def beside_the_wheel() -> Path:
    """A folder of what the tests need and the wheel has not: benchmarks and the synthetic clip."""
    folder = ROOT / "build" / "beside_the_wheel"
    shutil.rmtree(folder, ignore_errors=True)
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in ("benchmarks", "synthetic"):
        shutil.copytree(ROOT / "backend" / name, folder / name, ignore=unwanted)
    return folder


# Processes of tests, each of which keeps to one core.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
# Two that take tests from each other until none is left.
ON_TWO_CORES = ("-n", "2", "--dist", "worksteal")


def unit_tests(made: Environment, beside: Path, *words: str | Path) -> list[str | Path]:
    """The command that runs unit tests on the backend's wheel as it is installed."""
    return [made.python, "-m", "pytest", "-rsfE", "-o", f"pythonpath={beside}", *words]


@dataclass(frozen=True)
class Suite:
    """Tests that run in a process of their own.

    `command` waits for what they need; it gives None where this machine cannot run them, which was
    said.
    """

    name: str
    command: Callable[[], list[str | Path] | None]
    environment: dict[str, str]


def side_by_side(suites: list[Suite]) -> None:
    """Runs suites, two at a time in their order; each tells all when it ends.

    Ends the build if one of them fails, once all have run, and tells again how those ended.
    """

    def ending(suite: Suite) -> str:
        """How a suite failed; empty where it passed."""
        command = suite.command()
        if command is None:
            return ""
        say(f"+ {suite.name}: " + " ".join(str(part) for part in command))
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | suite.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        say(f"{suite.name}\n{done.stdout}")
        if done.returncode == 0:
            return ""
        lines = [line for line in done.stdout.splitlines() if not line.startswith("SKIPPED")]
        return f"{suite.name}, exit code {done.returncode}:\n" + "\n".join(lines[-80:])

    with ThreadPoolExecutor(2) as pair:
        endings = list(pair.map(ending, suites))
    failed = [suite.name for suite, ended in zip(suites, endings, strict=True) if ended]
    if failed:
        say("\n".join(filter(None, endings)))
        sys.exit(f"build.py: tests fail in {', '.join(failed)}; see above.")


def audit(made: Environment) -> list[str]:
    """What PyPI knows against the locked packages; skipped aloud where it cannot be asked."""
    service = "https://pypi.org/pypi/pip/json"
    try:
        with urllib.request.urlopen(service, timeout=20):
            pass
    except (urllib.error.URLError, TimeoutError) as error:
        say(f"NOT AUDITED: {service} does not answer ({error})")
        return []
    found = []
    system = requirements.system()
    for step in (*requirements.steps(system, cuda=False)[1:], requirements.checks(system)):
        command: list[str | Path] = [made.python, "-m", "pip_audit", "--disable-pip", "--no-deps"]
        done = subprocess.run(
            [*command, "-r", step.file, "--progress-spinner", "off"], capture_output=True, text=True
        )
        print(done.stdout or done.stderr, flush=True)
        if done.returncode:
            found.append(step.file.name)
    return found


def second_python(version: str, allow_cuda: bool) -> Environment | None:
    """The environment of another Python that packages are locked for; None, said aloud, where it
    cannot be had."""
    base = find_python(version)
    made = locked(f".venv-{version}", base, allow_cuda) if base else None
    if made is None:
        say(f"NOT TESTED: Python {version}, {'see above' if base else 'it is not here'}")
    return made


def newest() -> None:
    """Says what the open ranges bring that the lock has not, and runs the unit tests with it."""
    system = requirements.system()
    torch, packages = requirements.steps(system, cuda=False)
    made = Environment(".venv-newest", PYTHON, [])
    made.begin()
    hashed: tuple[str | Path, ...] = ("--no-deps", "--require-hashes", "-r")
    if failed := made.try_install(*hashed, torch.file):
        made.install("--index-url", torch.index, *hashed, torch.file)
        say(f"PyTorch comes from its own index ({failed})")
    built = wheel(tools())
    made.install("--upgrade", f"{built}[diffusion,dev]")
    listed = subprocess.run(
        [made.python, "-m", "pip", "list", "--format", "freeze"], capture_output=True, text=True
    ).stdout
    newer = dict(line.split("==", 1) for line in listed.splitlines() if "==" in line)
    print("package                      locked            newest")
    for name, versions in sorted(requirements.pinned(packages.file).items()):
        now = {key.lower().replace("_", "-"): each for key, each in newer.items()}.get(name, "none")
        if now not in versions:
            print(f"{name:28} {' or '.join(versions):17} {now}")
    print("torch stays as it is locked: the open range would bring gigabytes of CUDA.", flush=True)
    run(unit_tests(made, beside_the_wheel(), *ON_TWO_CORES, "tests/unit"), **ONE_THREAD)


def test(allow_cuda: bool) -> None:
    """Checks style and types, then runs the tests; what this machine lacks is skipped aloud."""
    # The other environments are downloaded beside the first, and while the first tests run. The
    # Blender with the most tests comes first.
    ahead = ThreadPoolExecutor(1)
    blenders = {series: ahead.submit(bpy_environment, series) for series in reversed(BLENDERS)}
    try:
        made = tools()
        seconds = {
            version: ahead.submit(second_python, version, allow_cuda)
            for version in requirements.PYTHONS
            if version != requirements.this_python()
        }
        _test(made, blenders, seconds, ahead)
    finally:
        ahead.shutdown(wait=False, cancel_futures=True)


def _test(
    made: Environment,
    blenders: dict[str, "Future[Path | None]"],
    seconds: dict[str, "Future[Environment | None]"],
    ahead: ThreadPoolExecutor,
) -> None:
    """Runs everything, the environments of others as they become ready."""
    python = made.python
    style(python)
    zipped = extension(made)
    built = next(DIST.glob("portraitgen-*.whl"))
    made.put(built)
    known = ahead.submit(audit, made)
    # A reference for the body model's test, never shipped; it declares needs the test has not.
    made.install("--no-deps", "smplx==0.1.28")
    installed = {"PORTRAITGEN_EXTENSION": str(zipped), "PORTRAITGEN_PYTHON": str(python)}
    # What is quickest to fail comes first.
    if os.environ.get("PORTRAITGEN_BLENDER"):
        run(
            [python, "-m", "pytest", "tests/window", "-c", "tests/window/pytest.ini", "-rsfE"],
            **installed,
        )
    else:
        say("NOT TESTED: the window, PORTRAITGEN_BLENDER does not name a Blender")
    beside = beside_the_wheel()

    def in_blender(series: str) -> list[str | Path] | None:
        blender = blenders[series].result()
        if blender is None:
            return None
        return [blender, "-m", "pytest", "tests/blender", "-c", "tests/blender/pytest.ini", "-rsfE"]

    def in_second_python(version: str) -> list[str | Path] | None:
        second = seconds[version].result()
        if second is None:
            return None
        second.put(built)
        chosen = sorted(
            path for pattern in SECOND_PYTHON for path in (ROOT / "tests" / "unit").glob(pattern)
        )
        return unit_tests(second, beside, *chosen)

    def here(*words: str | Path) -> list[str | Path]:
        return unit_tests(made, beside, *words)

    with tempfile.TemporaryDirectory(prefix="portraitgen-tests-") as shared:
        around = installed | {"PORTRAITGEN_SHARED": shared}
        # One Blender's backend takes as many threads as it likes, as users' do.
        free = next(iter(blenders))
        side_by_side(
            [
                Suite("attacks", partial(here, "tests/attack"), ONE_THREAD),
                *(
                    Suite(
                        f"Blender {series}",
                        partial(in_blender, series),
                        around | ({} if series == free else ONE_THREAD),
                    )
                    for series in blenders
                ),
                *(
                    Suite(f"Python {version}", partial(in_second_python, version), ONE_THREAD)
                    for version in seconds
                ),
                # It has two processes, and begins while what is left keeps one core busy.
                Suite("unit tests", partial(here, *ON_TWO_CORES, "tests/unit"), ONE_THREAD),
            ]
        )
    if known.result():
        say(f"AUDIT: something is known against {', '.join(known.result())}; see above")


def repository(out: Path) -> None:
    """Makes a repository of the extension, with Blender's own program."""
    zipped = extension(tools())
    for series in reversed(BLENDERS):
        python = bpy_environment(series)
        folder = python.parents[1] if python is not None else None
        found = next(folder.rglob("bl_pkg/cli/blender_ext.py"), None) if folder else None
        if python is not None and found is not None:
            break
    else:
        sys.exit("build.py: a repository is made with a Blender's program, and none can be had.")
    blocked = ROOT / "backend" / "tools" / "blender_repo.toml"
    index = packing.build_repository(python, found, [zipped], blocked, out)
    say(f"Made {index}: lay its folder on a server of files, and give Blender the address of it")


def bundle(given: argparse.Namespace) -> None:
    """Downloads the locked packages of a system into a folder."""
    source = Source(given.index, given.pytorch_index, given.proxy, given.ca_file)
    source.check()
    system = requirements.named(given.system) if given.system else requirements.system()
    python = given.python or requirements.pythons(system, given.cuda)[-1]
    if python not in requirements.pythons(system, given.cuda):
        sys.exit(f"build.py: nothing is locked for Python {python} on {system.label} with a card")
    megabytes = requirements.download_mb(system, given.cuda)
    say(f"About {megabytes} MB are downloaded for {system.label}, Python {python}")
    told = ""

    def report(share: float, what: str) -> None:
        nonlocal told
        if what != told:
            say(f"{share:4.0%} {what}")
        told = what

    card = "cuda" if given.cuda else "cpu"
    target = given.out / f"portraitgen-{system.name}-{card}-python{python}"
    bundles.collect(system, python, given.cuda, target, source, wheel(tools()), report)
    say(f"Made {target}")


def main() -> None:
    """Runs the command given on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in ("demo", "style", "extension", "wheel", "audit"):
        commands.add_parser(name, add_help=name != "demo")
    testing = commands.add_parser("test")
    testing.add_argument(
        "--newest", action="store_true", help="in the newest packages that the ranges allow"
    )
    testing.add_argument(
        "--allow-cuda",
        action="store_true",
        help="take PyTorch's CUDA build, of gigabytes, where its CPU build cannot be had",
    )
    served = commands.add_parser("repository")
    served.add_argument(
        "--out", type=Path, default=DIST / "repository", help="where the repository goes"
    )
    packed = commands.add_parser("bundle")
    packed.add_argument(
        "--system", default=requirements.system().name, help="linux, windows, macos"
    )
    packed.add_argument("--python", help="3.11 or 3.12; the newest that is offered if left out")
    packed.add_argument("--cuda", action="store_true", help="for an NVIDIA card")
    packed.add_argument("--out", type=Path, default=DIST, help="where the bundle's folder goes")
    packed.add_argument("--index", default="", help="a mirror of pypi.org/simple")
    packed.add_argument("--pytorch-index", default="", help="a mirror of PyTorch's own index")
    packed.add_argument("--proxy", default="", help="http://HOST:PORT")
    packed.add_argument("--ca-file", default="", help="a PEM file of the authorities to trust")
    arguments, rest = parser.parse_known_args()
    if rest and arguments.command != "demo":
        parser.error(f"{arguments.command} takes no {' '.join(rest)}")
    match arguments.command:
        case "demo":
            demo(rest)
        case "test":
            newest() if arguments.newest else test(arguments.allow_cuda)
        case "style":
            style(tools().python)
        case "extension":
            extension(tools())
        case "wheel":
            wheel(tools())
        case "repository":
            repository(arguments.out.absolute())
        case "bundle":
            bundle(arguments)
        case "audit":
            if audit(tools()):
                sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except PortraitError as error:
        sys.exit(f"build.py: {error}")
