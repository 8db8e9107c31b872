# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sequences: which digits are the frame, signs, gaps, endings; frames as people list them."""

from pathlib import Path

import pytest

from portraitgen.errors import FootageError, OptionError
from portraitgen.footage.sequence import find_sequence
from portraitgen.frames import frame_list, parse_frame_list


def _folder(path: Path, *names: str) -> Path:
    path.mkdir(exist_ok=True)
    for name in names:
        (path / name).write_bytes(b"x")
    return path


def _numbers(path: Path) -> list[int]:
    return list(find_sequence(path).files)


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (
            ["p.-003.png", "p.-002.png", "p.-001.png", "p.0000.png", "p.0001.png"],
            [-3, -2, -1, 0, 1],
        ),
        (["p-2.png", "p-1.png", "p0.png", "p1.png"], [-2, -1, 0, 1]),
        (["take-001.png", "take-002.png"], [1, 2]),
        (["take-2-001.png", "take-2-002.png"], [1, 2]),
        (["p_0001_1080p.png", "p_0002_1080p.png"], [1, 2]),
        (["1001_v02.png", "1002_v02.png", "1003_v02.png"], [1001, 1002, 1003]),
        (["shot010_comp_v003.1001.exr", "shot010_comp_v003.1002.exr"], [1001, 1002]),
        (["p.0001.PNG", "p.0002.png", "p.0003.Png"], [1, 2, 3]),
        (["take#2.0001.png", "take#2.0002.png"], [1, 2]),
        (["p.998.png", "p.999.png", "p.1000.png"], [998, 999, 1000]),
        (["-0001.png", "0000.png", "0001.png"], [-1, 0, 1]),
        (["2026-11-28_0001.png", "2026-11-28_0002.png"], [1, 2]),
        (["c_0001_1700000041.png", "c_0002_1700000082.png", "c_0003_1700000123.png"], [1, 2, 3]),
        (["1700000041_0007.png", "1700000082_0008.png"], [7, 8]),
        (["f00t0000.png", "f01t0040.png", "f02t0080.png"], [0, 1, 2]),
        (["a0001_b0001.png", "a0002_b0002.png"], [1, 2]),
        (["p.0001.jpg", "p.0002.jpeg", "p.0003.jpg"], [1, 2, 3]),
        (["p.0001.tif", "p.0002.tif", "p.0003.tiff"], [1, 2, 3]),
        (["p.1043.png"], [1043]),
        (["p_1080p.png"], [1080]),
    ],
)
def test_the_run_of_digits_that_varies_is_the_frame(
    tmp_path: Path, names: list[str], numbers: list[int]
) -> None:
    folder = _folder(tmp_path / "seq", *names)
    assert _numbers(folder) == numbers
    for name in names[:: max(1, len(names) - 1)]:
        found = find_sequence(folder / name).files
        if len(names) > 1:
            assert list(found) == numbers, "one file of it names the same sequence"
            assert found[numbers[0]].name == names[0]
    assert all(found.is_file() for found in find_sequence(folder).files.values())


@pytest.mark.parametrize("frames", [[1001], [1001, 1002], [1001, 1002, 1003]])
def test_a_version_is_no_frame_however_many_there_are(tmp_path: Path, frames: list[int]) -> None:
    names = [f"sh_v{version:03d}.{frame}.png" for version in range(1, 11) for frame in frames]
    found = find_sequence(_folder(tmp_path / "versions", *names) / f"sh_v002.{frames[0]}.png").files
    assert list(found) == frames
    assert {file.name[:7] for file in found.values()} == {"sh_v002"}


def test_a_pattern_finds_names_that_a_mac_took_apart(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "mac", *(f"gro\u0308\u00dfe.{n:04d}.png" for n in (1, 2)))
    assert _numbers(folder / "gr\u00f6\u00dfe.####.png") == [1, 2]


