# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Letting the performer act otherwise in a take, and be another."""

import json
from typing import Any

import bpy
from bpy.props import EnumProperty, FloatProperty, IntProperty, StringProperty

from portraitgen.errors import PortraitError
from portraitgen.records import IDENTITY
from portraitgen.schema import Value

from ..portraitgen_addon import acting_layer, compat, pins, properties, sculpt, shot_time
from . import base

_PARTS = (
    ("all", "All", "The whole performer"),
    ("head", "Head", "The head's turn, face and eyes"),
    ("face", "Face", "The face without the head's turn"),
    ("mouth", "Mouth", "Jaw, lips and tongue"),
    ("eyes", "Eyes", "Eyes and lids"),
)


def _sent(shot: Any) -> str:
    """Writes what the rig acts in its take, be it nothing; the file's path, empty if its keys go
    elsewhere."""
    parts, bundle = pins.parts_of(shot), pins.bundle_of(shot)
    if acting_layer.acting_take(shot.armature) != shot.take.folder_name:
        return ""
    path = shot.path / "rigs" / "acted.safetensors"
    acts = acting_layer.save_acting(parts, bundle, shot.name, shot.offset, path)
    # What was undone, or whose keys were deleted, is no longer acted either.
    told = acts or (shot.path / "takes" / shot.take.folder_name / acting_layer.FILE).exists()
    return str(path) if told else ""


def _range(context: Any, shot: Any) -> str:
    """The preview range in footage frames, empty for the whole shot."""
    scene = context.scene
    if not scene.use_preview_range:
        return ""
    first = max(scene.frame_preview_start - shot.offset, shot.first)
    last = min(scene.frame_preview_end - shot.offset, shot.last)
    if last < first:
        raise PortraitError("the preview range holds no frame of the shot", shot.name)
    return f"{first}-{last}"


class _Acts(bpy.types.Operator):
    """Asks the backend for acting of the active take."""

    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a take, a rig and a free backend."""
        return base.job_allowed(cls, context, base.no_rig, base.no_take)

    def _act(self, context: Any, settings: dict[str, str], **options: Value) -> set[str]:
        def work() -> None:
            shot = properties.active_shot(context)
            if not shot.take.folder_name:
                shot.take.folder_name = shot.take.name
            take = shot.take.folder_name
            chosen: dict[str, Value] = {"frames": _range(context, shot), "add": True}
            chosen |= options
            chosen |= {"take": take, "track": shot.track_version, "settings": json.dumps(settings)}
            # What was keyed and not sent yet goes along, whole.
            base.run_job(context, "act", chosen | {"rig": _sent(shot)}, take)

        return base.attempt(self, work)


class PORTRAITGEN_OT_act_layer(bpy.types.Operator):
    """Choose where keys go: corrections of the track, or the acting of the active take"""

    bl_idname = "portraitgen.act_layer"
    bl_label = "Layer"
    bl_options = {"REGISTER", "UNDO"}

    layer: EnumProperty(
        name="Layer",
        items=(
            ("CORRECT", "Correct", "The tracked motion was wrong: keys go to the track"),
            ("ACT", "Act", "The performer shall move otherwise: keys go to the take's acting"),
        ),
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a rig."""
        return base.allowed(cls, base.no_shot(context), base.no_rig(context))

    def execute(self, context: Any) -> set[str]:
        """Switches the layers."""
        return base.attempt(self, lambda: self._switch(context))

    def _switch(self, context: Any) -> None:
        shot = properties.active_shot(context)
        parts = pins.parts_of(shot)
        if self.layer == "CORRECT":
            acting_layer.correct(parts)
        elif shot.take is None:
            raise PortraitError("acting belongs to a take", shot.name, "add a take first")
        else:
            take = shot.take.folder_name or shot.take.name
            shot.take.folder_name = take
            acting_layer.act(parts, shot.name, take)
            path = shot.path / "takes" / take / acting_layer.FILE
            if path.exists() and not len(compat.own_curves(shot.armature)):
                # A terminal or another file has let it act.
                bundle = pins.bundle_of(shot)
                acting_layer.show_acting(parts, bundle, shot.name, take, shot.offset, path)
        scene = shot.armature.users_scene[0]
        scene.frame_set(scene.frame_current)


class PORTRAITGEN_OT_send_acting(_Acts):
    """Write what is keyed on the Act layer, constraints included, into the active take"""

    bl_idname = "portraitgen.send_acting"
    bl_label = "Send Acting"

    def execute(self, context: Any) -> set[str]:
        """Sends the rig's acting."""
        shot = properties.active_shot(context)
        if acting_layer.acting_take(shot.armature) != (shot.take.folder_name or shot.take.name):
            self.report({"ERROR"}, "Switch the rig to Act, and key something on it, first")
            return {"CANCELLED"}
        return self._act(context, {})


