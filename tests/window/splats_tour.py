# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a windowed Blender: a reconstructed shot, its performer in 3D, lit and laid back.

Started by test_splats_window.py as `blender --python splats_tour.py -- FOLDER CLIP ZIP PYTHON`,
where FOLDER holds `shot` and CLIP is its plate. A Blender without splats shows why the buttons are
grey, and writes a file.
"""

import os
import sys
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
    find,
    largest,
    lay_plate,
    module,
    open_below,
    open_tab,
    outside,
    picture,
    press,
    region,
    seen,
    take,
    wait,
    within,
)

FRAME, OFFSET = 3, 1000


def opened() -> Iterator[float]:
    """The shot in the scene of a plate's strip, with its rig."""
    scene = bpy.context.scene
    scene.view_settings.view_transform = "Standard"
    lay_plate(scene, OFFSET + 1)
    scene.frame_set(FRAME + OFFSET)
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(FOLDER) / "edit.blend"))
    view = largest("VIEW_3D")
    call(view, "open_shot", directory=str(Path(FOLDER) / "shot"))
    call(view, "show_version", version=0)
    yield from wait(lambda: scene.portraitgen.shots[0].has_rig)
    call(view, "take_add", editor="grade")


def shot() -> Any:
    """The shot; undo makes every older reference stale."""
    return next(each for scene in bpy.data.scenes for each in scene.portraitgen.shots)


def lit() -> list[bool]:
    """Whether the scene lights each performer."""
    splats = module("portraitgen_addon.splats")
    return [splats.is_lit(each) for each in splats.performers()]


def in_3d() -> Iterator[float]:
    """To 3D, Lit by Scene, undo and redo by keys, and a lit frame over its plate."""
    session = module("portraitgen_addon.session").session
    splats = module("portraitgen_addon.splats")
    press(largest("VIEW_3D"), "to_3d")
    yield from wait(splats.performers)
    yield 1.0
    for space in largest("VIEW_3D").spaces:
        if space.type == "VIEW_3D":
            space.shading.type = "RENDERED"
            space.region_3d.view_perspective = "CAMERA"
    yield from picture("3d_1_performer")
    press(largest("VIEW_3D"), "lit_by_scene")
    yield 0.5
    seen["lit"] = lit()
    yield from outside("key ctrl+z")
    yield 1.5
    seen["lit undone"] = lit()
    yield from outside("key ctrl+shift+z")
    yield 1.5
    seen["lit redone"] = lit()
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy, sun.rotation_euler = 3, (0, 1.2, 0)
    scene = bpy.context.scene
    scene.collection.objects.link(sun)
    yield from picture("3d_2_lit")
    scene.render.engine, scene.cycles.samples = "CYCLES", 4
    with within(largest("VIEW_3D")):
        assert bpy.ops.portraitgen.render_lit_take(frames="CURRENT") == {"FINISHED"}
    folder = shot().path / "takes" / shot().take.folder_name / "renders"
    yield from wait(lambda: list(folder.rglob("plates/*")) or session.error)
    assert session.error is None, session.message
    yield from wait(lambda: not session.busy and not session._pending)
    seen["lit strip"] = [
        len(each.elements)
        for each in module("portraitgen_addon.sequencer").all_take_strips(scene, shot().shot_id)
    ]
    seen["scenes"] = [each.name for each in bpy.data.scenes]
    yield from picture("3d_3_rendered")


def greyed() -> Iterator[float]:
    """What the buttons say where Blender has no splats, to a click and to a mouse that rests."""
    view = largest("VIEW_3D")
    try:
        press(view, "to_3d")
    except RuntimeError as error:
        seen["grey"] = str(error)
    yield from open_below(view, "portraitgen.restore_settings(")
    place = yield from find(view, "portraitgen.to_3d(", share=0.2)
    yield from outside(f"move {at(region(view, 'UI'), *place)}")
    yield 1.5
    yield from picture("3d_1_greyed")


def tour() -> Iterator[float]:
    """The path of this file."""
    bpy.context.preferences.view.show_splash = False
    bpy.ops.extensions.package_install_files(
        filepath=ZIP, repo="user_default", enable_on_install=True
    )
    settings = module("portraitgen_addon.preferences").get()
    settings.source, settings.interpreter = "EXISTING", PYTHON
    yield 1.0
    yield from opened()
    yield from open_tab(largest("VIEW_3D"))
    missing = module("portraitgen_addon.compat").splats_missing()
    seen["splats"] = not missing
    yield from greyed() if missing else in_3d()
    path = Path(FOLDER) / "performer.ply"
    call(largest("VIEW_3D"), "export_splats", filepath=str(path))
    session = module("portraitgen_addon.session").session
    yield from wait(lambda: path.exists() and not session.doing)
    seen["exported"] = path.read_bytes()[:3].decode()
    yield from picture("3d_4_exported")


take(tour())
