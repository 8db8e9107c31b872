# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The detail of edited key frames, carried to other frames, against what it should look like."""

from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest

from portraitgen.body.camera import Box
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion
from portraitgen.footage.crop import CompositeLayer
from portraitgen.pipeline.compositing import key_detail
from portraitgen.pipeline.compositing.key_detail import KeyDetail, fine_detail
from portraitgen.pipeline.data.edit_mask import EditMask
from portraitgen.pipeline.data.shots import Track
from synthetic.acting import camera as stage
from synthetic.render import Performer, Rendering

SIZE, SMALL = 256, 64
KEYS, FRAMES = (8, 30), (12, 26)
BOX = Box(0, 0, SIZE)


def stripes(rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lines on the skin, finer than the avatar's pixels."""
    line = (np.sin(2 * np.pi * rest[:, 1] / 0.012) > 0).astype(float)[:, None]
    return line * np.array([0.7, 0.6, 0.2]) + (1 - line) * np.array([0.1, 0.05, 0.3]), np.ones(
        len(rest)
    )


class Tracked:
    """As much of a track as detail needs."""

    def __init__(self, motion: Motion, mattes: dict[int, np.ndarray]) -> None:
        self.motion, self.camera, self._mattes = motion, stage(SIZE), mattes

    def box(self, frame: int) -> Box:
        return BOX

    def matte(self, frame: int) -> np.ndarray:
        return self._mattes[frame]


class Scene:
    def __init__(self) -> None:
        self.body = BodyModel.load()
        self.motion = Motion.load(Path(__file__).parents[1] / "data" / "performer.safetensors")
        plain = Performer(self.body, self.motion)
        edited = Performer(self.body, self.motion, paint=stripes)
        self.plate: dict[int, Rendering] = {}
        self.meant: dict[int, np.ndarray] = {}
        for frame in (*KEYS, *FRAMES):
            self.plate[frame] = plain.render(frame, stage(SIZE))
            self.meant[frame] = edited.render(frame, stage(SIZE)).rgb
        mattes = {
            frame: (each.alpha[..., 0] * 255).astype(np.uint8) for frame, each in self.plate.items()
        }
        self.track = cast(Track, Tracked(self.motion, mattes))
        self.parts = EditMask(self.body, self.track, "")

    def detail(self, side: int = SIZE) -> KeyDetail:
        detail = KeyDetail(self.body, self.track, self.parts, SMALL)
        for frame in KEYS:
            edited = cv2.resize(self.meant[frame], (side, side), interpolation=cv2.INTER_AREA)
            detail.add(frame, self.plate[frame].rgb, edited)
        return detail

    def shown(self, frame: int) -> tuple[np.ndarray, CompositeLayer]:
        """What an avatar that learned everything shows, at its size and enlarged."""
        small = cv2.resize(self.meant[frame], (SMALL, SMALL), interpolation=cv2.INTER_AREA)
        large = cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC).clip(0, 1)
        whole = slice(0, SIZE)
        return small, CompositeLayer(large, self.plate[frame].alpha[..., 0], whole, whole)

    def laid(
        self, frame: int, plate: np.ndarray | None = None
    ) -> tuple[CompositeLayer, CompositeLayer]:
        small, laid = self.shown(frame)
        image = self.plate[frame].rgb if plate is None else plate
        made = self.detail().apply(frame, image, BOX, self.parts, self.motion, small, laid)
        return laid, made


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("frame", FRAMES)
def test_a_frame_between_shows_the_detail_of_the_key_frames(scene: Scene, frame: int) -> None:
    before, after = scene.laid(frame)
    inside = cv2.erode(scene.plate[frame].alpha[..., 0], np.ones((9, 9))) > 0.99
    meant = scene.meant[frame]
    errors = [float(((each.colours - meant)[inside] ** 2).mean()) for each in (before, after)]
    assert errors[1] < 0.4 * errors[0], "it comes nearer to what was meant"
    fine = [
        float(np.abs(fine_detail(each, inside.astype(np.float32), 4)[inside]).mean())
        for each in (before.colours, after.colours, meant)
    ]
    assert fine[1] > 0.8 * fine[2] > fine[0], "and is as sharp"
    np.testing.assert_array_equal(after.cover, before.cover)


def test_what_stands_before_the_performer_takes_no_detail(scene: Scene) -> None:
    frame = FRAMES[0]
    plate = scene.plate[frame].rgb.copy()
    rows, columns = slice(90, 150), slice(100, 160)
    plate[rows, columns] = np.random.default_rng(0).uniform(0.2, 0.4, (60, 60, 3))
    before, after = scene.laid(frame, plate)
    inner = np.s_[100:140, 110:150]
    changed = np.abs(after.colours - before.colours)
    assert (
        changed[inner].mean()
        < 0.1 * np.abs(scene.laid(frame)[1].colours - before.colours)[inner].mean()
    )


def test_key_frames_no_larger_than_the_avatar_have_nothing_to_give(scene: Scene) -> None:
    assert scene.detail(SMALL).empty and not scene.detail().empty


def test_a_mouth_comes_from_one_key_frame_and_not_from_two(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[np.ndarray] = []
    lay_out = key_detail._laid_out

    def counted(key: object, places: np.ndarray, surety: np.ndarray, *rest: object) -> np.ndarray:
        shares.append(surety)
        return lay_out(key, places, surety, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(key_detail, "_laid_out", counted)
    scene.laid(FRAMES[1])
    surface = scene.parts.surface(FRAMES[1], stage(SIZE))
    lips, cheek = np.zeros((2, SIZE, SIZE), bool)
    seen = surface.face >= 0
    lips[seen] = scene.body.parts["lips"].numpy()[surface.face[seen]]
    cheek[seen] = scene.body.parts["face"].numpy()[surface.face[seen]]
    cheek &= cv2.dilate(lips.astype(np.uint8), np.ones((41, 41), np.uint8)) == 0
    parts = np.stack([[each[lips].mean(), each[cheek].mean()] for each in shares])
    assert len(shares) == 2, "both key frames look like it"
    assert np.sort(parts[:, 0])[0] < 0.05 * parts[:, 0].max()
    assert np.sort(parts[:, 1])[0] > 0.1 * parts[:, 1].max()