class PORTRAITGEN_OT_copy_acting(_Acts):
    """Let the active take act as another one does: motion, reshaping and sculpt, in place of its
    own"""

    bl_idname = "portraitgen.copy_acting"
    bl_label = "Copy Acting"

    source: StringProperty(name="From", description="The take whose acting is copied")

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks for the take."""
        result: set[str] = context.window_manager.invoke_props_dialog(self)
        return result

    def draw(self, context: Any) -> None:
        """The takes, by name."""
        self.layout.prop_search(self, "source", properties.active_shot(context), "takes")

    def execute(self, context: Any) -> set[str]:
        """Asks for the acting."""
        shot = properties.active_shot(context)
        take = next((each for each in shot.takes if each.name == self.source), None)
        folder = take.folder_name if take else self.source
        path = shot.path / "takes" / folder / acting_layer.FILE
        if not folder or not path.is_file():
            self.report({"ERROR"}, f"The take '{self.source}' does not act; choose one that does")
            return {"CANCELLED"}

        def work() -> None:
            take = shot.take.folder_name = shot.take.folder_name or shot.take.name
            if folder == take:
                raise PortraitError("a take cannot be copied to itself", take, "choose another")
            options = {"take": take, "track": shot.track_version, "from_file": str(path)}
            base.run_job(context, "act", options, take)

        return base.attempt(self, work)


class PORTRAITGEN_OT_sculpt(bpy.types.Operator):
    """Sculpt the performer in this take, in any frame: it holds for the whole shot. Key the value
    of the shape key PG Sculpt to let it grow; Send Acting writes it. Pressed again, it ends"""

    bl_idname = "portraitgen.sculpt"
    bl_label = "Sculpt"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Needs a rig and a take."""
        return base.allowed(cls, base.no_shot(context), base.no_rig(context), base.no_take(context))

    def execute(self, context: Any) -> set[str]:
        """Enters Sculpt Mode on the take's own shape key, or leaves it."""
        return base.attempt(self, lambda: self._toggle(context))

    def _toggle(self, context: Any) -> None:
        shot = properties.active_shot(context)
        parts = pins.parts_of(shot)
        mesh, layer = parts.mesh, context.view_layer
        with compat.with_window(context):
            if mesh.mode == "SCULPT":
                bpy.ops.object.mode_set(mode="OBJECT")
                mesh.hide_select = True
                layer.objects.active = parts.armature
                return
            take = shot.take.folder_name = shot.take.folder_name or shot.take.name
            if layer.objects.get(mesh.name) != mesh:
                raise PortraitError(
                    "the rig's mesh is not in this scene's view layer", mesh.name, "show it first"
                )
            if layer.objects.active is not None and layer.objects.active.mode != "OBJECT":
                bpy.ops.object.mode_set(mode="OBJECT")
            acting_layer.act(parts, shot.name, take)
            key = sculpt.ensure(mesh, take)
            mesh.hide_select = False
            mesh.hide_set(False)
            layer.objects.active = mesh
            mesh.select_set(True)
            names = [each.name for each in mesh.data.shape_keys.key_blocks]
            mesh.active_shape_key_index = names.index(key.name)
            mesh.show_only_shape_key = False
            bpy.ops.object.mode_set(mode="SCULPT")


