# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels of the avatar and its edits."""

from typing import Any

import bpy

from portraitgen.messages.setup import EditorDescription
from portraitgen.messages.takes import TryFrame

from ..operators.paint import mask_folder
from ..portraitgen_addon import (
    backend_properties,
    file_marks,
    shot_summary,
)
from ..portraitgen_addon.session import session
from . import thumbnails
from .lists import base_label
from .looks import draw_looks
from .panel_base import Awaits, NeedsShot, folded, run_button
from .progress import sparkline
from .text import draw_text


class AvatarPanel(NeedsShot):
    """The avatar: its settings, its progress, how good it is."""

    bl_label = "Avatar"
    bl_order = 4

    def content(self, layout: Any, context: Any, shot: Any) -> None:
        """Its settings, its progress, how good it is."""
        known = shot_summary.summary_of(shot.path)
        settings = getattr(shot, backend_properties.slot_of_job("reconstruct"), None)
        if settings is not None:
            folded(layout, settings, backend_properties.job_options("reconstruct"), "reconstruct")
        title = "Reconstruct Again" if known.avatars else "Reconstruct"
        run_button(layout, "portraitgen.reconstruct", title, "reconstruct")
        job = session.job
        if job and job.kind == "reconstruct" and job.shot_id == shot.shot_id:
            if job.preview and (icon := thumbnails.icon(job.preview)):
                layout.template_icon(icon_value=icon, scale=9)
            if job.curve:
                values = [value for _, value in job.curve]
                layout.label(text=f"{sparkline(values)}  {values[-1]:.1f} dB")
        if known.avatar and known.metrics:
            psnr = known.metrics.psnr
            if psnr is not None:
                layout.label(
                    text=f"{psnr:.1f} dB on frames kept out", icon="OUTLINER_OB_POINTCLOUD"
                )
            if known.avatar.track not in known.tracks[-1:]:
                row = layout.row()
                row.alert = True
                row.label(text="The track has changed since", icon="ERROR")


class EditPanel(Awaits, NeedsShot):
    """Takes, and the settings of the active one."""

    bl_label = "Edit"
    bl_order = 5

    def content(self, layout: Any, context: Any, shot: Any) -> None:
        """Takes, and the settings of the active one."""
        row = layout.row()
        row.template_list("PORTRAITGEN_UL_takes", "", shot, "takes", shot, "active_take", rows=3)
        column = row.column(align=True)
        column.operator("portraitgen.take_add", text="", icon="ADD")
        column.operator("portraitgen.take_delete", text="", icon="REMOVE")
        column.operator("portraitgen.take_duplicate", text="", icon="DUPLICATE")
        take = shot.take
        if take is None:
            layout.operator("portraitgen.take_add")
            row = layout.row()
            row.scale_y = 1.3
            _try(row)
            return
        layout.menu("PORTRAITGEN_MT_presets", icon="PRESET")
        known = backend_properties.editor(take.editor)
        split = layout.split(factor=0.4)
        split.alignment = "RIGHT"
        split.label(text="Editor")
        split.menu("PORTRAITGEN_MT_editor", text=known.label if known else take.editor)
        if known is None:
            layout.label(text="The backend has not told of this editor yet", icon="INFO")
        else:
            self._editor(layout, take, known)
        draw_looks(layout, shot, take)
        layout.prop(take, "strength")
        layout.prop(take, "seed")
        settings = getattr(take, backend_properties.slot_of_job("edit"), None)
        if settings is not None:
            options = [
                each for each in backend_properties.job_options("edit") if each.name != "base"
            ]
            if hasattr(settings, "base") and len(shot.takes) > 1:
                split = layout.split(factor=0.4)
                split.alignment = "RIGHT"
                split.label(text="Builds On")
                split.menu("PORTRAITGEN_MT_base", text=base_label(shot, settings.base))
            folded(layout, settings, options, "edit")
        row = layout.row(align=True)
        masking = row.operator("portraitgen.paint_frame", text="Paint Mask", icon="MOD_MASK")
        masking.mask = True
        masked = file_marks.mark(mask_folder(shot)) is not None
        if masked:
            row.operator("portraitgen.remove_mask", text="", icon="X")
            layout.label(text="Edits only where the mask is painted", icon="BLANK1")
        _try(layout)
        for note in session.tried:
            draw_text(layout, note, "INFO")
        self._preview(layout, take)
        run_button(layout, "portraitgen.edit", "Edit Shot", "edit")
        layout.operator("portraitgen.keep_key", icon="PINNED")
        layout.operator("portraitgen.copy_take", icon="COPYDOWN")

    def _editor(self, layout: Any, take: Any, known: EditorDescription) -> None:
        if not known.commercial:
            draw_text(layout, f"{known.licence}: not for commercial work", "ERROR")
        for need in known.needs:
            draw_text(layout, f"Needs {need}", "INFO")
        if known.memory_gb:
            layout.label(text=f"About {known.memory_gb:g} GB of GPU memory", icon="MEMORY")
        settings = getattr(take, backend_properties.slot_of_editor(take.editor), None)
        if settings is not None:
            column = layout.column()
            # The second look's share can be keyed.
            column.use_property_decorate = known.id == "look"
            backend_properties.draw(column, settings, known.options)
        if known.id == "relight":
            layout.operator("portraitgen.light_from_scene", icon="LIGHT")
        if known.id == "paint":
            layout.operator("portraitgen.paint_frame", icon="BRUSH_DATA")

    def _preview(self, layout: Any, take: Any) -> None:
        image = bpy.data.images.get(take.preview) if take.preview else None
        if image is not None and (icon := thumbnails.icon(bpy.path.abspath(image.filepath))):
            layout.template_icon(icon_value=icon, scale=9)
            layout.prop(image, "portraitgen_wipe", slider=True)
            layout.operator("portraitgen.show_preview", icon="WINDOW")


def _try(layout: Any) -> None:
    """The button that tries a frame, which says so itself while one waits for it."""
    if isinstance(session.asked, TryFrame):
        layout.operator("portraitgen.try_frame", text=f"{session.doing}...", icon="SORTTIME")
    else:
        layout.operator("portraitgen.try_frame", icon="HIDE_OFF")
