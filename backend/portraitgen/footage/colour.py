# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named colour spaces: from the plate's codes to the display-referred working values and back.

Display-encoded plates (sRGB, Rec.709 video...) are worked on as they are: the conversion is the
identity. Scene-linear and log plates are brought to linear Rec.709 primaries by OpenColorIO's
built-in studio configuration, then encoded by the sRGB curve with a soft shoulder that keeps
highlights up to `HIGHLIGHT` distinct inside 0..1 and can be undone.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import PyOpenColorIO as ocio  # noqa: N813

from ..errors import FootageError

HIGHLIGHT = 4.0
"""The scene-linear value that becomes 1.0: two stops above diffuse white."""

_CONFIG = "studio-config-v2.1.0_aces-v1.3_ocio-v2.3"
_KNEE = np.float32(0.8)

_REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
_P3_D65 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290)
_REC2020 = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)
_AP0 = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)
_AP1 = (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767)
_PRIMARIES = {
    "Linear Rec.709": _REC709,
    "Linear P3-D65": _P3_D65,
    "Linear Rec.2020": _REC2020,
    "ACES2065-1": _AP0,
    "ACEScg": _AP1,
}


@dataclass(frozen=True)
class ColourSpace:
    """A named colour space of a plate.

    Attributes:
        name: our name, equal to Blender's where Blender has it.
        source: its name in OpenColorIO's built-in configuration.
        kind: "display", "linear" or "log".
        linear: the name of the scene-linear space its EXR results are written in.
    """

    name: str
    source: str
    kind: str
    linear: str


def _display(name: str, source: str, linear: str = "Linear Rec.709") -> ColourSpace:
    return ColourSpace(name, source, "display", linear)


def _linear(name: str, source: str | None = None) -> ColourSpace:
    return ColourSpace(name, source or name, "linear", name)


def _log(name: str, linear: str = "ACEScg") -> ColourSpace:
    return ColourSpace(name, name, "log", linear)


# Video is decoded to linear by the sRGB curve, as Blender does with movie strips, so that the
# result looks like the strip it came from; "Rec.1886" asks for the reference display's curve.
_SPACES = [
    _display("sRGB", "sRGB - Texture"),
    _display("Rec.709", "sRGB - Texture"),
    _display("Rec.1886", "Gamma 2.4 Rec.709 - Texture"),
    _display("Gamma 2.2 Rec.709", "Gamma 2.2 Rec.709 - Texture"),
    _display("Camera Rec.709", "Camera Rec.709"),
    _display("sRGB P3-D65", "sRGB Encoded P3-D65 - Texture", "Linear P3-D65"),
    _linear("Linear Rec.709", "Linear Rec.709 (sRGB)"),
    _linear("Linear P3-D65"),
    _linear("Linear Rec.2020"),
    _linear("ACEScg"),
    _linear("ACES2065-1"),
    _log("ACEScc"),
    _log("ACEScct"),
    _log("ADX10"),
    _log("ADX16"),
    _log("ARRI LogC3 (EI800)"),
    _log("ARRI LogC4"),
    _log("BMDFilm WideGamut Gen5"),
    _log("DaVinci Intermediate WideGamut"),
    _log("CanonLog2 CinemaGamut D55"),
    _log("CanonLog3 CinemaGamut D55"),
    _log("V-Log V-Gamut"),
    _log("Log3G10 REDWideGamutRGB"),
    _log("S-Log3 S-Gamut3"),
    _log("S-Log3 S-Gamut3.Cine"),
    _log("S-Log3 Venice S-Gamut3"),
    _log("S-Log3 Venice S-Gamut3.Cine"),
]
SPACES: dict[str, ColourSpace] = {space.name: space for space in _SPACES}

_ALIASES = {
    "rec.709 video": "Rec.709",
    "bt.709": "Rec.709",
    "rec709": "Rec.709",
    "gamma 2.4 encoded rec.709": "Rec.1886",
    "gamma 2.2 encoded rec.709": "Gamma 2.2 Rec.709",
    "display p3": "sRGB P3-D65",
    "linear": "Linear Rec.709",
    "scene_linear": "Linear Rec.709",
    "linear srgb": "Linear Rec.709",
    "linear dci-p3 d65": "Linear P3-D65",
    "aces": "ACES2065-1",
    "arri logc3": "ARRI LogC3 (EI800)",
    "logc3": "ARRI LogC3 (EI800)",
    "logc4": "ARRI LogC4",
}
_REFUSED = {
    "agx log": "is a step inside Blender's view transform, not a plate's space",
    "agx base srgb": "has the AgX look baked in and cannot be undone",
    "agx base rec.1886": "has the AgX look baked in and cannot be undone",
    "filmic log": "is a step inside Blender's view transform, not a plate's space",
    "filmic srgb": "has the Filmic look baked in and cannot be undone",
    "khronos pbr neutral srgb": "has a look baked in and cannot be undone",
    "linear cie-xyz d65": "has no displayable primaries",
    "linear cie-xyz e": "has no displayable primaries",
    "linear filmlight e-gamut": "is not in OpenColorIO's built-in configuration",
    "raw": "says nothing about colour",
    "non-color": "says nothing about colour",
    "pq": "is HDR video, which cannot be edited as it is",
    "hlg": "is HDR video, which cannot be edited as it is",
    "rec.2100-pq": "is HDR video, which cannot be edited as it is",
    "rec.2100-hlg": "is HDR video, which cannot be edited as it is",
}


