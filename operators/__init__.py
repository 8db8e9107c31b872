# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist can do, one file a step of the work."""

import bpy

from . import (
    act,
    camera,
    character,
    clean_up,
    copy_take,
    edit,
    environment,
    farm,
    footage,
    light,
    looks,
    masks,
    models,
    paint,
    performer,
    pins,
    plate,
    presets,
    queue,
    reconstruct,
    render,
    reports,
    rig,
    splats,
    track,
    track_files,
)

_MODULES = (
    footage,
    plate,
    camera,
    performer,
    track,
    track_files,
    rig,
    character,
    pins,
    reconstruct,
    act,
    edit,
    copy_take,
    light,
    looks,
    masks,
    paint,
    presets,
    render,
    queue,
    farm,
    reports,
    clean_up,
    splats,
    environment,
    models,
)


def register() -> None:
    """Adds the operators."""
    for module in _MODULES:
        for each in module.CLASSES:
            bpy.utils.register_class(each)


def unregister() -> None:
    """Takes them out."""
    environment.stop()
    models.stop()
    for module in reversed(_MODULES):
        for each in reversed(module.CLASSES):
            bpy.utils.unregister_class(each)
