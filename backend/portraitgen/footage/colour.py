# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the plate's codes to the display-referred working values and back.

Display-encoded plates (sRGB, Rec.709 video...) are worked on as they are: the conversion is the
identity. Scene-linear, log and HDR plates are brought to linear Rec.709 primaries (by OpenColorIO's
built-in studio configuration, the studio's own, or the standards' arithmetic), then encoded by the
sRGB curve with a soft shoulder that keeps highlights up to `HIGHLIGHT` distinct inside 0..1 and can
be undone.
"""

import functools

import numpy as np
import PyOpenColorIO as ocio  # noqa: N813

from ..errors import FootageError
from .colour_arithmetic import srgb_decode, srgb_encode
from .colour_spaces import (
    SPACES,
    ColourSpace,
    builtin_config,
    chromaticities,
    from_chromaticities,
    from_primaries,
    from_tags,
    resolve,
    ruled,
    studio_config,
    studio_space,
    tags_of,
)

__all__ = [
    "HIGHLIGHT",
    "SPACES",
    "ColourSpace",
    "chromaticities",
    "encoded_to_linear",
    "from_chromaticities",
    "from_display",
    "from_linear",
    "from_primaries",
    "from_rec709",
    "from_tags",
    "resolve",
    "resolve_asked",
    "ruled",
    "same_colours",
    "tags_of",
    "to_display",
    "to_linear",
    "to_rec709",
]

HIGHLIGHT = 4.0
"""The scene-linear value that becomes 1.0: two stops above diffuse white."""

_KNEE = np.float32(0.8)
_REC709 = "Linear Rec.709 (sRGB)"


def resolve_asked(name: str) -> tuple[ColourSpace, list[str]]:
    """The colour space that a user names, and what is to be said of it.

    Where the studio's configuration has other colours than ours under one of our everyday names
    (`scene_linear`, `log`), its own are meant.

    Raises:
        FootageError: as `resolve`.
    """
    own = resolve(name)
    try:
        other = None if own.studio else studio_space(name.strip())
    except FootageError:
        other = None
    if other is None:
        return own, []
    same = same_colours(own, other)
    if same is None:
        why = "whose colours cannot be converted (it lacks the role aces_interchange, or a LUT)"
        return own, [
            f"the studio's configuration has a colour space '{name}', too, {why};"
            f" PortraitGen's {own.name} is taken"
        ]
    meant = own if same else resolve(other.source)
    if same_colours(meant, other):
        return meant, []
    return own, [
        f"the studio's configuration has other colours under the name '{name}'; PortraitGen's"
        f" {own.name} is taken; ask for the studio's by another name of it"
    ]


def same_colours(one: ColourSpace, other: ColourSpace) -> bool | None:
    """Whether two spaces show the same; None where one of them cannot be converted."""
    codes = np.array([[[0.1, 0.2, 0.3], [0.5, 0.5, 0.5], [0.7, 0.4, 0.2]]], np.float32)
    try:
        first, second = (srgb_encode(to_rec709(codes, space)) for space in (one, other))
    except FootageError:
        return None
    return bool(np.abs(first - second).max() < 1 / 255)


def to_display(encoded: np.ndarray, space: ColourSpace) -> np.ndarray:
    """The plate's values as display-referred working values.

    Args:
        encoded: (H, W, 3) float32 in `space`.

    Returns:
        (H, W, 3) float32 in 0..1: the very array for display-encoded plates that lie in 0..1.
    """
    if space.kind == "display":
        return encoded
    rec709 = to_rec709(encoded, space)
    return _shoulder(srgb_encode(np.clip(rec709, 0, np.float32(HIGHLIGHT))))


def from_display(display: np.ndarray, space: ColourSpace) -> np.ndarray:
    """The inverse of `to_display`, to float rounding for what lay in gamut and 0..HIGHLIGHT."""
    if space.kind == "display":
        return display
    return _from_rec709(_scene_linear(display), space)


def to_linear(display: np.ndarray, space: ColourSpace) -> np.ndarray:
    """Working values as scene-linear values for an EXR, in the primaries of `space.linear`.

    Example:
        >>> grey = np.full((1, 1, 3), 0.5, np.float32)
        >>> to_linear(grey, resolve("sRGB")).round(3)
        array([[[0.214, 0.214, 0.214]]], dtype=float32)
    """
    target = resolve(space.linear)
    if space.kind != "display":
        return _from_rec709(_scene_linear(display), target)
    if space.source and target.source and not space.studio:
        return _by_ocio(display, space.source, target.source)
    return _from_rec709(to_rec709(display, space), target)


def encoded_to_linear(encoded: np.ndarray, space: ColourSpace) -> np.ndarray:
    """The plate's values, (H, W, 3) in `space`, as scene-linear ones in the primaries of
    `space.linear`, with everything that lies beyond what `to_display` keeps."""
    target = resolve(space.linear)
    if space.source and target.source and not space.studio:
        return _by_ocio(encoded, space.source, target.source)
    return _from_rec709(to_rec709(encoded, space), target)


def from_linear(linear: np.ndarray, space: ColourSpace) -> np.ndarray:
    """The inverse of `to_linear`: an EXR result of ours as working values."""
    source = resolve(space.linear)
    if space.kind != "display":
        return to_display(linear, source)
    if space.source and source.source and not space.studio:
        return _by_ocio(linear, source.source, space.source)
    return _from_rec709(to_rec709(linear, source), space)


def from_rec709(linear: np.ndarray, space: ColourSpace) -> np.ndarray:
    """Scene-linear Rec.709, (H, W, 3), as working values of a plate in `space`, 0..1."""
    if space.kind != "display":
        return to_display(linear, resolve("Linear Rec.709"))
    return np.clip(_from_rec709(np.maximum(linear, 0), space), 0, 1)


def to_rec709(encoded: np.ndarray, space: ColourSpace) -> np.ndarray:
    """A plate's values (H, W, 3) as linear Rec.709, float32, neither clipped nor softened."""
    if space.encoding is not None:
        return space.encoding.to_rec709(encoded)
    return _by_ocio(encoded, space.source, _REC709, "source" if space.studio else "")


