# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators share: the shot they work on, and how they say why they cannot."""

from collections.abc import Callable
from typing import Any

import bpy

from portraitgen.errors import PortraitError

from ..portraitgen_addon import bridge, properties, shot
from ..portraitgen_addon.program import Program
from ..portraitgen_addon.session import Job, session

Reason = Callable[[Any], str]


def allowed(operator: Any, *reasons: str) -> bool:
    """Whether none of the reasons holds; the first that does is what the greyed button says."""
    for reason in reasons:
        if reason:
            operator.poll_message_set(reason)
            return False
    return True


def no_shot(context: Any) -> str:
    """Why there is no shot to work on."""
    found = properties.active_shot(context)
    if found is None:
        return "Make a shot from a strip, or open one, first"
    error = shot.view(found.path).error
    return f"The shot's folder cannot be read: {error}" if error else ""


def no_backend(context: Any) -> str:
    """Why the backend cannot be asked."""
    return bridge.ready()


def busy(context: Any) -> str:
    """Why no job can be started now."""
    if session.busy and session.job:
        return f"{session.job.kind.title()} is running; wait for its end or cancel it"
    return ""


def no_track(context: Any) -> str:
    """Why there is nothing tracked."""
    found = properties.active_shot(context)
    return "" if found and shot.view(found.path).tracks else "Track the shot first"


def not_described(owner: Any, slot: str) -> str:
    """Why there are no settings of the backend's to write to."""
    return "" if hasattr(owner, slot) else "Start the backend once, for example with Check Setup"


def no_avatar(context: Any) -> str:
    """Why there is no avatar."""
    found = properties.active_shot(context)
    return "" if found and shot.view(found.path).avatars else "Reconstruct the avatar first"


def no_rig(context: Any) -> str:
    """Why there is no rig."""
    found = properties.active_shot(context)
    return "" if found and found.has_rig else "Track the shot first; its rig appears then"


def no_take(context: Any) -> str:
    """Why there is no take."""
    found = properties.active_shot(context)
    return "" if found and found.take else "Add a take first"


def not_edited(context: Any) -> str:
    """Why the take cannot be rendered."""
    found = properties.active_shot(context)
    if not found or not found.take:
        return "Add a take first"
    known = shot.view(found.path).takes.get(found.take.folder_name, {})
    return "" if known.get("edit") else "Run the take's edit first"


def offline() -> str:
    """Why nothing may be downloaded."""
    if bpy.app.online_access:
        return ""
    return "Blender is offline: turn on Preferences > System > Network > Allow Online Access"


def attempt(operator: Any, work: Callable[[], None]) -> set[str]:
    """Runs an operator's work and reports a failure in its own sentence."""
    try:
        work()
    except PortraitError as error:
        operator.report({"ERROR"}, str(error))
        return {"CANCELLED"}
    return {"FINISHED"}


def run_job(context: Any, kind: str, options: dict[str, Any], take: str = "") -> None:
    """Starts a job on the active shot; its results go to the scene of the shot's plate.

    Raises:
        PortraitError: if it cannot be started.
    """
    found = properties.active_shot(context)
    bridge.run(Job(kind, found.shot_id, found.path, found.scene, take, options))


def watch(program: Program) -> None:
    """Keeps the preferences drawn while a program runs beside Blender."""

    def look() -> float | None:
        bridge.redraw()
        return 0.2 if program.state == "running" else None

    bpy.app.timers.register(look, first_interval=0.2, persistent=True)
