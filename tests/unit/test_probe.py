# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`portraitgen probe` says how a plate is read, and writes what the backend sees."""

import json
from pathlib import Path

import cv2
import numpy as np
import OpenImageIO as oiio  # noqa: N813
import pytest
from footage_media import number_of, write_image, write_movie

from portraitgen.cli import main

_KEYS = set(
    "kind first last frames fps width height bit_depth colour_space pixel_aspect notes".split()
)


def _probe(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, object]:
    main(["probe", *map(str, words), "--json"])
    said = capsys.readouterr()
    assert said.err == "", "nothing foreign on the terminal"
    facts = json.loads(said.out)
    assert set(facts) >= _KEYS
    return facts


def test_a_movie_is_probed_and_its_frames_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_movie(tmp_path / "plate.mp4", 12, matrix=1)
    facts = _probe(capsys, path, "--frames", "1-3,7", "--out", tmp_path / "out")
    assert (facts["kind"], facts["first"], facts["last"], facts["frames"]) == ("movie", 1, 12, 12)
    assert (facts["fps"], facts["pixel_aspect"]) == ("25/1", "1/1")
    assert (facts["width"], facts["height"], facts["bit_depth"]) == (128, 64, 8)
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == [f"probe.{n:04d}.{kind}" for n in (1, 2, 3, 7) for kind in ("exr", "png")]
    for number in (1, 2, 3, 7):
        shown = cv2.imread(str(tmp_path / "out" / f"probe.{number:04d}.png"))[..., ::-1]
        assert number_of(shown) == number - 1
        image = oiio.ImageInput.open(str(tmp_path / "out" / f"probe.{number:04d}.exr"))
        linear = image.read_image(oiio.FLOAT)
        decoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        assert np.abs(np.rint(decoded * 255) - shown).max() <= 1


def test_negative_frames_of_a_sequence_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "seq"
    folder.mkdir()
    for number in range(-3, 3):
        pixels = np.full((8, 8, 3), 100 + 10 * number, np.uint8)
        write_image(folder / f"p.{number:04d}.png", pixels)
    facts = _probe(capsys, folder, "--frames=-3-0", "--out", tmp_path / "out")
    assert (facts["first"], facts["last"], facts["kind"]) == (-3, 2, "sequence")
    assert len(list((tmp_path / "out").glob("*.png"))) == 4
    assert cv2.imread(str(tmp_path / "out" / "probe.-003.png"))[0, 0, 0] == 70


def test_a_damaged_image_of_a_sequence_is_named_and_the_others_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "seq"
    folder.mkdir()
    for number in (1, 2, 3):
        noise = np.random.default_rng(number).random((32, 32, 3)).astype(np.float16)
        write_image(folder / f"p.{number:04d}.exr", noise)
    whole = (folder / "p.0002.exr").read_bytes()
    (folder / "p.0002.exr").write_bytes(whole[: len(whole) * 2 // 3])
    facts = _probe(capsys, folder, "--out", tmp_path / "out")
    assert any("frame 2 cannot be read" in note for note in facts["notes"])
    assert len(list((tmp_path / "out").glob("*.png"))) == 2
    (folder / "p.0003.exr").write_bytes(whole[: len(whole) * 2 // 3])
    facts = _probe(capsys, folder, "--out", tmp_path / "out")
    assert sum("not written: 2-3;" in note for note in facts["notes"]) == 1, "said once"


def test_people_read_the_same_facts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_movie(tmp_path / "plate.mp4", 3)
    main(["probe", str(path), "--colour-space", "LogC3", "--first", "1001"])
    said = capsys.readouterr().out
    assert "colour space: ARRI LogC3 (EI800)" in said and "last: 1003" in said
    assert "note: the movie names no colour matrix; bt601 is assumed" in said


def test_what_cannot_be_probed_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(SystemExit) as ended:
        main(["probe", str(tmp_path / "notes.txt")])
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "cannot be read" in said.err


def test_a_plate_is_split_at_its_cuts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "seq"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(1001, 1021):
        base = (30, 60, 200) if number < 1009 else (200, 150, 40)
        noise = generator.integers(0, 12, (36, 64, 3))
        write_image(folder / f"p.{number}.png", (np.array(base) + noise).astype(np.uint8))
    main(["split", str(folder), str(tmp_path / "shots")])
    said = capsys.readouterr().out.splitlines()
    assert [line.rpartition("--frames=")[2] for line in said] == ["1001-1008", "1009-1020"]
    assert sorted(file.name for file in (tmp_path / "shots").iterdir()) == [
        "seq_1001-1008",
        "seq_1009-1020",
    ]


def test_the_worker_tells_of_a_plate_before_a_shot_is_made(tmp_path: Path) -> None:
    from portraitgen.messages.shots import ProbePlate, SplitPlate
    from portraitgen.messages.tables import CALLS
    from portraitgen.pipeline.requests.probe import glance

    facts = glance(write_movie(tmp_path / "plate.mp4", 3), {"colour_space": "Rec.709"})
    answer = CALLS["plate.probe"].ANSWER.parse(facts.to_json())
    assert (answer.frames, answer.fps, answer.width) == (3, "25/1", 128)
    assert CALLS["plate.probe"] is ProbePlate and CALLS["plate.split"] is SplitPlate


def test_the_first_frame_may_be_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_movie(tmp_path / "plate.mp4", 3)
    assert _probe(capsys, path, "--first", "0")["first"] == 0
