# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inside of a mouth that opens wider than its shot ever showed it."""

from pathlib import Path

import numpy as np
import pytest
from test_acted_plate import track_of
from test_avatar import body

from portraitgen.body.camera import Camera
from portraitgen.body.model import BodyModel
from portraitgen.footage.plate import open_plate
from portraitgen.pipeline.compositing.acted_mouth import PARTS, Mouth
from portraitgen.pipeline.data.avatars import surface_of
from synthetic.acting import act
from synthetic.clip import write_clip

__all__ = ["body"]

FRAMES, SIZE = 16, 256


@pytest.fixture(scope="module")
def looked(body: BodyModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[object, object]:
    """A track of a performer who talks, and the plate."""
    folder = tmp_path_factory.mktemp("mouth")
    write_clip(folder / "clip", frames=FRAMES, size=SIZE)
    motion = act(body, range(1, FRAMES + 1), 0)
    return track_of(folder, motion, {}, SIZE), open_plate(folder / "clip.mp4")


def test_teeth_are_the_bright_part_and_the_hollow_the_dark_one(
    looked: tuple[object, object], body: BodyModel
) -> None:
    mouth = Mouth.of(*looked, body)  # type: ignore[arg-type]
    light = dict(zip(PARTS, mouth.colours.mean(1), strict=True))
    assert light["teeth"] > light["tongue"] + 0.15
    assert light["teeth"] > light["mouth"] + 0.15
    assert 0 <= mouth.shown.min() and mouth.shown.max() == 1
    nose = int(np.abs(body.template.numpy() - [0, 0.7, 0.3]).sum(1).argmin())
    assert mouth.kind[(body.faces.numpy() == nose).any(1)].max() == -1, "skin is no part of it"


def test_what_was_never_shown_takes_its_parts_colour_and_all_else_stays(
    looked: tuple[object, object], body: BodyModel
) -> None:
    track, _ = looked
    window = track.camera.window(track.box(1), 512)  # type: ignore[attr-defined]
    face = surface_of(track, body, 1, window).face  # type: ignore[arg-type]
    kind = np.full(len(body.faces), -1)
    for row, name in enumerate(PARTS):
        kind[body.parts[name].numpy()] = row
    labels = np.where(face >= 0, kind[face], -1)
    assert (labels >= 0).any(), "the mouth is open"
    colours = np.array([[0.1, 0, 0], [0.9, 0.9, 0.8], [0.5, 0.2, 0.2]], np.float32)
    drawn = np.random.default_rng(1).random((512, 512, 3)).astype(np.float32)
    nothing = Mouth(kind, np.zeros(len(kind), np.float32), colours).filled(drawn, face)
    assert np.array_equal(nothing[labels < 0], drawn[labels < 0])
    for row in set(labels[labels >= 0].tolist()):
        apart = np.abs(nothing - colours[row]).max(-1)[labels == row]
        assert np.median(apart) < 0.6 * np.median(np.abs(drawn - colours[row]).max(-1))
    known = Mouth(kind, np.ones(len(kind), np.float32), colours).filled(drawn, face)
    assert np.array_equal(known, drawn)


class Shut:
    """A plate of one colour, none of whose frames can be told from another."""

    def read_uint8(self, frame: int) -> np.ndarray:
        return np.full((SIZE, SIZE, 3), 120, np.uint8)


def test_a_mouth_that_no_frame_shows_has_teeth_as_the_white_of_eyes(
    looked: tuple[object, object], body: BodyModel, tmp_path: Path
) -> None:
    motion = act(body, range(1, 3), 0)
    motion.expression[:] = 0
    track = track_of(tmp_path, motion, {}, SIZE)
    mouth = Mouth.of(track, Shut(), body)  # type: ignore[arg-type]
    grey = 120 / 255
    teeth = mouth.colours[PARTS.index("teeth")]
    assert np.abs(teeth - grey * np.array([1.0, 0.96, 0.88])).max() < 0.02
    assert mouth.colours[PARTS.index("mouth")].max() < 0.6 * grey
    # No performer at all, and none who is ever seen.
    track.camera = Camera(1.0, 1.0, 1e6, 1e6, SIZE, SIZE)
    assert np.isfinite(Mouth.of(track, Shut(), body).colours).all()  # type: ignore[arg-type]
    track._states = {}
    assert np.isfinite(Mouth.of(track, Shut(), body).colours).all()  # type: ignore[arg-type]
