# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames, pictures, movies and credentials say the same, of takes without an edit, too."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import numpy as np
import pytest
from footage_media import write_image, write_movie
from performer_shot import performer_shot
from test_lit_frames import write_rgba

from portraitgen.body.model import BodyModel
from portraitgen.footage.exr import exr_attributes
from portraitgen.pipeline.jobs.deliver import PlateFiles, plate_notes, sign_take
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.provenance.png_text import texts_of
from portraitgen.provenance.statement import Statement
from portraitgen.renders import render_of
from portraitgen.shot import Shot

FRAMES, SIZE = 2, 64


class Pen:
    """Signs nothing, and remembers what it would have said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def sign(self, path: Path, statement: Statement, plate: Path | None, target: Path) -> Path:
        assert path.exists() and plate is not None
        self.said.append(statement.to_json())
        return target


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Shot:
    folder = tmp_path_factory.mktemp("delivered")
    plate = write_movie(folder / "plate.mp4", FRAMES, size=(SIZE, SIZE))
    return performer_shot(folder, plate, BodyModel.load(), frames=FRAMES, size=SIZE, splats=500)


@pytest.mark.parametrize("kind", ["acting", "light"])
def test_all_that_is_delivered_of_a_take_without_an_edit_says_the_same(
    shot: Shot, tmp_path: Path, kind: str
) -> None:
    """It was refused for want of an edit, and its movie did not say who lit it."""
    render: dict[str, object] = {"take": kind, "movie": False, "plate": True}
    if kind == "acting":
        run("act", shot.path, {"take": kind, "settings": json.dumps({"jawOpen": 0.4})}, Reporter())
    else:
        for frame in range(1, FRAMES + 1):
            lit = np.zeros((SIZE, SIZE, 4), np.float32)
            lit[16:48, 16:48] = 0.2, 0.3, 0.1, 1
            write_rgba(tmp_path / "lit" / f"sun.{frame:04d}.exr", lit)
        render["lit"] = str(tmp_path / "lit")
    run("render", shot.path, render, Reporter())
    run("movie", shot.path, {"take": kind}, Reporter())
    folder = shot.path / "takes" / kind / "renders" / "v001"
    frame = folder / "frames" / f"{kind}.0001.exr"
    header = exr_attributes(frame)["portraitgen:provenance"]
    facts = unmeasured(header)
    assert facts["by_hand"] == [kind] and facts["edit"] is None
    assert texts_of(frame.with_suffix(".png").read_bytes())["portraitgen:provenance"] == header
    with av.open(str(folder / f"{kind}.mp4")) as movie:
        assert unmeasured(movie.metadata["comment"]) == unmeasured(header)
    pen = Pen()
    files = list(sign_take(shot, kind, tmp_path / "out", cast(Any, pen)))
    assert len(files) == len(pen.said) == 3 * FRAMES + 1 and header in pen.said
    assert all("touched" in said and unmeasured(said) == facts for said in pen.said)


def test_each_frame_of_a_sequence_names_its_own_picture_of_the_plate(tmp_path: Path) -> None:
    """All of them were said to be made from the one picture that had been chosen."""
    for frame in range(4, 4 + FRAMES + 1):
        codes = np.random.default_rng(frame).integers(0, 255, (SIZE, SIZE, 3), np.uint8)
        write_image(tmp_path / f"p.{frame:04d}.png", codes)
    names = {frame: f"p.{frame + 3:04d}.png" for frame in range(1, FRAMES + 1)}
    for path in (tmp_path / "p.0005.png", tmp_path / "p.####.png", tmp_path):
        record = SimpleNamespace(footage=SimpleNamespace(kind="sequence", first=1))
        files = PlateFiles.of(cast(Any, SimpleNamespace(footage_path=path, record=record)))
        found = {frame: files.shown_in(frame) for frame in names}
        assert {frame: each and each.name for frame, each in found.items()} == names
        first = files.shown_in(None)
        assert first and first.name == names[1]
        assert files.shown_in(0) is None is files.shown_in(5)
    gone = SimpleNamespace(footage_path=tmp_path / "none.####.png", record=record)
    assert PlateFiles.of(cast(Any, gone)).shown_in(1) is None
    still = SimpleNamespace(footage=SimpleNamespace(kind="still", first=1))
    photo = SimpleNamespace(footage_path=tmp_path / "p.0004.png", record=still)
    assert PlateFiles.of(cast(Any, photo)).shown_in(1) == tmp_path / "p.0004.png"


def test_a_plate_that_is_gone_is_told_when_signing(shot: Shot, tmp_path: Path) -> None:
    """It was left out of the credentials without a word."""
    again = tmp_path / "shot"
    shutil.copytree(shot.path, again)
    run("act", again, {"take": "more", "settings": '{"jawOpen": 0.4}'}, Reporter())
    record = json.loads((again / "shot.json").read_text())
    record["footage"]["path"] = str(shot.footage_path)
    (again / "shot.json").write_text(json.dumps(record))
    run("render", again, {"take": "more"}, Reporter())
    copy = Shot.open(again)
    rendered = render_of(copy.take_folder("more"))
    assert plate_notes(copy, rendered, "more") == []
    record["footage"]["path"] = str(tmp_path / "gone.mp4")
    (again / "shot.json").write_text(json.dumps(record))
    (note,) = plate_notes(Shot.open(again), rendered, "more")
    assert "credentials do not name it" in note


def unmeasured(said: str) -> dict[str, Any]:
    """What is said, without how much of each picture is touched."""
    facts: dict[str, Any] = json.loads(said)
    del facts["touched"]
    return facts
