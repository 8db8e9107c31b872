# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Setting the backend up, checking it, and giving its memory back."""

from typing import Any

import bpy

from ..portraitgen_addon import environment, preferences, scene_updates
from ..portraitgen_addon.session import session
from . import base


class Setup:
    """What the preferences show of the set-up.

    Attributes:
        creation: the creation that runs or ran last.
        rows: what Check Setup found.
        checked: whether it has looked yet.
    """

    creation: environment.Creation | None = None
    rows: list[dict[str, Any]] = []
    checked = False


class PORTRAITGEN_OT_create_environment(bpy.types.Operator):
    """Download the backend's packages into an environment of its own, outside Blender's Python"""

    bl_idname = "portraitgen.create_environment"
    bl_label = "Create Environment"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs the user's leave to go online."""
        running = Setup.creation is not None and Setup.creation.state == "running"
        return base.allowed(
            cls,
            "The environment is being created" if running else "",
            base.offline(),
        )

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Says what will be downloaded and asks."""
        return context.window_manager.invoke_props_dialog(self, width=420, confirm_text="Download")

    def draw(self, context: Any) -> None:
        """What the dialog says."""
        column = self.layout.column(align=True)
        column.label(
            text=f"About {environment.download_gb():.1f} GB will be downloaded from pypi.org,"
        )
        column.label(text="pytorch.org and github.com (Python 3.12, PyTorch and others), into:")
        column.label(text=str(preferences.environment_folder()))

    def execute(self, context: Any) -> set[str]:
        """Starts it in the background."""
        return base.attempt(self, self._start)

    def _start(self) -> None:
        session.end()
        Setup.creation = environment.Creation(
            preferences.environment_folder(), environment.own_wheel()
        )
        Setup.creation.start()
        base.watch(Setup.creation)


class PORTRAITGEN_OT_cancel_environment(bpy.types.Operator):
    """Stop creating the environment; what was downloaded is kept for the next try"""

    bl_idname = "portraitgen.cancel_environment"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}

    def execute(self, context: Any) -> set[str]:
        """Cancels."""
        if Setup.creation is not None:
            Setup.creation.cancel()
        return {"FINISHED"}


class PORTRAITGEN_OT_check_setup(bpy.types.Operator):
    """Start the backend and say what works, what is missing and what mends it"""

    bl_idname = "portraitgen.check_setup"
    bl_label = "Check Setup"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs an interpreter."""
        return base.allowed(cls, base.no_backend(context))

    def execute(self, context: Any) -> set[str]:
        """Asks the backend."""

        def answered(answer: dict[str, Any]) -> None:
            Setup.rows, Setup.checked = answer["rows"], True
            scene_updates.redraw()

        return base.attempt(
            self, lambda: scene_updates.ask("Checking the setup", "check", {}, answered)
        )


class PORTRAITGEN_OT_free_memory(bpy.types.Operator):
    """End the backend, so that its memory is free for Cycles; it starts again when needed"""

    bl_idname = "portraitgen.free_memory"
    bl_label = "Free GPU Memory"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a backend that runs and is idle."""
        return base.allowed(
            cls, "" if session.pid else "The backend does not run", base.busy(context)
        )

    def execute(self, context: Any) -> set[str]:
        """Ends it."""
        session.end()
        return {"FINISHED"}


class PORTRAITGEN_OT_dismiss(bpy.types.Operator):
    """Hide the message"""

    bl_idname = "portraitgen.dismiss"
    bl_label = "Dismiss"
    bl_options = {"REGISTER"}

    def execute(self, context: Any) -> set[str]:
        """Clears it."""
        session.message = ""
        return {"FINISHED"}


def stop() -> None:
    """Stops a creation that still runs, when the extension goes."""
    if Setup.creation is not None:
        Setup.creation.cancel()


CLASSES = (
    PORTRAITGEN_OT_create_environment,
    PORTRAITGEN_OT_cancel_environment,
    PORTRAITGEN_OT_check_setup,
    PORTRAITGEN_OT_free_memory,
    PORTRAITGEN_OT_dismiss,
)
