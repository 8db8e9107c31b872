# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a windowed Blender: the artist's path on the embedded clip, with pictures.

Started by test_window.py as `blender --python tour.py -- FOLDER CLIP ZIP PYTHON`. Asks the test
outside for clicks and pictures through files in FOLDER, and writes what it saw to seen.json.
"""

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

FOLDER, CLIP, ZIP, PYTHON = sys.argv[sys.argv.index("--") + 1 :]
PACKAGE = "bl_ext.user_default.portraitgen"
START = 1001
seen: dict[str, Any] = {"ticks": [], "others": [], "version": bpy.app.version_string}
_asked = 0


def module(name: str) -> Any:
    return importlib.import_module(f"{PACKAGE}.{name}")


def outside(command: str) -> Iterator[float]:
    """Has the test do something to the window, and waits until it is done."""
    global _asked
    _asked += 1
    want = Path(FOLDER) / f"want_{_asked:03d}"
    want.with_suffix(".part").write_text(command)
    want.with_suffix(".part").rename(want)
    while not (Path(FOLDER) / f"got_{_asked:03d}").exists():
        yield 0.1


def picture(name: str) -> Iterator[float]:
    yield 0.8
    yield from outside(f"grab {name}.png")


def window() -> Any:
    return bpy.context.window_manager.windows[0]


def largest(kind: str) -> Any:
    areas = [area for area in window().screen.areas if area.type == kind]
    return max(areas, key=lambda area: area.width * area.height)


def region(area: Any, kind: str = "WINDOW") -> Any:
    return next(each for each in area.regions if each.type == kind)


def within(area: Any) -> Any:
    return bpy.context.temp_override(window=window(), area=area, region=region(area))


def wait(met: Any, limit_s: float = 300) -> Iterator[float]:
    end = time.monotonic() + limit_s
    while not met():
        if time.monotonic() > end:
            raise TimeoutError(module("portraitgen_addon.session").session.message)
        yield 0.05


def open_tab(area: Any) -> Iterator[float]:
    """Clicks down the sidebar's tabs until ours is open, as an artist would look for it."""
    area.spaces.active.show_region_ui = True
    yield 0.5
    bar = region(area, "UI")
    for y in range(bar.y + bar.height - 30, bar.y, -25):
        x = bar.x + bar.width - 10
        yield from outside(f"click {x} {window().height - y}")
        yield 0.3
        if bar.active_panel_category == "PortraitGen":
            return
    raise AssertionError("no click opened the PortraitGen tab")


def scroll(area: Any, notches: int) -> Iterator[float]:
    """Turns the wheel over the sidebar, so that lower panels are seen."""
    bar = region(area, "UI")
    x, y = bar.x + bar.width // 2, window().height - (bar.y + bar.height // 2)
    yield from outside(f"scroll {x} {y} {notches}")
    yield 0.3


def call(area: Any, name: str, **options: Any) -> None:
    with within(area):
        assert getattr(bpy.ops.portraitgen, name)(**options) == {"FINISHED"}, name


def press(area: Any, name: str) -> None:
    """As `call`, with the undo step that a click on the button makes."""
    with within(area):
        assert getattr(bpy.ops.portraitgen, name)("EXEC_DEFAULT", True) == {"FINISHED"}, name


def finished(kind: str) -> Iterator[float]:
    session = module("portraitgen_addon.session").session
    yield from wait(lambda: not session.busy and not session._pending and not session.doing)
    assert session.job.kind == kind and session.job.state == "done", session.job.message


def time_ticks(session: Any) -> None:
    """Notes how long each drain of the backend's messages holds Blender, with a job and without."""
    drain = session.tick

    def timed() -> None:
        begun = time.perf_counter()
        drain()
        kind = "ticks" if session.busy else "others"
        seen[kind].append(1e3 * (time.perf_counter() - begun))

    session.tick = timed


