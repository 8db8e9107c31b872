# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins the session to Blender: starts the backend, brings its results into the scene."""

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy

from portraitgen.errors import PortraitError
from portraitgen.frames import runs_of
from portraitgen.messages.base import Call
from portraitgen.messages.tracks import ExportRig, RigExported
from portraitgen.records import FootageRecord, RenderRecord
from portraitgen.renders import Render, version_of
from portraitgen.shot import Shot

from . import (
    acting_layer,
    camera,
    edit_watch,
    file_marks,
    frame_marks,
    part_quality,
    preferences,
    properties,
    queue_runner,
    rig,
    sequencer,
    shot_summary,
    strip_sync,
    take_settings,
)
from .job_labels import job_label
from .session import Job, session
from .worker import A, OnResult, WorkerError

_IDLE, _BUSY = 0.25, 0.05
_TICK = 0.01
waits = bpy.app.background
"""Whether operators wait for what they ask for: there is no window to keep alive, and a script
goes on with the result."""
_AREAS = {
    "SEQUENCE_EDITOR",
    "VIEW_3D",
    "PREFERENCES",
    "STATUSBAR",
    "DOPESHEET_EDITOR",
    "IMAGE_EDITOR",
}


def ready() -> str:
    """Why the backend cannot be started, empty if it can."""
    if preferences.interpreter() is None:
        return "Set up the backend in the extension's preferences first"
    return ""


def worker_log() -> Path:
    """Where the backend writes down what it does."""
    return preferences.user_folder() / "worker.log"


def start() -> None:
    """Starts the backend unless it runs.

    Raises:
        WorkerError: if no interpreter is set up, or it cannot be started.
    """
    python = preferences.interpreter()
    if python is None:
        raise WorkerError(
            "the backend is not set up", remedy="set it up in the extension's preferences"
        )
    folder = preferences.get().models_folder
    if folder:
        os.environ["PORTRAITGEN_MODELS"] = bpy.path.abspath(folder)
    looks = preferences.get().looks_folder
    if looks:
        os.environ["PORTRAITGEN_LOOKS"] = bpy.path.abspath(looks)
    os.environ["PORTRAITGEN_WORKER_LOG"] = str(worker_log())
    # Without the folder where Blender was started among its modules: a shot may lie there.
    session.start([str(python), "-P", "-m", "portraitgen.worker"])
    if not bpy.app.timers.is_registered(_timer):
        bpy.app.timers.register(_timer, first_interval=_BUSY, persistent=True)


def ask(doing: str, call: Call[A], on_result: OnResult[A]) -> None:
    """Sends a request whose answer changes the scene; a refusal is shown in the panels.

    Args:
        doing: what the user waits for, shown meanwhile.

    Raises:
        WorkerError: if the backend cannot be started.
    """
    start()
    session.doing, session.asked = doing, call
    session.error, session.tried = None, ()
    session.told = session.told_of_splats = ()

    def answered(answer: A) -> None:
        session.doing, session.asked = "", None
        session.later(lambda: on_result(answer))

    def on_error(error: PortraitError) -> None:
        session.doing, session.asked, session.error = "", None, error
        redraw()

    session.ask(call, answered, on_error)
    redraw()
    if waits:
        _tick_until(lambda: not session.doing and not session.waiting_work)
        if session.error is not None:
            raise session.error


def run(job: Job) -> None:
    """Starts a job.

    Raises:
        WorkerError: if the backend cannot be started or another job runs.
    """
    start()
    session.error = None
    session.run(job)


def wait_for(job: Job) -> None:
    """Without a window: waits until a job has ended and its results are in the scene.

    Raises:
        PortraitError: if it fails, or is cancelled.
    """
    if not waits:
        return
    _tick_until(lambda: not job.active and not session.doing and not session.waiting_work)
    if job.error is not None:
        raise job.error
    if job.state == "cancelled":
        raise PortraitError(f"{job_label(job.kind)} was cancelled", remedy="run it again to go on")


def run_queue() -> None:
    """Runs the list of jobs; without a window it waits until nothing is left to run.

    Raises:
        PortraitError: if another process runs it, or the backend cannot be started.
    """
    start()
    queue_runner.start()
    if waits:
        _tick_until(lambda: not queue_runner.runs())
        if (error := queue_runner.error()) is not None:
            raise error


def _tick_until(met: Callable[[], bool]) -> None:
    """Does what the timer does in a window. What is waited for ends: a worker that is silent or
    dies is told as an error."""
    while not met():
        session.tick()
        time.sleep(_TICK)


_stale = False


def redraw() -> None:
    """Has the timer let every area that shows something of ours draw itself again.

    The one way in which anything of ours asks for it, from wherever; many changes between two
    looks of the timer cost one drawing.
    """
    global _stale
    _stale = True


def _tag_areas() -> None:
    manager = bpy.context.window_manager
    for window in manager.windows if manager else ():
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                # What changes in the view itself Blender draws by itself; a scene may take long.
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()
            elif area.type in _AREAS:
                area.tag_redraw()
    # The status bar is no area of a screen's. It draws itself when it hears of this.
    bpy.msgbus.publish_rna(key=(bpy.types.ViewLayer, "name"))


