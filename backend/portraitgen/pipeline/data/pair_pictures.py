# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures of pairs, of any kind and in any colours, as shots' pictures are worked on."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ...errors import EditError, FootageError
from ...footage import colour
from ...footage.colour_arithmetic import srgb_encode
from ...footage.facts import ImageFacts
from ...footage.image import read_facts, read_image
from ...footage.plate_colours import image_space
from .pair_files import REMEDY

LIKE = 1.5 / 255
"""As far as two codes lie apart that are one, of 0..1."""
_LARGEST_SIDE, _WORKING_SIDE = 16384, 1024
# The share of a picture's pixels that may be cut off without a word.
_LOST = 1e-3
_AS_THEY_ARE = ("sRGB", "Rec.709")
_LEAST_ALPHA = 1e-3
# The share of a picture that has colours and no alpha, from which on they are not multiplied by it.
_APART = 1e-2


@dataclass(frozen=True)
class PairPicture:
    """A picture of a pair in its own space, float32 (H, W, 3), at most 1024 pixels a side unless
    its values are floats, and its alpha (H, W), None where that is opaque throughout."""

    picture: np.ndarray
    space: colour.ColourSpace
    alpha: np.ndarray | None


def facts_of(path: Path) -> ImageFacts:
    """What a picture's header says.

    Raises:
        EditError: if it cannot be read or is too large.
    """
    try:
        facts = read_facts(path)
    except FootageError as error:
        raise EditError(f"a picture cannot be read ({error.message})", path, REMEDY) from None
    if max(facts.width, facts.height) > _LARGEST_SIDE:
        raise EditError(
            f"the picture is {facts.width} x {facts.height}",
            path,
            f"give one of at most {_LARGEST_SIDE} pixels a side",
        )
    return facts


def read(
    path: Path, facts: ImageFacts, colour_space: str, tell: Callable[[str], None]
) -> PairPicture:
    """A picture and what it says of its colours, which `tell` takes notes on.

    Args:
        colour_space: what its user says of them, empty for nothing.

    Raises:
        EditError: if it cannot be read.
    """
    notes = list(facts.notes)
    try:
        frame = read_image(path, lean=True)
        space = image_space(colour_space or None, facts, notes, path)
    except FootageError as error:
        raise EditError(f"a picture cannot be read ({error.message})", path, REMEDY) from None
    names, floats = [each.lower() for each in frame.channels], frame.pixels.dtype.kind == "f"
    if floats and np.isnan(frame.pixels).any():
        raise EditError("the picture holds pixels that are no numbers", path, REMEDY)
    for note in (*notes, *(each.removeprefix(f"{path.name} ") for each in frame.notes)):
        tell(note)
    if not floats:
        frame = dataclasses.replace(frame, pixels=_at_most(frame.pixels, _WORKING_SIDE))
    picture = frame.encoded()
    alpha = _as_float(frame.pixels[..., names.index("a")]) if "a" in names else None
    if floats and alpha is not None:
        picture = _divided(picture, alpha)
    if alpha is not None and alpha.min() > 1 - LIKE:
        alpha = None
    elif alpha is not None:
        alpha = _at_most(alpha, _WORKING_SIDE)
    return PairPicture(picture, space, alpha)


def _divided(picture: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Floats without their alpha, by which they are multiplied; unless there are colours where it
    is 0, as in a plate beside its matte."""
    none = alpha < _LEAST_ALPHA
    coloured = none & (np.abs(picture).max(-1) > LIKE)
    if coloured.mean() > _APART:
        return picture
    return np.where(none[..., None], picture, picture / np.maximum(alpha, _LEAST_ALPHA)[..., None])


def as_srgb(read: PairPicture, soft: bool, tell: Callable[[str], None]) -> np.ndarray:
    """A picture as shots' pictures are worked on, float32 (H, W, 3) as sRGB 0..1, at most 1024
    pixels a side.

    Args:
        soft: what is brighter than white is kept apart, as in plates that are scene-linear.
        tell: takes a note on what is lost.
    """
    shown = read.picture
    beyond = np.zeros(shown.shape[:2], bool)
    if read.space.kind != "display" and soft:
        beyond = colour.to_rec709(shown, read.space).max(-1) > colour.HIGHLIGHT
        shown = colour.to_display(shown, read.space)
    elif read.space.name not in _AS_THEY_ARE:
        shown = srgb_encode(colour.to_rec709(shown, read.space))
    beyond |= (shown.max(-1) > 1 + LIKE) | (shown.min(-1) < -LIKE)
    lost = float(beyond.mean())
    if lost > _LOST:
        tell(
            f"{100 * lost:.2g} % of its pixels are brighter or more colourful than a look can hold,"
            " and are cut off there"
        )
    return np.ascontiguousarray(_at_most(shown.clip(0, 1), _WORKING_SIDE), np.float32)


def read_mask(path: Path) -> np.ndarray:
    """How white a mask is, times its alpha, float32 (H, W) 0..1.

    Raises:
        EditError: if it cannot be read.
    """
    facts_of(path)
    try:
        frame = read_image(path, lean=True)
    except FootageError as error:
        raise EditError(f"a picture cannot be read ({error.message})", path, REMEDY) from None
    names = [each.lower() for each in frame.channels]
    drawn: np.ndarray = _at_most(_as_float(frame.encoded()), _WORKING_SIDE).mean(-1)
    if "a" in names:
        drawn = drawn * _at_most(_as_float(frame.pixels[..., names.index("a")]), _WORKING_SIDE)
    return drawn


def _at_most(pixels: np.ndarray, side: int) -> np.ndarray:
    """A picture (H, W) or (H, W, C) of so many pixels a side at most."""
    share = side / max(pixels.shape[:2])
    if share >= 1:
        return pixels
    size = round(pixels.shape[1] * share), round(pixels.shape[0] * share)
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return small.reshape(*small.shape[:2], *pixels.shape[2:])


def _as_float(pixels: np.ndarray) -> np.ndarray:
    """Codes, or floats of any size, as float32 0..1."""
    if pixels.dtype.kind == "u":
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    found: np.ndarray = np.nan_to_num(pixels.astype(np.float32)).clip(0, 1)
    return found
