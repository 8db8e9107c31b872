# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the backend lives and what it may use."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, FloatProperty, FloatVectorProperty, StringProperty

from portraitgen.requirements.sources import Source

from . import file_marks
from .environment import python_in

PACKAGE = __package__.rpartition(".")[0]
_drawing: Callable[[Any, Any], None] | None = None


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
    packages_from: EnumProperty(
        name="Packages From",
        description="Where Create Environment takes the backend's packages from",
        items=[
            ("INDEX", "Package Index", "Download them, from pypi.org unless told otherwise"),
            ("FOLDER", "Wheel Folder", "Take them from an offline bundle, without a network"),
        ],
        default="INDEX",
    )
    wheel_folder: StringProperty(
        name="Wheel Folder",
        description="A folder that Make Offline Bundle has made, here or on another machine",
        subtype="DIR_PATH",
    )
    index_url: StringProperty(
        name="Package Index",
        description="A mirror in the place of https://pypi.org/simple; empty for that. A name and "
        "password in it are kept in Blender's preferences as they are: a netrc file is safer",
    )
    pytorch_index_url: StringProperty(
        name="PyTorch Index",
        description="A mirror in the place of https://download.pytorch.org/whl; empty for that",
    )
    proxy: StringProperty(
        name="Proxy",
        description="The proxy for downloads, http://HOST:PORT; empty for the system's settings",
    )
    ca_file: StringProperty(
        name="CA File",
        description="A PEM file of all certificate authorities to trust, where a studio has its "
        "own; empty for the system's",
        subtype="FILE_PATH",
    )
    body_model: StringProperty(
        name="Body Model",
        description="An SMPL-X model file of yours for new shots; empty for the open body",
        subtype="FILE_PATH",
    )
    author: StringProperty(
        name="Author",
        description="Your name, for the record that pictures carry of who pinned, painted, kept, "
        "retouched or acted what you send from now on; empty: it says by hand, and names nobody",
    )
    models_folder: StringProperty(
        name="Models Folder",
        description="Where the weights of editors lie",
        subtype="DIR_PATH",
    )
    looks_folder: StringProperty(
        name="Looks Folder",
        description="Your library of looks; empty for the user's data folder",
        subtype="DIR_PATH",
    )
    flamenco_manager: StringProperty(
        name="Flamenco Manager",
        description="Where Flamenco's Manager answers, as http://farm:8080; empty for none",
    )
    farm_command: StringProperty(
        name="Farm Command",
        description="The command as the farm's workers call it",
        default="portraitgen",
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
        """Drawn by what draw_with was given."""
        if _drawing is not None:
            _drawing(self.layout, self)


def get() -> Any:
    """The extension's preferences."""
    return bpy.context.preferences.addons[PACKAGE].preferences


@cache
def user_folder() -> Path:
    """Where the extension keeps what is this user's; made when it is first asked for."""
    return Path(bpy.utils.extension_path_user(PACKAGE, create=True))


def environment_folder() -> Path:
    """Where the extension's own environment lies or will lie."""
    chosen = get().environment_folder
    if chosen:
        return Path(bpy.path.abspath(chosen)) / "portraitgen-environment"
    return user_folder() / "environment"


def interpreter() -> Path | None:
    """The Python that runs the backend, None if none is set up."""
    settings = get()
    if settings.source == "EXISTING":
        path = Path(bpy.path.abspath(settings.interpreter)) if settings.interpreter else None
    else:
        path = python_in(environment_folder())
    return path if path is not None and file_marks.mark(path) is not None else None


def source() -> Source:
    """Where packages are looked for, as the preferences say."""
    settings = get()
    if settings.packages_from == "FOLDER":
        # A folder that was not chosen is none, and is told so; the index is not asked instead.
        return Source(folder=_path(settings.wheel_folder) or "Wheel Folder")
    return Source(
        settings.index_url.strip(),
        settings.pytorch_index_url.strip(),
        settings.proxy.strip(),
        _path(settings.ca_file),
    )


def _path(chosen: str) -> str:
    return str(Path(bpy.path.abspath(chosen))) if chosen else ""


def draw_with(drawing: Callable[[Any, Any], None] | None) -> None:
    """Names what draws the preferences, given the layout and the preferences."""
    global _drawing
    _drawing = drawing


def register() -> None:
    """Adds the preferences."""
    bpy.utils.register_class(PORTRAITGEN_AP_preferences)


def unregister() -> None:
    """Takes them out."""
    bpy.utils.unregister_class(PORTRAITGEN_AP_preferences)
