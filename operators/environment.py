# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Setting the backend up, checking it, and giving its memory back."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from portraitgen import requirements
from portraitgen.errors import PortraitError
from portraitgen.messages.setup import (
    Check,
    Checked,
    CheckRow,
    RunSelfTest,
    SelfTested,
    SelfTestRow,
)

from ..portraitgen_addon import environment, preferences, scene_updates
from ..portraitgen_addon.background_process import BackgroundProcess
from ..portraitgen_addon.session import session
from . import base


class Setup:
    """What the preferences show of the set-up.

    Attributes:
        creation: the creation that runs or ran last.
        bundling: the making of an offline bundle that runs or ran last.
        outdated: why the environment should be made again; None if that was not looked at yet.
        rows: what Check Setup found.
        tested: what the self-test found; report: the path of its report.
        checked: whether it has looked yet.
    """

    creation: environment.Creation | None = None
    bundling: environment.Bundling | None = None
    outdated: str | None = None
    rows: Sequence[CheckRow] = ()
    tested: Sequence[SelfTestRow] = ()
    report: str = ""
    checked = False


def running(process: BackgroundProcess | None) -> bool:
    """Whether a program beside Blender is at work."""
    return process is not None and process.state == "running"


def not_offered() -> str:
    """Why no environment can be made on this system."""
    try:
        requirements.system()
    except PortraitError as error:
        return str(error)
    return ""


def outdated() -> str:
    """Why the environment should be made again; looked at once, and after each creation."""
    if Setup.outdated is None:
        Setup.outdated = environment.outdated(preferences.environment_folder())
    return Setup.outdated


class PORTRAITGEN_OT_create_environment(bpy.types.Operator):
    """Download the backend's packages into an environment of its own, outside Blender's Python"""

    bl_idname = "portraitgen.create_environment"
    bl_label = "Create Environment"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs the user's leave to go online, unless the packages lie in a folder."""
        return base.allowed(
            cls,
            "The environment is being created" if running(Setup.creation) else "",
            not_offered(),
            "" if preferences.source().folder else base.offline(),
        )

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Says what will be downloaded and asks."""
        return context.window_manager.invoke_props_dialog(self, width=480, confirm_text="Create")

    def draw(self, context: Any) -> None:
        """What the dialog says."""
        column = self.layout.column(align=True)
        for line in environment.Plan.here().sentences(preferences.source()):
            column.label(text=line)
        column.label(text=f"Into {preferences.environment_folder()}")

    def execute(self, context: Any) -> set[str]:
        """Starts it in the background."""
        return base.attempt(self, self._start)

    def _start(self) -> None:
        session.end()
        Setup.outdated = None
        Setup.creation = environment.Creation(
            preferences.environment_folder(),
            environment.own_wheel(),
            preferences.source(),
            environment.Plan.here(),
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


def _systems(owner: Any, context: Any) -> list[tuple[str, str, str]]:
    return _SYSTEMS


# Blender keeps no copy of what a callback gives it.
_SYSTEMS = [
    (each.name, each.label, f"For machines with {each.label}")
    for each in requirements.SYSTEMS.values()
]


class PORTRAITGEN_OT_make_offline_bundle(bpy.types.Operator):
    """Download the packages of a system into a folder, for machines without a network"""

    bl_idname = "portraitgen.make_offline_bundle"
    bl_label = "Make Offline Bundle"
    bl_options = {"REGISTER"}

    system: EnumProperty(
        name="System", description="The system of the other machine", items=_systems
    )
    python: EnumProperty(
        name="Python",
        description="The Python of the other machine; Blender 4.5 and 5.0 bring 3.11",
        items=[(each, each, f"For Python {each}") for each in requirements.PYTHONS],
        default="3.11",
    )
    cuda: BoolProperty(
        name="NVIDIA Card", description="The other machine has an NVIDIA card", default=False
    )
    directory: StringProperty(
        name="In",
        description="The folder in which the bundle's own is made",
        subtype="DIR_PATH",
        default="//",
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs the user's leave to go online."""
        return base.allowed(
            cls,
            "A bundle is being made" if running(Setup.bundling) else "",
            base.offline(),
        )

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks for which machine."""
        here = next((each.name for each in requirements.SYSTEMS.values() if _is_here(each)), "")
        if here:
            self.system = here
        if not bpy.data.filepath:
            self.directory = str(Path.home())
        return context.window_manager.invoke_props_dialog(self, width=480, confirm_text="Download")

    def draw(self, context: Any) -> None:
        """What the dialog says."""
        layout = self.layout
        layout.use_property_split = True
        for name in ("system", "python", "cuda", "directory"):
            layout.prop(self, name)
        try:
            megabytes = requirements.download_mb(requirements.named(self.system), self.cuda)
            layout.label(text=f"About {megabytes} MB are downloaded")
        except PortraitError as error:
            layout.label(text=str(error), icon="ERROR")

    def execute(self, context: Any) -> set[str]:
        """Starts it in the background."""
        return base.attempt(self, self._start)

    def _start(self) -> None:
        plan = environment.Plan(requirements.named(self.system), self.cuda)
        card = "cuda" if self.cuda else "cpu"
        name = f"portraitgen-{self.system}-{card}-python{self.python}"
        Setup.bundling = environment.Bundling(
            Path(bpy.path.abspath(self.directory)).absolute() / name,
            plan,
            self.python,
            preferences.source(),
            environment.own_wheel(),
        )
        Setup.bundling.start()
        base.watch(Setup.bundling)


def _is_here(system: requirements.System) -> bool:
    try:
        return requirements.system() == system
    except PortraitError:
        return False


class PORTRAITGEN_OT_cancel_bundle(bpy.types.Operator):
    """Stop making the bundle; what has come is kept for the next try"""

    bl_idname = "portraitgen.cancel_bundle"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}

    def execute(self, context: Any) -> set[str]:
        """Cancels."""
        if Setup.bundling is not None:
            Setup.bundling.cancel()
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

        def on_result(answer: Checked) -> None:
            Setup.rows, Setup.checked = answer.rows, True
            scene_updates.redraw()

        return base.attempt(
            self, lambda: scene_updates.ask("Checking the setup", Check(), on_result)
        )


class PORTRAITGEN_OT_self_test(bpy.types.Operator):
    """Try drawing, training and every installed editor on this machine, in up to three minutes,
    and write a report that can be sent"""

    bl_idname = "portraitgen.self_test"
    bl_label = "Test This Machine"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs an interpreter, and a backend that is idle."""
        return base.allowed(cls, base.no_backend(context), base.busy(context))

    def execute(self, context: Any) -> set[str]:
        """Asks the backend."""

        def on_result(answer: SelfTested) -> None:
            Setup.tested, Setup.report = answer.rows, answer.report
            scene_updates.redraw()

        return base.attempt(
            self, lambda: scene_updates.ask("Testing this machine", RunSelfTest(), on_result)
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
        session.error = None
        return {"FINISHED"}


def stop() -> None:
    """Stops what still runs, when the extension goes."""
    for process in (Setup.creation, Setup.bundling):
        if process is not None:
            process.cancel()


CLASSES = (
    PORTRAITGEN_OT_create_environment,
    PORTRAITGEN_OT_cancel_environment,
    PORTRAITGEN_OT_make_offline_bundle,
    PORTRAITGEN_OT_cancel_bundle,
    PORTRAITGEN_OT_check_setup,
    PORTRAITGEN_OT_self_test,
    PORTRAITGEN_OT_free_memory,
    PORTRAITGEN_OT_dismiss,
)
