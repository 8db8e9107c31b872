# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing, deleting and believing files of a shot that a stranger may have made."""

import errno
import json
import math
import os
import time
from pathlib import Path

import pytest
import shot_records

from portraitgen.bounded_json import dump_json, parse_json
from portraitgen.errors import ShotError, StorageError
from portraitgen.failures import readable
from portraitgen.process_identity import process_table
from portraitgen.shot import Shot
from portraitgen.storage import (
    append_json,
    atomic_path,
    check_digests,
    check_own_file,
    check_own_folder,
    entries,
    file_digest,
    move_folder,
    read_bytes,
    read_json,
    remove_tree,
    strays,
    sweep,
    write_json,
)


@pytest.fixture
def shot(tmp_path: Path) -> Shot:
    return Shot.create(tmp_path / "shot", shot_records.footage("plate.mp4"))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "letter.txt").write_text("mine")
    return folder


def test_nothing_is_written_through_a_link_that_leaves_the_shot(shot: Shot, outside: Path) -> None:
    (shot.path / "takes").mkdir()
    (shot.path / "takes" / "bronze").symlink_to(outside, target_is_directory=True)
    with pytest.raises(ShotError, match="a link leads out of the shot"):
        write_json(shot.path / "takes" / "bronze" / "take.json", {})
    with pytest.raises(ShotError, match="a link leads out of the shot"):
        write_json(shot.path / "takes" / "bronze" / "frames" / "new.json", {})
    with pytest.raises(ShotError, match="a link leads out of the shot"):
        append_json(shot.path / "takes" / "bronze" / "events.jsonl", {})
    with pytest.raises(ShotError, match="a link leads out of the shot"):
        remove_tree(shot.path / "takes" / "bronze" / "letter.txt")
    assert os.listdir(outside) == ["letter.txt"]


def test_a_link_that_stays_in_the_shot_may_stay(shot: Shot) -> None:
    (shot.path / "frames").mkdir()
    (shot.path / "linked").symlink_to(shot.path / "frames", target_is_directory=True)
    write_json(shot.path / "linked" / "a.json", {})
    assert (shot.path / "frames" / "a.json").exists()


def test_a_shot_inside_a_shot_does_not_free_its_links(shot: Shot, outside: Path) -> None:
    (outside / "shot.json").write_text("{}")
    (shot.path / "takes").symlink_to(outside, target_is_directory=True)
    with pytest.raises(ShotError, match="a link leads out of the shot"):
        write_json(shot.path / "takes" / "take.json", {})


def test_a_shot_that_is_reached_through_a_link_works(shot: Shot, tmp_path: Path) -> None:
    (tmp_path / "project").symlink_to(shot.path, target_is_directory=True)
    write_json(tmp_path / "project" / "a.json", {"a": 1})
    assert read_json(shot.path / "a.json") == {"a": 1}


def test_deleting_a_link_leaves_what_it_points_to(shot: Shot, outside: Path) -> None:
    link = shot.path / "work"
    link.symlink_to(outside, target_is_directory=True)
    remove_tree(link)
    assert not os.path.lexists(link) and (outside / "letter.txt").exists()


def test_deleting_a_folder_with_a_link_leaves_what_it_points_to(shot: Shot, outside: Path) -> None:
    folder = shot.path / "work"
    folder.mkdir()
    (folder / "link").symlink_to(outside, target_is_directory=True)
    remove_tree(folder)
    assert not folder.exists() and (outside / "letter.txt").exists()


def test_nothing_is_appended_through_a_link_or_a_second_name(shot: Shot, outside: Path) -> None:
    (shot.path / "soft.jsonl").symlink_to(outside / "letter.txt")
    os.link(outside / "letter.txt", shot.path / "hard.jsonl")
    for name in ("soft.jsonl", "hard.jsonl"):
        with pytest.raises(ShotError):
            append_json(shot.path / name, {})
    assert (outside / "letter.txt").read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes among its files")
def test_a_pipe_among_the_files_is_told_and_not_waited_for(shot: Shot) -> None:
    os.mkfifo(shot.path / "pipe.json")
    with pytest.raises(ShotError, match="no plain file"):
        read_json(shot.path / "pipe.json")
    with pytest.raises((ShotError, OSError)):
        append_json(shot.path / "pipe.json", {})


def test_a_folder_with_links_is_not_taken_over(shot: Shot, outside: Path) -> None:
    folder = shot.path / "work"
    (folder / "mattes").mkdir(parents=True)
    (folder / "mattes" / "matte.0001.png").symlink_to(outside / "letter.txt")
    with pytest.raises(ShotError, match="no plain file or folder"):
        check_own_folder(folder)
    with pytest.raises(ShotError, match="no plain file or folder"):
        shot.publish("track", folder)
    with pytest.raises(ShotError, match="a link, no folder"):
        (shot.path / "alias").symlink_to(folder, target_is_directory=True)
        move_folder(shot.path / "alias", shot.path / "moved")


@pytest.mark.parametrize(
    "text",
    [
        '{"a": ' + "1" * 5000 + "}",
        '{"a": 1e999}',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": "\\ud800"}',
        '{"\\ud800": 1}',
        '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"a": ' + "[" * 100 + "]" * 100 + "}",
        "",
        "[1]",
        '"a"',
        '{"a": 1',
    ],
)
def test_json_that_leaves_its_bounds_is_told_as_damage(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ShotError) as told:
        read_json(tmp_path / "a.json")
    assert len(str(told.value)) < 400


