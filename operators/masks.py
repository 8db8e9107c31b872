# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks of the artist's: who is the performer, what is nobody's, what stays before the edit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, StringProperty

from portraitgen.errors import PortraitError
from portraitgen.failures import readable

from ..portraitgen_addon import (
    backend_properties,
    masks,
    properties,
    scene_updates,
    sequencer,
    shot_summary,
)
from ..portraitgen_addon.session import session
from . import base

_LABELS = {
    "PERFORMER": ("Performer", "What is white is the performer: your roto instead of our matte"),
    "GARBAGE": ("Garbage Matte", "What is white is never the performer's; for Track"),
    "HOLD_OUT": ("Hold-Out", "Where it is white the plate stays before the edit; for rendering"),
}


class PORTRAITGEN_OT_mask_to_matte(bpy.types.Operator):
    """Use a mask drawn in the clip or image editor as a matte: it is rasterized, a picture a frame
    of the shot, and set where it belongs. Run it again after changing the mask"""

    bl_idname = "portraitgen.mask_to_matte"
    bl_label = "Mask as Matte"
    bl_options = {"REGISTER"}

    mask: StringProperty(name="Mask", description="The mask to use")
    purpose: EnumProperty(
        name="As",
        items=[(name, *words) for name, words in _LABELS.items()],
        description="What the mask is for",
        default="GARBAGE",
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a shot, a mask, and settings to write to."""
        shot = properties.active_shot(context)
        drawn = "" if bpy.data.masks else "Draw a mask first, in the Movie Clip or Image Editor"
        return base.allowed(
            cls,
            base.no_shot(context),
            drawn,
            base.not_described(shot, backend_properties.slot_of_job("track")),
            f"{session.doing}; wait for its end" if session.doing else "",
        )

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks which mask, and what it is for."""
        if self.mask not in bpy.data.masks:
            self.mask = bpy.data.masks[0].name
        return context.window_manager.invoke_props_dialog(self)

    def draw(self, context: Any) -> None:
        """The question."""
        self.layout.use_property_split = True
        self.layout.prop_search(self, "mask", bpy.data, "masks")
        self.layout.prop(self, "purpose", expand=False)

    def execute(self, context: Any) -> set[str]:
        """Rasterises it, in a window one frame at a time."""
        return base.attempt(self, lambda: self._start(context))

    def _start(self, context: Any) -> None:
        shot, mask = properties.active_shot(context), bpy.data.masks.get(self.mask)
        plate = shot_summary.summary_of(shot.path).footage
        if mask is None or plate is None:
            raise PortraitError("there is no such mask", self.mask, "choose another")
        folder = masks.folder_of(shot.path, mask.name)
        frames = range(shot.first, shot.last + 1)
        made = masks.rasterise(mask, folder, frames, shot.offset, (plate.width, plate.height))
        steps = _steps(made, shot.shot_id, self.purpose, mask.name, len(frames))
        if scene_updates.waits or bpy.app.background:
            for _ in steps:
                pass
        else:
            bpy.app.timers.register(lambda: _step(steps), first_interval=0.01)


def _steps(
    made: Iterator[Path], shot_id: str, purpose: str, name: str, count: int
) -> Iterator[None]:
    """Each frame, and at the end the setting that takes them."""
    first = None
    try:
        for number, path in enumerate(made, 1):
            first = first or path
            session.doing = f"Rasterizing {name}: {number} of {count}"
            scene_updates.redraw()
            yield
    finally:
        session.doing = ""
    shot = properties.find_shot(shot_id)
    kind, option = masks.PURPOSES[purpose]
    settings = getattr(shot, backend_properties.slot_of_job(kind), None)
    if settings is not None and first is not None:
        setattr(settings, option, f"{sequencer.directory_of(first.parent)}{first.name}")
        scene_updates.undo_step("Mask as Matte")
    scene_updates.redraw()


def _step(steps: Iterator[None]) -> float | None:
    """One frame; the window is drawn between two."""
    if not session.may_touch_scene():
        return 0.5
    try:
        next(steps)
    except StopIteration:
        return None
    except Exception as error:  # noqa: BLE001 - Blender would tell a terminal, and nobody else.
        session.error = readable(error)
        scene_updates.redraw()
        return None
    return 0.01


CLASSES = (PORTRAITGEN_OT_mask_to_matte,)
