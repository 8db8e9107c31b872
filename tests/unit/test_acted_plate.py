# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The acted plate: what moved is shown moved, the rest keeps its bits; and what lies behind."""

from collections import OrderedDict
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from test_avatar import SIZE, body, pictures, trainer

from portraitgen.body.camera import Box
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion
from portraitgen.pipeline.compositing.acted_mouth import Mouth
from portraitgen.pipeline.compositing.acted_plate import ActedFrame, ActedPlate, _beside
from portraitgen.pipeline.compositing.clean_plate import CleanFrame, SeenCleanPlate
from portraitgen.pipeline.data.acting import Acting
from portraitgen.pipeline.data.ready_made_acting import ActingRequest, ready_made
from portraitgen.pipeline.data.shots import Track
from synthetic.acting import act, camera

__all__ = ["body", "pictures"]

FRAME = 2


class Grey:
    """A clean plate of one colour."""

    def frame(self, frame: int, image: np.ndarray, wanted: np.ndarray) -> CleanFrame:
        return CleanFrame(np.full_like(image, 0.5), np.zeros(image.shape[:2], bool))

    def close(self) -> None:
        pass


def track_of(folder: Path, motion: Motion, mattes: dict[int, np.ndarray], size: int) -> Track:
    """A track with a fixed window on the whole picture."""
    track = object.__new__(Track)
    track.version, track.folder, track.motion = 1, folder, motion
    track.camera = camera(size)
    track._states = dict.fromkeys((int(frame) for frame in motion.frames), "tracked")
    track._mattes = OrderedDict()
    track._boxes = {int(motion.frames[0]): Box(0, 0, size)}
    for frame, matte in mattes.items():
        cv2.imwrite(str(folder / f"matte.{frame:04d}.png"), matte)
    track.matte_path = lambda frame: folder / f"matte.{frame:04d}.png"  # type: ignore[method-assign]
    return track


@pytest.fixture(scope="module")
def performed(
    body: BodyModel,
    pictures: tuple[np.ndarray, np.ndarray],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Track, object, np.ndarray]:
    made = trainer(body, pictures, steps=3)
    images, mattes = pictures
    motion = act(body, range(1, len(images) + 1), 0)
    folder = tmp_path_factory.mktemp("acted")
    track = track_of(folder, motion, {FRAME: mattes[FRAME - 1]}, SIZE)
    return track, made.avatar, images[FRAME - 1].astype(np.float32) / 255


def seen_mouth(body: BodyModel) -> Mouth:
    """A mouth of whose inside everything was seen."""
    count = len(body.faces)
    shown, colours = np.ones(count, np.float32), np.zeros((3, 3), np.float32)
    return Mouth(np.full(count, -1), shown, colours)


def acted(
    performed: tuple[Track, object, np.ndarray], body: BodyModel, **settings: str
) -> ActedFrame | None:
    track, avatar, image = performed
    request = ActingRequest(None, body, track, [FRAME])  # type: ignore[arg-type]
    acting = ready_made(request, settings)
    actor = ActedPlate(
        track, acting.applied(track.motion, body), acting, avatar, body, None, seen_mouth(body)
    )  # type: ignore[arg-type]
    return actor.frame(FRAME, image, Grey())


def test_acting_of_zero_is_the_plate(performed: object, body: BodyModel) -> None:
    assert acted(performed, body) is None  # type: ignore[arg-type]
    assert acted(performed, body, jawOpen="0") is None  # type: ignore[arg-type]


def test_what_does_not_move_keeps_its_bits(performed: object, body: BodyModel) -> None:
    image = performed[2]  # type: ignore[index]
    made = acted(performed, body, jawOpen="0.5")  # type: ignore[arg-type]
    assert made is not None
    assert np.array_equal(made.image[~made.touched], image[~made.touched])
    assert (made.image != image).any()
    rows = np.flatnonzero(made.touched.any(1))
    # Nothing above the eyes moves with the jaw.
    assert rows.min() > 0.3 * SIZE


def test_hair_is_taken_along_as_far_as_what_it_lies_on_moves() -> None:
    moved = np.zeros((40, 120, 2), np.float32)
    # On the left a sideburn over a jaw, on the right the side of a head that turns.
    moved[:, 20], moved[:, 80] = 0.4, 6.0
    beside = _beside(moved, 1.0, 1.0)[20]
    assert beside[22] and not beside[24:60].any() and not beside[10:17].any()
    assert beside[68:93].all() and not beside[95:].any()
    moved[..., 1] = 0
    assert np.flatnonzero(_beside(moved, 1.0, 1.0)[20]).tolist() == [19, 20, 21, 79, 80, 81]


