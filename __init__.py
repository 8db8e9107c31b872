# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PortraitGen for Blender: edit the performer of a portrait shot as one 3D avatar."""


def register() -> None:
    """Adds PortraitGen to Blender."""
    from . import operators, ui
    from .portraitgen_addon import (
        file_paths,
        frame_watch,
        look_library,
        picture_view,
        preferences,
        properties,
        quality_colours,
        scene_updates,
        splats,
    )

    preferences.register()
    properties.register()
    file_paths.register()
    picture_view.register()
    quality_colours.register()
    operators.register()
    ui.register()
    scene_updates.register()
    splats.register()
    frame_watch.register()
    look_library.register()


def unregister() -> None:
    """Takes it out again and ends the backend."""
    from . import operators, ui
    from .portraitgen_addon import (
        farm,
        file_paths,
        frame_watch,
        look_library,
        picture_view,
        preferences,
        properties,
        quality_colours,
        scene_updates,
        splats,
    )

    farm.end()
    look_library.unregister()
    frame_watch.unregister()
    splats.unregister()
    scene_updates.unregister()
    ui.unregister()
    operators.unregister()
    quality_colours.unregister()
    picture_view.unregister()
    file_paths.unregister()
    properties.unregister()
    preferences.unregister()
