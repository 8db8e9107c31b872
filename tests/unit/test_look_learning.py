# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that learning a look writes: one learns into them, over nobody's, on after any end."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import shot_records
from child_process import child_environment
from made_looks import face, pair, random_look, write
from reporters import Noting

from portraitgen import storage
from portraitgen.editing.looks.look_file import LookFacts, read_look
from portraitgen.errors import EditError, OptionError, ShotLocked
from portraitgen.pipeline.jobs.learn_look import (
    LearnLookOptions,
    learn,
    learn_from_folder,
    preview_file,
)
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.process_identity import process_table
from portraitgen.shot import Shot

_FACTS = LookFacts(name="warm")

_LEARNER = """
import sys
from portraitgen.cli import main
main(["look", "learn", "--pairs", sys.argv[1], "--out", sys.argv[2], "--seconds", "600"])
"""


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    write(folder, "one.before.png", face())
    write(folder, "one.after.png", face() // 2)
    return folder


def learn_into(out: Path, notes: Reporter, seconds: float = 1.0) -> None:
    learn([pair()], out, _FACTS, LearnLookOptions(seconds=seconds), notes, out.parent / "p.png")


def test_two_that_learn_into_one_file_are_told_and_the_first_goes_on(
    pairs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "looks" / "warm.safetensors"
    first = subprocess.Popen(
        [sys.executable, "-c", _LEARNER, pairs, out],
        env=child_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert first.stdout is not None
        # Whoever learns tells of it once the file is its own.
        assert any("learn" in line for line in first.stdout), "it ended"
        for name in (out, out.with_name("Warm")):
            options = LearnLookOptions(pairs=str(pairs), out=str(name), seconds=1)
            with pytest.raises(ShotLocked, match=r"is busy with learning the look 'warm'") as told:
                learn_from_folder(options, Reporter())
            assert told.value.remedy and "\n" not in str(told.value)
        assert first.poll() is None
        options = LearnLookOptions(pairs=str(pairs), out=str(out.with_name("other")), seconds=1)
        assert Path(learn_from_folder(options, Reporter()).look).exists()
    finally:
        first.kill()
        first.communicate()
    # What a killed one held is free.
    options = LearnLookOptions(pairs=str(pairs), out=str(out), seconds=1)
    assert read_look(Path(learn_from_folder(options, Reporter()).look)).facts.seconds >= 1


def test_a_preview_is_written_over_no_file_but_an_earlier_preview(
    pairs: Path, tmp_path: Path
) -> None:
    theirs = tmp_path / "warm.preview.png", tmp_path / "preview.png"
    for path in theirs:
        shutil.copy(pairs / "one.before.png", path)
    kept = theirs[0].read_bytes()
    out = tmp_path / "warm.safetensors"
    for seconds in (1, 2):
        options = LearnLookOptions(pairs=str(pairs), out=str(out), seconds=seconds)
        learn_from_folder(options, Reporter())
    assert all(path.read_bytes() == kept for path in theirs)
    assert preview_file(out).name == "warm.preview-2.png" and preview_file(out).exists()
    assert preview_file(tmp_path / "v1.2.safetensors").name == "v1.2.preview.png"


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("other pairs", "not learned from these pairs"),
        ("cut short", "cannot go on with what is in the file"),
        ("flipped", "has changed since it was written"),
        ("a look", "holds no learning"),
        ("a text", "is no safetensors file"),
        ("a folder", "cannot go on with what is in the file"),
        ("gone", "no warm.learning beside it tells"),
    ],
)
def test_what_cannot_be_gone_on_with_is_told_with_its_reason_and_kept(
    tmp_path: Path, what: str, told: str
) -> None:
    out = tmp_path / "warm.safetensors"
    learn_into(out, Reporter())
    state = tmp_path / "warm.learning"
    data = state.read_bytes()
    if what == "cut short":
        state.write_bytes(data[: len(data) // 2])
    elif what == "flipped":
        state.write_bytes(data[:-1] + bytes([data[-1] ^ 255]))
    elif what == "a look":
        shutil.copy(out, state)
    elif what == "a text":
        state.write_text("notes on what I am learning")
    elif what in ("a folder", "gone"):
        state.unlink()
        if what == "a folder":
            state.mkdir()
    # Without the look, too, a file that is not ours is nobody's to write over.
    for there in (True, False) if what != "gone" else (True,):
        if not there:
            out.unlink()
        kept = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
        with pytest.raises(EditError, match=told) as caught:
            taught = [pair(5 if what == "other pairs" else 0)]
            options = LearnLookOptions(seconds=2.0)
            learn(taught, out, _FACTS, options, Reporter(), tmp_path / "p.png")
        assert caught.value.remedy and "\n" not in str(caught.value)
        assert kept == {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}


def test_killed_at_any_write_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portraitgen.pipeline.jobs.learn_look._KEPT_EVERY", 0.05)
    move, moves = storage.move, 0

    class Killed(BaseException):
        """As if the process was no more."""

    def killed(source: Path, target: Path) -> None:
        nonlocal moves
        moves += 1
        if moves == last:
            raise Killed
        move(source, target)

    for last in range(1, 9):
        out, moves = tmp_path / f"{last}" / "warm.safetensors", 0
        with monkeypatch.context() as patch:
            patch.setattr(storage, "move", killed)
            with pytest.raises(Killed):
                learn_into(out, Reporter(), 30.0)
        notes = Noting()
        learn_into(out, notes)
        assert read_look(out).facts.seconds >= 1
        assert last < 3 or "It goes on after" in notes.notes[0]


def test_a_look_of_somebody_elses_is_not_written_over(tmp_path: Path) -> None:
    out = tmp_path / "warm.safetensors"
    random_look().save(out)
    kept = out.read_bytes()
    with pytest.raises(EditError, match="tells what it was learned from"):
        learn_into(out, Reporter())
    assert out.read_bytes() == kept


def test_halves_that_a_killed_process_left_beside_a_look_are_swept_and_nothing_else(
    pairs: Path, tmp_path: Path
) -> None:
    looks = tmp_path / "looks"
    half = f".warm.999999999-{process_table()}abcd.learning"
    for path in (looks / half, looks / "theirs" / half, looks / ".warm.learning"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    options = LearnLookOptions(pairs=str(pairs), out=str(looks / "warm"), seconds=1)
    learn_from_folder(options, Reporter())
    assert not (looks / half).exists()
    assert (looks / "theirs" / half).exists() and (looks / ".warm.learning").exists()


@pytest.mark.parametrize(
    ("plate", "named", "told"),
    [("ARRI LogC3 (EI800)", "", True), ("ARRI LogC3 (EI800)", "sRGB", False), ("sRGB", "", False)],
)
def test_pairs_of_a_log_plate_that_name_no_colours_are_told(
    pairs: Path, tmp_path: Path, plate: str, named: str, told: bool
) -> None:
    """They were read as sRGB without a word, and the look was off on the plate."""
    footage = replace(shot_records.footage(), colour_space=plate)
    shot, notes = Shot.create(tmp_path / "shot", footage), Noting()
    out = str(tmp_path / "warm")
    run(
        "look",
        shot.path,
        {"pairs": str(pairs), "out": out, "seconds": 1, "colour_space": named},
        notes,
    )
    assert any(f"The plate is {plate}" in each for each in notes.notes) == told


@pytest.mark.parametrize(
    ("licence", "told"), [("\u8a31" * 12_000, "too long"), ("\ud800", "no text")]
)
def test_a_licence_that_no_look_can_hold_is_told_before_anything_is_learned(
    pairs: Path, tmp_path: Path, licence: str, told: str
) -> None:
    """The look was learned to its end, and could not be read."""
    out = tmp_path / "looks" / "warm.safetensors"
    options = LearnLookOptions(pairs=str(pairs), out=str(out), seconds=1.0, licence=licence)
    with pytest.raises(OptionError, match=told):
        learn_from_folder(options, Reporter())
    assert not out.parent.exists()
