# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Editors of frames: given steadied pictures at the plate's resolution, and what they make."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
import shot_records

from portraitgen.avatar.avatar import Avatar
from portraitgen.body.camera import Box, Camera
from portraitgen.editing.editor import EditRequest
from portraitgen.editing.overlays import FrameEditor
from portraitgen.editing.registry import create_editor
from portraitgen.footage.crop import CompositeLayer
from portraitgen.pipeline.compositing.frame_windows import FrameWindows
from portraitgen.pipeline.compositing.take_appearance import TakeAppearance
from portraitgen.pipeline.data.edit_mask import EditMask
from portraitgen.pipeline.data.shots import Track

WIDE, SIDE, SMALL, MIDDLE = 200, 128, 64, 3
FRAMES = range(1, 6)


class Windows:
    """As much of a track as the windows need: each frame's window, one size, covered all over."""

    def __init__(self, folder: Path, boxes: dict[int, Box]) -> None:
        self._folder, self._boxes = folder, boxes
        self.camera = Camera(400.0, 400.0, WIDE / 2, WIDE / 2, WIDE, WIDE)
        for frame in boxes:
            cv2.imwrite(str(self.matte_path(frame)), np.full((SIDE, SIDE), 255, np.uint8))

    def box(self, frame: int) -> Box:
        return self._boxes[frame]

    def matte_path(self, frame: int) -> Path:
        return self._folder / f"{frame}.png"

    def matte(self, frame: int) -> np.ndarray:
        return cv2.imread(str(self.matte_path(frame)), cv2.IMREAD_GRAYSCALE)


class Parts:
    """An edit mask without a body."""

    def of_plate(
        self, frame: int, image: np.ndarray, matte: np.ndarray, camera: Camera, strength: float
    ) -> EditRequest:
        return EditRequest(frame, image, image, matte, np.zeros_like(image), strength=strength)