def test_a_turned_head_moves_its_matte(performed: object, body: BodyModel) -> None:
    track = performed[0]  # type: ignore[index]
    before = cv2.imread(str(track.matte_path(FRAME)), cv2.IMREAD_GRAYSCALE)
    made = acted(performed, body, head_yaw="20")  # type: ignore[arg-type]
    assert made is not None
    # The torso stays; the head does not.
    assert np.abs(made.matte.astype(int) - before)[-SIZE // 6 :].mean() < 4
    assert (np.abs(made.matte.astype(int) - before) > 128).any()


def test_where_a_matte_is_unsure_the_plate_is_taken_along(
    performed: tuple[Track, object, np.ndarray], body: BodyModel, tmp_path: Path
) -> None:
    track, avatar, image = performed
    matte = cv2.imread(str(track.matte_path(FRAME)), cv2.IMREAD_GRAYSCALE)
    assert matte is not None
    rows, columns = np.nonzero(matte > 250)
    middle = SIZE // 10 + int(rows.min()), int(columns[rows == rows.min()].mean())
    patch = np.s_[middle[0] : middle[0] + SIZE // 12, middle[1] : middle[1] + SIZE // 12]
    matte[patch] = 110
    unsure = track_of(tmp_path, track.motion, {FRAME: matte}, SIZE)
    made = acted((unsure, avatar, image), body, head_yaw="0.3")
    assert made is not None and made.touched[patch].mean() > 0.9
    # The background would shine through by more than half of what it differs by.
    through = np.abs(image[patch] - 0.5).mean()
    assert np.abs(made.image - image)[patch].mean() < 0.2 * through


def test_a_sculpt_is_seen_where_it_is(performed: object, body: BodyModel) -> None:
    track, avatar, image = performed  # type: ignore[misc]
    acting = Acting.none(body, [FRAME])
    nose = body.landmarks.on(body.template.numpy(), body.faces.numpy())[1]
    near = np.linalg.norm(body.template.numpy() - nose, axis=1)
    acting.sculpt[:, 0] = 0.012 * np.exp(-np.square(near / 0.02))
    acting.sculpted[:] = 1
    motion = acting.applied(track.motion, body)
    made = ActedPlate(track, motion, acting, avatar, body, None, seen_mouth(body)).frame(
        FRAME, image, Grey()
    )
    assert made is not None
    share = made.touched.mean()
    assert 0 < share < 0.15


class Clip:
    """A plate in memory."""

    def __init__(self, pictures: dict[int, np.ndarray]) -> None:
        self._pictures = pictures

    def read(self, frame: int) -> np.ndarray:
        return self._pictures[frame].astype(np.float32) / 255


@pytest.mark.parametrize("step", [0, 4])
def test_the_background_is_seen_in_other_frames(step: int, tmp_path: Path, body: BodyModel) -> None:
    size, count = 256, 8
    noise = np.random.default_rng(3).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    wide = cv2.resize(noise, (480, 320), interpolation=cv2.INTER_CUBIC)
    motion = act(body, range(1, count + 1), 0)
    shots, mattes = {}, {}
    for frame in range(1, count + 1):
        left = step * frame
        picture = wide[20 : 20 + size, left : left + size].copy()
        matte = np.zeros((size, size), np.uint8)
        middle = 60 + 18 * frame
        cv2.rectangle(matte, (middle - 15, 80), (middle + 15, 255), 255, -1)
        picture[matte > 0] = (200, 30, 30)
        shots[frame], mattes[frame] = picture, matte
    track = track_of(tmp_path, motion, mattes, size)
    clean = SeenCleanPlate(track, Clip(shots), range(1, count + 1))  # type: ignore[arg-type]
    frame = 4
    image = shots[frame].astype(np.float32) / 255
    found = clean.frame(frame, image, mattes[frame] > 0)
    truth = wide[20 : 20 + size, step * frame : step * frame + size].astype(np.float32) / 255
    hidden = (mattes[frame] > 0) & ~found.invented
    assert hidden.sum() > 0.8 * (mattes[frame] > 0).sum()
    error = -10 * np.log10(np.square(found.image - truth)[hidden].mean() + 1e-9)
    assert error > (40 if step == 0 else 30)
    outside = mattes[frame] == 0
    assert np.array_equal(found.image[outside], image[outside])


def test_what_no_frame_shows_is_invented_and_said(tmp_path: Path, body: BodyModel) -> None:
    size = 128
    motion = act(body, range(1, 4), 0)
    matte = np.zeros((size, size), np.uint8)
    matte[40:, 40:90] = 255
    picture = np.full((size, size, 3), 90, np.uint8)
    track = track_of(tmp_path, motion, dict.fromkeys((1, 2, 3), matte), size)
    clean = SeenCleanPlate(track, Clip(dict.fromkeys((1, 2, 3), picture)), range(1, 4))  # type: ignore[arg-type]
    found = clean.frame(2, picture.astype(np.float32) / 255, matte > 0)
    assert found.invented[60:, 50:80].all()
    assert np.abs(found.image[60:, 50:80] - 90 / 255).max() < 0.03


def test_the_avatar_draws_a_reshaped_body(performed: object, body: BodyModel) -> None:
    from portraitgen.pipeline.data.avatars import frame_parameters

    track, avatar, _ = performed  # type: ignore[misc]
    acting = Acting.none(body, [FRAME])
    acting.identity[:, 1] = 1.0
    motion = acting.applied(track.motion, body)
    K = torch.from_numpy(camera(SIZE).matrix())[None]
    with torch.no_grad():
        plain = avatar.render(frame_parameters(track.motion, [FRAME]), K, SIZE)
        heavy = avatar.render(frame_parameters(motion, [FRAME]), K, SIZE)
    assert (plain.alpha - heavy.alpha).abs().max() > 0.2