def pin(view: Any, shot: Any) -> Iterator[float]:
    """Drags the tip of the nose by the pin tool, with the mouse."""
    from bpy_extras.view3d_utils import location_3d_to_region_2d

    press(view, "use_pin_tool")
    yield 0.8
    pins = module("portraitgen_addon.pins")
    facts, canvas = pins.bundle_of(shot).camera, region(view)
    ends = []
    for pixel in ((268.0, 225.0), (276.0, 220.0)):
        world = pins.world_of(shot, facts, pixel)
        place = location_3d_to_region_2d(canvas, view.spaces.active.region_3d, world)
        ends += [round(canvas.x + place.x), window().height - round(canvas.y + place.y)]
    yield from outside(f"drag {' '.join(str(end) for end in ends)}")
    yield 1.0
    yield from picture("4_pinned")
    seen["pins"] = len(shot.pins)
    origin = shot.camera.matrix_world.translation
    now = pins.plate_pixel(shot, facts, pins.surface_of(shot, shot.pins[0]) - origin)
    target = shot.pins[0].target
    seen["pin off by"] = max(abs(a - b) for a, b in zip(now, target, strict=True))
    assert module("portraitgen_addon.rig").has_corrections(shot.armature)
    # Undo and redo make every reference stale.
    home = shot.id_data.name
    yield from outside("key ctrl+z")
    yield 1.5
    shot, view = bpy.data.scenes[home].portraitgen.shots[0], largest("VIEW_3D")
    perspective = view.spaces.active.region_3d.view_perspective
    seen["undone"] = [len(shot.pins), bpy.context.mode, perspective]
    yield from outside("key ctrl+shift+z")
    yield 1.5
    shot, view = bpy.data.scenes[home].portraitgen.shots[0], largest("VIEW_3D")
    seen["redone"] = len(shot.pins)
    call(view, "discard_corrections")
    call(view, "pins_clear")
    with within(view):
        bpy.ops.wm.tool_set_by_id(name="builtin.select_box")


def wipe(area: Any, shot: Any) -> Iterator[float]:
    """Tries this frame, with the track alone, and drags the wipe against the plate."""
    with within(area):
        assert bpy.ops.portraitgen.try_frame("INVOKE_DEFAULT") == {"FINISHED"}
    yield from wait(lambda: shot.take is not None and shot.take.preview)
    image = bpy.data.images[shot.take.preview]
    seen["tried without avatar"] = list(image.size)
    yield 2.0
    windows = bpy.context.window_manager.windows
    place, editor = next(
        (each, area)
        for each in windows
        for area in each.screen.areas
        if area.type == "IMAGE_EDITOR" and area.spaces.active.image == image
    )
    canvas = region(editor)
    ends = []
    for share in (0.5, 0.8):
        x, y = canvas.view2d.view_to_region(share, 0.5, clip=False)
        # The main window fills the screen; another one lies somewhere on it, from below.
        ends += [place.x + canvas.x + x, window().height - (place.y + canvas.y + y)]
    yield from outside(f"drag {' '.join(str(end) for end in ends)}")
    yield 0.5
    seen["wiped to"] = image.portraitgen_wipe
    yield from picture("3_wiped")
    if place != window():
        with bpy.context.temp_override(window=place):
            bpy.ops.wm.window_close()
    yield 0.5


