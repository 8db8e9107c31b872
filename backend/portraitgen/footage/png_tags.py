# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The colour space of a PNG said in its own chunks, where sRGB would be taken for it."""

from pathlib import Path

from ..images import tag_colours, tag_gamma
from .colour_spaces import ColourSpace, chromaticities, tags_of

_GAMMAS = {"srgb": 1 / 2.2, "linear": 1.0}


def tag_png(path: Path, space: ColourSpace) -> None:
    """Adds what names the space, unless that is sRGB: cICP, or gAMA and cHRM for what has no
    numbers in ITU-T H.273. An ICC profile outranks these, and what has one keeps it."""
    tags = tags_of(space)
    if tags is not None and tags[0] != 1:
        tag_colours(path, *tags)
    elif tags is None and space.kind in ("display", "linear") and _curve(space):
        _say_primaries(path, space)


def _curve(space: ColourSpace) -> str:
    if space.encoding is not None:
        return space.encoding.curve
    return "linear" if space.kind == "linear" else ""


def _say_primaries(path: Path, space: ColourSpace) -> None:
    curve = _curve(space)
    gamma = _GAMMAS.get(curve) or 1 / float(curve.split()[1])
    named = space.encoding.primaries if space.encoding is not None else chromaticities(space)
    if min(named[:6]) >= 0:  # PNG's numbers have no sign.
        tag_gamma(path, gamma, tuple(named))
