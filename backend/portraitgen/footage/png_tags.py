# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The colour space of a PNG said in its own chunk (cICP), where sRGB would be taken for it."""

from pathlib import Path

from ..images import tag_colours
from .colour_spaces import ColourSpace, tags_of


def tag_png(path: Path, space: ColourSpace) -> None:
    """Adds the chunk after the header, where the space is one that PNG can name and not sRGB."""
    tags = tags_of(space)
    if tags is not None and tags[0] != 1:
        tag_colours(path, *tags)