def _from_rec709(linear: np.ndarray, space: ColourSpace) -> np.ndarray:
    if space.encoding is not None:
        return space.encoding.from_rec709(linear)
    return _by_ocio(linear, _REC709, space.source, "target" if space.studio else "")


def _by_ocio(image: np.ndarray, source: str, target: str, studio: str = "") -> np.ndarray:
    """OpenColorIO's conversion; `studio` says which of the two is the studio's own space."""
    if source == target and not studio:
        return image
    result = np.array(image, dtype=np.float32, order="C")
    if result.size:
        _processor(source, target, studio).applyRGB(result)
    return result


@functools.cache
def _processor(source: str, target: str, studio: str) -> "ocio.CPUProcessor":
    builtin, own = builtin_config(), studio_config() if studio else None
    try:
        if own is None:
            processor = builtin.getProcessor(source, target)
        else:
            first, second = (own, builtin) if studio == "source" else (builtin, own)
            processor = ocio.Config.GetProcessorFromConfigs(first, source, second, target)
        # Default optimisation replaces curves by fast approximations; a round trip must not drift.
        return processor.getOptimizedCPUProcessor(ocio.OPTIMIZATION_LOSSLESS)
    except (ocio.Exception, ocio.ExceptionMissingFile) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        remedy = "give the configuration the role aces_interchange, or name another space"
        if isinstance(error, ocio.ExceptionMissingFile):
            remedy = "put the file where the configuration looks for it, or name another space"
        raise FootageError(
            f"OpenColorIO cannot convert the plate's colours ({reason})",
            source if studio == "source" else target,
            remedy,
        ) from error


def _scene_linear(display: np.ndarray) -> np.ndarray:
    return srgb_decode(_shoulder_inverse(np.clip(display, 0, 1)))


def _white() -> np.float32:
    white = srgb_encode(np.array(HIGHLIGHT, np.float32))
    return np.float32((white - _KNEE) / (1 - _KNEE))


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
