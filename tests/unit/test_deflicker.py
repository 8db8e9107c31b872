# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steadying along the plate's motion: flicker goes, what moves and what changes stays."""

import cv2
import numpy as np
import pytest

from portraitgen.pipeline.compositing.deflicker import Deflicker, deflickered, near

SIZE, FRAMES, MIDDLE = 128, range(1, 8), 4


def _texture(grain: float, seed: int) -> np.ndarray:
    white = np.random.default_rng(seed).normal(size=(SIZE, SIZE, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(white, (0, 0), grain)
    return np.clip(0.5 + 0.16 * smooth / smooth.std(), 0, 1)


def _moved(picture: np.ndarray, frame: int) -> np.ndarray:
    """A picture that slides by a pixel and a half a frame."""
    shift = 1.5 * (frame - MIDDLE)
    matrix = np.array([[1, 0, shift], [0, 1, shift / 3]])
    return cv2.warpAffine(picture, matrix, (SIZE, SIZE), borderMode=cv2.BORDER_REFLECT)


def _codes(picture: np.ndarray) -> np.ndarray:
    return (255 * picture + 0.5).astype(np.uint8)


@pytest.fixture(scope="module")
def plates() -> dict[int, np.ndarray]:
    return {frame: _codes(_moved(_texture(4, 0), frame)) for frame in FRAMES}


def _inside(difference: np.ndarray) -> float:
    return float(np.abs(difference)[16:-16, 16:-16].mean())


def test_flicker_goes_and_what_moves_stays_where_it_is(plates: dict[int, np.ndarray]) -> None:
    meant = {frame: _moved(_texture(3, 1), frame) for frame in FRAMES}
    shown = {
        frame: np.clip(each + 0.08 * (_texture(2, 10 + frame) - 0.5) / 0.16, 0, 1)
        for frame, each in meant.items()
    }
    along = Deflicker(1.0).along(MIDDLE, plates)
    calm = deflickered(MIDDLE, shown, along)
    assert [other for other, _, _ in along] == [2, 3, 5, 6]
    before, after = (_inside(each - meant[MIDDLE]) for each in (shown[MIDDLE], calm))
    assert after < 0.6 * before
    # A mean that lags, or that is blurred by the movement, would miss a picture without flicker.
    assert _inside(deflickered(MIDDLE, meant, along) - meant[MIDDLE]) < 0.15 * before


def test_what_changes_in_one_frame_keeps_its_own(plates: dict[int, np.ndarray]) -> None:
    lid = (slice(48, 80), slice(48, 80))
    blinking = {frame: each.copy() for frame, each in plates.items()}
    blinking[MIDDLE][lid] = _codes(_texture(4, 5))[lid]
    shown = {frame: np.full((SIZE, SIZE, 3), 0.2, np.float32) for frame in FRAMES}
    shown[MIDDLE][lid] = 0.9
    calm = deflickered(MIDDLE, shown, Deflicker(1.0).along(MIDDLE, blinking))
    assert np.abs(calm[lid] - 0.9).mean() < 0.05


def test_a_share_of_nothing_changes_nothing(plates: dict[int, np.ndarray]) -> None:
    shown = {frame: _texture(3, frame) for frame in FRAMES}
    calm = deflickered(MIDDLE, shown, Deflicker(0.0).along(MIDDLE, plates))
    np.testing.assert_array_equal(calm, shown[MIDDLE])


def test_a_frame_is_steadied_alike_whatever_was_steadied_before(
    plates: dict[int, np.ndarray],
) -> None:
    shown = {frame: _texture(3, frame) for frame in FRAMES}
    alone = deflickered(MIDDLE, shown, Deflicker(1.0).along(MIDDLE, plates))
    busy = Deflicker(1.0)
    for frame in range(1, MIDDLE):
        busy.along(frame, plates)
    np.testing.assert_array_equal(deflickered(MIDDLE, shown, busy.along(MIDDLE, plates)), alone)


def test_the_frames_beside_one() -> None:
    assert near(4, [9, 7, 6, 4, 3, 2, 1]) == [2, 3, 6]
