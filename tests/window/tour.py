# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a windowed Blender: the artist's path on the embedded clip, with pictures.

Started by test_window.py as `blender --python tour.py -- FOLDER CLIP ZIP PYTHON`. Asks the test
outside for clicks and pictures through files in FOLDER, and writes what it saw to seen.json.
"""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).parent))

from hands import (
    CLIP,
    FOLDER,
    PYTHON,
    ZIP,
    at,
    call,
    click,
    finished,
    largest,
    module,
    open_tab,
    outside,
    picture,
    press,
    region,
    scroll,
    seen,
    take,
    time_drawing,
    time_ticks,
    wait,
    watch_bars,
    window,
    within,
)

START, COUNT = 1001, 24


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
        ends.append(at(canvas, place.x, place.y))
    # Blender may take the place of a button that goes down from where the mouse is by then.
    yield from outside(f"press {ends[0]}")
    yield from wait(lambda: len(shot.pins))
    yield from outside(f"release {ends[1]}")
    corrections = module("portraitgen_addon.acting_layer").has_corrections
    yield from wait(lambda: corrections(shot.armature), 60)
    yield from picture("4_pinned")
    seen["pins"] = len(shot.pins)
    origin = shot.camera.matrix_world.translation
    now = pins.plate_pixel(shot, facts, pins.surface_of(shot, shot.pins[0]) - origin)
    target = shot.pins[0].target
    seen["pin off by"] = max(abs(a - b) for a, b in zip(now, target, strict=True))
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


def four_clicks(area: Any, scene: Any) -> Iterator[float]:
    """From the strip to the first edited frame: New Shot, OK, Track, Try; nothing else is done."""
    session = module("portraitgen_addon.session").session
    yield from click(area, "portraitgen.new_shot(")
    yield from wait(lambda: module("operators.footage")._PROBED)
    yield from picture("1_dialog")
    # OK, by its key: where the dialog opens hangs on the mouse.
    seen["clicks"] += 1
    yield from outside("key Return")
    yield from wait(lambda: len(scene.portraitgen.shots))
    shot = scene.portraitgen.shots[0]
    # Nothing moves the mouse; what was awaited is no longer said.
    yield from picture("1_shot")
    time_ticks(session)
    yield from click(area, "portraitgen.track(")
    yield from wait(lambda: session.job and session.job.step > 5)
    yield from picture("2_tracking")
    yield from finished("track")
    yield from wait(lambda: shot.has_rig)
    yield from picture("3_tracked")
    seen["markers"] = len(scene.timeline_markers)
    seen["bars while the mouse rested"] = len(seen["bars"])
    yield from click(area, "portraitgen.try_frame(")
    yield from wait(lambda: shot.take is not None and shot.take.preview)
    seen["clicks to the first edited frame"] = seen["clicks"]
    seen["tried without avatar"] = list(bpy.data.images[shot.take.preview].size)
    seen["avatars by then"] = len(list((shot.path / "avatar").glob("*")))


def wipe(shot: Any) -> Iterator[float]:
    """Drags the wipe of the frame that was tried against the plate."""
    image = bpy.data.images[shot.take.preview]
    seen["wipe"] = []
    yield 2.0
    place, editor = next(
        (each, area)
        for each in bpy.context.window_manager.windows
        for area in each.screen.areas
        if area.type == "IMAGE_EDITOR" and area.spaces.active.image == image
    )
    canvas = region(editor)
    ends = []
    for share in (0.5, 0.8):
        x, y = canvas.view2d.view_to_region(share, 0.5, clip=False)
        # The main window fills the screen; another one lies somewhere on it, from below.
        ends.append(at(canvas, x + place.x, y + place.y))
    yield from outside(f"drag {' '.join(ends)}")
    yield 0.5
    seen["wiped to"] = image.portraitgen_wipe
    # Left of the line the plate, as its file has it, right of it the edit.
    for share, part in ((0.3, image.portraitgen_plate), (0.9, image.name)):
        x, y = canvas.view2d.view_to_region(share, 0.9, clip=False)
        path = bpy.path.abspath(bpy.data.images[part].filepath)
        seen["wipe"].append([at(canvas, x + place.x, y + place.y), path, share, 0.9])
    yield from picture("3_wiped")
    if place != window():
        with bpy.context.temp_override(window=place):
            bpy.ops.wm.window_close()
    yield 0.5


def pick(area: Any, shot: Any) -> Iterator[float]:
    """Picks the performer by a click on the face in the preview, and forgets the choice."""
    settings = shot.settings_track
    yield from click(area, "portraitgen.pick_performer(")
    canvas = region(area, "PREVIEW")
    # The preview counts pixels from the middle of the frame: the face is at 268, 225 of 512.
    yield from outside(f"click {at(canvas, *canvas.view2d.view_to_region(12, 31))}")
    session = module("portraitgen_addon.session").session
    yield from wait(lambda: settings.performer and not session.doing)
    seen["performer"], seen["performer refused"] = settings.performer, session.message
    yield from picture("3_picked")
    yield from click(area, "portraitgen.forget_performer(", share=0.97)
    yield from wait(lambda: not settings.performer, 10)


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
    x, y = timeline.view2d.view_to_region(START + 10, 2.5)
    yield from outside(f"click {at(timeline, x, y)}")
    yield 0.5
    yield from outside("key g 3 0 Return")
    yield from wait(told, 10)
    seen["moved"], seen["told"] = place(), told()
    # Nothing has touched the mouse since: what is told is drawn all the same.
    yield from picture("3_moved")
    yield from click(area, "portraitgen.update_from_strip(")
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
    module("portraitgen_addon.compat").trim(strip, START, START + COUNT)
    scene.frame_start, scene.frame_end = START, START + COUNT - 1
    scene.frame_set(START + 12)
    with within(area):
        bpy.ops.sequencer.view_all()
    yield from open_tab(area)
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(FOLDER) / "edit.blend"))
    yield from picture("1_sequencer")

    time_drawing()
    watch_bars()
    yield from four_clicks(area, scene)
    session = module("portraitgen_addon.session").session
    shot = scene.portraitgen.shots[0]
    yield from wipe(shot)
    yield from pick(area, shot)
    scene_name = scene.name
    yield from living(area, scene_name)
    scene = bpy.data.scenes[scene_name]
    shot = scene.portraitgen.shots[0]
    area = largest("SEQUENCE_EDITOR")

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

    shot.settings_reconstruct.steps = 100
    call(view, "reconstruct")
    begun = time.monotonic()
    yield from wait(lambda: session.job.preview or not session.busy)
    seen["preview after"] = time.monotonic() - begun
    yield from picture("5_reconstructing")
    yield from finished("reconstruct")
    yield from wait(lambda: not session.doing)
    seen["times told"] = sum("left" in text for text in seen["bars"])
    shot = scene.portraitgen.shots[0]
    shot.take.options_relight.key = "left"
    shot.take.options_relight.ratio = 8
    shot.take.settings_edit.steps = 40
    yield from scroll(view, 26)
    yield from picture("6_settings")
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
    # Renamed since the shot was made: its frames come all the same.
    scene.name = "cut 2"
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
        if shown == 10 and "7" not in seen:
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
    yield from versions(area, scene)
    yield from left_behind(area, scene)
    area = largest("SEQUENCE_EDITOR")
    call(area, "to_compositor")
    bpy.ops.wm.save_mainfile()
    # The undo of the last steps made what was known of the scene stale.
    shot = bpy.data.scenes["cut 2"].portraitgen.shots[0]
    before, copy = shot.folder, Path(FOLDER) / "elsewhere" / "copy.blend"
    copy.parent.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(copy), copy=True)
    yield 1.5
    seen["folder"] = [before, shot.folder, shot.path.is_dir()]
    yield from picture("11_copy_saved")


def versions(area: Any, scene: Any) -> Iterator[float]:
    """Renders once more by the queue, half as strong, and steps between the two versions."""
    watch, shot = module("portraitgen_addon.edit_watch"), scene.portraitgen.shots[0]
    runner = module("portraitgen_addon.queue_runner")

    def shown() -> int:
        found = watch.shown_render(shot, shot.take)
        return found.version if found is not None else 0

    seen["versions"] = [shown()]
    shot.take.mix = 0.5
    yield from click(area, "portraitgen.queue_add(kind='render'", share=0.97)
    yield from wait(lambda: runner.record().jobs)
    yield from click(area, "portraitgen.queue_start(", share=0.96)
    yield from wait(lambda: not runner.runs(), 1800)
    seen["queue"] = [each.state for each in runner.record().jobs]
    yield from wait(lambda: shown() == 2)
    seen["versions"].append(shown())
    yield from click(area, "portraitgen.next_version(backwards=True", share=0.08)
    yield from wait(lambda: shown() == 1)
    seen["versions"].append(shown())
    yield from picture("9_version_1")
    yield from click(area, "portraitgen.next_version(", share=0.97)
    yield from wait(lambda: shown() == 2)
    seen["versions"].append(shown())


def left_behind(area: Any, scene: Any) -> Iterator[float]:
    """A take goes with its plate, and the frames that both have left show neither any more."""
    notices = module("portraitgen_addon.edit_watch").notices
    name, strips = scene.name, scene.sequence_editor.strips
    for strip in strips:
        strip.select = strip.name == "performer"
    scene.sequence_editor.active_strip = strips["performer"]
    scene.frame_set(START + 3)
    preview, timeline = region(area, "PREVIEW"), region(area)
    seen["left at"] = at(preview, *preview.view2d.view_to_region(0, 0))
    yield 1.0
    yield from picture("10_there")
    yield from outside(f"move {at(timeline, timeline.width // 2, timeline.height // 2)}")
    yield from outside("key g 3 0 Return")
    yield from wait(lambda: notices(bpy.data.scenes[name].portraitgen.shots[0]), 10)
    yield from click(area, "portraitgen.update_from_strip(")
    yield from wait(lambda: not notices(bpy.data.scenes[name].portraitgen.shots[0]), 10)
    yield 1.0
    yield from picture("10_left")
    for _ in range(2):
        yield from outside("key ctrl+z")
        yield 1.5


take(tour())
