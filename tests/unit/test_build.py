# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""build.py: what cannot be had is said, and nothing of gigabytes comes unasked."""

import subprocess
import sys
import urllib.error
from pathlib import Path
from typing import Any

import pytest

from portraitgen import requirements

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import build  # noqa: E402

LINUX = requirements.named("linux")


class Pip:
    """Stands in for pip: refuses files by name, and remembers what it was asked for."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.asked: list[str] = []

    def __call__(self, *words: str | Path) -> str:
        name = Path(words[-1]).name
        self.asked.append(f"{name} own index" if "--index-url" in words else name)
        return "no such wheel" if name in self.refused else ""


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def use(*refused: str) -> Pip:
        pip = Pip(*refused)
        monkeypatch.setattr(build, "ROOT", tmp_path)
        monkeypatch.setattr(build.requirements, "system", lambda: LINUX)
        monkeypatch.setattr(build.Environment, "begin", lambda made: True)
        monkeypatch.setattr(build.Environment, "end", lambda made: None)
        monkeypatch.setattr(build.Environment, "try_install", pip)
        monkeypatch.setattr(build.Environment, "install", pip)
        monkeypatch.setattr(build, "check_conflicts", lambda made: None)
        return pip

    return use


def test_the_cpu_s_torch_comes_first_and_is_said_with_its_size(
    pip: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = pip()
    assert build.locked(".venv-x", Path(sys.executable)) is not None
    assert asked.asked == ["torch-cpu.txt", "packages.txt", "checks.txt"]
    torch = requirements.steps(LINUX, False)[0]
    assert f"{torch.megabytes} MB of them PyTorch for the CPU" in capsys.readouterr().out


def test_no_gigabytes_of_cuda_come_unasked(pip: Any, capsys: pytest.CaptureFixture[str]) -> None:
    asked = pip("torch-cpu.txt")
    assert build.locked(".venv-x", Path(sys.executable)) is None
    assert asked.asked == ["torch-cpu.txt", "torch-cpu.txt own index"]
    said = capsys.readouterr().out
    assert "PyTorch for the CPU cannot be had" in said and "--allow-cuda" in said


def test_cuda_is_taken_where_it_is_allowed_and_said(
    pip: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = pip("torch-cpu.txt")
    assert build.locked(".venv-x", Path(sys.executable), allow_cuda=True) is not None
    assert asked.asked[2:] == ["torch-cuda.txt", "packages.txt", "checks.txt"]
    cuda = requirements.steps(LINUX, True)[0].megabytes
    assert f"about {cuda} MB are downloaded" in capsys.readouterr().out


def test_an_environment_that_is_a_link_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(build, "ROOT", tmp_path)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").write_text("")
    (tmp_path / ".venv").symlink_to(tmp_path / "theirs", target_is_directory=True)
    made = build.Environment(".venv", Path(sys.executable), ["anything"])
    assert not made.begin()
    made.put(tmp_path / "no.whl")
    assert (tmp_path / "theirs" / "file").exists()


def test_an_environment_is_made_anew_when_what_it_holds_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "run", lambda command: Path(command[-1]).mkdir())
    lock = tmp_path / "lock.txt"
    for text, anew in (("a==1", True), ("a==1", False), ("a==2", True)):
        lock.write_text(text)
        made = build.Environment(".venv", Path(sys.executable), [lock])
        assert made.begin() is anew
        made.end()


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        ("No broken requirements found.\n", False),
        (
            "opencv-contrib-python 4.14.0.94 has requirement numpy>=2, but you have numpy 1.\n",
            True,
        ),
        ("numba 0.68.1 requires llvmlite, which is not installed.\n", True),
    ],
)
def test_packages_that_do_not_go_together_end_the_build(
    said: str, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess([], 0, stdout=said)
    monkeypatch.setattr(build.subprocess, "run", lambda *words, **more: done)
    made = build.Environment(".venv", Path(sys.executable), [])
    if ends:
        with pytest.raises(SystemExit, match="do not go together"):
            build.check_conflicts(made)
    else:
        build.check_conflicts(made)


def test_an_audit_without_its_service_is_skipped_aloud(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*words: Any, **more: Any) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(build.urllib.request, "urlopen", refused)
    assert build.audit(build.Environment(".venv", Path(sys.executable), [])) == []
    assert "NOT AUDITED" in capsys.readouterr().out


def test_every_blender_is_told_when_its_python_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "find_python", lambda version: None)
    assert [build.bpy_environment(series) for series in build.BLENDERS] == [None] * 4
    assert capsys.readouterr().out.count("NOT TESTED: Blender") == 4


def test_a_python_is_found_by_its_version() -> None:
    found = build.find_python(requirements.this_python())
    assert found is not None and found.exists()
    assert build.find_python("2.1") is None


@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_run_on_what_was_built(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    fails: bool,
) -> None:
    (tmp_path / "portraitgen-1-py3-none-any.whl").write_text("")
    put: list[str] = []
    ran: list[str] = []
    made, second = (
        build.Environment(name, Path(sys.executable), []) for name in (".venv-a", ".venv-b")
    )
    for name in ("PORTRAITGEN_BLENDER", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(build, "DIST", tmp_path)
    monkeypatch.setattr(build, "tools", lambda: made)
    monkeypatch.setattr(build, "style", lambda python: None)
    monkeypatch.setattr(build, "extension", lambda made: tmp_path / "portraitgen-1.zip")
    monkeypatch.setattr(build, "audit", lambda made: [])
    monkeypatch.setattr(build, "beside_the_wheel", lambda: tmp_path)
    monkeypatch.setattr(build, "second_python", lambda version, allow: second)
    monkeypatch.setattr(
        build, "bpy_environment", lambda series: None if series == "5.2" else Path(series)
    )
    monkeypatch.setattr(build.Environment, "install", lambda made, *words: None)
    monkeypatch.setattr(build.Environment, "put", lambda made, wheel: put.append(wheel.name))

    def tested(command: list[object], **more: Any) -> "subprocess.CompletedProcess[str]":
        words = " ".join(str(word) for word in command)
        ran.append(words)
        if "tests/blender" in command:
            assert more["env"]["PORTRAITGEN_EXTENSION"] == str(tmp_path / "portraitgen-1.zip")
            assert Path(more["env"]["PORTRAITGEN_SHARED"]).is_dir()
        if command[0] != Path("5.3"):
            assert more["env"]["OMP_NUM_THREADS"] == "1"
        else:
            assert "OMP_NUM_THREADS" not in more["env"], "as users have it"
        # Several run at once: the last that began need not be this one.
        code = -11 if fails and words.startswith("5.0") else 0
        return subprocess.CompletedProcess([], code, words)

    monkeypatch.setattr(build.subprocess, "run", tested)
    if fails:
        with pytest.raises(SystemExit, match=r"tests fail in Blender 5\.0; see above"):
            build.test(allow_cuda=False)
    else:
        build.test(allow_cuda=False)
    assert put == ["portraitgen-1-py3-none-any.whl"] * 2
    assert len(ran) == 6, "all others are told, too"
    for series in ("4.5", "5.0", "5.3"):
        assert sum(words.startswith(f"{series} -m pytest tests/blender ") for words in ran) == 1
    attacks, footage, unit = (
        next(words for words in ran if name in words)
        for name in ("tests/attack", "test_footage_movie", "-n 2 --dist worksteal tests/unit")
    )
    assert ".venv-a" in attacks and ".venv-b" in footage and ".venv-a" in unit
    told = capsys.readouterr().out
    assert all(words in told for words in ran)
    assert ("Blender 5.0, exit code -11:\n5.0 -m pytest" in told[-200:]) == fails, "again, last"
