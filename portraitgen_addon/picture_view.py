# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures and texts where they are seen: an editor that is open, or one in a window of its own."""

from typing import Any

import bpy
from bpy.props import FloatProperty, StringProperty

NEAR = 10
"""How near to the wipe's line the mouse takes hold of it, pixels."""


def show(image: Any, mode: str = "VIEW") -> None:
    """Shows an image in an image editor, or in a window of its own where none is open.

    An editor that shows something else is left alone while it is painted in, unless there is
    no other.

    Args:
        mode: of the image editor, "VIEW" or "PAINT".
    """
    manager = bpy.context.window_manager
    if manager is None or not manager.windows:
        return  # Without a window the image is in the file all the same.
    area = _editor(manager, image)
    if area is None and bpy.app.background:
        return  # `blender -b` has a window's data, and opens none.
    if area is None:
        area = _new_editor(manager, "IMAGE_EDITOR")
    space = area.spaces.active
    new = space.image != image
    space.ui_mode = mode
    space.image = image
    area.tag_redraw()
    if new:
        # Its size is known once the area was drawn.
        bpy.app.timers.register(lambda: _fit(image), first_interval=0.2)


def _editor(manager: Any, image: Any) -> Any | None:
    """The image editor that is to show an image: one that does, the largest free one, any."""
    areas = [
        area
        for window in manager.windows
        for area in window.screen.areas
        if area.type == "IMAGE_EDITOR" and area.ui_type == "IMAGE_EDITOR"
    ]
    ranked = [
        [area for area in areas if area.spaces.active.image == image],
        [area for area in areas if area.spaces.active.ui_mode != "PAINT"],
        areas,
    ]
    for found in ranked:
        if found:
            return max(found, key=lambda area: area.width * area.height)
    return None


def _new_editor(manager: Any, kind: str) -> Any:
    """An editor in a window of its own."""
    known = set(manager.windows)
    with bpy.context.temp_override(window=manager.windows[0]):
        bpy.ops.wm.window_new()
    made = next(window for window in manager.windows if window not in known)
    area = max(made.screen.areas, key=lambda each: each.width * each.height)
    area.ui_type = kind
    return area


def show_text(text: Any) -> None:
    """Shows a text in a Text Editor, in a window of its own where none is open."""
    manager = bpy.context.window_manager
    if manager is None or not manager.windows:
        return
    areas = [
        area
        for window in manager.windows
        for area in window.screen.areas
        if area.type == "TEXT_EDITOR"
    ]
    if not areas and bpy.app.background:
        return  # `blender -b` has a window's data, and opens none.
    area = areas[0] if areas else _new_editor(manager, "TEXT_EDITOR")
    area.spaces.active.text = text
    area.tag_redraw()


def show_curves(owner: Any, start: str) -> None:
    """Shows the curves of a data-block whose names begin so, in a Graph Editor.

    Args:
        owner: an object; it need not be selected.
    """
    manager = bpy.context.window_manager
    if manager is None or not manager.windows:
        return
    areas = [
        area
        for window in manager.windows
        for area in window.screen.areas
        if area.ui_type == "FCURVES"
    ]
    area = areas[0] if areas else _new_editor(manager, "FCURVES")
    shown = area.spaces.active.dopesheet
    shown.show_only_selected = False
    shown.filter_text = start.strip()
    area.tag_redraw()


def _fit(image: Any) -> None:
    """Fits an image into the editors that show it."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type != "IMAGE_EDITOR" or area.spaces.active.image != image:
                continue
            region = next(each for each in area.regions if each.type == "WINDOW")
            with bpy.context.temp_override(window=window, area=area, region=region):
                bpy.ops.image.view_all(fit_view=True)


def load(path: str, name: str) -> Any:
    """An image of a file under a name of ours, read again if the file has changed."""
    image = bpy.data.images.get(name)
    if image is None:
        image = bpy.data.images.load(path)
        image.name = name
    image.filepath = path
    image.reload()
    return image


def compare(image: Any, plate: Any) -> None:
    """Lets an image be wiped against another."""
    image.portraitgen_plate = plate.name
    # A file keeps no image that nothing uses, and the wipe knows it by name.
    plate.use_fake_user = True


def plate_of(image: Any) -> Any | None:
    """What an image is wiped against, None if it is not."""
    name = getattr(image, "portraitgen_plate", "")
    return bpy.data.images.get(name) if name else None


def wiped(context: Any) -> Any | None:
    """The image with a wipe that an image editor shows, None without one."""
    space = context.space_data
    image = space.image if space is not None and space.type == "IMAGE_EDITOR" else None
    return image if image is not None and plate_of(image) is not None else None


def _redraw(image: Any, context: Any) -> None:
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "IMAGE_EDITOR":
                area.tag_redraw()


def register() -> None:
    """Adds what an image keeps of its wipe."""
    bpy.types.Image.portraitgen_plate = StringProperty(options={"HIDDEN"})
    bpy.types.Image.portraitgen_wipe = FloatProperty(
        name="Wipe",
        description="Left of the line the plate shows, right of it the edit; drag the line",
        default=0.5,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        update=_redraw,
    )


def unregister() -> None:
    """Takes it away."""
    del bpy.types.Image.portraitgen_wipe
    del bpy.types.Image.portraitgen_plate