def resolve(name: str) -> ColourSpace:
    """The colour space of a name, in our, Blender's or OpenColorIO's spelling.

    Raises:
        FootageError: unknown, or a space in which no plate can be worked on.
    """
    wanted = name.strip().lower()
    if wanted in _REFUSED:
        raise FootageError(
            f"the colour space '{name}' {_REFUSED[wanted]}",
            remedy="name the space the plate was written in, for example sRGB or ACEScg",
        )
    by_name = {key.lower(): space for key, space in SPACES.items()}
    space = by_name.get(_ALIASES.get(wanted, wanted).lower())
    if space is None:
        found = _config().getColorSpace(name.strip())
        source = found.getName() if found is not None else ""
        space = next((each for each in _SPACES if each.source == source), None)
    if space is None:
        raise FootageError(
            f"the colour space '{name}' is unknown", remedy=f"use one of: {', '.join(SPACES)}"
        )
    return space


def from_chromaticities(values: tuple[float, ...] | None) -> ColourSpace:
    """The scene-linear space with an EXR file's primaries; linear Rec.709 where none are given."""
    for name, primaries in _PRIMARIES.items():
        if values is not None and np.allclose(values, primaries, atol=2e-3):
            return SPACES[name]
    if values is not None:
        raise FootageError(
            "the image's primaries are those of no known colour space", remedy="name colour_space"
        )
    return SPACES["Linear Rec.709"]


def chromaticities(space: ColourSpace) -> tuple[float, ...]:
    """Primaries and white point (xr, yr, xg, yg, xb, yb, xw, yw) of a plate's linear results."""
    return _PRIMARIES[space.linear]


def to_display(encoded: np.ndarray, space: ColourSpace) -> np.ndarray:
    """The plate's values as display-referred working values.

    Args:
        encoded: (H, W, 3) float32 in `space`.

    Returns:
        (H, W, 3) float32 in 0..1: the very array for display-encoded plates that lie in 0..1.
    """
    if space.kind == "display":
        return encoded
    rec709 = _apply(encoded, space.source, SPACES["Linear Rec.709"].source)
    return _shoulder(_srgb_encode(np.clip(rec709, 0, HIGHLIGHT)))


def from_display(display: np.ndarray, space: ColourSpace) -> np.ndarray:
    """The inverse of `to_display`, to float rounding for what lay in gamut and 0..HIGHLIGHT."""
    if space.kind == "display":
        return display
    return _apply(_scene_linear(display), SPACES["Linear Rec.709"].source, space.source)


def to_linear(display: np.ndarray, space: ColourSpace) -> np.ndarray:
    """Working values as scene-linear values for an EXR, in the primaries of `space.linear`."""
    target = SPACES[space.linear]
    if space.kind == "display":
        return _apply(display, space.source, target.source)
    return _apply(_scene_linear(display), SPACES["Linear Rec.709"].source, target.source)


def encoded_to_linear(encoded: np.ndarray, space: ColourSpace) -> np.ndarray:
    """The plate's values, (H, W, 3) in `space`, as scene-linear ones in the primaries of
    `space.linear`, with everything that lies beyond what `to_display` keeps."""
    return _apply(encoded, space.source, SPACES[space.linear].source)


def from_linear(linear: np.ndarray, space: ColourSpace) -> np.ndarray:
    """The inverse of `to_linear`: an EXR result of ours as working values."""
    source = SPACES[space.linear]
    if space.kind == "display":
        return _apply(linear, source.source, space.source)
    return to_display(linear, source)


@functools.cache
def _config() -> "ocio.Config":
    return ocio.Config.CreateFromBuiltinConfig(_CONFIG)


@functools.cache
def _processor(source: str, target: str) -> "ocio.CPUProcessor":
    # Default optimisation replaces curves by fast approximations; a round trip must not drift.
    return (
        _config().getProcessor(source, target).getOptimizedCPUProcessor(ocio.OPTIMIZATION_LOSSLESS)
    )


def _apply(image: np.ndarray, source: str, target: str) -> np.ndarray:
    if source == target:
        return image
    result = np.array(image, dtype=np.float32, order="C")
    _processor(source, target).applyRGB(result)
    return result


def _scene_linear(display: np.ndarray) -> np.ndarray:
    return _srgb_decode(_shoulder_inverse(np.clip(display, 0, 1)))


def _srgb_encode(linear: Any) -> np.ndarray:
    curve = np.float32(1.055) * np.power(linear, np.float32(1 / 2.4)) - np.float32(0.055)
    return np.where(linear <= 0.0031308, np.float32(12.92) * linear, curve)


def _srgb_decode(encoded: np.ndarray) -> np.ndarray:
    curve = np.power((encoded + np.float32(0.055)) / np.float32(1.055), np.float32(2.4))
    return np.where(encoded <= 0.04045, encoded / np.float32(12.92), curve)


def _white() -> np.float32:
    return np.float32((_srgb_encode(np.float32(HIGHLIGHT)) - _KNEE) / (1 - _KNEE))


def _shoulder(encoded: np.ndarray) -> np.ndarray:
    """Extended Reinhard above the knee: slope 1 at the knee, 1.0 at the highlight."""
    over = np.maximum(encoded - _KNEE, 0) / (1 - _KNEE)
    soft = over * (1 + over / _white() ** 2) / (1 + over)
    return np.where(encoded > _KNEE, _KNEE + (1 - _KNEE) * soft, encoded)


def _shoulder_inverse(display: np.ndarray) -> np.ndarray:
    soft = np.maximum(display - _KNEE, 0) / (1 - _KNEE)
    # over^2 / white^2 + (1 - soft) over - soft = 0
    a = 1 / _white() ** 2
    b = 1 - soft
    over = (-b + np.sqrt(b * b + 4 * a * soft)) / (2 * a)
    return np.where(display > _KNEE, _KNEE + (1 - _KNEE) * over, display)
