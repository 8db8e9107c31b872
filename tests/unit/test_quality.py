# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sheet of a take's quality: what it measures, and that a stranger's texts stay texts."""

from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from portraitgen.errors import OptionError, ShotError
from portraitgen.footage.exr import write_exr
from portraitgen.pipeline.jobs.quality import (
    _MEASURES,
    FrameMeasures,
    QualityOptions,
    _place_of,
    _seam,
    _unmeasured,
)
from portraitgen.pipeline.jobs.quality_sheet import Measure, Sheet, Thumbnail, write_sheet
from portraitgen.settings import parse
from portraitgen.tracking.face_reading import face_difference


@pytest.fixture
def face() -> np.ndarray:
    points = np.random.default_rng(7).uniform(100, 200, (478, 2))
    points[33], points[263] = (110, 140), (190, 140)
    points[133], points[362] = (135, 140), (165, 140)
    points[468], points[473] = (122, 140), (178, 140)
    points[13], points[14] = (150, 180), (150, 184)
    for top, bottom, x in ((159, 145, 122), (386, 374, 178)):
        points[top], points[bottom] = (x, 137), (x, 143)
    return points


def test_a_face_that_moves_turns_and_grows_is_the_same_face(face: np.ndarray) -> None:
    turn = np.array([[0.96, -0.28], [0.28, 0.96]])
    found = face_difference(face, 1.3 * face @ turn + (40, -9))
    assert found.identity == pytest.approx(0, abs=1e-6)
    assert found.gaze == pytest.approx(0, abs=1e-6)


def test_mouth_lids_gaze_and_shape_are_told_apart(face: np.ndarray) -> None:
    taken = face.copy()
    taken[14] += (0, 8)
    found = face_difference(face, taken)
    assert (found.mouth, found.lids, found.gaze) == (pytest.approx(10), 0, 0)
    taken = face.copy()
    taken[[145, 374]] -= (0, 4)
    assert face_difference(face, taken).lids == pytest.approx(5)
    taken = face.copy()
    taken[[468, 473]] += (2.5, 0)
    assert face_difference(face, taken).gaze == pytest.approx(10)
    taken = face.copy()
    taken[4] += (20, 0)
    assert face_difference(face, taken).identity > 4 and face_difference(face, taken).mouth == 0


def test_a_seam_is_the_step_where_the_edit_begins() -> None:
    plate = np.full((64, 64, 3), 90, np.uint8)
    hard, soft = plate.copy(), plate.astype(np.float32)
    hard[20:44, 20:44] += 40
    across = np.clip((12 - np.abs(np.arange(64) - 31.5)) / 12, 0, 1)
    soft += 40 * np.minimum(across[:, None], across[None])[..., None]
    assert _seam(plate, plate.copy()) is None
    steps = [_seam(plate, each.astype(np.uint8)) for each in (hard, soft)]
    assert steps[0] == 40 and steps[1] is not None and steps[1] < 8


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        assert not any(name.startswith("on") for name, _ in attrs)


def test_a_sheet_shows_a_strangers_texts_and_runs_none_of_them(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&\x1b[2J"
    sheet = Sheet(
        title=evil,
        measures=(
            Measure("Flicker", "grey levels", 2.0, {1: None, 2: 0.5, 3: 2.5, 9: 1.0}),
            Measure(evil, evil, None, {1: None}),
        ),
        thumbnails=(Thumbnail(3, np.zeros((8, 24, 3), np.uint8)),),
        notes=(evil,),
        record={evil: {"editor": evil, "seed": 3}, "empty": "", "list": [evil, 2]},
    )
    write_sheet(tmp_path / "qc.html", sheet)
    text = (tmp_path / "qc.html").read_text("utf-8")
    reader = _Reader()
    reader.feed(text)
    assert "script" not in reader.tags and reader.tags.count("img") == 1
    assert all(link.startswith("data:image/jpeg;base64,") for link in reader.links)
    assert "\x1b" not in text and "default-src &#x27;none&#x27;" not in text
    assert "default-src 'none'" in text
    # 2 is joined with 3, 9 stands alone; the limit is drawn and told.
    assert text.count("<polyline") == 1 and text.count("<circle") == 1
    assert 'class="over">most 2.5 in frame 3' in text and "limit 2" in text


def test_what_was_measured_in_some_frames_alone_is_told() -> None:
    """A limit held, though most frames had nothing that could exceed it."""
    seen = FrameMeasures(flicker=0.5, identity=0.1, outside=0.0)
    assert list(_unmeasured({1: replace(seen, flicker=None), 2: seen}, [])) == []
    rows = {1: seen, 2: seen, 4: replace(seen, flicker=None, outside=None)}
    told = list(_unmeasured(rows, [3]))
    assert told == [
        "Frames 3 are not rendered, and not measured.",
        "Flicker is not measured in frames 4: it is told between neighbouring frames that show the"
        " performer.",
        "Untouched pixels are not compared in frames 4: no full plates.",
    ]


@pytest.mark.parametrize("left", ["far", "-3", "1e9"])
def test_a_frame_that_lies_nowhere_is_refused_in_a_sentence(tmp_path: Path, left: str) -> None:
    frame = tmp_path / "a.0001.exr"
    write_exr(
        frame,
        {"Combined": np.zeros((4, 4, 4), np.float32)},
        fps=Fraction(25),
        frame=1,
        colour_space="Rec.709",
        attributes={"portraitgen:left": left, "portraitgen:top": "2"},
    )
    with pytest.raises(ShotError, match=r"a\.0001\.exr: the frame does not say where it lies"):
        _place_of(frame)


def test_a_record_of_several_things_has_a_line_for_each(tmp_path: Path) -> None:
    weights = [{"name": "klein", "files": {"a.safetensors": "0" * 64}}, {"name": "offset"}]
    sheet = Sheet("a", (), (), (), {"edit": {"weights": weights}})
    write_sheet(tmp_path / "qc.html", sheet)
    text = (tmp_path / "qc.html").read_text("utf-8")
    assert "<td>edit weights 1 files a.safetensors</td><td>0000" in text
    assert "<td>edit weights 2 name</td><td>offset</td>" in text and "{" not in text[-300:]


@pytest.mark.parametrize("name", _MEASURES)
def test_a_limit_that_nothing_can_keep_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=name):
        parse(QualityOptions, {name: -0.5})