def _texture(grain: float, seed: int) -> np.ndarray:
    white = np.random.default_rng(seed).normal(size=(WIDE, WIDE, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(white, (0, 0), grain)
    return np.clip(0.5 + 0.15 * smooth / smooth.std(), 0, 1)


def _moved(picture: np.ndarray, frame: int) -> np.ndarray:
    matrix = np.array([[1, 0, 1.5 * (frame - MIDDLE)], [0, 1, 0.5 * (frame - MIDDLE)]])
    return cv2.warpAffine(picture, matrix, (WIDE, WIDE), borderMode=cv2.BORDER_REFLECT)


CLEAN = {frame: _moved(_texture(3, 0), frame) for frame in FRAMES}
NOISY = {
    frame: np.clip(each + 0.02 * (_texture(0.6, 20 + frame) - 0.5) / 0.15, 0, 1)
    for frame, each in CLEAN.items()
}
STILL = {frame: Box(30, 40, SIDE) for frame in FRAMES}
MOVING = {frame: Box(30 + 2 * (frame - MIDDLE), 40 + frame - MIDDLE, SIDE) for frame in FRAMES}


def _windows(folder: Path, boxes: dict[int, Box], share: float) -> FrameWindows:
    windows = FrameWindows(cast(Track, Windows(folder, boxes)), cast(EditMask, Parts()), share)
    normals = np.zeros((SMALL, SMALL, 3), np.float32)
    normals[..., 2] = -1
    for frame, image in NOISY.items():
        tilted = normals + 0.2 * np.random.default_rng(frame).normal(size=3)
        tilted /= np.linalg.norm(tilted, axis=-1, keepdims=True)
        windows.show(frame, image.astype(np.float32), tilted.astype(np.float32))
    return windows


def _clean() -> np.ndarray:
    return CLEAN[MIDDLE][40 : 40 + SIDE, 30 : 30 + SIDE]


def _apart(picture: np.ndarray) -> float:
    return float(np.abs(picture - _clean())[12:-12, 12:-12].mean())


@pytest.mark.parametrize("boxes", [STILL, MOVING], ids=["fixed", "follow"])
def test_noise_goes_and_detail_stays(tmp_path: Path, boxes: dict[int, Box]) -> None:
    request, own = _windows(tmp_path, boxes, 1.0).request(MIDDLE, 1.0)
    assert request.source.shape == (SIDE, SIDE, 3), "it is the plate's own resolution"
    assert _apart(request.source) < 0.6 * _apart(own)
    fine, meant = (
        np.abs(cv2.Laplacian(each.mean(-1), cv2.CV_32F))[12:-12, 12:-12].mean()
        for each in (request.source, _clean().astype(np.float32))
    )
    assert fine > 0.95 * meant


def test_normals_are_steadied_and_stay_unit(tmp_path: Path) -> None:
    windows = _windows(tmp_path, STILL, 1.0)
    loose = _windows(tmp_path, STILL, 0.0)
    steady, own = (each.request(MIDDLE, 1.0)[0].normals for each in (windows, loose))
    assert np.allclose(np.linalg.norm(steady, axis=-1), 1, atol=1e-4)
    ahead = np.array([0, 0, -1])
    assert np.abs(steady - ahead).mean() < 0.7 * np.abs(own - ahead).mean()


def test_what_keeps_its_grain_is_given_the_plate_to_the_bit(tmp_path: Path) -> None:
    request, own = _windows(tmp_path, STILL, 0.0).request(MIDDLE, 1.0)
    window = NOISY[MIDDLE].astype(np.float32)[40 : 40 + SIDE, 30 : 30 + SIDE]
    np.testing.assert_array_equal(request.source, window)
    np.testing.assert_array_equal(own, window)


def test_frames_that_lie_behind_are_let_go(tmp_path: Path) -> None:
    windows = _windows(tmp_path, STILL, 1.0)
    windows.forget(MIDDLE)
    request, own = windows.request(MIDDLE, 1.0)
    assert np.abs(request.source - own).max() > 0, "those ahead still count"
    with pytest.raises(KeyError):
        windows.request(MIDDLE - 1, 1.0)


def _look(folder: Path, **facts: Any) -> TakeAppearance:
    given: dict[str, Any] = {"editor": "toon", "options": {}, "follows": True, "edits_frames": True}
    record = shot_records.edit(**(given | facts))
    track = Windows(folder, STILL)
    return TakeAppearance(
        cast(Avatar, None), folder, record, cast(Track, track), cast(EditMask, Parts())
    )


def test_a_take_edits_frames_only_if_its_edit_was_made_so(tmp_path: Path) -> None:
    assert _look(tmp_path).edits_frames and _look(tmp_path).keeps_performer
    assert not _look(tmp_path, edits_frames=False).edits_frames, "key frames were repainted"
    assert not _look(tmp_path, base="other").edits_frames
    older = _look(tmp_path, follows=False, edits_frames=None)
    assert not older.keeps_performer, "it was made by an earlier version"


def test_half_an_edit_keeps_half_of_the_grain(tmp_path: Path) -> None:
    windows = _windows(tmp_path, STILL, 1.0)
    image = NOISY[MIDDLE].astype(np.float32)
    rows, columns = slice(40, 40 + SIDE), slice(30, 30 + SIDE)
    laid = CompositeLayer(np.zeros((SIDE, SIDE, 3)), np.ones((SIDE, SIDE)), rows, columns)
    made = {}
    for strength in (0.0, 0.5, 1.0):
        request, own = windows.request(MIDDLE, strength)
        made[strength] = _look(tmp_path).of_frame(request, own, image, laid).colours
    np.testing.assert_allclose(made[0.0], image[rows, columns], atol=1e-6)
    half = 0.5 * (made[0.0] + made[1.0])
    inside = slice(8, -8)
    assert np.abs(made[0.5] - half)[inside, inside].mean() < 2e-3


@pytest.mark.parametrize("name", ["pixel", "grade"])
def test_what_an_editor_learned_of_the_shot_comes_back(name: str, tmp_path: Path) -> None:
    picture = _texture(6, 3).astype(np.float32)
    cover = np.ones((WIDE, WIDE), np.float32)
    request = EditRequest(1, picture, picture, cover, np.zeros_like(picture))
    options = {"colours": 4}
    if name == "grade":
        reference = tmp_path / "reference.png"
        assert cv2.imwrite(str(reference), np.full((20, 20, 3), (200, 90, 30), np.uint8))
        options = {"reference": str(reference)}
    first = create_editor(name, options)
    assert isinstance(first, FrameEditor)
    first.prepare([request])
    wanted = first.edit(request)
    again = create_editor(name, options)
    assert np.abs(again.edit(request) - wanted).mean() > 0.01
    assert isinstance(again, FrameEditor)
    again.restore(tmp_path, first.learned())
    np.testing.assert_allclose(again.edit(request), wanted, atol=1e-6)


def test_a_grade_is_rendered_when_its_table_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "given.cube"
    rows = [f"{b} {g} {r}" for b in (0, 1) for g in (0, 1) for r in (0, 1)]
    path.write_text("LUT_3D_SIZE 2\n" + "\n".join(rows))
    picture = _texture(6, 3).astype(np.float32)
    request = EditRequest(1, picture, picture, np.ones((WIDE, WIDE)), np.zeros_like(picture))
    first = create_editor("grade", {"cube": str(path)})
    assert isinstance(first, FrameEditor)
    wanted = first.edit(request)
    ((name, file),) = first.kept_files().items()
    kept = tmp_path / "edit"
    kept.mkdir()
    file.rename(kept / name)
    again = create_editor("grade", {"cube": str(path)})
    assert isinstance(again, FrameEditor)
    again.restore(kept, {})
    np.testing.assert_array_equal(again.edit(replace(request, frame=2)), wanted)
