# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures for the artist's brush: a frame to paint over, a key frame to keep and repaint."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty

from portraitgen.messages.takes import KeepKey, KeyKept, PaintStarted, StartPainting
from portraitgen.shot import Shot

from ..portraitgen_addon import (
    file_marks,
    picture_view,
    preferences,
    properties,
    scene_updates,
    sequencer,
    shot_time,
)
from . import base


class PORTRAITGEN_OT_paint_frame(bpy.types.Operator):
    """Give this frame out to be painted over, here or in any program; save it when it is done"""

    bl_idname = "portraitgen.paint_frame"
    bl_label = "Paint This Frame"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a track and a take."""
        return base.allowed(
            cls,
            base.no_shot(context),
            base.no_track(context),
            base.no_take(context),
            base.no_backend(context),
        )

    mask: BoolProperty(
        name="Mask",
        description="Paint where the take's editor may work, in any colour",
        options={"SKIP_SAVE"},
    )

    def execute(self, context: Any) -> set[str]:
        """Asks for the frame; it opens in an image editor, to be painted over."""
        shot = properties.active_shot(context)
        frame = shot_time.frame_at_hand(context, shot)
        name, author = shot.take.folder_name, preferences.get().author
        file_marks.forget(mask_folder(shot))
        call = StartPainting(str(shot.path), name, frame, self.mask, author)
        return base.attempt(
            self, lambda: scene_updates.ask(f"Giving out frame {frame}", call, _open)
        )


class PORTRAITGEN_OT_remove_mask(bpy.types.Operator):
    """Let the take's editor work on the whole performer again; the mask goes into the shot's trash
    folder"""

    bl_idname = "portraitgen.remove_mask"
    bl_label = "Remove Mask"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a take that no job works on."""
        return base.allowed(cls, base.no_shot(context), base.no_take(context), base.busy(context))

    def execute(self, context: Any) -> set[str]:
        """Moves it away."""
        return base.attempt(self, lambda: self._remove(context))

    def _remove(self, context: Any) -> None:
        shot = properties.active_shot(context)
        moved = Shot.open(shot.path).discard_mask(shot.take.folder_name)
        file_marks.forget(mask_folder(shot))
        if moved is not None:
            self.report({"INFO"}, f"The mask lies in {moved}")


def mask_folder(shot: Any) -> Path:
    """Where the masks that were painted for the active take lie."""
    folder: Path = shot.path / "takes" / shot.take.folder_name / "mask"
    return folder


class PORTRAITGEN_OT_keep_key(bpy.types.Operator):
    """Keep this frame as you tried it, or else the nearest key frame as the last edit made it: no
    later edit changes it, the other key frames follow it, and you may repaint and save it. Delete
    its file in the take's folder "keys" to let it go"""

    bl_idname = "portraitgen.keep_key"
    bl_label = "Keep Key Frame"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a take that was edited, or tried on a frame."""
        shot = properties.active_shot(context)
        take = shot.take if shot else None
        folder = shot.path / "takes" / take.folder_name if take else None
        edited = folder and any(file_marks.mark(folder / name) for name in ("edits", "tried"))
        return base.allowed(
            cls,
            base.no_shot(context),
            base.no_take(context),
            "" if edited else "Try a frame or edit the take first: it has no key frames yet",
            base.no_backend(context),
        )

    def execute(self, context: Any) -> set[str]:
        """Asks for the picture; the playhead goes to its frame."""
        shot = properties.active_shot(context)
        shot_id = shot.shot_id

        def opened(answer: KeyKept) -> None:
            again = properties.find_shot(shot_id)
            if again is not None:
                scene = properties.home_scene(again) or bpy.context.scene
                scene.frame_set(answer.frame + again.offset)
            _open(answer)

        name, author = shot.take.folder_name, preferences.get().author
        call = KeepKey(str(shot.path), name, shot_time.frame_at_hand(context, shot), author)
        return base.attempt(self, lambda: scene_updates.ask("Keeping a key frame", call, opened))


def _open(answer: PaintStarted | KeyKept) -> None:
    path = sequencer.directory_of(Path(answer.path).parent) + Path(answer.path).name
    image = bpy.data.images.load(path, check_existing=True)
    scene_updates.undo_step("Open Picture to Paint")
    picture_view.show(image, "PAINT")


CLASSES = (PORTRAITGEN_OT_paint_frame, PORTRAITGEN_OT_remove_mask, PORTRAITGEN_OT_keep_key)