class PORTRAITGEN_OT_eyeline(_Acts):
    """Turn both eyes, and as much of the head as asked, to an object or by an angle"""

    bl_idname = "portraitgen.eyeline"
    bl_label = "Eyeline"

    right: FloatProperty(name="Degrees Right", description="To the picture's right")
    down: FloatProperty(name="Degrees Down", description="Down in the picture")
    target: StringProperty(name="Target", description="An object to look at, instead of an angle")
    head: FloatProperty(
        name="Head", description="How far the head goes along", min=0, max=1, subtype="FACTOR"
    )

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks for the angle."""
        result: set[str] = context.window_manager.invoke_props_dialog(self)
        return result

    def draw(self, context: Any) -> None:
        """An object, or an angle; the head goes along with an object alone."""
        layout = self.layout
        layout.use_property_split = True
        layout.prop_search(self, "target", bpy.data, "objects")
        column = layout.column()
        column.enabled = not self.target
        column.prop(self, "right")
        column.prop(self, "down")
        row = layout.row()
        row.enabled = bool(self.target)
        row.prop(self, "head")

    def execute(self, context: Any) -> set[str]:
        """Asks for the acting."""
        if not self.target:
            if not self.right and not self.down:
                self.report({"ERROR"}, "Choose an object, or an angle, first")
                return {"CANCELLED"}
            return self._act(context, {"gaze": f"{self.right:.4f},{self.down:.4f}"})
        found = bpy.data.objects.get(self.target)
        if found is None:
            self.report({"ERROR"}, f"There is no object '{self.target}'")
            return {"CANCELLED"}
        camera = properties.active_shot(context).camera
        place = camera.matrix_world.inverted_safe() @ found.matrix_world.translation
        # Blender's camera looks along -z with y up.
        at = f"{place.x:.5f},{-place.y:.5f},{-place.z:.5f},{self.head:.4f}"
        return self._act(context, {"look_at": at})


_REGIONS = (
    ("all", "All", "The whole face"),
    ("mouth", "Mouth", "Jaw and lips"),
    ("brows", "Brows", "The brows"),
    ("eyes", "Eyes", "Lids and eyes"),
    ("cheeks", "Cheeks", "Cheeks and nose"),
)
_READY_MADE = (
    ("open_eyes", "Open Eyes", "Take blinks out"),
    ("hold", "Hold", "Keep the expression of this frame"),
    ("retime", "Retime", "Play the expressions at another speed"),
    ("exaggerate", "Exaggerate", "Expressions times a factor round their mean"),
    ("steady_head", "Steady Head", "Take out what shakes the head"),
    ("mouth_from", "Mouth from Shot", "Jaw, lips and tongue of another tracked shot"),
)
# What the amount is of, and a usual one to begin with.
_AMOUNTS = {
    "open_eyes": ("Share", 1.0),
    "retime": ("Speed", 0.5),
    "exaggerate": ("Factor", 1.5),
    "steady_head": ("Share", 1.0),
}


class PORTRAITGEN_OT_ready_made_acting(_Acts):
    """Let the take act, over the preview range or the whole shot; it comes as keys to change"""

    bl_idname = "portraitgen.ready_made_acting"
    bl_label = "Act"

    kind: EnumProperty(name="Acting", items=_READY_MADE)
    amount: FloatProperty(name="Amount", description="Factor, speed or share", default=1.0)
    shot_folder: StringProperty(
        name="Shot", description="The other shot's folder", subtype="DIR_PATH"
    )
    shift: IntProperty(name="Offset", description="Frames into the other shot")
    part: EnumProperty(name="Part", description="What acts", items=_PARTS)
    region: EnumProperty(name="Part", description="What is exaggerated", items=_REGIONS)
    fade: IntProperty(name="Fade", description="Frames over which it comes and goes", min=0)

    @classmethod
    def description(cls, context: Any, properties_: Any) -> str:
        """What the kind does."""
        text = next(each[2] for each in _READY_MADE if each[0] == properties_.kind)
        return f"{text}, over the preview range or the whole shot; it comes as keys to change"

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks for its settings."""
        self.amount = _AMOUNTS.get(self.kind, ("", 1.0))[1]
        title = next(each[1] for each in _READY_MADE if each[0] == self.kind)
        result: set[str] = context.window_manager.invoke_props_dialog(self, title=title)
        return result

    def draw(self, context: Any) -> None:
        """What the kind needs."""
        if self.kind == "mouth_from":
            self.layout.prop(self, "shot_folder")
            self.layout.prop(self, "shift")
        elif self.kind in _AMOUNTS:
            self.layout.prop(self, "amount", text=_AMOUNTS[self.kind][0])
        if self.kind == "exaggerate":
            self.layout.prop(self, "region")
        elif self.kind in ("hold", "retime"):
            self.layout.prop(self, "part")
        self.layout.prop(self, "fade")

    def execute(self, context: Any) -> set[str]:
        """Asks for the acting."""
        shot = properties.active_shot(context)
        value = f"{self.amount:.4f}"
        if self.amount == 1 and self.kind in ("retime", "exaggerate"):
            self.report({"ERROR"}, f"A {_AMOUNTS[self.kind][0].lower()} of 1 changes nothing")
            return {"CANCELLED"}
        if self.kind == "hold":
            value = str(shot_time.scene_at_hand(context).frame_current - shot.offset)
        elif self.kind == "mouth_from":
            value = f"{bpy.path.abspath(self.shot_folder)}@{self.shift}"
        elif self.kind == "exaggerate" and self.region != "all":
            value = f"{value}:{self.region}"
        return self._act(context, {self.kind: value}, part=self.part, fade=self.fade)


class PORTRAITGEN_OT_reshape(_Acts):
    """Change what the performer is in this take: added to what the take changes already"""

    bl_idname = "portraitgen.reshape"
    bl_label = "Reshape"

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks for the amounts."""
        result: set[str] = context.window_manager.invoke_props_dialog(self)
        return result

    def draw(self, context: Any) -> None:
        """One slider each."""
        column = self.layout.column(align=True)
        for name in IDENTITY:
            column.prop(self, name, slider=True)

    def execute(self, context: Any) -> set[str]:
        """Asks for the acting."""
        chosen = {name: getattr(self, name) for name in IDENTITY}
        settings = {name: f"{value:.4f}" for name, value in chosen.items() if value}
        if not settings:
            self.report({"ERROR"}, "Move a slider first")
            return {"CANCELLED"}
        return self._act(context, settings)


for _name in IDENTITY:
    PORTRAITGEN_OT_reshape.__annotations__[_name] = FloatProperty(
        name=_name.replace("_", " ").title(), min=-1.5, max=1.5, soft_min=-1, soft_max=1
    )


CLASSES = (
    PORTRAITGEN_OT_act_layer,
    PORTRAITGEN_OT_send_acting,
    PORTRAITGEN_OT_copy_acting,
    PORTRAITGEN_OT_sculpt,
    PORTRAITGEN_OT_eyeline,
    PORTRAITGEN_OT_ready_made_acting,
    PORTRAITGEN_OT_reshape,
)
