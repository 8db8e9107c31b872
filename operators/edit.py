# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes: edits of a shot, side by side, none overwriting another."""

import textwrap
from collections.abc import Mapping
from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty

from portraitgen import trust
from portraitgen.messages.takes import FrameTried, TryFrame
from portraitgen.plain_text import printable
from portraitgen.shot import Shot
from portraitgen.trust import Program

from ..portraitgen_addon import (
    backend_properties,
    picture_view,
    properties,
    scene_updates,
    shot_summary,
    shot_time,
    take_names,
)
from ..portraitgen_addon.session import session
from ..portraitgen_addon.take_settings import editor_options, restore_settings, settings_of
from . import base

_DIALOG_COLUMNS = 78
"""What fits into a line of a dialog of ours, whose width is fixed."""


def add_take(shot: Any, title: str) -> Any:
    """A new take with a folder name of its own."""
    name, folder = take_names.free_names(shot, title)
    take = shot.takes.add()
    take.name, take.folder_name = name, folder
    shot.active_take = len(shot.takes) - 1
    return take


class PORTRAITGEN_OT_take_add(bpy.types.Operator):
    """Add a take: one edit of the shot with settings of its own"""

    bl_idname = "portraitgen.take_add"
    bl_label = "Add Take"
    bl_options = {"REGISTER", "UNDO"}

    editor: StringProperty(name="Editor", default="relight", options={"HIDDEN"})

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a shot."""
        return base.allowed(cls, base.no_shot(context))

    def execute(self, context: Any) -> set[str]:
        """Adds it to the end of the list."""
        take = add_take(properties.active_shot(context), take_names.label_of(self.editor))
        take.editor = self.editor
        return {"FINISHED"}


class PORTRAITGEN_OT_take_duplicate(bpy.types.Operator):
    """Add a take with the same settings, to try a variation"""

    bl_idname = "portraitgen.take_duplicate"
    bl_label = "Duplicate Take"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a take."""
        return base.allowed(cls, base.no_shot(context), base.no_take(context))

    def execute(self, context: Any) -> set[str]:
        """Copies the settings; what was edited stays with the first."""
        shot = properties.active_shot(context)
        at = shot.active_take
        title = shot.takes[at].name
        copied = add_take(shot, title)
        # Adding may have moved the takes in memory.
        restore_settings(copied, settings_of(shot.takes[at]))
        return {"FINISHED"}


class PORTRAITGEN_OT_take_delete(bpy.types.Operator):
    """Take the take off the list and move its frames into the shot's trash folder"""

    bl_idname = "portraitgen.take_delete"
    bl_label = "Delete Take"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a take that no job works on."""
        return base.allowed(cls, base.no_shot(context), base.no_take(context), base.busy(context))

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks first."""
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: Any) -> set[str]:
        """Deletes it."""
        return base.attempt(self, lambda: self._delete(context))

    def _delete(self, context: Any) -> None:
        shot = properties.active_shot(context)
        opened = Shot.open(shot.path)
        if shot.take.folder_name in opened.takes():
            moved = opened.discard_take(shot.take.folder_name)
            self.report({"INFO"}, f"The take's frames lie in {moved}")
        shot.takes.remove(shot.active_take)
        shot.active_take = max(0, shot.active_take - 1)
        shot_summary.forget_summaries()


class PORTRAITGEN_OT_take_editor(bpy.types.Operator):
    """Edit the take with this editor"""

    bl_idname = "portraitgen.take_editor"
    bl_label = "Choose Editor"
    bl_options = {"REGISTER", "UNDO"}

    editor: StringProperty(options={"HIDDEN"})

    @classmethod
    def description(cls, context: Any, properties_: Any) -> str:
        """The editor's own words."""
        known = backend_properties.editor(properties_.editor)
        if known is None:
            return "Edit the take with this editor"
        terms = "" if known.commercial else f"; {known.licence}, not for commercial work"
        return f"{known.description}{terms}"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a take."""
        return base.allowed(cls, base.no_shot(context), base.no_take(context))

    def execute(self, context: Any) -> set[str]:
        """Sets it."""
        shot = properties.active_shot(context)
        with take_names.following(shot, shot.take):
            shot.take.editor = self.editor
        return {"FINISHED"}


class PORTRAITGEN_OT_take_base(bpy.types.Operator):
    """Edit the plate, or what another take has made of it"""

    bl_idname = "portraitgen.take_base"
    bl_label = "Build On"
    bl_options = {"REGISTER", "UNDO"}

    base: StringProperty(options={"HIDDEN"})

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a take whose settings the backend has told of."""
        shot = properties.active_shot(context)
        return base.allowed(
            cls,
            base.no_shot(context),
            base.no_take(context),
            base.not_described(shot.take, backend_properties.slot_of_job("edit")),
        )

    def execute(self, context: Any) -> set[str]:
        """Sets it."""
        take = properties.active_shot(context).take
        getattr(take, backend_properties.slot_of_job("edit")).base = self.base
        return {"FINISHED"}


