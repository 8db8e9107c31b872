# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small mathematics of colour and light shared by the editors."""

import numpy as np

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


def to_linear(display: np.ndarray) -> np.ndarray:
    """sRGB to linear light, float32."""
    display = np.clip(display, 0, 1)
    low, high = display / 12.92, ((display + 0.055) / 1.055) ** 2.4
    return np.where(display <= 0.04045, low, high).astype(np.float32)


def to_display(linear: np.ndarray) -> np.ndarray:
    """Linear light to sRGB, float32."""
    linear = np.clip(linear, 0, 1)
    low, high = linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, low, high).astype(np.float32)


def warmth(kelvin_like: float) -> np.ndarray:
    """Gains of red, green and blue for a temperature from -1 (cool) to 1 (warm), luma kept."""
    gains = np.exp(np.array([0.35, 0.0, -0.45]) * kelvin_like).astype(np.float32)
    return gains / float(gains @ LUMA)


def shoulder(linear: np.ndarray, start: float = 0.75) -> np.ndarray:
    """Rolls highlights off smoothly so that nothing above 1 clips."""
    over = linear > start
    room = 1 - start
    rolled = start + room * (1 - np.exp(-(linear - start) / room))
    return np.where(over, rolled, linear).astype(np.float32)


def eased(share: np.ndarray) -> np.ndarray:
    """0 to 1 as `share` goes from 0 to 1, beginning and ending gently."""
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)
