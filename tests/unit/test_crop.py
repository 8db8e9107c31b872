# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The portrait window: steady, without lag, cut and pasted where the camera says it lies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portraitgen.body.camera import Box, Camera
from portraitgen.errors import FootageError
from portraitgen.footage.crop import (
    CompositeLayer,
    composite,
    composite_layer,
    crop,
    feather,
    fixed_window,
    following_windows,
    place,
    whole_window,
)

WIDTH, HEIGHT = 640, 480


def _heads(xs: list[float], side: float = 80) -> dict[int, Box | None]:
    return {1001 + i: Box(x - side / 2, 140 - side / 2, side) for i, x in enumerate(xs)}


def _plate(seed: int = 0) -> np.ndarray:
    """Smooth colours: resampling them there and back must hardly change them."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    waves = [np.sin(x / (40 + 9 * i) + seed) * np.cos(y / (35 + 7 * i)) for i in range(3)]
    return (0.5 + 0.4 * np.stack(waves, axis=-1)).astype(np.float32)


def test_the_fixed_window_holds_the_head_wherever_it_goes() -> None:
    heads = _heads([250, 300, 350, 330])
    window = fixed_window(heads, WIDTH, HEIGHT)
    for head in heads.values():
        assert window.x <= head.x and head.x + head.side <= window.x + window.side
        assert window.y <= head.y and head.y + head.side <= window.y + window.side
    assert window.x >= 0 and window.x + window.side <= WIDTH
    assert all(float(value).is_integer() for value in window)


def test_a_head_that_fills_the_plate_gets_a_window_that_holds_it_all() -> None:
    window = fixed_window({1: Box(30, -20, 420)}, 480, 480)
    assert window.side >= 480
    assert window.x <= 30 and window.y <= 0


def test_windows_without_any_head_are_refused() -> None:
    for make in (fixed_window, lambda *a: following_windows(*a, fps=25)):
        with pytest.raises(FootageError, match="no head was found"):
            make({1: None, 2: None}, WIDTH, HEIGHT)


def test_the_following_window_does_not_lag_behind() -> None:
    steady = [200 + 1.5 * i for i in range(150)]
    windows = following_windows(_heads(steady), WIDTH, HEIGHT, 25)
    centres = np.array([box.x + box.side / 2 for box in windows.values()])
    assert np.abs(centres - steady)[30:-30].max() <= 1.0
    assert list(windows) == list(range(1001, 1151))


def test_the_following_window_is_calmer_than_the_head() -> None:
    rng = np.random.default_rng(0)
    shaky = (320 + rng.normal(0, 4, 100)).tolist()
    windows = following_windows(_heads(shaky), WIDTH, HEIGHT, 25)
    centres = np.array([box.x + box.side / 2 for box in windows.values()])
    assert np.abs(np.diff(centres)).max() <= 2
    assert len({box.side for box in windows.values()}) == 1


def test_frames_without_a_head_are_bridged() -> None:
    heads = _heads([200 + 2 * i for i in range(60)])
    for frame in range(1020, 1032):
        heads[frame] = None
    windows = following_windows(heads, WIDTH, HEIGHT, 25)
    assert set(windows) == set(heads)
    centres = [windows[frame].x for frame in range(1015, 1040)]
    assert max(np.abs(np.diff(centres))) <= 4


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 640), st.floats(0, 480), st.floats(20, 400)), min_size=1, max_size=9
    )
)
def test_every_window_is_a_whole_square_that_reaches_the_plate(places) -> None:
    heads = {i: Box(x - side / 2, y - side / 2, side) for i, (x, y, side) in enumerate(places)}
    windows = [fixed_window(heads, WIDTH, HEIGHT)]
    windows += following_windows(heads, WIDTH, HEIGHT, 25).values()
    for box in windows:
        assert box.side >= 16 and all(float(value).is_integer() for value in box)
        if box.side <= WIDTH:
            assert 0 <= box.x and box.x + box.side <= WIDTH
        if box.side <= HEIGHT:
            assert 0 <= box.y and box.y + box.side <= HEIGHT


def test_the_whole_window_holds_the_body_that_the_plate_shows() -> None:
    heads = _heads([300, 310])
    # Legs go on below the plate; an arm swings out in the second frame.
    extents = np.array([[200, 90, 400, 1300], [160, 95, 420, 1290]], float)
    window = whole_window(heads, extents, WIDTH, HEIGHT)
    assert window.x <= 160 and window.x + window.side >= 420
    assert window.y <= 90 - 10 and window.y + window.side == HEIGHT
    assert window.side < WIDTH


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 640), st.floats(0, 480), st.floats(20, 400), st.floats(-900, 900)),
        min_size=1,
        max_size=9,
    ),
    st.sampled_from([(WIDTH, HEIGHT), (HEIGHT, WIDTH)]),
)
def test_a_body_astray_never_takes_the_window_from_the_head(places, plate) -> None:
    heads = {i: Box(x - side / 2, y - side / 2, side) for i, (x, y, side, _) in enumerate(places)}
    extents = np.array([[x + away, y, x + away + 9, y + 5] for x, y, _, away in places])
    window = whole_window(heads, extents, *plate)
    assert 16 <= window.side <= max(plate)
    assert all(float(value).is_integer() for value in window)
    for head in heads.values():
        for start, low, extent in ((head.x, window.x, plate[0]), (head.y, window.y, plate[1])):
            assert low <= min(max(start, 0), extent) + 1
            assert low + window.side >= min(max(start + head.side, 0), extent) - 1


def test_shrinking_averages_over_areas() -> None:
    image = np.random.default_rng(0).random((HEIGHT, WIDTH, 3)).astype(np.float32)
    window, inside = crop(image, Box(100, 60, 256), 64)
    blocks = image[60:316, 100:356].reshape(64, 4, 64, 4, 3).mean(axis=(1, 3))
    assert inside is None
    assert np.abs(window - blocks).max() < 1e-5


def test_a_window_at_its_own_size_is_a_copy() -> None:
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    window, _ = crop(image, Box(7, 9, 128), 128)
    assert np.array_equal(window, image[9:137, 7:135])
    window[:] = 0
    assert image[9:137, 7:135].any()


@pytest.mark.parametrize("box", [Box(100, 50, 300), Box(100.5, 50.25, 300.5), Box(300, 170, 60)])
@pytest.mark.parametrize("size", [96, 128])
def test_pixels_lie_where_the_window_s_camera_says(box: Box, size: int) -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    ramp = np.stack([x / WIDTH, y / HEIGHT, x * 0], axis=-1).astype(np.float32)
    window, _ = crop(ramp, box, size)
    camera = Camera(500, 500, 320, 240, WIDTH, HEIGHT)
    point = np.array([0.02, -0.09, 1.0])
    u, v = camera.window(box, size).project(point)
    expected = camera.project(point)
    column, row = int(u), int(v)
    found = window[row, column, :2] * [WIDTH, HEIGHT]
    offset = (np.array([column + 0.5 - u, row + 0.5 - v])) * box.side / size
    assert np.abs(found - expected - offset).max() < 0.05


def test_what_lies_off_the_plate_is_told_and_filled() -> None:
    image = _plate()
    window, inside = crop(image, Box(-64, -32, 256), 128)
    assert inside is not None
    assert not inside[:16].any() and not inside[:, :32].any() and inside[16:, 32:].all()
    assert np.abs(window[40, :32] - window[40, 32]).max() < 0.02
    mirrored, _ = crop(image, Box(-64, -32, 256), 128, border="reflect")
    assert np.abs(mirrored[40, 22] - mirrored[40, 41]).max() < 0.02
    far, inside = crop(image, Box(-900, 0, 100), 50)
    assert far.shape == (50, 50, 3) and not inside.any()


@settings(max_examples=25, deadline=None)
@given(st.floats(-80, 500), st.floats(-80, 380), st.floats(60, 300), st.sampled_from([64, 150]))
def test_cut_and_put_back_lands_on_the_same_pixels(x: float, y: float, side: float, size) -> None:
    image = _plate()
    box = Box(x, y, side)
    window, _ = crop(image, box, size)
    placed, rows, columns = place(window, box, WIDTH, HEIGHT)
    if placed.size:
        edge = 1 + int(np.ceil(side / size))
        inner = (placed - image[rows, columns])[edge:-edge, edge:-edge]
        assert inner.size == 0 or np.abs(inner).max() < 0.02


def test_outside_the_matte_the_plate_keeps_its_bits() -> None:
    image = np.random.default_rng(0).random((HEIGHT, WIDTH, 3)).astype(np.float32)
    alpha = np.zeros((64, 64), np.float32)
    alpha[20:40, 20:40] = 1
    box = Box(-30, 300, 256)
    result, touched = composite(
        image, composite_layer(image, box, np.zeros((64, 64, 3), np.float32), alpha)
    )
    assert np.array_equal(result[~touched], image[~touched])
    assert touched.any() and not touched[:300].any()
    assert (result[396:440, 66:110] == 0).all()
    untouched, none = composite(
        image, composite_layer(image, box, np.zeros((64, 64, 3), np.float32), alpha * 0)
    )
    assert np.array_equal(untouched, image) and not none.any()


def test_a_soft_edge_blends_in_proportion() -> None:
    image = np.full((HEIGHT, WIDTH, 3), 0.2, np.float32)
    alpha = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    result, _ = composite(
        image, composite_layer(image, Box(100, 100, 64), np.ones((64, 64, 3), np.float32), alpha)
    )
    middle = slice(8, 56)
    assert np.abs(result[132, 100:164, 0] - (0.2 + 0.8 * alpha[0]))[middle].max() < 0.005


def test_the_edit_fades_where_the_window_ends_inside_the_plate_and_only_there() -> None:
    image = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    ones = np.ones((64, 64), np.float32)
    # The window's left and lower edges lie on the plate's own.
    result, _ = composite(
        image, composite_layer(image, Box(0, 352, 128), np.ones((64, 64, 3), np.float32), ones)
    )
    across, down = result[400, :128, 0], result[352:, 60, 0]
    assert across[0] == 1 and down[-1] == 1
    assert across[-1] < 0.05 and down[0] < 0.05
    assert (np.diff(across) <= 1e-6).all() and (np.diff(down) >= -1e-6).all()
    assert (across[:110] == 1).all()


def test_an_unedited_window_with_the_plate_s_detail_gives_the_plate_back() -> None:
    image = np.random.default_rng(0).random((HEIGHT, WIDTH, 3)).astype(np.float32)
    box = Box(100, 60, 256)
    window, _ = crop(image, box, 64)
    ones = np.ones((64, 64), np.float32)
    plain, _ = composite(image, composite_layer(image, box, window, ones))
    sharp, _ = composite(
        image, composite_layer(image, box, window, ones, reference=window, detail=1.0)
    )
    assert np.abs(plain - image)[100:200, 150:300].mean() > 0.15
    assert np.abs(sharp - image)[100:200, 150:300].max() < 1e-4


def test_detail_is_not_carried_where_the_edit_smoothed_it_away() -> None:
    image = np.random.default_rng(0).random((HEIGHT, WIDTH, 3)).astype(np.float32)
    box = Box(100, 60, 256)
    window, _ = crop(image, box, 64)
    flat = np.full_like(window, 0.5)
    result, _ = composite(
        image,
        composite_layer(
            image, box, flat, np.ones((64, 64), np.float32), reference=window, detail=1
        ),
    )
    assert np.abs(result[100:300, 150:300] - 0.5).mean() < 0.01


def test_a_cover_below_half_a_step_leaves_the_plates_bits() -> None:
    plate = _plate()
    cover = np.full(plate.shape[:2], 0.4 / 255, np.float32)
    cover[0, 0] = 0.6 / 255
    whole = slice(0, plate.shape[0]), slice(0, plate.shape[1])
    over, touched = composite(plate, CompositeLayer(1 - plate, cover, *whole))
    assert touched.sum() == 1 and touched[0, 0]
    assert (over[~touched] == plate[~touched]).all()


def test_a_window_fades_over_four_times_as_far_below_as_at_its_sides() -> None:
    fade = feather(Box(100, 100, 200), 200, 400, 400)
    across, down = fade[90], fade[:, 100]
    assert across[0] < 0.1 and across[10] == 1 and across[-11] == 1
    assert down[10] == 1 and down[-11] < 0.5 and down[-33] == 1
