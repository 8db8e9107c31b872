# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mattes: close to a keyed truth, steady, repeatable, quiet on standard output."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from portraitgen.footage.matte import MatteMaker, enlarged, foreground_colours
from portraitgen.footage.plate import open_plate

FOOTAGE = Path(__file__).resolve().parents[3] / "shared" / "footage"
GREEN = FOOTAGE / "green_screen.mp4"
COUNT = 6


def _keyed(image: np.ndarray) -> np.ndarray:
    """A colour-difference key, float32 (H, W) in 0..1."""
    red, green, blue = np.moveaxis(image.astype(np.float32) / 255, 2, 0)
    difference = green - np.maximum(red, blue)
    screen = np.median(np.concatenate([difference[:60, :60], difference[:60, -60:]]))
    return np.clip((1 - np.clip(difference / screen, 0, 1) - 0.08) / 0.8, 0, 1)


def _room() -> np.ndarray:
    """A background with soft and hard edges, float32 (512, 512, 3)."""
    y, x = np.mgrid[:512, :512].astype(np.float32)
    room = np.stack([170 + 40 * np.sin(x / 60), 160 + 0.1 * y, 150 + 30 * np.cos(y / 90)], axis=-1)
    room[300:, :] *= np.array([0.9, 0.7, 0.5], np.float32)
    room[:, 60:90] *= 0.5
    return room


