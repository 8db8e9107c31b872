# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The weights of editors: which are here, and fetching one when the user asks for it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from portraitgen.messages.setup import ListModels, ModelList, ModelRow

from ..portraitgen_addon import preferences, scene_updates
from ..portraitgen_addon.background_process import BackgroundProcess
from . import base


class Models:
    """What the preferences show of the models.

    Attributes:
        rows: as the backend lists them.
        folder: where they are kept.
        fetching: the download that runs or ran last.
    """

    rows: Sequence[ModelRow] = ()
    folder = ""
    fetching: "Fetching | None" = None


class Fetching(BackgroundProcess):
    """The download of one model by the backend's own command, which resumes and verifies it."""

    def __init__(self, python: Path, name: str, log_file: Path, folder: str) -> None:
        super().__init__(log_file)
        self.name = name
        self.step = f"Fetching {name}"
        self._command = [str(python), "-P", "-m", "portraitgen", "models", "fetch", name]
        self._extra = {"PORTRAITGEN_MODELS": folder} if folder else {}

    def work(self) -> None:
        """Fetches it."""
        self.call(self._command, self._extra)


class PORTRAITGEN_OT_list_models(bpy.types.Operator):
    """List the models that editors use: what is here, sizes and licences"""

    bl_idname = "portraitgen.list_models"
    bl_label = "List Models"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs an interpreter."""
        return base.allowed(cls, base.no_backend(context))

    def execute(self, context: Any) -> set[str]:
        """Asks the backend."""

        def on_result(answer: ModelList) -> None:
            Models.rows, Models.folder = answer.rows, answer.folder
            scene_updates.redraw()

        return base.attempt(
            self, lambda: scene_updates.ask("Listing the models", ListModels(), on_result)
        )


class PORTRAITGEN_OT_fetch_model(bpy.types.Operator):
    """Download this model into the models folder"""

    bl_idname = "portraitgen.fetch_model"
    bl_label = "Fetch Model"
    bl_options = {"REGISTER"}

    name: StringProperty(options={"HIDDEN"})

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs the user's leave to go online, and one download at a time."""
        fetching = Models.fetching
        running = fetching is not None and fetching.state == "running"
        return base.allowed(
            cls,
            base.no_backend(context),
            "A model is being fetched" if running else "",
            base.offline(),
        )

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Says size and licence, and asks."""
        return context.window_manager.invoke_props_dialog(self, width=420, confirm_text="Download")

    def draw(self, context: Any) -> None:
        """What the dialog says."""
        row = next((each for each in Models.rows if each.name == self.name), None)
        column = self.layout.column(align=True)
        if row is None:
            return
        column.label(text=f"{row.label}: about {row.approximate_gb or 0:g} GB from huggingface.co")
        use = "commercial use allowed" if row.commercial else "no commercial use"
        column.label(text=f"Licence: {row.licence} ({use})")
        column.label(text=f"Into {Models.folder}")
        column.label(text="Downloading it means that you accept its licence.")

    def execute(self, context: Any) -> set[str]:
        """Starts it in the background."""
        return base.attempt(self, self._start)

    def _start(self) -> None:
        python = preferences.interpreter()
        assert python
        folder = preferences.get().models_folder
        log_file = preferences.environment_folder().with_name("models.log")
        Models.fetching = Fetching(
            python, self.name, log_file, os.path.abspath(bpy.path.abspath(folder)) if folder else ""
        )
        Models.fetching.start()
        base.watch(Models.fetching)


class PORTRAITGEN_OT_cancel_fetch(bpy.types.Operator):
    """Stop the download; what has come is kept for the next try"""

    bl_idname = "portraitgen.cancel_fetch"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}

    def execute(self, context: Any) -> set[str]:
        """Cancels."""
        if Models.fetching is not None:
            Models.fetching.cancel()
        return {"FINISHED"}


def stop() -> None:
    """Stops a download that still runs, when the extension goes."""
    if Models.fetching is not None:
        Models.fetching.cancel()


CLASSES = (PORTRAITGEN_OT_list_models, PORTRAITGEN_OT_fetch_model, PORTRAITGEN_OT_cancel_fetch)