def living(area: Any, name: str) -> Iterator[float]:
    """Moves the plate's strip by click and keys, follows it, and takes both back by keys."""
    notices = module("portraitgen_addon.edit_watch").notices

    def shot() -> Any:
        return bpy.data.scenes[name].portraitgen.shots[0]

    def told() -> list[str]:
        return [each.text for each in notices(shot())]

    def place() -> list[int]:
        strips = bpy.data.scenes[name].sequence_editor.strips
        start = module("portraitgen_addon.compat").content_start(strips["performer"])
        tracked = shot().armature.animation_data.nla_tracks["Tracked"].strips[0]
        return [shot().offset, start, round(tracked.frame_start)]

    seen["place"] = place()
    timeline = region(area)
    x, y = timeline.view2d.view_to_region(START + 20, 2.5)
    height = window().height
    yield from outside(f"click {timeline.x + x} {height - timeline.y - y}")
    yield 0.5
    yield from outside("key g 3 0 Return")
    yield from wait(told, 10)
    seen["moved"], seen["told"] = place(), told()
    # Nothing has touched the mouse since: what is told is drawn all the same.
    yield from picture("3_moved")
    press(area, "update_from_strip")
    yield from wait(lambda: not told(), 10)
    seen["followed"] = place()
    yield from picture("3_followed")
    for key in ("update undone", "move undone"):
        yield from outside("key ctrl+z")
        yield 1.5
        seen[key] = place()
    seen["told at last"] = told()