def test_a_lone_file_has_the_number_that_ends_its_name(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "one", "p.1043.png")
    assert _numbers(folder / "p.1043.png") == [1043]
    other = _folder(tmp_path / "two", "portrait_1080p.png")
    assert _numbers(other / "portrait_1080p.png") == [1]


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [
        ("take#2.####.png", [1, 2]),
        ("take#2.%04d.png", [1, 2]),
        ("take#2.*.png", [1, 2]),
        ("take#2.@@@@.png", [1, 2]),
        ("take#2.$F4.png", [1, 2]),
        ("take#2.[####].png", [1, 2]),
        ("take#2.####.PNG", [1, 2]),
    ],
)
def test_patterns_of_all_programs_find_their_files(
    tmp_path: Path, pattern: str, numbers: list[int]
) -> None:
    folder = _folder(tmp_path / "seq", "take#2.0001.png", "take#2.0002.png", "take#3.0001.png")
    assert _numbers(folder / pattern) == numbers


def test_gaps_are_named_whichever_file_is_given(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "gap", "p.1001.png", "p.1003.png", "p.1004.png")
    for place in (folder, folder / "p.1001.png", folder / "p.1004.png", folder / "p.####.png"):
        with pytest.raises(FootageError, match="frame 1002 missing"):
            find_sequence(place)


def test_two_sequences_in_one_folder_are_kept_apart(tmp_path: Path) -> None:
    names = [f"{version}.{frame:04d}.exr" for version in ("v001", "v002") for frame in (1, 2, 3)]
    folder = _folder(tmp_path / "two", *names)
    with pytest.raises(FootageError, match="several sequences"):
        find_sequence(folder)
    files = find_sequence(folder / "v002.0002.exr").files
    assert [file.name for file in files.values()] == names[3:]


def test_what_lies_beside_a_sequence_is_left_out_aloud(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "seq", "p.0001.png", "p.0002.png", "slate.jpg", ".hidden.0003.png")
    found = find_sequence(folder)
    assert list(found.files) == [1, 2]
    assert found.notes == ["other images of the folder are left out (slate.jpg)"]


def test_unrelated_photos_are_no_sequence(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "photos", "photo3.png", "photo27.png")
    found = find_sequence(folder / "photo3.png")
    assert list(found.files) == [1] and "stands alone" in found.notes[0]


@pytest.mark.parametrize("names", [("1_8.png", "2_4.png"), ("a1 b30.png", "a2 b20.png")])
def test_pictures_whose_numbers_go_different_ways_are_no_sequence(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    folder = _folder(tmp_path / "pictures", *names)
    for name in names:
        assert [file.name for file in find_sequence(folder / name).files.values()] == [name]


def test_numbers_beyond_what_blender_counts_begin_at_1(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "far", "p.20261128142233.png", "p.20261128142234.png")
    found = find_sequence(folder)
    assert list(found.files) == [1, 2] and "2147483647" in found.notes[0]


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("1,2", [1, 2]),
        ("1-3,5", [1, 2, 3, 5]),
        ("5, 1-2", [1, 2, 5]),
        ("-3-0", [-3, -2, -1, 0]),
        ("-3--1", [-3, -2, -1]),
        ("-3", [-3]),
        ("-3-10x4", [-3, 1, 5, 9]),
        ("", list(range(-3, 11))),
        ("3,3", [3]),
    ],
)
def test_frames_are_listed_as_people_write_them(text: str, frames: list[int]) -> None:
    found = parse_frame_list(text, range(-3, 11))
    assert list(found) == frames
    for step in "x:":
        assert list(parse_frame_list(frame_list(found, step), range(-3, 11))) == frames


def test_frame_numbers_are_written_as_short_as_can_be() -> None:
    assert frame_list(range(1001, 1251)) == "1001-1250"
    assert frame_list(range(1001, 1251, 10)) == "1001-1241x10"
    assert frame_list([1, 2, 3, 5]) == "1-3,5"
    assert frame_list([-3, -1, 1, 4], ":") == "-3-1:2,4"
    assert frame_list([1, 4]) == "1,4"


@pytest.mark.parametrize("text", ["1-20", "a", "1-3x0", "1-3x", "3-1", "1..3", "x2", ","])
def test_lists_that_cannot_be_meant_are_refused(text: str) -> None:
    with pytest.raises(OptionError):
        parse_frame_list(text, range(-3, 11))
