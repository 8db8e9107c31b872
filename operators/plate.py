# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shot and its plate in the edit: brought in line again, found again."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty

from portraitgen.errors import PortraitError
from portraitgen.messages.shots import PlateRelinked, RelinkPlate

from ..portraitgen_addon import (
    edit_watch,
    plate_strip,
    properties,
    scene_updates,
    sequencer,
    shot_summary,
    strip_sync,
)
from ..portraitgen_addon.session import session
from . import base


class PORTRAITGEN_OT_update_from_strip(bpy.types.Operator):
    """Bring the shot in line with the plate's strip: where it lies, what it shows, its look and
    rate; rig, background, keys, markers and takes go along"""

    bl_idname = "portraitgen.update_from_strip"
    bl_label = "Update from Strip"
    bl_options = {"REGISTER", "UNDO"}

    strip: StringProperty(
        name="Strip",
        description="The strip that is the plate from now on, where the edit has lost it",
        options={"HIDDEN", "SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a shot whose folder can be read, and no job that works on it."""
        return base.allowed(cls, base.no_shot(context), base.busy(context))

    def execute(self, context: Any) -> set[str]:
        """Moves everything at once."""
        return base.attempt(self, lambda: self._update(context))

    def _update(self, context: Any) -> None:
        shot = properties.active_shot(context)
        strip_sync.update(shot, self.strip)
        edit_watch.note_change()
        scene_updates.redraw()
        text = f"Frames {shot.first} to {shot.last}, from scene frame {shot.first + shot.offset} on"
        self.report({"INFO"}, text)


class PORTRAITGEN_OT_relink_plate(bpy.types.Operator):
    """Find the plate again after it was moved or renamed: the same file by its digest, near its old
    place and the shot, or in a folder of your choice. Plates of other shots that moved along are
    found with it"""

    bl_idname = "portraitgen.relink_plate"
    bl_label = "Relink Plate"
    bl_options = {"REGISTER"}

    choose: BoolProperty(
        name="Choose", description="Ask for the file or folder", options={"HIDDEN", "SKIP_SAVE"}
    )
    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a shot, and the backend."""
        return base.allowed(cls, base.no_shot(context), base.no_backend(context))

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks for a place where one is to be chosen."""
        if self.choose:
            context.window_manager.fileselect_add(self)
            return {"RUNNING_MODAL"}
        return self.execute(context)

    def execute(self, context: Any) -> set[str]:
        """Asks the backend to look; strip, shot and background are relinked when it has found."""
        return base.attempt(self, lambda: self._ask(context))

    def _ask(self, context: Any) -> None:
        shot = properties.active_shot(context)
        where = Path(bpy.path.abspath(self.filepath)) if self.filepath else _of_strip(shot)
        if where is not None and not where.exists():
            # A file browser gives a name that was typed, too.
            where = where.parent
        call = RelinkPlate(str(shot.path), str(where) if where else None)
        shot_id, old = shot.shot_id, shot_summary.plate_path(shot.path)

        def relinked(found: PlateRelinked) -> None:
            _relinked(shot_id, found)
            _relink_others(_moved(old, Path(found.path)), [])

        scene_updates.ask("Looking for the plate", call, relinked)


def _of_strip(shot: Any) -> Path | None:
    """The file of the plate's strip, if the artist has relinked that already."""
    plate = strip_sync.plate_of(shot)
    file = plate_strip.file_of(plate.strip) if plate is not None else None
    return file if file is not None and file.is_file() else None


def _relinked(shot_id: str, found: PlateRelinked) -> None:
    shot = properties.find_shot(shot_id)
    if shot is None:
        return
    path = Path(found.path)
    plate = strip_sync.plate_of(shot)
    if plate is not None:
        every = plate_strip.every_piece(shot, plate.strip.id_data)
        for strip in every or plate.pieces:
            _point_strip(strip, path)
    if shot.camera is not None:
        for background in shot.camera.data.background_images:
            if background.image is not None:
                background.image.filepath = _named(_picture(path, background.image.filepath))
                background.image.reload()
    shot_summary.forget_summaries()
    edit_watch.note_change()
    scene_updates.undo_step("Relink Plate")


def _moved(old: Path, new: Path) -> tuple[Path, Path]:
    """The folder that was moved, or renamed, and what it is now: the last in which two places of a
    file differ."""
    while old.name == new.name and old.parent != old and new.parent != new:
        old, new = old.parent, new.parent
    return old, new


def _relink_others(moved: tuple[Path, Path], done: list[str]) -> None:
    """Relinks the plates of other shots of the file that moved along, one after the other.

    Args:
        moved: what was moved, as `_moved` says.
        done: the ids of the shots that were relinked.
    """
    for scene in bpy.data.scenes:
        for shot in scene.portraitgen.shots if scene.library is None else ():
            if shot_summary.summary_of(shot.path).error:
                continue
            old = shot_summary.plate_path(shot.path)
            if edit_watch.is_there(old):
                continue
            where = _of_strip(shot)
            if where is None and old.is_relative_to(moved[0]):
                where = moved[1] / old.relative_to(moved[0])
            if where is None or not edit_watch.is_there(where) or shot.shot_id in done:
                continue
            call = RelinkPlate(str(shot.path), str(where))
            shot_id, so_far = shot.shot_id, [*done, shot.shot_id]

            then = partial(_relinked_along, moved, so_far, shot_id)
            scene_updates.ask(f"Looking for the plate of {shot.name}", call, then)
            return
    if done:
        names = [shot.name for shot in map(properties.find_shot, done) if shot is not None]
        session.told = (f"The plates of {', '.join(names)} had moved along and are found, too",)


def _relinked_along(
    moved: tuple[Path, Path], done: list[str], shot_id: str, found: PlateRelinked
) -> None:
    _relinked(shot_id, found)
    _relink_others(moved, done)


def _named(path: Path) -> str:
    """A file as Blender names it: relative to the .blend once that is saved."""
    return f"{sequencer.directory_of(path.parent)}{path.name}"


def _point_strip(strip: Any, path: Path) -> None:
    if strip.type == "MOVIE":
        strip.filepath = _named(path)
        return
    names = [element.filename for element in strip.elements]
    first = _picture(path, names[0])
    strip.directory = sequencer.directory_of(first.parent)
    for element, name in zip(strip.elements, names, strict=True):
        element.filename = _picture(path, name).name


def _picture(path: Path, old: str) -> Path:
    """The file that has taken the place of an old one, where plates are named by one of theirs."""
    folder = path if path.is_dir() else path.parent
    name = bpy.path.basename(old)
    number = plate_strip.number_of(name)
    if path.is_dir() or (folder / name).exists() or number is None:
        return folder / name if path.is_dir() or number is not None else path
    # A sequence that was renamed keeps its numbers.
    stem, suffix = re.sub(r"[0-9]+$", "", path.stem), path.suffix
    digits = len(path.stem) - len(stem)
    return folder / f"{stem}{number:0{digits}d}{suffix}"


class PORTRAITGEN_OT_forget_take(bpy.types.Operator):
    """Take a take off the list that the shot's folder no longer holds"""

    bl_idname = "portraitgen.forget_take"
    bl_label = "Take off the List"
    bl_options = {"REGISTER", "UNDO"}

    folder_name: StringProperty(options={"HIDDEN"})

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a shot."""
        return base.allowed(cls, base.no_shot(context))

    def execute(self, context: Any) -> set[str]:
        """Takes it off; its strips stay."""
        return base.attempt(self, lambda: self._forget(context))

    def _forget(self, context: Any) -> None:
        shot = properties.active_shot(context)
        names = [take.folder_name for take in shot.takes]
        if self.folder_name not in names:
            raise PortraitError(f"there is no take '{self.folder_name}' in the list", shot.name)
        shot.takes.remove(names.index(self.folder_name))
        shot.active_take = max(0, min(shot.active_take, len(shot.takes) - 1))
        edit_watch.note_change()


CLASSES = (
    PORTRAITGEN_OT_update_from_strip,
    PORTRAITGEN_OT_relink_plate,
    PORTRAITGEN_OT_forget_take,
)
