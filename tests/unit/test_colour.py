# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Colour spaces: named, refused with a reason, and undone exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portraitgen.errors import FootageError
from portraitgen.footage import colour

DISPLAY = [space for space in colour.SPACES.values() if space.kind == "display"]
SCENE = [space for space in colour.SPACES.values() if space.kind != "display"]


def _ramp() -> np.ndarray:
    """Colours of every brightness and moderate saturation, as film densities can hold them."""
    rng = np.random.default_rng(0)
    return (0.7 * rng.random((16, 16, 1)) + 0.3 * rng.random((16, 16, 3))).astype(np.float32)


@pytest.mark.parametrize("space", DISPLAY, ids=lambda space: space.name)
def test_display_encoded_plates_are_worked_on_as_they_are(space: colour.ColourSpace) -> None:
    image = _ramp()
    assert colour.to_display(image, space) is image
    assert colour.from_display(image, space) is image


@pytest.mark.parametrize("space", colour.SPACES.values(), ids=lambda space: space.name)
def test_every_space_is_undone(space: colour.ColourSpace) -> None:
    display = _ramp()
    encoded = colour.from_display(display, space)
    assert np.isfinite(encoded).all()
    # Float32 logs are themselves coarser than the rest.
    tolerance = 1e-4 if space.kind == "log" else 2e-6
    assert np.abs(colour.to_display(encoded, space) - display).max() < tolerance
    linear = colour.to_linear(display, space)
    assert np.abs(colour.from_linear(linear, space) - display).max() < 2e-6


def test_highlights_stay_distinct_up_to_two_stops_over_white() -> None:
    space = colour.resolve("Linear Rec.709")
    values = np.linspace(0, colour.HIGHLIGHT, 4000, dtype=np.float32)
    linear = np.repeat(values[None, :, None], 3, axis=2)
    display = colour.to_display(linear, space)
    assert display.min() == 0 and display.max() == pytest.approx(1, abs=1e-6)
    assert (np.diff(display[0, :, 0]) > 0).all()
    assert np.abs(colour.from_display(display, space) - linear).max() < 1e-4
    assert np.array_equal(colour.to_display(linear + 10, space), np.ones_like(linear))


def test_the_middle_of_the_range_looks_as_the_srgb_curve_shows_it() -> None:
    grey = np.full((1, 1, 3), 0.18, np.float32)
    shown = colour.to_display(grey, colour.resolve("Linear Rec.709"))
    assert shown == pytest.approx(1.055 * 0.18 ** (1 / 2.4) - 0.055, abs=1e-6)
    acescg = colour.to_display(grey, colour.resolve("ACEScg"))
    assert acescg == pytest.approx(shown, abs=1e-4)


def test_white_and_grey_of_video_become_linear_as_srgb_does() -> None:
    codes = np.array([[[1.0] * 3, [0.5] * 3]], np.float32)
    for name in ("sRGB", "Rec.709"):
        linear = colour.to_linear(codes, colour.resolve(name))
        assert linear[0, 0] == pytest.approx(1, abs=1e-6)
        assert linear[0, 1] == pytest.approx(0.21404, abs=1e-5)
    assert colour.to_linear(codes, colour.resolve("Rec.1886"))[0, 1] == pytest.approx(
        0.5**2.4, abs=1e-5
    )


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("sRGB", "sRGB"),
        ("srgb", "sRGB"),
        ("Linear Rec.709", "Linear Rec.709"),
        ("Linear", "Linear Rec.709"),
        ("ACEScg", "ACEScg"),
        ("ACES2065-1", "ACES2065-1"),
        ("Linear Rec.2020", "Linear Rec.2020"),
        ("Linear DCI-P3 D65", "Linear P3-D65"),
        ("Rec.1886", "Rec.1886"),
        ("Display P3", "sRGB P3-D65"),
        ("Rec.709 video", "Rec.709"),
        ("lin_ap1", "ACEScg"),
        ("logc3ei800_alexawide", "ARRI LogC3 (EI800)"),
        ("Input - Sony - S-Log3 - S-Gamut3", "S-Log3 S-Gamut3"),
    ],
)
def test_blender_s_and_opencolorio_s_names_are_understood(name: str, ours: str) -> None:
    assert colour.resolve(name).name == ours


@pytest.mark.parametrize(
    "name", ["AgX Log", "Filmic sRGB", "Non-Color", "Raw", "Linear CIE-XYZ D65"]
)
def test_spaces_no_plate_can_be_worked_on_in_are_refused_with_the_reason(name: str) -> None:
    with pytest.raises(FootageError, match=f"the colour space '{name}' (is|has|says)"):
        colour.resolve(name)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(FootageError, match="'sGRB' is unknown; use one of: sRGB, Rec.709"):
        colour.resolve("sGRB")


def test_an_image_s_primaries_name_its_space() -> None:
    for name in ("ACEScg", "ACES2065-1", "Linear Rec.709", "Linear P3-D65", "Linear Rec.2020"):
        space = colour.resolve(name)
        assert colour.from_chromaticities(colour.chromaticities(space)) == space
    assert colour.from_chromaticities(None).name == "Linear Rec.709"
    with pytest.raises(FootageError, match="span no colours"):
        colour.from_chromaticities((0.5,) * 8)


@given(st.floats(0, 1, width=32), st.floats(0, 1, width=32))
@settings(max_examples=60, deadline=None)
def test_brighter_stays_brighter_through_the_shoulder_and_back(a: float, b: float) -> None:
    pair = np.array([[[a] * 3, [b] * 3]], np.float32)
    back = colour.from_display(pair, colour.SPACES["Linear Rec.709"])[0, :, 0]
    if abs(a - b) > 1e-5:
        assert (back[0] < back[1]) == (pair[0, 0, 0] < pair[0, 1, 0])
