# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paint stays on skin that slips over the tracked body."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from portraitgen.body.camera import Camera
from portraitgen.body.surface import Surface
from portraitgen.editing.editor import EditRequest
from portraitgen.editing.editors.paint import Paint, PaintOptions
from portraitgen.editing.texture_registration import Slips, slipped

SIZE = 160
CAMERA = Camera(160, 160, 80, 80, SIZE, SIZE)
PATCH = (slice(60, 100), slice(60, 100))
PAINTED, LAST = 1, 12


class Wall:
    """As much of a body model as a surface needs: a flat one, before the camera."""

    corners = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]], np.float32)
    template = torch.from_numpy(corners)
    faces = torch.tensor([[0, 2, 1], [0, 3, 2]])


def surface() -> Surface:
    return Surface.of(Wall(), Wall.corners, CAMERA)  # type: ignore[arg-type]


def skin(slip: np.ndarray, *, pores: float = 0.05, lit: float = 0.0) -> np.ndarray:
    """Skin with pores, slipped by an affine map of pixels (2, 3), lit from one side."""
    noise = np.random.default_rng(0).normal(size=(SIZE, SIZE)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 1.2)
    noise = cv2.warpAffine(noise / noise.std(), slip, (SIZE, SIZE), flags=cv2.INTER_CUBIC)
    light = 1 + lit * np.linspace(-1, 1, SIZE)[None] + lit * np.sin(np.arange(SIZE) / 20)[:, None]
    return np.repeat((0.5 * light * (1 + pores * noise))[..., None], 3, axis=2).astype(np.float32)


def request(frame: int, picture: np.ndarray) -> EditRequest:
    whole = np.ones((SIZE, SIZE), np.float32)
    return EditRequest(frame, picture, picture, whole, np.zeros_like(picture), surface=surface())


def slip_of(frame: int) -> np.ndarray:
    """More with every frame: 1.8 pixels to the right, and a stretch downward."""
    share = (frame - PAINTED) / (LAST - PAINTED)
    return np.array([[1, 0, 1.8 * share], [0, 1 + 0.03 * share, -0.03 * share * 80]])


def cover() -> np.ndarray:
    drawn = np.zeros((SIZE, SIZE), np.float32)
    drawn[PATCH] = 1
    return drawn


def found(pictures: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    slips = Slips(cover(), surface(), SIZE)
    for frame, picture in pictures.items():
        slips.show(request(frame, picture))
    return slips.from_frame(PAINTED)


def moved(by: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Where pixels (N, 2) slip to, by a map of shares of the side."""
    return (by[:, :2] @ ((points + 0.5) / SIZE).T).T * SIZE + by[:, 2] * SIZE - 0.5


CORNERS = np.array([[64, 64], [96, 64], [64, 96], [96, 96]], float)


def test_a_slip_is_found_while_the_light_changes() -> None:
    frames = range(PAINTED, LAST + 1)
    slips = found({frame: skin(slip_of(frame), lit=0.2 * frame / LAST) for frame in frames})
    true = CORNERS @ slip_of(LAST)[:, :2].T + slip_of(LAST)[:, 2]
    assert np.abs(true - CORNERS).max() > 1.5
    assert np.abs(moved(slips[LAST], CORNERS) - true).max() < 0.4
    assert np.abs(moved(slips[PAINTED], CORNERS) - CORNERS).max() < 1e-6


def test_smooth_skin_under_moving_light_is_left_where_it_is() -> None:
    still = np.eye(2, 3)
    frames = range(PAINTED, LAST + 1)
    slips = found({frame: skin(still, pores=0, lit=0.3 * frame / LAST) for frame in frames})
    assert np.abs(moved(slips[LAST], CORNERS) - CORNERS).max() < 0.3


def test_a_frame_never_shown_has_no_slip() -> None:
    pictures = {frame: skin(np.eye(2, 3)) for frame in (2, 3)}
    assert found(pictures) == {}
    assert set(found(pictures | {PAINTED: pictures[2]})) == {1, 2, 3}


def test_a_picture_slips_as_its_map_says() -> None:
    dot = np.zeros((SIZE, SIZE, 1), np.float32)
    dot[80, 40] = 1
    by = np.array([[1, 0, 3 / SIZE], [0, 1, -2 / SIZE]])
    assert slipped(dot, by)[78, 43] == pytest.approx(1, abs=1e-3)
    for size in (80, 320):
        larger = cv2.resize(cover(), (size, size), interpolation=cv2.INTER_AREA)
        rows, columns = np.nonzero(slipped(larger[..., None], by).reshape(size, size) > 0.5)
        middle = np.array([columns.mean(), rows.mean()]) + 0.5
        assert middle / size == pytest.approx((np.array([80 + 3, 80 - 2])) / SIZE, abs=0.004)


def test_paint_goes_with_the_skin(tmp_path: Path) -> None:
    pictures = {frame: skin(slip_of(frame)) for frame in range(PAINTED, LAST + 1)}
    codes = (pictures[PAINTED] * 255 + 0.5).astype(np.uint8)
    folder = tmp_path / "paint"
    folder.mkdir()
    cv2.imwrite(str(folder / f"{PAINTED:04d}.base.png"), codes)
    codes = codes.copy()
    codes[PATCH] = (200, 30, 30)
    cv2.imwrite(str(folder / f"{PAINTED:04d}.png"), codes)
    shot = [request(frame, picture) for frame, picture in pictures.items()]
    editor = Paint(PaintOptions(folder=str(folder)))
    editor.prepare([shot[0]])
    true = cv2.warpAffine(cover(), slip_of(LAST), (SIZE, SIZE))

    def apart() -> float:
        return float(np.abs(editor.overlay(shot[-1])[1] - true).sum())

    where_the_body_is = apart()
    editor.watch(iter(shot))
    assert apart() < 0.4 * where_the_body_is
    again = Paint(PaintOptions())
    again.restore(tmp_path, editor.learned())
    again.prepare([shot[0]])
    assert (again.overlay(shot[-1])[1] == editor.overlay(shot[-1])[1]).all()
