# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences in panels: wrapped to the panel's width, in Blender's words."""

import re
import textwrap
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import blf
import bpy

from portraitgen.plain_text import printable

_COLUMNS = 46
# What stands left and right of a line: the panel's edges and the sidebar's tabs, an icon.
_MARGIN, _ICON = 66, 24
BOX, BUTTON = 10, 34
"""What a box around a text, and a button beside it, take of its room, Blender's pixels."""
_FONT = 0
# What the terminal says, and where Blender has it. The first that fits.
_WORDS = (
    (r"run track first", "press Track first"),
    (r"run reconstruct first", "press Reconstruct first"),
    (r"`?portraitgen movie`? makes it", "render the whole shot to have one"),
    (r"`portraitgen relink`", "Relink Plate"),
    (r"`portraitgen models fetch [\w.-]+`", "List Models, in the preferences,"),
    (r"`portraitgen (\w+)`", lambda found: found[1].replace("-", " ").title()),
    (r"\(--deinterlace\)", "(portraitgen track --deinterlace, at the terminal)"),
    (r"leave --footage out", "choose the strip of this plate"),
    (r"such as --frames (-?\d+)-(-?\d+)", r"such as frames \1 to \2 of the plate (trim its strip)"),
    (r"name others by --frames", "name others"),
    (r"\(--colour-space\)", "(the strip's Color Space)"),
    (r"--smplx-model( SMPLX_NEUTRAL\.npz)?", "SMPL-X File in the dialog"),
    (r"--take (\w+)", r"\1"),
    (r"--([a-z][a-z-]*)", lambda found: found[1].replace("-", " ").title()),
)


def blender_words(text: str) -> str:
    """A sentence of the backend's as Blender says it: buttons for commands, settings for flags."""
    for pattern, words in _WORDS:
        text = re.sub(pattern, words, text)
    return text


def wrapped(text: str, width: float, measure: Callable[[str], float]) -> list[str]:
    """A sentence in lines no wider than `width`; a word that is too long is broken.

    Args:
        width, measure: the room, and how much of it a text takes, in the same unit.
    """
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if measure(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        while measure(word) > width and len(word) > 1:
            fits = max(1, int(len(word) * width / measure(word)))
            while fits > 1 and measure(word[:fits]) > width:
                fits -= 1
            lines.append(word[:fits])
            word = word[fits:]
        line = word
    return [*lines, line] if line else lines


def lines_of(text: str, width: float = 0.0, inset: float = 0.0) -> list[str]:
    """A sentence in the lines that the panel being drawn has room for.

    Args:
        width: of a dialog, in Blender's pixels; of the region being drawn by default.
        inset: what stands beside the text, in the same pixels.
    """
    text = printable(blender_words(text))
    region = bpy.context.region
    if not width and region is None:
        return textwrap.wrap(text, _COLUMNS)
    scale = bpy.context.preferences.system.ui_scale
    room = (width * scale if width else region.width) - (_MARGIN + inset) * scale
    points = bpy.context.preferences.ui_styles[0].widget.points * scale
    return list(_measured(text, max(room, 60 * scale), points))


@lru_cache(maxsize=200)
def _measured(text: str, room: float, points: float) -> tuple[str, ...]:
    """Measured once: panels are drawn many times a second."""
    blf.size(_FONT, points)
    return tuple(wrapped(text, room, lambda part: blf.dimensions(_FONT, part)[0]))


def draw_text(
    layout: Any, text: str, icon: str = "NONE", width: float = 0.0, inset: float = 0.0
) -> None:
    """A sentence over as many lines as it needs, the first with an icon.

    Args:
        width, inset: as `lines_of` takes them; the icon is counted here.
    """
    column = layout.column(align=True)
    inset += _ICON if icon != "NONE" else 0
    for index, line in enumerate(lines_of(text, width, inset)):
        symbol = icon if index == 0 or icon == "NONE" else "BLANK1"
        column.label(text=line, icon=symbol, translate=False)
