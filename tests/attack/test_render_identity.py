# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rendered frame says what it was made from, and nothing beside it is believed."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from attack_shot import EDIT

from portraitgen.errors import Cancelled, ShotError
from portraitgen.footage.encode import read_exr
from portraitgen.pipeline.data.frame_identity import edit_shown
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter

TAKE = {"take": "toon", "movie": False}


class Listener(Reporter):
    """Counts what is told, and stops after so many frames."""

    def __init__(self, most: int = 1000) -> None:
        super().__init__()
        self.most, self.frames, self.notes = most, [], list[str]()

    def frame(self, take: str, frame: int, path: Path, plate: Path | None = None) -> None:
        self.frames.append(frame)
        if len(self.frames) >= self.most:
            self.cancel()

    def note(self, text: str) -> None:
        self.notes.append(text)


def frame(shot: Path, number: int) -> Path:
    return shot / "takes" / "toon" / "frames" / f"toon.{number:04d}.exr"


def pixels(shot: Path) -> list[str]:
    """A mark of the pixels of each frame."""
    return [
        hashlib.sha256(b"".join(v.tobytes() for v in read_exr(frame(shot, n)).values())).hexdigest()
        for n in range(1, 6)
    ]


def times(shot: Path) -> list[int]:
    return [frame(shot, number).stat().st_mtime_ns for number in range(1, 6)]


def render(shot: Path, **options: Any) -> dict[str, Any]:
    return run("render", shot, TAKE | options, Reporter())


def test_frames_of_a_take_edited_anew_between_two_runs_never_mix(shot: Path) -> None:
    before = pixels(shot)
    for path in (shot / "takes" / "toon" / "frames").iterdir():
        path.unlink()
    with pytest.raises(Cancelled):
        run("render", shot, TAKE, Listener(2))
    assert frame(shot, 1).exists() and not frame(shot, 5).exists()
    run("edit", shot, EDIT | {"editor": "grade"}, Reporter())
    assert render(shot)["edit"] == 2
    assert [edit_shown(frame(shot, number)) for number in range(1, 6)] == [2] * 5
    assert not set(before) & set(pixels(shot))
    assert render(shot, edit=1)["edit"] == 1
    assert pixels(shot) == before
    with pytest.raises(ShotError, match="has no edit 7; it has 1, 2"):
        render(shot, edit=7)


def test_a_deleted_frame_is_rendered_again_and_no_other(shot: Path) -> None:
    render(shot)
    before, marks = times(shot), pixels(shot)
    frame(shot, 3).unlink()
    frame(shot, 4).with_suffix(".png").unlink()
    render(shot)
    after = times(shot)
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False, False, True]
    assert pixels(shot) == marks


def test_a_damaged_frame_is_rendered_again(shot: Path) -> None:
    marks = pixels(shot)
    whole = frame(shot, 2).read_bytes()
    frame(shot, 2).write_bytes(whole[: len(whole) * 2 // 3])
    frame(shot, 4).write_bytes(b"")
    picture = frame(shot, 5).with_suffix(".png")
    picture.write_bytes(picture.read_bytes()[:-5])
    render(shot)
    assert pixels(shot) == marks


@pytest.mark.parametrize("options", [{"detail": 0.1}, {"mix": "0.5"}, {"steady": 0.0}])
def test_other_options_make_other_frames(shot: Path, options: dict[str, Any]) -> None:
    before = times(shot)
    render(shot, **options)
    assert not set(before) & set(times(shot))


def test_a_mix_that_changes_in_some_frames_renders_those(shot: Path) -> None:
    render(shot, mix="1:1,3:1,5:0.5")
    assert len(set(pixels(shot))) == 5
    before = times(shot)
    render(shot, mix="1:1,3:1,5:0")
    after = times(shot)
    assert [a == b for a, b in zip(before, after, strict=True)] == [True] * 3 + [False] * 2


def test_a_plate_asked_for_later_is_written(shot: Path) -> None:
    plates = shot / "takes" / "toon" / "plates"
    (plates / "toon.0002.png").unlink()
    render(shot)
    assert not (plates / "toon.0002.png").exists()
    render(shot, plate=True)
    assert (plates / "toon.0002.png").exists()


def test_frames_of_another_edit_beside_those_asked_for_are_told(shot: Path) -> None:
    run("edit", shot, EDIT | {"editor": "grade"}, Reporter())
    listener = Listener()
    run("render", shot, TAKE | {"frames": "3-4"}, listener)
    assert any("Frames 1-2, 5 in the same folder still show edit 1" in n for n in listener.notes)
