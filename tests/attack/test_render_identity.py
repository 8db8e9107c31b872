# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rendered frame says what it was made from, and nothing beside it is believed."""

import filecmp
import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from attack_shot import EDIT

from portraitgen.errors import Cancelled, PortraitError, ShotError, ShotLocked
from portraitgen.footage.exr import read_exr
from portraitgen.pipeline.data.frame_identity import edit_shown
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.renders import render_of, renders_of
from portraitgen.shot import Shot

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
    return render_of(shot / "takes" / "toon").frames / f"toon.{number:04d}.exr"


def pixels(shot: Path) -> list[str]:
    """A mark of the pixels of each frame."""
    return [
        hashlib.sha256(b"".join(v.tobytes() for v in read_exr(frame(shot, n)).values())).hexdigest()
        for n in range(1, 6)
    ]


def times(shot: Path) -> list[int]:
    return [frame(shot, number).stat().st_mtime_ns for number in range(1, 6)]


def render(shot: Path, **options: Any) -> dict[str, Any]:
    return dict(run("render", shot, TAKE | options, Reporter()).told())


def test_frames_of_a_take_edited_anew_between_two_runs_never_mix(shot: Path) -> None:
    before = pixels(shot)
    for path in (shot / "takes" / "toon" / "renders" / "v001" / "frames").iterdir():
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


@pytest.mark.parametrize("share", [0.001, 0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_bit_that_flips_in_a_frame_is_found(shot: Path, share: float) -> None:
    """What the format did not notice was taken for rendered, and delivered."""
    before, path = pixels(shot), frame(shot, 3)
    whole = path.read_bytes()
    at = 8 + int(share * (len(whole) - 16))
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
    with pytest.raises(PortraitError):
        run("deliver", shot, {"take": "toon", "out": str(shot.parent / "out")}, Reporter())
    assert not (shot.parent / "out" / "frames" / path.name).exists()
    heard = Listener()
    run("render", shot, TAKE, heard)
    assert pixels(shot) == before


def test_a_movie_of_pictures_that_were_changed_is_refused(shot: Path) -> None:
    picture = frame(shot, 2).with_suffix(".png")
    picture.write_bytes(frame(shot, 4).with_suffix(".png").read_bytes())
    with pytest.raises(ShotError, match="pictures of frames 2 were changed since"):
        run("movie", shot, {"take": "toon"}, Reporter())


@pytest.mark.parametrize("options", [{"detail": 0.1}, {"mix": "0.5"}, {"steady": 0.0}])
def test_other_options_make_other_frames(shot: Path, options: dict[str, Any]) -> None:
    before = times(shot)
    render(shot, **options)
    assert not set(before) & set(times(shot))


def test_a_mix_that_changes_in_some_frames_renders_those(
    shot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portraitgen.pipeline.compositing import frame_files

    first = render(shot, mix="1:1,3:1,5:0.5")
    assert len(set(pixels(shot))) == 5
    written, write = list[str](), frame_files.write_exr

    def write_exr(path: Path, *words: Any, **more: Any) -> None:
        written.append(path.name)
        write(path, *words, **more)

    monkeypatch.setattr(frame_files, "write_exr", write_exr)
    second = render(shot, mix="1:1,3:1,5:0")
    assert second["version"] == first["version"] + 1
    assert written == ["toon.0004.exr", "toon.0005.exr"]
    folders = [Path(made["folder"]) for made in (first, second)]
    same = [
        filecmp.cmp(*(folder / f"toon.{number:04d}.exr" for folder in folders), shallow=False)
        for number in range(1, 6)
    ]
    assert same == [True] * 3 + [False] * 2


def test_a_plate_asked_for_later_is_written(shot: Path) -> None:
    plates = shot / "takes" / "toon" / "renders" / "v001" / "plates"
    (plates / "toon.0002.png").unlink()
    render(shot)
    assert not (plates / "toon.0002.png").exists()
    render(shot, plate=True)
    assert (plates / "toon.0002.png").exists()


def test_another_edit_is_rendered_beside_the_first_which_stays_as_it_is(shot: Path) -> None:
    home = shot / "takes" / "toon"
    before = {path: path.stat().st_mtime_ns for path in home.rglob("renders/v001/*/*")}
    assert len(before) >= 10
    run("edit", shot, EDIT | {"editor": "grade"}, Reporter())
    listener = Listener()
    made = run("render", shot, TAKE | {"frames": "3-4"}, listener)
    assert made.told()["version"] == 2 and "This render is v002." in listener.notes
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert [each.version for each in renders_of(home)] == [1, 2]
    assert list(render_of(home).exr_frames()) == [3, 4]
    # The one of the same is gone on with, and is the last one rendered then.
    assert run("render", shot, TAKE | {"edit": 1}, Reporter()).told()["version"] == 1
    assert render_of(home).version == 1


def test_frames_from_before_renders_had_versions_stay_and_are_told(shot: Path) -> None:
    home = shot / "takes" / "toon"
    first = home / "renders" / "v001"
    for each in ("frames", "plates"):
        (first / each).rename(home / each)
    shutil.rmtree(home / "renders")
    assert render_of(home).version == 0 and list(render_of(home).exr_frames()) == [1, 2, 3, 4, 5]
    before = {path: path.read_bytes() for path in (home / "frames").iterdir()}
    listener = Listener()
    made = run("render", shot, TAKE, listener)
    assert made.told()["version"] == 1 and "before renders had versions" in listener.notes[0]
    assert {path: path.read_bytes() for path in (home / "frames").iterdir()} == before
    # They were made of the same, so they are copied.
    assert all((first / "frames" / path.name).read_bytes() == before[path] for path in before)


def test_a_list_of_frames_is_rendered_bit_for_bit_as_all_of_them(shot: Path) -> None:
    marks = pixels(shot)
    shutil.rmtree(shot / "takes" / "toon" / "renders")
    made = run("render", shot, TAKE | {"frames": "1,3-5x2", "plate": True}, Reporter())
    assert made.told()["frames"] == 3
    assert list(render_of(shot / "takes" / "toon").exr_frames()) == [1, 3, 5]
    # Others may render those between at the same time.
    with Shot.open(shot).hold("frames:toon", "render", [1, 3, 5]):
        assert run("render", shot, TAKE | {"frames": "2-4x2"}, Reporter()).told()["version"] == 1
        with pytest.raises(ShotLocked):
            run("render", shot, TAKE | {"frames": "2-3"}, Reporter())
    assert pixels(shot) == marks