def undo_step(name: str) -> None:
    """Makes what was just done one step of the undo history."""
    manager = bpy.context.window_manager
    if manager and manager.windows:
        with bpy.context.temp_override(window=manager.windows[0]):
            bpy.ops.ed.undo_push(message=name)


# Results


def _on_frame(job: Job, frame: int) -> None:
    """Shows a finished frame above the plate."""
    shot = properties.find_shot(job.shot_id, job.scene)
    if job.kind != "render" or shot is None:
        return  # The file has lost the shot; its frames lie in the folder.
    show_frame(shot, shot.id_data, _strip_of(job), frame, Path(job.frames[frame]))


def _strip_of(job: Job) -> str:
    """The take that a job's strip is known by: the avatar alone has one of its own."""
    alone = job.options.get("camera") or job.options.get("drive")
    return f"{job.take} alone" if alone else job.take


def show_frame(shot: Any, scene: Any, take: str, frame: int, path: Path) -> None:
    """Shows a rendered frame of a take in its strip above the shot's plate.

    Raises:
        PortraitError: if there is no channel for the strip.
    """
    sequencer.grow(
        scene,
        shot.shot_id,
        take,
        f"{shot.name} {take or 'reconstruction'}",
        path,
        frame + shot.offset,
        above=shot.channel,
        colour_space=shot.colour_space,
        settings=_settings(shot, take, path),
        version=version_of(path),
        plate=strip_sync.plate_of(shot),
    )


def _settings(shot: Any, take: str, path: Path) -> str:
    """What a rendered frame of a take was edited with, as its folder says."""
    known = shot_summary.summary_of(shot.path).takes.get(take)
    return edit_settings(shot.path, take, path.parent.parent, known.edit if known else None)


@lru_cache(maxsize=64)
def edit_settings(folder: Path, take: str, render: Path, edit: int | None) -> str:
    """The settings of the edit that a render shows, as JSON.

    Args:
        folder: the shot's.
        render: the folder of the render.
        edit: the take's current one, for renders that do not say theirs.
    """
    with suppress(PortraitError):
        edit = RenderRecord.read(render / "render.json").edit
    if edit is None:
        return "{}"
    try:
        opened = Shot.open(folder)
        current = opened.take(take)
        # The take knows more of its edit than edits of old shots do.
        shown = current if edit == current.edit else opened.edit_record(take, edit)
        return json.dumps(dict(shown.settings))
    except PortraitError:
        return "{}"  # The edit is damaged, or was deleted; its frames show all the same.


def show_render(shot: Any, scene: Any, take: str, render: Render) -> str:
    """Lets the strip of a take show a version of its render.

    Returns:
        What is to be said of it, empty for nothing.

    Raises:
        PortraitError: if it holds no full plates, which strips show.
    """
    plates = render.full_plates()
    if not plates:
        raise PortraitError(
            f"render {render.name} holds no full plates", render.folder, "render it with plates"
        )
    for frame, path in plates.items():
        show_frame(shot, scene, take, frame, path)
    shown: set[int] = set()
    for strip in sequencer.take_strips(scene, shot.shot_id, take):
        first = sequencer.first_frame(strip, shot.offset)
        shown |= {first + at for at in sequencer.shows_others(strip)}
    if not shown:
        return ""
    return f"{render.name} has no frames {runs_of(shown)}; they show what they showed before"


def _on_done(job: Job, result: Mapping[str, object]) -> None:
    shot_summary.forget_summaries()
    if job.kind == "look":
        session.on_look()
    if job.kind == "apply":
        for scene in bpy.data.scenes:
            for each in scene.portraitgen.shots:
                take_settings.adopt_takes(each)
    shot = properties.find_shot(job.shot_id, job.scene)
    if shot is None:
        return
    if job.kind in ("track", "refine") or (job.kind == "reconstruct" and shot.has_rig):
        fetch_rig(shot.shot_id, None, job.scene)
    elif job.kind == "act" and shot.has_rig and _brings_keys(job):
        parts = rig.Rig(shot.camera, shot.armature, shot.mesh)
        bundle = rig.RigData.load(shot.path / "rigs" / f"{shot.track_version:04d}.safetensors")
        path = shot.path / "takes" / job.take / acting_layer.FILE
        acting_layer.show_acting(parts, bundle, shot.name, job.take, shot.offset, path)
        undo_step("Act")
    elif job.kind == "act" and shot.has_rig:
        path = shot.path / "takes" / job.take / acting_layer.FILE
        acting_layer.note_sent(shot.armature, job.take, path)
    elif job.kind == "render":
        for frame in sorted(job.frames):
            if not _shown(job, frame, shot):
                _on_frame(job, frame)
        undo_step("Render to Strip")
    elif job.kind == "qc" and not bpy.app.background:
        bpy.ops.wm.url_open(url=Path(str(result["sheet"])).as_uri())


