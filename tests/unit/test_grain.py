# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grain is measured as it is, and laid on where it lacks, by as much as it lacks."""

import cv2
import numpy as np
import pytest

from portraitgen.footage.crop import CompositeLayer
from portraitgen.pipeline.compositing.grain import Grain, GrainMatch, _octaves

HIGH, WIDE = 320, 480


def scene() -> np.ndarray:
    """Slopes of brightness, with edges, and stripes in a corner."""
    picture = np.tile(np.linspace(0.15, 0.85, WIDE, dtype="f4")[None, :, None], (HIGH, 1, 3))
    picture[100:140, 60:300] *= 0.6
    picture[220:, :160] += 0.1 * np.sin(np.arange(160, dtype="f4") * 1.3)[None, :, None]
    return picture


def noise(seed: int, soft: float, strength: float, alike: float = 0.0) -> np.ndarray:
    raw = np.random.default_rng(seed).standard_normal((HIGH, WIDE, 4)).astype("f4")
    grain = np.sqrt(1 - alike) * raw[..., :3] + np.sqrt(alike) * raw[..., 3:]
    grain = cv2.GaussianBlur(grain, (0, 0), soft) if soft else grain
    return strength * grain / grain.std()


@pytest.mark.parametrize("soft", [0.0, 0.7, 1.2])
@pytest.mark.parametrize("strength", [0.004, 0.02])
def test_grain_is_measured_in_strength_size_and_colour(soft: float, strength: float) -> None:
    grain = noise(1, soft, strength, 0.6)
    found = Grain.measured([scene() + grain])
    true = [float(each.std()) for each in _octaves(grain)]
    np.testing.assert_allclose(np.nanmean(found.strength, (1, 2)), true, rtol=0.12)
    assert found.alike[0, 1] == pytest.approx(0.6, abs=0.08)


def test_grain_that_grows_with_brightness_is_told() -> None:
    picture = scene()
    found = Grain.measured([picture + noise(2, 0.7, 0.01) * (0.5 + 2 * picture)]).strength
    dark, bright = np.nanmean(found[0, 2]), np.nanmean(found[0, 6])
    assert bright / dark == pytest.approx((0.5 + 2 * 0.8) / (0.5 + 2 * 0.31), rel=0.2)


def test_what_is_clipped_tells_nothing_of_the_grain() -> None:
    grain = noise(6, 0.7, 0.008)
    bright = np.full((HIGH, WIDE, 3), 0.91, np.float32) + grain
    bright[:, WIDE // 2 :] = np.minimum(0.995 + grain[:, WIDE // 2 :], 1)
    true = [float(each.std()) for each in _octaves(grain)]
    found = Grain.measured([bright]).strength
    np.testing.assert_allclose(np.nanmean(found, (1, 2)), true, rtol=0.12)


def layer(colours: np.ndarray) -> CompositeLayer:
    every = (slice(0, HIGH), slice(0, WIDE))
    return CompositeLayer(colours, np.ones((HIGH, WIDE), np.float32), *every)


def test_what_is_drawn_gets_what_it_lacks_and_no_more() -> None:
    plate = Grain.measured([scene() + noise(3, 0.7, 0.012, 0.5)])
    match = GrainMatch(plate, 1.0)
    for own in (0.0, 0.006):
        drawn = np.clip(scene() + (noise(4, 0.7, own) if own else 0), 0, 1).astype("f4")
        grained = match.apply(7, layer(drawn))
        again = Grain.measured([grained])
        np.testing.assert_allclose(
            np.nanmean(again.strength, (1, 2)), np.nanmean(plate.strength, (1, 2)), rtol=0.15
        )
        assert np.array_equal(grained, match.apply(7, layer(drawn))), "a frame is always the same"
        assert not np.array_equal(grained, match.apply(8, layer(drawn))), "and frames differ"
    noisy = np.clip(scene() + noise(5, 0.7, 0.03), 0, 1).astype("f4")
    assert np.abs(match.apply(7, layer(noisy)) - noisy).max() < 1e-6, "it has more than enough"
