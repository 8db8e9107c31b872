# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a windowed Blender: Live Look while the mouse moves the playhead.

Started by test_looks_window.py as `blender --python looks_tour.py -- FOLDER CLIP ZIP PYTHON`, where
FOLDER holds `shot`, tracked, CLIP is its plate, and `looks` its library with one look.
"""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, os.path.dirname(__file__))
from hands import (
    FOLDER,
    PYTHON,
    ZIP,
    at,
    call,
    largest,
    lay_plate,
    module,
    outside,
    picture,
    press,
    region,
    seen,
    take,
    wait,
    within,
)

COUNT, OFFSET = 24, 1000
# The playhead's places, from end to end and back.
_PLACES = (20, 4, 12, 23, 8, 16, 2, 18, 10, 14, 6, 22)


class Scrubbed:
    """When the playhead moved to a frame, and when its picture was drawn."""

    moved = 0.0
    frame = 0
    arrived = 0
    drawn: list[float] = []


def watch() -> None:
    """Notes both as they happen."""
    library = module("portraitgen_addon.look_library")
    show, live = library._show, library.Live

    def shown() -> None:
        show()
        Scrubbed.arrived = live._asked.frame

    library._show = shown

    @bpy.app.handlers.persistent
    def changed(scene: Any, *unused: Any) -> None:
        Scrubbed.moved, Scrubbed.frame = time.perf_counter(), scene.frame_current - OFFSET

    bpy.app.handlers.frame_change_pre.append(changed)

    def draw() -> None:
        if Scrubbed.arrived and Scrubbed.arrived == Scrubbed.frame:
            Scrubbed.drawn.append(1e3 * (time.perf_counter() - Scrubbed.moved))
            seen["live ms"].append(live.milliseconds)
            Scrubbed.arrived = 0

    seen["live ms"] = []
    bpy.types.SpaceImageEditor.draw_handler_add(draw, (), "WINDOW", "POST_PIXEL")


def scrubbing() -> Iterator[float]:
    """Clicks along the sequencer's ruler; each picture is awaited."""
    timeline = region(largest("SEQUENCE_EDITOR"))
    for place in _PLACES:
        Scrubbed.arrived, count = 0, len(Scrubbed.drawn)
        x, _ = timeline.view2d.view_to_region(place + OFFSET, 0, clip=False)
        yield from outside(f"click {at(timeline, x, timeline.height - 8)}")
        yield from wait(lambda count=count: len(Scrubbed.drawn) > count, 30)
        yield 0.3
    seen["scrubbed"] = Scrubbed.drawn


def tour() -> Iterator[float]:
    """The path of this file."""
    bpy.context.preferences.view.show_splash = False
    bpy.ops.extensions.package_install_files(
        filepath=ZIP, repo="user_default", enable_on_install=True
    )
    settings = module("portraitgen_addon.preferences").get()
    settings.source, settings.interpreter = "EXISTING", PYTHON
    settings.looks_folder = str(Path(FOLDER) / "looks")
    yield 1.0
    scene = bpy.context.scene
    bpy.context.workspace.sequencer_scene = scene
    scene.frame_start, scene.frame_end = OFFSET + 1, OFFSET + COUNT
    lay_plate(scene, OFFSET + 1)
    scene.frame_set(OFFSET + 1)
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(FOLDER) / "edit.blend"))
    view = largest("VIEW_3D")
    call(view, "open_shot", directory=str(Path(FOLDER) / "shot"))
    yield from wait(lambda: scene.portraitgen.shots)
    session = module("portraitgen_addon.session").session
    with within(view):
        bpy.ops.portraitgen.list_looks()
    library = module("portraitgen_addon.look_library").Library
    yield from wait(lambda: library.rows and session.description)
    call(view, "take_add", editor="look")
    call(view, "wear_look", path=library.rows[0].path)
    largest("PROPERTIES").type = "IMAGE_EDITOR"
    view.type = "SEQUENCE_EDITOR"
    # The splash screen.
    yield from outside("key Escape")
    yield 1.0
    with within(largest("SEQUENCE_EDITOR")):
        bpy.ops.sequencer.view_all()
    yield 1.0
    watch()
    press(largest("IMAGE_EDITOR"), "live_look")
    live = module("portraitgen_addon.look_library").Live
    yield from wait(lambda: live.path or live.error)
    assert not live.error, live.error
    # The first drawing compiles Blender's own shaders.
    yield 2.0
    yield from scrubbing()
    yield from picture("looks_1_live")
    with within(largest("IMAGE_EDITOR")):
        assert bpy.ops.portraitgen.live_look() == {"FINISHED"}
    assert not live.on()


take(tour())
