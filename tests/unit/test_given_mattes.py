# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mattes of the artist's own take the place of ours, at the plate's resolution."""

from contextlib import closing
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from portraitgen.body.camera import Box
from portraitgen.errors import FootageError
from portraitgen.footage.given_mattes import GivenMattes
from portraitgen.footage.plate import Plate, open_plate
from portraitgen.pipeline.jobs.track import _take_mattes, _without
from portraitgen.pipeline.run.progress import Reporter

WIDE, HIGH = 96, 64
FRAMES = range(1001, 1004)


def _cover(frame: int) -> np.ndarray:
    """A soft disc that moves, uint8."""
    y, x = np.mgrid[:HIGH, :WIDE]
    far = np.hypot(x - 40 - 3 * (frame - FRAMES[0]), y - 30)
    return (np.clip((24 - far) / 6, 0, 1) * 255 + 0.5).astype(np.uint8)


def _sequence(folder: Path, alpha: bool, size: tuple[int, int] = (WIDE, HIGH)) -> Path:
    folder.mkdir(parents=True)
    for frame in FRAMES:
        cover = cv2.resize(_cover(frame), size)
        picture = np.dstack([np.full_like(cover, 60)] * 3 + [cover]) if alpha else cover
        assert cv2.imwrite(str(folder / f"roto.{frame}.png"), picture)
    return folder / f"roto.{FRAMES[0]}.png"


@pytest.fixture
def plate(tmp_path: Path) -> Plate:
    folder = tmp_path / "plate"
    folder.mkdir()
    for frame in FRAMES:
        picture = np.full((HIGH, WIDE, 3), 90 + frame % 10, np.uint8)
        assert cv2.imwrite(str(folder / f"plate.{frame}.png"), picture)
    return open_plate(folder / f"plate.{FRAMES[0]}.png")


@pytest.mark.parametrize("alpha", [True, False], ids=["alpha", "brightness"])
def test_a_sequence_is_taken_code_by_code(tmp_path: Path, plate: Plate, alpha: bool) -> None:
    with closing(GivenMattes(_sequence(tmp_path / "roto", alpha), plate, FRAMES)) as given:
        assert ("alpha" if alpha else "brightness") in given.note
        for frame in FRAMES:
            np.testing.assert_array_equal(given.read(frame), _cover(frame))


def test_a_movie_begins_with_the_plate(tmp_path: Path, plate: Plate) -> None:
    path = tmp_path / "roto.mkv"
    with av.open(str(path), "w") as movie:
        stream = movie.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDE, HIGH, "gray"
        for frame in FRAMES:
            shown = av.VideoFrame.from_ndarray(_cover(frame), format="gray")
            movie.mux(stream.encode(shown))
        movie.mux(stream.encode())
    with closing(GivenMattes(path, plate, FRAMES)) as given:
        for frame in FRAMES:
            apart = np.abs(given.read(frame).astype(int) - _cover(frame))
            assert apart.mean() < 2


def _movie(path: Path, rate: int, covers: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as movie:
        stream = movie.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = WIDE, HIGH, "gray"
        for cover in covers:
            movie.mux(stream.encode(av.VideoFrame.from_ndarray(cover, format="gray")))
        movie.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("rate", "each", "told"), [(25, 1, ""), (50, 2, "at the plate's"), (24, 1, "frame by frame")]
)
def test_mattes_of_another_rate_stay_with_their_frames(
    tmp_path: Path, rate: int, each: int, told: str
) -> None:
    covers = [_cover(1001 + number) for number in range(8)]
    plate = open_plate(_movie(tmp_path / "plate.mkv", 25, covers), first=1001)
    path = _movie(tmp_path / "roto.mkv", rate, [cover for cover in covers for _ in range(each)])
    with closing(GivenMattes(path, plate, plate.numbers)) as given:
        for frame in plate.numbers:
            apart = np.abs(given.read(frame).astype(int) - covers[frame - 1001])
            assert apart.mean() < 2, frame
        rates = [note for note in given.notes if "frames a second" in note]
        assert told in "".join(rates) and bool(rates) == bool(told)


def test_alpha_that_is_solid_at_first_is_the_matte_all_the_same(
    tmp_path: Path, plate: Plate
) -> None:
    path = _sequence(tmp_path / "roto", True)
    solid = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    solid[..., 3] = 255
    assert cv2.imwrite(str(path), solid)
    with closing(GivenMattes(path, plate, FRAMES)) as given:
        assert "alpha" in given.note and given.notes == []
        assert given.read(FRAMES[0]).min() == 255
        np.testing.assert_array_equal(given.read(FRAMES[2]), _cover(FRAMES[2]))


