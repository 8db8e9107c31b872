# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plate that was moved or renamed is found by its digest, and named relative to the shot."""

import errno
import shutil
from pathlib import Path

import numpy as np
import pytest

from portraitgen.cli import main
from portraitgen.errors import FootageError
from portraitgen.images import save_png
from portraitgen.pipeline.data.shots import create_shot, plate_of
from portraitgen.pipeline.requests.relink import relink
from portraitgen.shot import Shot

CLIP = Path(__file__).parents[1] / "data" / "performer.mp4"


@pytest.fixture
def movie(tmp_path: Path) -> Shot:
    plate = tmp_path / "project" / "plates" / "A001.mp4"
    plate.parent.mkdir(parents=True)
    shutil.copy(CLIP, plate)
    return create_shot(tmp_path / "project" / "shots" / "one", plate, {})


@pytest.fixture
def sequence(tmp_path: Path) -> Shot:
    folder = tmp_path / "project" / "plates" / "A002"
    folder.mkdir(parents=True)
    for number in range(1001, 1006):
        picture = np.random.default_rng(number).random((64, 64, 3)).astype(np.float32)
        save_png(folder / f"A002.{number}.png", picture)
    return create_shot(tmp_path / "project" / "shots" / "two", folder / "A002.1001.png", {})


def test_a_movie_that_was_renamed_beside_its_place_is_found(movie: Shot) -> None:
    moved = movie.footage_path.resolve().with_name("graded.mp4")
    movie.footage_path.rename(moved)
    assert relink(movie) == moved
    assert Shot.open(movie.path).record.footage.path == "../../plates/graded.mp4"
    plate_of(Shot.open(movie.path)).close()


def test_a_sequence_whose_folder_was_renamed_is_found_and_another_is_not(sequence: Shot) -> None:
    old = sequence.footage_path.resolve().parent
    other = old.with_name("A003")
    shutil.copytree(old, other)
    save_png(other / "A002.1001.png", np.zeros((64, 64, 3), np.float32))
    moved = old.with_name("day two")
    old.rename(moved)
    assert relink(sequence) == moved / "A002.1001.png"
    plate_of(Shot.open(sequence.path)).close()


def test_a_chosen_folder_is_searched_and_nothing_else(
    movie: Shot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    far = tmp_path / "server" / "project" / "in" / "A001.mp4"
    far.parent.mkdir(parents=True)
    movie.footage_path.rename(far)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FootageError, match="no file like it is there"):
        relink(movie, tmp_path / "empty")
    main(["relink", str(movie.path), "--to", str(tmp_path / "server")])
    assert capsys.readouterr().out.strip() == str(far)
    plate_of(Shot.open(movie.path)).close()


def test_another_file_is_refused_and_the_shot_stays_as_it_was(movie: Shot, tmp_path: Path) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(CLIP.read_bytes() + b"more")
    movie.footage_path.unlink()
    before = movie.record
    with pytest.raises(FootageError, match="another file than the plate"):
        relink(movie, other)
    assert Shot.open(movie.path).record == before


def test_a_plate_that_is_gone_names_what_finds_it(movie: Shot, sequence: Shot) -> None:
    for shot in (movie, sequence):
        place = shot.footage_path.resolve()
        place = place.parent if shot is sequence else place
        place.rename(place.with_name(f"moved {place.name}"))
        with pytest.raises(FootageError, match="no longer there.*`portraitgen relink`"):
            plate_of(shot)
        relink(shot)
        plate_of(Shot.open(shot.path)).close()


def test_a_shot_that_cannot_be_written_is_told_as_such(
    movie: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Shot, **changes: object) -> None:
        raise PermissionError(errno.EROFS, "Read-only file system", str(self.path / "shot.json"))

    monkeypatch.setattr(Shot, "update", refuse)
    with pytest.raises(PermissionError):
        relink(movie)
