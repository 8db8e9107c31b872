# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not as it should be with a shot, each with the button that mends it."""

from typing import Any

from ..portraitgen_addon import edit_watch
from .text import BOX, draw_text


def draw_notices(layout: Any, shot: Any) -> None:
    """A box for each button, with the sentences that it mends."""
    known = edit_watch.notices(shot)
    for first in known:
        alike = [each for each in known if each.operator == first.operator]
        if first.operator and alike[0] is not first:
            continue
        box = layout.box()
        column = box.column(align=True)
        column.alert = True
        for each in alike if first.operator else [first]:
            draw_text(column, each.text, inset=BOX)
        if not first.operator:
            continue
        row = box.row(align=True)
        button = row.operator(first.operator, text=first.label)
        for name, value in first.options.items():
            setattr(button, name, value)
        if first.operator == "portraitgen.relink_plate":
            row.operator(first.operator, text="", icon="FILE_FOLDER").choose = True