def _over(room: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Frames composited over a room, and their true mattes (N, 512, 512)."""
    if not GREEN.exists():
        pytest.skip(f"needs {GREEN}")
    frames, mattes = [], []
    for _, image in open_plate(GREEN).frames_uint8(range(1, COUNT + 1)):
        alpha = _keyed(image)
        colours = foreground_colours(image, (alpha * 255).astype(np.uint8)).astype(np.float32)
        colours[..., 1] = np.minimum(colours[..., 1], np.maximum(colours[..., 0], colours[..., 2]))
        frame = colours * alpha[..., None] + room * (1 - alpha[..., None])
        frames.append(np.clip(frame, 0, 255).astype(np.uint8))
        mattes.append(alpha)
    return frames, np.array(mattes)


@pytest.fixture(scope="module")
def keyed() -> tuple[list[np.ndarray], np.ndarray]:
    """In front of a calm room."""
    return _over(_room())


def _made(frames: list[np.ndarray], quality, lean: bool) -> np.ndarray:
    maker = MatteMaker(quality)
    previous, mattes = None, []
    for frame in frames:
        matte = maker.frame(frame, previous)
        previous = (frame, matte) if lean else None
        mattes.append(matte)
    return np.array(mattes)


def _edge_error(mattes: np.ndarray, truth: np.ndarray) -> float:
    soft = ((truth > 0.02) & (truth < 0.98)).astype(np.uint8)
    band = np.array([cv2.dilate(each, np.ones((21, 21), np.uint8)) for each in soft]) > 0
    return float(np.abs(mattes.astype(np.float32) / 255 - truth)[band].mean())


def test_the_fast_matte_is_close_to_the_key(keyed) -> None:
    frames, truth = keyed
    mattes = _made(frames, "fast", lean=True)
    assert mattes.dtype == np.uint8 and mattes.shape == truth.shape
    assert np.abs(mattes / 255.0 - truth).mean() < 0.010
    assert _edge_error(mattes, truth) < 0.055


@pytest.mark.parametrize("quality", ["fast", "fine"])
def test_shelves_the_colour_of_skin_do_not_run_into_the_face(quality) -> None:
    room = _room()
    for top in range(40, 512, 55):
        room[top : top + 14] = (196, 140, 105)
    frames, truth = _over(room)
    mattes = _made(frames[:2], quality, lean=False)
    assert _edge_error(mattes, truth[:2]) < 0.036


def test_the_fine_matte_is_closer_and_prints_nothing(keyed, capfd) -> None:
    frames, truth = keyed
    fine = _made(frames[:2], "fine", lean=True)
    fast = _made(frames[:2], "fast", lean=True)
    assert _edge_error(fine, truth[:2]) < 0.85 * _edge_error(fast, truth[:2])
    assert capfd.readouterr().out == ""


def test_leaning_on_the_frame_before_flickers_less(keyed) -> None:
    frames, truth = keyed
    flicker = []
    for lean in (True, False):
        mattes = _made(frames, "fast", lean).astype(np.float32) / 255
        flicker.append(np.sqrt(np.square(np.diff(mattes, axis=0) - np.diff(truth, axis=0)).mean()))
    assert flicker[0] < 0.98 * flicker[1]


def test_a_matte_can_be_resumed_from_the_stored_one_alone(keyed) -> None:
    frames, _ = keyed
    unbroken = _made(frames, "fast", lean=True)
    maker = MatteMaker("fast")
    matte = unbroken[2]
    for index in (3, 4, 5):
        matte = maker.frame(frames[index], (frames[index - 1], matte))
        assert np.array_equal(matte, unbroken[index])


def test_a_cut_between_frames_leaves_no_ghost(keyed) -> None:
    frames, truth = keyed
    maker = MatteMaker("fast")
    other = np.ascontiguousarray(np.roll(frames[1], 150, axis=1)[:, ::-1])
    alone = maker.frame(frames[0])
    after_cut = maker.frame(frames[0], (other, maker.frame(other)))
    assert np.abs(after_cut.astype(int) - alone).mean() < 2.5


@pytest.mark.parametrize("size", [96, 300, 1080])
def test_windows_of_any_size_get_a_matte(keyed, size: int) -> None:
    frames, truth = keyed
    image = cv2.resize(frames[0], (size, size), interpolation=cv2.INTER_AREA)
    matte = MatteMaker("fast").frame(image)
    expected = cv2.resize(truth[0], (size, size), interpolation=cv2.INTER_AREA)
    assert np.abs(matte / 255.0 - expected).mean() < 0.02


def test_beyond_the_plate_nothing_misleads_the_matte(keyed) -> None:
    frames, truth = keyed
    size = frames[0].shape[0]
    start, off = size // 3, []
    maker = MatteMaker("fast")
    # The plate ends at the performer's ear; the window goes on with its last column.
    for frame, key in zip(frames[:3], truth[:3], strict=True):
        image = frame.copy()
        image[:, :start] = image[:, start : start + 1]
        inside = np.zeros((size, size), bool)
        inside[:, start:] = True
        told, untold = maker.alone(image, inside), maker.alone(image)
        off.append([np.abs(each - key)[:, start:].mean() for each in (told, untold)])
    told, untold = np.mean(off, axis=0)
    assert told < 0.7 * untold


def test_a_gap_between_arm_and_body_is_no_earring() -> None:
    from portraitgen.footage.matte import _without_specks

    coarse = np.ones((128, 128), np.float32)
    coarse[60:66, 40:46], coarse[60:66, 80:86] = 0.4, 0.05
    filled = _without_specks(coarse)
    assert (filled[60:66, 40:46] == 1).all() and (filled[60:66, 80:86] < 0.1).all()


def test_a_picture_without_a_person_gives_an_empty_matte_in_either_quality() -> None:
    empty = np.full((256, 256, 3), 90, np.uint8)
    for quality in ("fast", "fine"):
        assert MatteMaker(quality).frame(empty).mean() < 10


def test_an_enlarged_matte_follows_the_plate_s_edges() -> None:
    y, x = np.mgrid[:1024, :1024]
    truth = (
        np.hypot(x - 512, y - 512) < 300 + 9 * np.sin(np.arctan2(y - 512, x - 512) * 40)
    ).astype(np.float32)
    image = np.where(truth[..., None] > 0, [200, 150, 120], [40, 60, 90]).astype(np.uint8)
    small = cv2.resize(truth, (256, 256), interpolation=cv2.INTER_AREA)
    matte = (cv2.GaussianBlur(small, (0, 0), 1.0) * 255).astype(np.uint8)
    plain = cv2.resize(matte, (1024, 1024), interpolation=cv2.INTER_CUBIC)
    better = enlarged(matte, image)
    assert np.abs(better / 255.0 - truth).mean() < 0.6 * np.abs(plain / 255.0 - truth).mean()
    assert better[512, 512] == 255 and better[5, 5] == 0


def test_foreground_colours_are_free_of_the_background() -> None:
    alpha = np.tile(np.clip((np.arange(64) - 24) / 16, 0, 1), (64, 1))[..., None]
    image = (alpha * np.array([200, 80, 60]) + (1 - alpha) * np.array([0, 255, 0])).astype(np.uint8)
    colours = foreground_colours(image, (alpha[..., 0] * 255).astype(np.uint8))
    edge = colours[:, 30:40].astype(int)
    assert np.abs(edge - [200, 80, 60]).mean() < 12