class PORTRAITGEN_OT_show_preview(bpy.types.Operator):
    """Show the frame that was tried in an image editor, with a wipe against the plate"""

    bl_idname = "portraitgen.show_preview"
    bl_label = "Show with Wipe"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a frame that was tried."""
        shot = properties.active_shot(context)
        tried = shot and shot.take and bpy.data.images.get(shot.take.preview)
        return base.allowed(cls, base.no_shot(context), "" if tried else "Try a frame first")

    def execute(self, context: Any) -> set[str]:
        """Shows it."""
        take = properties.active_shot(context).take
        return base.attempt(self, lambda: picture_view.show(bpy.data.images[take.preview]))


def program_of(editor: str, options: Mapping[str, object]) -> Program | None:
    """The program that an editor would run with these options, None if it runs none."""
    known = backend_properties.editor(editor)
    return Program.of_options(known.options, options) if known else None


def draw_whole(layout: Any, text: str) -> None:
    """A text on as many lines as it needs: a label would cut it, and hide what matters."""
    for line in textwrap.wrap(printable(text), _DIALOG_COLUMNS, break_on_hyphens=False):
        layout.label(text=line, translate=False)


def draw_program(layout: Any, program: Program) -> None:
    """Says which program would be run, and what that means."""
    layout.label(text="This runs a program that you have not allowed yet:", icon="ERROR")
    box = layout.box()
    for text in (program.program or "Python", *program.arguments, f"in {program.folder}"):
        draw_whole(box, text)
    layout.label(text="Allow it only if you put it there yourself.")
    layout.label(text="Settings of a shot or a file may come from somebody else.")


class _RunsEditor(bpy.types.Operator):
    """An operator that asks before the take's editor runs a program for the first time."""

    allow: BoolProperty(options={"HIDDEN", "SKIP_SAVE"})

    def _program(self, context: Any) -> Program | None:
        take = properties.active_shot(context).take
        return program_of(take.editor, editor_options(take))

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks, if there is something to ask for."""
        program = self._program(context)
        if program is None or trust.is_allowed(program):
            return self.execute(context)
        self.allow = True
        return context.window_manager.invoke_props_dialog(
            self, width=500, title="Run This Program?", confirm_text="Allow and Run"
        )

    def draw(self, context: Any) -> None:
        """The question."""
        if program := self._program(context):
            draw_program(self.layout, program)

    def _allow(self, context: Any) -> None:
        """Remembers the answer. Scripts, which were asked nothing, allow nothing."""
        program = self._program(context) if self.allow else None
        if program is not None:
            trust.allow(program)


class PORTRAITGEN_OT_edit(_RunsEditor):
    """Edit the whole shot with the take's settings"""

    bl_idname = "portraitgen.edit"
    bl_label = "Edit Shot"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs an avatar, a take and a free backend."""
        return base.job_allowed(cls, context, base.no_avatar, base.no_take)

    def execute(self, context: Any) -> set[str]:
        """Starts the job."""
        take = properties.active_shot(context).take
        name = take.folder_name
        options = settings_of(take) | {"take": name}

        def start() -> None:
            self._allow(context)
            base.run_job(context, "edit", options, name)

        return base.attempt(self, start)


class PORTRAITGEN_OT_try_frame(_RunsEditor):
    """Edit this frame alone, to see in seconds what the take's settings do"""

    bl_idname = "portraitgen.try_frame"
    bl_label = "Try on This Frame"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a track and the backend; an avatar only where the editor repaints it."""
        return base.allowed(
            cls,
            base.no_shot(context),
            base.no_track(context),
            "" if _on_plate(properties.active_shot(context)) else base.no_avatar(context),
            base.no_backend(context),
        )

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks what an editor's program asks; without a take there is none."""
        shot = properties.active_shot(context)
        return super().invoke(context, event) if shot.take else self.execute(context)

    def execute(self, context: Any) -> set[str]:
        """Asks for the frame; it opens beside the plate, with a wipe."""
        shot = properties.active_shot(context)
        if shot.take is None:
            add_take(shot, take_names.label_of(_FIRST)).editor = _FIRST
        take = shot.take
        frame = shot_time.frame_at_hand(context, shot)
        settings = settings_of(take) | {"take": take.folder_name}
        call = TryFrame(str(shot.path), frame, settings)
        shot_id, name = shot.shot_id, take.folder_name

        def start() -> None:
            self._allow(context)
            scene_updates.ask(
                f"Trying frame {frame}",
                call,
                lambda answer: _show_preview(shot_id, name, answer),
            )

        return base.attempt(self, start)


_FIRST = "relight"  # The editor that is tried where no take is there yet.


def _on_plate(shot: Any) -> bool:
    """Whether the take's editor lies on the plate, and needs no avatar to be tried."""
    take = shot.take
    known = backend_properties.editor(take.editor if take else _FIRST)
    settings = getattr(take, backend_properties.slot_of_job("edit"), None) if take else None
    builds = bool(getattr(settings, "base", ""))
    return known is not None and (known.edits_frames or known.lies_on_plate) and not builds


def _show_preview(shot_id: str, name: str, answer: FrameTried) -> None:
    shot = properties.find_shot(shot_id)
    take = next((each for each in shot.takes if each.folder_name == name), None) if shot else None
    if shot is None or take is None:
        return
    image = picture_view.load(answer.path, f"{shot.name} {take.folder_name} preview")
    plate = picture_view.load(answer.plate, f"{shot.name} {take.folder_name} plate")
    picture_view.compare(image, plate)
    take.preview = image.name
    session.tried = answer.notes
    scene_updates.undo_step("Try on This Frame")
    picture_view.show(image)


CLASSES = (
    PORTRAITGEN_OT_take_add,
    PORTRAITGEN_OT_take_duplicate,
    PORTRAITGEN_OT_take_delete,
    PORTRAITGEN_OT_take_editor,
    PORTRAITGEN_OT_take_base,
    PORTRAITGEN_OT_show_preview,
    PORTRAITGEN_OT_edit,
    PORTRAITGEN_OT_try_frame,
)