def test_json_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"a": "M\xfcller"}')
    with pytest.raises(ShotError, match="cannot be read"):
        read_json(tmp_path / "a.json")


def test_names_of_files_that_are_not_utf_8_come_back_as_they_were(tmp_path: Path) -> None:
    name = os.fsdecode(b"M\xfcller.mov")
    write_json(tmp_path / "a.json", {"path": name, name: [1]})
    assert read_json(tmp_path / "a.json") == {"path": name, name: [1]}


def test_numbers_that_are_not_finite_are_written_as_null(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"psnr": math.nan, "curve": [1.5, -math.inf]})
    assert read_json(tmp_path / "a.json") == {"psnr": None, "curve": [1.5, None]}


def test_json_is_written_as_it_was_before() -> None:
    data = {"name": "Müller", "list": [1, 2.5, None, True]}
    assert dump_json(data) == json.dumps(data, ensure_ascii=False).encode()
    assert parse_json(dump_json(data)) == data


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Quota exceeded"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_told_with_place_and_what_is_free(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(StorageError, match="the disk is full.* free") as told:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"half")
            raise error
    assert told.value.place == str(path) and not os.listdir(tmp_path)


def test_a_file_that_cannot_be_written_is_told_by_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise PermissionError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(PermissionError) as told:
        write_json(tmp_path / "applied.json", {})
    assert readable(told.value).place == str(tmp_path / "applied.json")


def test_systems_files_are_passed_over(shot: Shot) -> None:
    folder = shot.path / "track"
    (folder / "0001").mkdir(parents=True)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0001", "notes.txt", "²", "0002 copy"):
        (folder / name).write_text("")
    assert shot.versions("track") == [1]
    assert folder / ".DS_Store" not in entries(folder)


def test_halves_left_long_ago_are_swept_and_others_files_are_not(shot: Shot, outside: Path) -> None:
    (shot.path / "link").symlink_to(outside, target_is_directory=True)
    half = f".avatar.{os.getpid()}-0123abcd.safetensors"
    for folder in (shot.path, outside):
        (folder / half).write_text("half")
    assert sweep(shot.path, older_than=-1) == 4
    assert not (shot.path / half).exists() and (outside / half).exists()


def test_no_clock_of_ours_says_how_old_another_machines_halves_are(
    shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = shot.path / ".frame.17-0123abcd.exr"
    half.write_text("half")
    monkeypatch.setattr(time, "time", lambda: half.stat().st_mtime + 86400)
    assert strays(shot.path) == []
    os.utime(half, (0, 0))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert strays(shot.path) == [half]
    assert {each.name for each in shot.path.iterdir()} == {"shot.json", half.name}


def test_a_folder_that_a_killed_process_began_is_swept(shot: Shot) -> None:
    begun = shot.path / "takes" / "a" / "renders" / f".version.{2**22 - 2}-{process_table()}abcd"
    begun.mkdir(parents=True)
    (begun / "render.json").write_text("{}")
    shot.sweep()
    assert begun.parent.is_dir() and not begun.exists()


def test_a_folder_whose_name_begins_as_the_shots_is_outside_of_it(
    shot: Shot, tmp_path: Path
) -> None:
    beside = tmp_path / f"{shot.path.name}-of-another"
    beside.mkdir()
    (shot.path / "takes").symlink_to(beside, target_is_directory=True)
    with pytest.raises(ShotError, match="a link leads out of the shot"):
        write_json(shot.path / "takes" / "take.json", {})
    assert not list(beside.iterdir())


def test_a_file_with_a_second_name_is_not_appended_to(shot: Shot, outside: Path) -> None:
    check_own_file(shot.path / "log.txt")
    (shot.path / "log.txt").write_text("ours")
    check_own_file(shot.path / "log.txt")
    (shot.path / "other.txt").hardlink_to(outside / "letter.txt")
    with pytest.raises(ShotError, match="no plain file of the shot"):
        check_own_file(shot.path / "other.txt")


def test_what_a_running_process_writes_is_no_stray(shot: Shot) -> None:
    with atomic_path(shot.path / "frame.exr") as temporary:
        temporary.write_bytes(b"half")
        assert strays(shot.path) == []


def test_a_file_one_byte_too_long_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bytes(tmp_path / "file", 5) == b"12345"
    with pytest.raises(ShotError, match=f"{tmp_path.name}: this is no plain file"):
        read_bytes(tmp_path, 5)
    with pytest.raises(ShotError, match="too large"):
        read_bytes(tmp_path / "file", 4)


def test_digests_are_of_files_in_the_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "version").mkdir()
    (tmp_path / "other.safetensors").write_bytes(b"outside")
    digest = file_digest(tmp_path / "other.safetensors")
    with pytest.raises(ShotError, match="missing"):
        check_digests(tmp_path / "version", {"../other.safetensors": digest})


def test_a_record_of_millions_of_values_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "track.json"
    path.write_text('{"a": [' + "[]," * 1_500_000 + "0]}")
    begun = time.process_time()
    with pytest.raises(ShotError, match="more than 2000000 values"):
        read_json(path)
    assert time.process_time() - begun < 5
