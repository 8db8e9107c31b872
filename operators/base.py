# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators share: the shot they work on, and how they say why they cannot."""

import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from portraitgen.errors import PortraitError
from portraitgen.failures import ProgramFault, readable
from portraitgen.schema import Value, Values

from ..portraitgen_addon import (
    backend_properties,
    preferences,
    properties,
    scene_updates,
    shot_summary,
)
from ..portraitgen_addon.background_process import BackgroundProcess
from ..portraitgen_addon.job_labels import job_label
from ..portraitgen_addon.session import Job, session

_COLUMNS = 88
Reason = Callable[[Any], str]


def allowed(operator: Any, *reasons: str) -> bool:
    """Whether none of the reasons holds; the first that does is what the greyed button says."""
    for reason in reasons:
        if reason:
            operator.poll_message_set(reason)
            return False
    return True


def job_allowed(operator: Any, context: Any, *reasons: Reason | str) -> bool:
    """As `allowed`, for what has the backend work on the shot: there must be a shot and none of the
    reasons, and the backend must be free."""
    asked = (no_shot, *reasons, no_backend, busy)
    return allowed(operator, *(each if isinstance(each, str) else each(context) for each in asked))


def no_shot(context: Any) -> str:
    """Why there is no shot to work on."""
    shot = properties.active_shot(context)
    if shot is None:
        return "Make a shot from a strip, or open one, first"
    if shot.id_data.library is not None:
        return "The shot's scene is linked from another file: open that file to work on it"
    error = shot_summary.summary_of(shot.path).error
    return f"The shot's folder cannot be read: {error}" if error else ""


def no_backend(context: Any) -> str:
    """Why the backend cannot be asked."""
    return scene_updates.ready()


def busy(context: Any) -> str:
    """Why no job can be started now."""
    if session.busy and session.job:
        return f"{job_label(session.job.kind)} is running; wait for its end or cancel it"
    return ""


def no_track(context: Any) -> str:
    """Why there is nothing tracked."""
    shot = properties.active_shot(context)
    return "" if shot and shot_summary.summary_of(shot.path).tracks else "Track the shot first"


def not_described(owner: Any, slot: str) -> str:
    """Why there are no settings of the backend's to write to."""
    return "" if hasattr(owner, slot) else "Start the backend once, for example with Check Setup"


def no_avatar(context: Any) -> str:
    """Why there is no avatar."""
    shot = properties.active_shot(context)
    return (
        ""
        if shot and shot_summary.summary_of(shot.path).avatars
        else "Reconstruct the avatar first"
    )


def no_rig(context: Any) -> str:
    """Why there is no rig."""
    shot = properties.active_shot(context)
    return "" if shot and shot.has_rig else "Track the shot first; its rig appears then"


def no_take(context: Any) -> str:
    """Why there is no take."""
    shot = properties.active_shot(context)
    return "" if shot and shot.take else "Add a take first"


def not_edited(context: Any) -> str:
    """Why the take cannot be rendered."""
    shot = properties.active_shot(context)
    if not shot or not shot.take:
        return "Add a take first"
    known = shot_summary.summary_of(shot.path).takes.get(shot.take.folder_name)
    return "" if known and known.edit else "Run the take's edit first"


def not_rendered(context: Any) -> str:
    """Why there are no frames to show or to pass on."""
    shot = properties.active_shot(context)
    if not shot or not shot.take:
        return "Add a take first"
    known = shot_summary.renders(shot.path, shot.take.folder_name)
    return "" if known else "Render the take first"


def offline() -> str:
    """Why nothing may be downloaded."""
    if bpy.app.online_access:
        return ""
    return "Blender is offline: turn on Preferences > System > Network > Allow Online Access"


def reported(text: str, in_window: bool) -> str:
    """A sentence as a report shows it: a window shows each of its lines as one, however long."""
    return " \n".join(textwrap.wrap(text, _COLUMNS)) if in_window else text


def attempt(operator: Any, work: Callable[[], None], level: str = "ERROR") -> set[str]:
    """Runs an operator's work and reports a failure in its own sentence.

    Args:
        level: of the report. An error opens a popup, which takes the next press of the mouse.
    """
    try:
        work()
        # What it has changed in a folder, before a panel that is drawn has to wait for the disk.
        shot_summary.read_again()
    except Exception as error:  # noqa: BLE001 - whatever fails is told in one sentence.
        failure = readable(error)
        if isinstance(failure, ProgramFault):
            traceback.print_exc()
        popup = level == "ERROR" and not bpy.app.background
        operator.report({level}, reported(str(failure), popup))
        return {"CANCELLED"}
    return {"FINISHED"}


def file_to_write(text: str) -> Path:
    """The file that an artist has named.

    Raises:
        PortraitError: if it is a folder alone, as where the name was left empty.
    """
    path = Path(bpy.path.abspath(text))
    if not text or text.endswith(("/", "\\")) or path.is_dir():
        raise PortraitError("no file name is given", path if text else "", "type one")
    return path


def run_job(context: Any, kind: str, options: Values, take: str = "", record: str = "") -> None:
    """Starts a job on the active shot; its results go to the scene of the shot's plate.

    Without a window, in a script, it also waits for the job's end.

    Args:
        record: the unfinished job that it goes on with, by its name; empty for a new one.

    Raises:
        PortraitError: if it cannot be started; without a window also if it fails.
    """
    shot = properties.active_shot(context)
    author, scene = preferences.get().author, shot.id_data.session_uid
    job = Job(kind, shot.shot_id, shot.path, scene, take, options, record, author)
    scene_updates.run(job)
    scene_updates.wait_for(job)


def strip_options(shot: Any) -> dict[str, Value]:
    """What the render job is asked for a strip of the active take, with the shot's settings."""
    name = shot.take.folder_name
    options: dict[str, Value] = {"take": name, "frames": "", "plate": True, "movie": False}
    settings = getattr(shot, backend_properties.slot_of_job("render"), None)
    if settings is not None:
        options |= backend_properties.values(settings, backend_properties.job_options("render"))
    options["mix"] = shot.mix_keys(shot.take)
    return options


def watch(program: BackgroundProcess) -> None:
    """Keeps the preferences drawn while a program runs beside Blender."""

    def look() -> float | None:
        scene_updates.redraw()
        return 0.2 if program.state == "running" else None

    bpy.app.timers.register(look, first_interval=0.2, persistent=True)