def tour() -> Iterator[float]:
    bpy.context.preferences.view.show_splash = False
    bpy.ops.extensions.package_install_files(
        filepath=ZIP, repo="user_default", enable_on_install=True
    )
    settings = module("portraitgen_addon.preferences").get()
    settings.source, settings.interpreter = "EXISTING", PYTHON
    startup = Path(bpy.utils.system_resource("SCRIPTS")) / "startup"
    template = startup / "bl_app_templates_system" / "Video_Editing" / "startup.blend"
    bpy.ops.workspace.append_activate(idname="Video Editing", filepath=str(template))
    yield 1.0
    sequencer_scene = module("portraitgen_addon.compat").sequencer_scene
    scene = sequencer_scene(bpy.context)
    if bpy.context.workspace.sequencer_scene is None:
        bpy.context.workspace.sequencer_scene = scene
    scene.render.fps = 25
    scene.render.resolution_x = scene.render.resolution_y = 512
    scene.view_settings.view_transform = "Standard"
    area = largest("SEQUENCE_EDITOR")
    with within(area):
        bpy.ops.screen.screen_full_area(use_hide_panels=False)
    yield 1.0
    area = largest("SEQUENCE_EDITOR")
    area.spaces.active.view_type = "SEQUENCER_PREVIEW"
    scene.sequence_editor_create()
    strip = scene.sequence_editor.strips.new_movie(
        name="performer", filepath=CLIP, channel=2, frame_start=START
    )
    scene.sequence_editor.active_strip = strip
    scene.frame_start, scene.frame_end = START, START + 47
    scene.frame_set(START + 12)
    with within(area):
        bpy.ops.sequencer.view_all()
    yield from open_tab(area)
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(FOLDER) / "edit.blend"))
    yield from picture("1_sequencer")

    call(area, "new_shot", folder=str(Path(FOLDER) / "performer shot"))
    yield from wait(lambda: len(scene.portraitgen.shots))
    shot = scene.portraitgen.shots[0]
    session = module("portraitgen_addon.session").session
    time_ticks(session)
    call(area, "track")
    yield from wait(lambda: session.job.step > 5)
    yield from picture("2_tracking")
    yield from finished("track")
    yield from wait(lambda: shot.has_rig)
    yield from picture("3_tracked")
    seen["markers"] = len(scene.timeline_markers)
    scene_name = scene.name
    yield from living(area, scene_name)
    scene = bpy.data.scenes[scene_name]
    shot = scene.portraitgen.shots[0]
    area = largest("SEQUENCE_EDITOR")
    yield from wipe(area, shot)

    with within(area):
        bpy.ops.screen.back_to_previous()
    yield 0.5
    window().workspace = bpy.data.workspaces["Layout"]
    yield 1.0
    view = largest("VIEW_3D")
    window().scene = scene
    scene.frame_set(START + 12)
    yield from open_tab(view)
    press(view, "view_rig")
    yield 1.5
    yield from picture("4_rig")
    scene_name = scene.name
    yield from pin(view, shot)
    scene = bpy.data.scenes[scene_name]
    shot = scene.portraitgen.shots[0]
    view = largest("VIEW_3D")
    face = shot.armature.pose.bones["face"]
    face["jawOpen"] = face["jawOpen"] + 0.3
    face.keyframe_insert('["jawOpen"]')
    bpy.ops.ed.undo_push(message="Open the jaw")
    call(view, "send_to_shot")
    yield from wait(lambda: shot.track_version == 2)
    # Undo goes back before the new version came, and the shot survives it. It makes every
    # reference to a scene stale.
    scene_name = scene.name
    with within(view):
        bpy.ops.ed.undo()
    yield 0.5
    scene = bpy.data.scenes[scene_name]
    shot = scene.portraitgen.shots[0]
    seen["version after undo"] = shot.track_version
    with within(view):
        bpy.ops.ed.redo()
    yield 0.5
    scene = bpy.data.scenes[scene_name]
    shot = scene.portraitgen.shots[0]
    seen["version after redo"] = shot.track_version

    shot.settings_reconstruct.steps = 250
    call(view, "reconstruct")
    begun = time.monotonic()
    yield from wait(lambda: session.job.preview or not session.busy)
    seen["preview after"] = time.monotonic() - begun
    yield from picture("5_reconstructing")
    yield from finished("reconstruct")
    yield from wait(lambda: not session.doing)
    call(view, "take_add", editor="relight")
    shot = scene.portraitgen.shots[0]
    shot.take.options_relight.key = "left"
    shot.take.options_relight.ratio = 8
    shot.take.settings_edit.steps = 120
    call(view, "try_frame")
    yield from wait(lambda: scene.portraitgen.shots[0].take.preview)
    yield from scroll(view, 26)
    yield from picture("6_trying")
    call(view, "edit")
    yield from finished("edit")

    window().workspace = bpy.data.workspaces["Video Editing"]
    yield 1.0
    area = largest("SEQUENCE_EDITOR")
    with within(area):
        bpy.ops.screen.screen_full_area(use_hide_panels=False)
    yield 1.0
    area = largest("SEQUENCE_EDITOR")
    area.spaces.active.view_type = "SEQUENCER_PREVIEW"
    yield from open_tab(area)
    scene.frame_set(START + 3)
    session.longest_tick = 0.0
    call(area, "render_to_strip")
    told: dict[int, float] = {}
    while session.busy or session._pending:
        for frame, path in session.job.frames.items():
            told.setdefault(frame, os.stat(path).st_mtime)
        strips = module("portraitgen_addon.sequencer").take_strips(
            scene, shot.shot_id, shot.take.folder_name
        )
        shown = sum(len(each.elements) for each in strips)
        for index, frame in enumerate(sorted(told)):
            if index < shown and f"late {frame}" not in seen:
                seen[f"late {frame}"] = time.time() - told[frame]
        if shown == 20 and "7" not in seen:
            seen["7"] = True
            yield from outside("grab 7_rendering.png")
        yield 0.02
    assert session.job.state == "done", session.job.message
    seen["longest tick ms"] = session.longest_tick * 1e3
    strips = module("portraitgen_addon.sequencer").take_strips(
        scene, shot.shot_id, shot.take.folder_name
    )
    seen["strip"] = [strips[0].channel, len(strips[0].elements), strips[0].directory]
    scene.frame_set(START + 12)
    yield 1.0
    yield from scroll(area, 12)
    yield from picture("8_edited")
    call(area, "to_compositor")
    bpy.ops.wm.save_mainfile()


_steps = tour()


def _step() -> float | None:
    try:
        return next(_steps)
    except StopIteration:
        seen["done"] = True
    except BaseException:  # noqa: BLE001 - the test outside reads it.
        seen["error"] = traceback.format_exc()
    (Path(FOLDER) / "seen.json").write_text(json.dumps(seen, indent=1))
    bpy.ops.wm.quit_blender()
    return None


bpy.app.timers.register(_step, first_interval=2.0, persistent=True)
