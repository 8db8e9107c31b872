# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What New Shot says of a plate, and a strip split at the plate's cuts."""

from collections.abc import Callable
from typing import Any

import bpy
from conftest import module, plate_strip


def test_new_shot_says_how_the_plate_would_be_read(
    session: Any, until: Callable[..., None]
) -> None:
    footage = module("operators.footage")
    messages = module("operators.footage").ProbePlate
    scene = bpy.context.scene
    strip = plate_strip(scene)
    path = bpy.path.abspath(strip.filepath)
    answers: list[Any] = []
    updates = module("portraitgen_addon.scene_updates")
    updates.ask("Looking at the plate", messages(footage=path), answers.append)
    until(lambda: answers)
    lines = footage.plate_lines(answers[0])
    assert lines[0].startswith("Movie, frames 1 to ") and "25 a second" in lines[0]
    assert "8 bits, Rec.709" in lines[1]


def test_a_strip_is_split_where_the_plate_cuts() -> None:
    footage = module("operators.footage")
    scene = bpy.context.scene
    strip = plate_strip(scene, start=1001)
    name, compat = strip.name, module("portraitgen_addon.compat")
    found = footage.PlateParts(parts=((1, 9), (10, 20), (21, 400)))
    read = module("portraitgen_addon.shot_summary").footage_of(strip, scene)
    footage._split(scene.name, name, read, found)
    starts = sorted(compat.strip_range(each)[0] for each in compat.strips(scene))
    assert starts == [1001, 1010, 1021]
