# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a place in one of Blender's editors to a pixel of the plate that it shows."""

import math
from collections.abc import Sequence
from typing import Any

from bpy_extras import view3d_utils

Point = tuple[float, float]


def in_picture(share: Point, size: tuple[int, int]) -> Point | None:
    """A pixel from shares of a picture's sides, counted from its lower left; None outside of it."""
    x, y = share
    if not (0 <= x <= 1 and 0 <= y <= 1):
        return None
    return x * size[0], (1 - y) * size[1]


def of_preview(view: Point, strip: Any, stored: tuple[int, int]) -> Point:
    """Shares of a strip's picture from a place in the sequencer's preview.

    Args:
        view: the place; the preview counts pixels from the middle of the frame.
        stored: width and height of the strip's picture.
    """
    transform = strip.transform
    x, y = view[0] - transform.offset_x, view[1] - transform.offset_y
    turn = -transform.rotation
    x, y = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
    x, y = x / (transform.scale_x or 1), y / (transform.scale_y or 1)
    if strip.use_flip_x:
        x = -x
    if strip.use_flip_y:
        y = -y
    return x / stored[0] + 0.5, y / stored[1] + 0.5


def of_camera(at: Point, corners: Sequence[Point]) -> Point:
    """Shares of a camera's frame from a place in a viewport that looks through it.

    Args:
        corners: where the frame's corners lie there.
    """
    across, up = [x for x, _ in corners], [y for _, y in corners]
    left, low = min(across), min(up)
    return (at[0] - left) / (max(across) - left), (at[1] - low) / (max(up) - low)


def under_mouse(context: Any, event: Any, strip: Any, sizes: tuple[Any, Any]) -> Point | None:
    """The plate's pixel under the mouse, None where no editor shows it.

    The preview of the sequencer, an image editor with the plate's picture, and a 3D viewport that
    looks through a camera with the plate behind it.

    Args:
        strip: the plate's in the sequencer, or None.
        sizes: width and height of the plate with square pixels, and as stored.
    """
    size, stored = sizes
    for area in context.window.screen.areas:
        for region in area.regions:
            x, y = event.mouse_x - region.x, event.mouse_y - region.y
            if not (0 <= x < region.width and 0 <= y < region.height):
                continue
            if area.type == "SEQUENCE_EDITOR" and region.type == "PREVIEW" and strip:
                view = region.view2d.region_to_view(x, y)
                return in_picture(of_preview(view, strip, stored), size)
            if region.type != "WINDOW":
                continue
            if area.type == "IMAGE_EDITOR" and area.spaces.active.image:
                return in_picture(region.view2d.region_to_view(x, y), size)
            if area.type == "VIEW_3D":
                return _in_viewport(context.scene, area.spaces.active, region, (x, y), size)
    return None


def _in_viewport(scene: Any, space: Any, region: Any, at: Point, size: Any) -> Point | None:
    view, camera = space.region_3d, scene.camera
    if view.view_perspective != "CAMERA" or camera is None or not camera.data.background_images:
        return None
    frame = [camera.matrix_world @ each for each in camera.data.view_frame(scene=scene)]
    corners = [view3d_utils.location_3d_to_region_2d(region, view, each) for each in frame]
    if any(each is None for each in corners):
        return None
    return in_picture(of_camera(at, [(each.x, each.y) for each in corners]), size)
