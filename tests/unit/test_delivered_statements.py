# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames, pictures, movies and credentials say the same, of takes without an edit, too."""

import json
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from footage_media import write_movie
from performer_shot import performer_shot
from test_lit_frames import write_rgba

from portraitgen.body.model import BodyModel
from portraitgen.footage.encode import exr_attributes
from portraitgen.pipeline.jobs.deliver import sign_take
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.provenance.png_text import texts_of
from portraitgen.provenance.statement import Statement
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


def unmeasured(said: str) -> dict[str, Any]:
    """What is said, without how much of each picture is touched."""
    facts: dict[str, Any] = json.loads(said)
    del facts["touched"]
    return facts
