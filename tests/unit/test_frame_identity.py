# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A frame is rendered anew when anything that decides its pixels has changed."""

from dataclasses import replace
from pathlib import Path

import pytest
import shot_records

from portraitgen.pipeline.data.frame_identity import FrameInputs
from portraitgen.records import BodyModelRecord
from portraitgen.shot import Shot

FILES = {
    "avatar/0001": ("avatar.json", "avatar.safetensors"),
    "track/0001": ("track.json", "params.safetensors"),
    "takes/look/edits/0001": ("edit.json", "avatar.safetensors"),
}


@pytest.fixture
def shot(tmp_path: Path) -> Shot:
    made = Shot.create(tmp_path / "shot", shot_records.footage("plate.mp4"))
    for folder, names in FILES.items():
        (made.path / folder).mkdir(parents=True)
        for name in names:
            (made.path / folder / name).write_text(f"{folder} {name}")
    return made


def inputs(shot: Shot, detail: float = 0.8, more: str = "") -> str:
    avatar, track, edit = (shot.path / folder for folder in FILES)
    return FrameInputs.of(shot, edit, avatar, track, {"detail": detail}, more).digest


@pytest.mark.parametrize(
    "file", [f"{folder}/{name}" for folder, names in FILES.items() for name in names]
)
def test_other_files_make_other_frames(shot: Shot, file: str) -> None:
    before = inputs(shot)
    (shot.path / file).write_text("another")
    assert inputs(shot) != before


def test_another_body_or_plate_and_other_options_make_other_frames(shot: Shot) -> None:
    found = [inputs(shot), inputs(shot, 0.7), inputs(shot, more="mask")]
    shot.update(body_model=BodyModelRecord(name="another", sha256="0" * 64))
    found.append(inputs(shot))
    shot.update(footage=replace(shot.record.footage, digest="another"))
    found.append(inputs(shot))
    assert len(set(found)) == 5


def test_where_the_plate_lies_makes_no_other_frames(shot: Shot) -> None:
    before = inputs(shot)
    shot.update(footage=replace(shot.record.footage, path="elsewhere/plate.mp4"))
    assert inputs(shot) == before
