# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wipe in the image editor: the plate left of a line that the mouse drags, the edit right."""

from functools import lru_cache
from typing import Any

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from ..portraitgen_addon import file_marks, picture_view

_LINE = (1.0, 0.75, 0.2, 0.9)
_handlers: list[Any] = []


@lru_cache(maxsize=1)
def _codes(name: str, path: str, mark: tuple[int, int] | None) -> Any:
    """A picture as a texture of its codes, which a region shows as they are.

    Of Blender's own texture of an image, what is drawn hangs on the version and on the shader.

    Args:
        name: of the image.
        path, mark: its file, and which state of it; another picture has others.
    """
    image = bpy.data.images[name]
    codes = np.empty(4 * image.size[0] * image.size[1], np.float32)
    image.pixels.foreach_get(codes)
    data = gpu.types.Buffer("FLOAT", len(codes), codes)
    return gpu.types.GPUTexture(tuple(image.size), format="RGBA16F", data=data)


def line_x(context: Any, image: Any) -> int:
    """Where the wipe's line stands in the region, pixels from its left."""
    x, _ = context.region.view2d.view_to_region(image.portraitgen_wipe, 0.0, clip=False)
    return int(x)


def _draw() -> None:
    context = bpy.context
    image = picture_view.wiped(context)
    plate = picture_view.plate_of(image) if image is not None else None
    if image is None or plate is None:
        return
    share = image.portraitgen_wipe
    to_region = context.region.view2d.view_to_region
    (left, bottom), (right, top) = (
        to_region(*corner, clip=False) for corner in ((0.0, 0.0), (share, 1.0))
    )
    if right > left and plate.size[0]:
        shader = gpu.shader.from_builtin("IMAGE")
        corners = ((left, bottom), (right, bottom), (right, top), (left, top))
        places = ((0, 0), (share, 0), (share, 1), (0, 1))
        batch = batch_for_shader(shader, "TRI_FAN", {"pos": corners, "texCoord": places})
        shader.bind()
        path = bpy.path.abspath(plate.filepath)
        shader.uniform_sampler("image", _codes(plate.name, path, file_marks.mark(path)))
        batch.draw(shader)
    gpu.state.blend_set("ALPHA")
    line = gpu.shader.from_builtin("UNIFORM_COLOR")
    line.uniform_float("color", _LINE)
    batch_for_shader(line, "LINES", {"pos": ((right, bottom), (right, top))}).draw(line)
    gpu.state.blend_set("NONE")


class PORTRAITGEN_GT_wipe(bpy.types.Gizmo):
    """The wipe's line."""

    bl_idname = "PORTRAITGEN_GT_wipe"

    def draw(self, context: Any) -> None:
        """The line is drawn with the plate."""

    def test_select(self, context: Any, location: Any) -> int:
        """Near the line."""
        image = picture_view.wiped(context)
        if image is None:
            return -1
        return 0 if abs(location[0] - line_x(context, image)) < picture_view.NEAR else -1

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Takes hold of it."""
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any, tweak: Any) -> set[str]:
        """Follows the mouse."""
        image = picture_view.wiped(context)
        if image is None:
            return {"CANCELLED"}
        x, _ = context.region.view2d.region_to_view(event.mouse_region_x, 0)
        image.portraitgen_wipe = min(max(x, 0.0), 1.0)
        return {"RUNNING_MODAL"}


class PORTRAITGEN_GGT_wipe(bpy.types.GizmoGroup):
    """Lets the wipe be dragged."""

    bl_idname = "PORTRAITGEN_GGT_wipe"
    bl_label = "PortraitGen Wipe"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "WINDOW"
    bl_options = {"PERSISTENT", "SCALE"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Where a picture with a wipe is shown."""
        return picture_view.wiped(context) is not None

    def setup(self, context: Any) -> None:
        """Makes the line."""
        line = self.gizmos.new(PORTRAITGEN_GT_wipe.bl_idname)
        line.use_draw_modal = True


class PORTRAITGEN_PT_wipe(bpy.types.Panel):
    """The wipe against the plate"""

    bl_label = "PortraitGen"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Image"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Where a picture with a wipe is shown."""
        return picture_view.wiped(context) is not None

    def draw(self, context: Any) -> None:
        """How far it goes."""
        self.layout.prop(picture_view.wiped(context), "portraitgen_wipe", slider=True)


_CLASSES = (PORTRAITGEN_GT_wipe, PORTRAITGEN_GGT_wipe, PORTRAITGEN_PT_wipe)


def register() -> None:
    """Adds the wipe."""
    for each in _CLASSES:
        bpy.utils.register_class(each)
    add = bpy.types.SpaceImageEditor.draw_handler_add
    _handlers.append(add(_draw, (), "WINDOW", "POST_PIXEL"))


def unregister() -> None:
    """Takes it out."""
    _codes.cache_clear()
    while _handlers:
        bpy.types.SpaceImageEditor.draw_handler_remove(_handlers.pop(), "WINDOW")
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
