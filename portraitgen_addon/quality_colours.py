# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body coloured by the quality of its parts, in viewports and frame by frame."""

from typing import Any

import bpy

from portraitgen.errors import PortraitError

from . import part_quality, pins

_ALPHA = 0.55


def switch(shot: Any, context: Any) -> None:
    """Turns the viewports that show a shot's scene to its colours, or back."""
    if not shot.has_rig:
        return
    scenes = set(shot.mesh.users_scene)
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type != "VIEW_3D" or window.scene not in scenes:
                continue
            shading = area.spaces.active.shading
            shading.color_type = "VERTEX" if shot.show_quality else "MATERIAL"
            # Colours of vertices are opaque; the plate must show through them.
            shading.show_xray, shading.xray_alpha = shot.show_quality, _ALPHA
    paint(shot, context.scene.frame_current)


def paint(shot: Any, frame: int) -> None:
    """Colours the body as it is tracked in a frame of the scene, if that is wanted."""
    if not shot.show_quality or not shot.has_rig:
        return
    try:
        bundle = pins.bundle_of(shot)
    except PortraitError:
        return  # The panel says what is wrong with the shot.
    part_quality.paint(shot.mesh, bundle, frame - shot.offset)


@bpy.app.handlers.persistent
def _on_frame(scene: Any, *unused: Any) -> None:
    for each in bpy.data.scenes:
        for shot in each.portraitgen.shots:
            if shot.show_quality and shot.mesh and scene in shot.mesh.users_scene:
                paint(shot, scene.frame_current)


def register() -> None:
    """Colours follow the frame."""
    bpy.app.handlers.frame_change_post.append(_on_frame)


def unregister() -> None:
    """They do no longer."""
    bpy.app.handlers.frame_change_post.remove(_on_frame)
