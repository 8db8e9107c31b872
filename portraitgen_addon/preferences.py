# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the backend lives and what it may use."""

import os
from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, FloatProperty, FloatVectorProperty, StringProperty

PACKAGE = __package__.rpartition(".")[0]


class PORTRAITGEN_AP_preferences(bpy.types.AddonPreferences):
    """The extension's preferences; drawn by ui/preferences.py."""

    bl_idname = PACKAGE

    source: EnumProperty(
        name="Backend",
        description="Which Python runs the backend",
        items=[
            ("CREATED", "Own Environment", "A Python of the extension's own, made on request"),
            ("EXISTING", "Existing Python", "An interpreter that has portraitgen installed"),
        ],
        default="CREATED",
    )
    interpreter: StringProperty(
        name="Python",
        description="The interpreter of an environment with portraitgen installed",
        subtype="FILE_PATH",
    )
    environment_folder: StringProperty(
        name="Environment Folder",
        description="Where the extension's own environment goes; empty for the extension's folder",
        subtype="DIR_PATH",
    )
    body_model: StringProperty(
        name="Body Model",
        description="An SMPL-X model file of yours for new shots; empty for the open body",
        subtype="FILE_PATH",
    )
    models_folder: StringProperty(
        name="Models Folder",
        description="Where the weights of editors lie",
        subtype="DIR_PATH",
    )
    overlay_colour: FloatVectorProperty(
        name="Overlay",
        description="Colour and opacity of the body over the plate",
        subtype="COLOR",
        size=4,
        min=0.0,
        max=1.0,
        default=(0.1, 0.8, 1.0, 0.22),
    )
    wire_opacity: FloatProperty(
        name="Wire Opacity",
        description="How clearly the body's wires show over the plate",
        subtype="FACTOR",
        min=0.0,
        max=1.0,
        default=0.4,
    )

    def draw(self, context: Any) -> None:
        """Drawn beside the other panels."""
        from ..ui import preferences

        preferences.draw(self.layout, self)


def get() -> Any:
    """The extension's preferences."""
    return bpy.context.preferences.addons[PACKAGE].preferences


def environment_folder() -> Path:
    """Where the extension's own environment lies or will lie."""
    chosen = get().environment_folder
    if chosen:
        return Path(bpy.path.abspath(chosen)) / "portraitgen-environment"
    return Path(bpy.utils.extension_path_user(PACKAGE, create=True)) / "environment"


def interpreter() -> Path | None:
    """The Python that runs the backend, None if none is set up."""
    settings = get()
    if settings.source == "EXISTING":
        path = Path(bpy.path.abspath(settings.interpreter)) if settings.interpreter else None
    else:
        path = python_in(environment_folder())
    return path if path is not None and path.exists() else None


def python_in(folder: Path) -> Path:
    """The Python of a virtual environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def register() -> None:
    """Adds the preferences."""
    bpy.utils.register_class(PORTRAITGEN_AP_preferences)


def unregister() -> None:
    """Takes them out."""
    bpy.utils.unregister_class(PORTRAITGEN_AP_preferences)