def _brings_keys(job: Job) -> bool:
    """Whether acting came from elsewhere; what was sent alone is keyed on the rig as it is."""
    return job.options.get("settings", "{}") != "{}" or bool(job.options.get("from_file"))


def _shown(job: Job, frame: int, shot: Any) -> bool:
    for strip in sequencer.take_strips(shot.id_data, job.shot_id, _strip_of(job)):
        if 0 <= frame - sequencer.first_frame(strip, shot.offset) < len(strip.elements):
            return True
    return False


def fetch_rig(shot_id: str, version: int | None, scene: int = 0) -> None:
    """Asks for a track's rig and shows it when it comes.

    Args:
        scene: as `find_shot` takes it.

    Raises:
        WorkerError: if the backend cannot be started.
    """
    shot = properties.find_shot(shot_id, scene)
    if shot is None:
        return
    call, home = ExportRig(str(shot.path), version), shot.id_data.session_uid
    ask("Building the rig", call, lambda answer: _show_rig(shot_id, home, answer))


def _show_rig(shot_id: str, scene: int, answer: RigExported) -> None:
    shot = properties.find_shot(shot_id, scene)
    if shot is None:
        return
    bundle = rig.RigData.load(Path(answer.path))
    if shot.has_rig:
        parts = rig.Rig(shot.camera, shot.armature, shot.mesh)
        rig.show_track(parts, shot.name, bundle, shot.offset)
    else:
        _build_rig(shot, bundle)
    parts = rig.Rig(shot.camera, shot.armature, shot.mesh)
    part_quality.show(parts, shot.name, bundle, shot.offset, shot.hide_unseen)
    camera.set_intrinsics(shot.camera, bundle.camera)
    shot.track_version = bundle.version
    pivots = shot_summary.summary_of(shot.path).avatar
    quality = shot_summary.quality(shot.path, bundle.version)
    frame_marks.fill(shot, quality, pivots.pivots if pivots else ())
    shot_summary.forget_summaries()
    undo_step("Show Track")


def _build_rig(shot: Any, bundle: rig.RigData) -> None:
    footage = Shot.open(shot.path).record.footage
    scene = _rig_scene(shot, bundle, footage.fps)
    collection = bpy.data.collections.new(f"{shot.name} rig")
    scene.collection.children.link(collection)
    plate_camera = camera.make(f"{shot.name} camera")
    collection.objects.link(plate_camera)
    camera.set_intrinsics(plate_camera, bundle.camera)
    if scene.camera is None:
        scene.camera = plate_camera
    built = rig.build(shot.name, bundle, plate_camera, collection, shot.offset)
    rig.tint(built.mesh, preferences.get().overlay_colour)
    camera.show_plate(
        plate_camera,
        plate_file(shot.path, footage),
        footage,
        shot.colour_space,
        shot.offset,
    )
    shot.camera, shot.armature, shot.mesh = built.camera, built.armature, built.mesh


def plate_file(folder: Path, footage: FootageRecord) -> Path:
    """The plate's file as Blender opens it."""
    return Path(os.path.normpath(folder / footage.path))


def _rig_scene(shot: Any, bundle: rig.RigData, fps: Fraction) -> Any:
    """The scene of the edit where its frame has the plate's shape, else one of the rig's own."""
    home, lens = properties.home_scene(shot), bundle.camera
    if home is not None and camera.shows_plate_exactly(
        home, lens.width, lens.height, lens.fy / lens.fx
    ):
        return home
    scene = bpy.data.scenes.new(f"{shot.name} rig")
    camera.fit_scene(scene, bundle.camera, (fps.numerator, fps.denominator))
    scene.frame_start = shot.first + shot.offset
    scene.frame_end = shot.last + shot.offset
    scene.frame_set(scene.frame_start)
    scene.view_settings.view_transform = "Standard"
    return scene


# Wiring


def _may_touch_scene() -> bool:
    return not bpy.app.is_job_running("RENDER") and not edit_watch.dragging()


def tick() -> None:
    """What the timer does: the backend's messages, the edit and the folders, what is drawn."""
    global _stale
    session.tick()
    if _may_touch_scene() and edit_watch.look():
        _stale = True
    if _stale:
        _stale = False
        # What was just written is drawn as it is now.
        file_marks.look()
        shot_summary.read_again()
        _tag_areas()


def _timer() -> float:
    tick()
    return _BUSY if session.busy or session.doing or session.state == "starting" else _IDLE


def register() -> None:
    """Connects the session."""
    session.on_change = redraw
    session.on_description = properties.accept_description
    session.on_frame = _on_frame
    session.on_done = _on_done
    session.on_tick = lambda: queue_runner.step(run)
    session.may_touch_scene = _may_touch_scene
    edit_watch.register()
    bpy.app.timers.register(_timer, first_interval=_BUSY, persistent=True)


def unregister() -> None:
    """Ends the backend."""
    if bpy.app.timers.is_registered(_timer):
        bpy.app.timers.unregister(_timer)
    edit_watch.unregister()
    session.on_change = session.on_tick = lambda: None
    queue_runner.end()
    session.end()
