# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paint that goes from shot to shot: anew when it changes, whole or not at all, over nobody's."""

import shutil
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from portraitgen.editing.paint_layers import PaintedFrames
from portraitgen.errors import ShotError
from portraitgen.images import read_codes, save_png, to_float
from portraitgen.pipeline.data import carried_take
from portraitgen.pipeline.data.acting import FILE, Acting, load_acting
from portraitgen.pipeline.data.carried_take import Place, carry_acting, carry_painting
from portraitgen.pipeline.data.crops import painting_side
from portraitgen.pipeline.data.shots import create_shot
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.shot import Shot

FRAMES = 4


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Path:
    """A folder of a shot beside its plate; nobody changes it."""
    folder = tmp_path_factory.mktemp("carried")
    create_shot(folder / "shot", Path(shutil.copy(clip, folder)), {})
    run("track", folder / "shot", {"frames": f"1-{FRAMES}", "focal": 1280}, Reporter())
    return folder


@pytest.fixture
def places(tracked: Path, tmp_path: Path) -> tuple[Place, Place]:
    """The shot that is copied from, and the one that is copied to."""
    one, other = (
        Place.of(Shot.open(Path(shutil.copytree(tracked, tmp_path / name)) / "shot"))
        for name in ("one", "other")
    )
    return one, other


def paint(place: Place, frame: int, colour: tuple[float, float, float]) -> None:
    folder = place.shot.path / "takes" / "war" / "paint"
    folder.mkdir(parents=True, exist_ok=True)
    side = painting_side(place.track.box(frame))
    base = place.window(frame, side)
    painted = base.copy()
    painted[side // 3 : 2 * side // 3, side // 3 : 2 * side // 3] = colour
    save_png(folder / f"{frame:04d}.base.png", base)
    save_png(folder / f"{frame:04d}.png", painted)


def laid(place: Place) -> dict[int, np.ndarray]:
    """The painted pictures less what they were painted on."""
    found = PaintedFrames(place.shot.path / "takes" / "war" / "paint")
    pictures = {}
    for frame in found.frames:
        with_paint, base = (
            read_codes(found.folder / f"{frame:04d}{end}.png") for end in ("", ".base")
        )
        assert with_paint is not None and base is not None
        pictures[frame] = to_float(with_paint) - to_float(base)
    return pictures


def test_paint_that_was_changed_since_is_carried_anew_and_what_was_taken_away_goes(
    places: tuple[Place, Place],
) -> None:
    one, other = places
    told: list[str] = []
    paint(one, 2, (0.9, 0.1, 0.1))
    assert carry_painting(one, other, "war", "paint", told.append) == 1
    ((frame, red),) = laid(other).items()
    assert red[..., 0].max() > 0.1 and red[..., 0].max() > red[..., 2].max() + 0.1
    paint(one, 2, (0.1, 0.1, 0.9))
    assert carry_painting(one, other, "war", "paint", told.append) == 1
    blue = laid(other)[frame]
    assert blue[..., 2].max() > blue[..., 0].max() + 0.1
    shutil.rmtree(one.shot.path / "takes" / "war" / "paint")
    carry_painting(one, other, "war", "paint", told.append)
    assert not laid(other) and not told


def test_a_copy_that_is_cut_off_leaves_nothing_half_laid(
    places: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = places
    for frame in (1, 3):
        paint(one, frame, (0.9, 0.1, 0.1))
    laying, count = carried_take._lay, 0

    def cut_off(*given: object) -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        laying(*given)

    with monkeypatch.context() as patch:
        patch.setattr(carried_take, "_lay", cut_off)
        with pytest.raises(KeyboardInterrupt):
            carry_painting(one, other, "war", "paint", print)
    assert not laid(other)
    assert carry_painting(one, other, "war", "paint", print) == 2 and len(laid(other)) == 2
    assert sorted(path.name for path in (other.shot.path / "takes" / "war").iterdir()) == ["paint"]


def test_what_somebody_painted_there_stays_and_that_is_told(places: tuple[Place, Place]) -> None:
    one, other = places
    told: list[str] = []
    paint(one, 2, (0.9, 0.1, 0.1))
    carry_painting(one, other, "war", "paint", told.append)
    (frame,) = laid(other)
    paint(other, frame, (0.1, 0.9, 0.1))
    before = laid(other)[frame]
    assert carry_painting(one, other, "war", "paint", told.append) == 0
    assert (laid(other)[frame] == before).all() and "stays as it is" in told[0]


def test_paint_goes_to_no_other_body(places: tuple[Place, Place]) -> None:
    """Its points are others, so that paint lay anywhere, or the copy ended in a fault."""
    one, other = places
    paint(one, 2, (0.9, 0.1, 0.1))
    body = copy(other.body)
    body.sha256 = "of another"
    with pytest.raises(ShotError, match="lies on another body"):
        carry_painting(one, replace(other, body=body), "war", "paint", print)
    assert not laid(other)


def test_acting_is_carried_anew_and_what_somebody_made_there_stays(
    places: tuple[Place, Place],
) -> None:
    one, other = places
    told: list[str] = []

    def act(place: Place, amount: float) -> None:
        path = place.shot.path / "takes" / "war" / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        acting = Acting.none(place.body, list(place.track.frames))
        acting.transl[:] = amount
        acting.save(path, place.track, place.body)

    def acted() -> float:
        path = other.shot.path / "takes" / "war" / FILE
        return float(load_acting(path, other.body).acting.transl.max())

    for amount in (0.1, 0.2):
        act(one, amount)
        assert carry_acting(one, other, "war", told.append)
        assert acted() == pytest.approx(amount) and not told
    act(other, 0.5)
    assert not carry_acting(one, other, "war", told.append)
    assert acted() == 0.5 and "stays as it is" in told[0]