@pytest.mark.parametrize(
    ("colour", "word"), [((0, 0, 255), "in colour"), ((128, 128, 128), "same everywhere")]
)
def test_what_is_hardly_a_matte_is_told(
    tmp_path: Path, plate: Plate, colour: tuple[int, int, int], word: str
) -> None:
    folder = tmp_path / "roto"
    folder.mkdir()
    for frame in FRAMES:
        cover = _cover(frame) if word == "in colour" else np.full((HIGH, WIDE), 255, np.uint8)
        picture = np.rint(cover[..., None] / 255 * colour).astype(np.uint8)
        assert cv2.imwrite(str(folder / f"roto.{frame}.png"), picture)
    with closing(GivenMattes(folder, plate, FRAMES)) as given:
        assert any(word in note for note in given.notes)


def test_windows_keep_the_plates_resolution_and_end_with_it(tmp_path: Path, plate: Plate) -> None:
    box = Box(-10, -4, 72)
    folder = tmp_path / "mattes"
    with closing(GivenMattes(_sequence(tmp_path / "roto", True), plate, FRAMES)) as given:
        _take_mattes(given, None, FRAMES, {FRAMES[0]: box}, folder, Reporter())
    for frame in FRAMES:
        made = cv2.imread(str(folder / f"matte.{frame:04d}.png"), cv2.IMREAD_GRAYSCALE)
        assert made is not None and made.shape == (72, 72)
        np.testing.assert_array_equal(made[4:68, 10:], _cover(frame)[:, :62])
        assert not made[:4].any() and not made[:, :10].any() and not made[68:].any()


def test_a_garbage_matte_takes_out_what_it_covers(tmp_path: Path, plate: Plate) -> None:
    box = Box(0, 0, 64)
    folder = tmp_path / "garbage"
    folder.mkdir()
    for frame in FRAMES:
        out = np.zeros((HIGH, WIDE), np.uint8)
        out[:, :32], out[:, 32:40] = 255, 128
        assert cv2.imwrite(str(folder / f"out.{frame}.png"), out)
    with (
        closing(GivenMattes(_sequence(tmp_path / "roto", False), plate, FRAMES)) as given,
        closing(GivenMattes(folder / f"out.{FRAMES[0]}.png", plate, FRAMES)) as garbage,
    ):
        _take_mattes(given, garbage, FRAMES, {FRAMES[0]: box}, tmp_path / "made", Reporter())
        matte = given.window(FRAMES[0], box)
        small = _without(garbage, FRAMES[0], box, np.full((32, 32), 255, np.uint8))
    made = cv2.imread(str(tmp_path / "made" / "matte.1001.png"), cv2.IMREAD_GRAYSCALE)
    assert not made[:, :32].any() and (made[:, 40:] == matte[:, 40:]).all() and matte[:, 40:].any()
    assert np.abs(made[:, 32:40] - matte[:, 32:40] * (127 / 255)).max() <= 0.51
    assert not small[:, :15].any() and (small[:, 21:] == 255).all()
    np.testing.assert_array_equal(_without(None, FRAMES[0], box, matte), matte)


def test_mattes_of_another_size_are_resampled(tmp_path: Path, plate: Plate) -> None:
    half = _sequence(tmp_path / "roto", False, (WIDE // 2, HIGH // 2))
    with closing(GivenMattes(half, plate, FRAMES)) as given:
        apart = np.abs(given.read(FRAMES[1]).astype(int) - _cover(FRAMES[1]))
        assert apart.shape == (HIGH, WIDE) and apart.mean() < 3


def test_a_missing_frame_and_another_shape_are_one_sentence(tmp_path: Path, plate: Plate) -> None:
    path = _sequence(tmp_path / "roto", True)
    with pytest.raises(FootageError, match="hold frames 1001 to 1003, not 1000"):
        GivenMattes(path, plate, range(1000, 1003))
    square = _sequence(tmp_path / "square", True, (64, 64))
    with pytest.raises(FootageError, match="64 x 64, the plate is 96 x 64"):
        GivenMattes(square, plate, FRAMES)


def test_a_job_begins_anew_when_the_mattes_changed(tmp_path: Path, plate: Plate) -> None:
    path = _sequence(tmp_path / "roto", True)
    with closing(GivenMattes(path, plate, FRAMES)) as given:
        before = given.digest()
    assert cv2.imwrite(str(path), np.zeros((HIGH, WIDE, 4), np.uint8))
    with closing(GivenMattes(path, plate, FRAMES)) as given:
        assert given.digest() != before
