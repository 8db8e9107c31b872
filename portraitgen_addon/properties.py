# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a .blend file remembers of its shots: names, ids, settings. The folder is the truth."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from portraitgen.messages.setup import Description

from . import (
    backend_properties,
    compat,
    frame_marks,
    part_quality,
    quality_colours,
    take_settings,
)


class PORTRAITGEN_PG_take(bpy.types.PropertyGroup):
    """One edit of a shot: its editor and the settings made so far; `name` is what people read."""

    folder_name: StringProperty(options={"HIDDEN"})
    in_folder: BoolProperty(
        description="Whether the shot's folder was seen to hold the take", options={"HIDDEN"}
    )

    editor: StringProperty(
        name="Editor", description="What changes the pictures", default="relight"
    )
    strength: FloatProperty(
        name="Strength",
        description="How strong the edit is",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    seed: IntProperty(
        name="Seed", description="The same seed gives the same edit again", default=0, min=0
    )
    mix: FloatProperty(
        name="Mix",
        description="How much of the edit shows in rendered frames; key it to let it come and go",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        options={"ANIMATABLE"},
    )
    preview: StringProperty(options={"HIDDEN"})
    watched: BoolProperty(
        name="Watch for Frames",
        description="Frames that other machines render appear in the take's strip as they arrive",
    )
    # JSON of settings that the backend has not told of yet.
    unshown_settings: StringProperty(options={"HIDDEN"})


class PORTRAITGEN_PG_pin(bpy.types.PropertyGroup):
    """A point of the body and where it belongs in one frame of the plate."""

    frame: IntProperty(description="The footage frame")
    face: IntProperty(description="The face of the body's mesh")
    weights: FloatVectorProperty(size=3, description="Barycentric place within the face")
    target: FloatVectorProperty(size=2, precision=2, description="Plate pixels")


class PORTRAITGEN_PG_mark(bpy.types.PropertyGroup):
    """A frame worth a look; `name` says why."""

    frame: IntProperty(description="The footage frame")
    kind: StringProperty()


def _go_to_mark(shot: Any, context: Any) -> None:
    if 0 <= shot.active_mark < len(shot.marks):
        frame_marks.go_to(shot, shot.marks[shot.active_mark].frame, context)


def _hide_unseen(shot: Any, context: Any) -> None:
    if shot.mesh:
        part_quality.hide_unseen(shot.mesh, shot.hide_unseen)


def _show_quality(shot: Any, context: Any) -> None:
    quality_colours.switch(shot, context)


@lru_cache(maxsize=100)
def _path_of(text: str) -> Path:
    """Made once: each button of a panel asks for it with every drawing."""
    return Path(text)


class PORTRAITGEN_PG_shot(bpy.types.PropertyGroup):
    """One shot: the folder where it lies and how it sits in the scene."""

    shot_id: StringProperty(options={"HIDDEN"})
    folder: StringProperty(
        name="Folder",
        description="Where everything known of the shot lies",
        subtype="DIR_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    strip: StringProperty(name="Strip", description="The plate's strip")
    channel: IntProperty(default=1, options={"HIDDEN"})
    offset: IntProperty(options={"HIDDEN"})
    # What the plate's strip showed when the shot was last brought in line with it; a rate such as
    # "24000/1001". Empty in files of earlier versions.
    strip_first: IntProperty(options={"HIDDEN"})
    strip_last: IntProperty(options={"HIDDEN"})
    strip_rate: StringProperty(options={"HIDDEN"})
    first: IntProperty(name="First Frame", description="The first footage frame of the shot")
    last: IntProperty(name="Last Frame", description="The last footage frame of the shot")
    colour_space: StringProperty(
        name="Colour Space", description="The colour space the plate is read in"
    )
    camera: PointerProperty(type=bpy.types.Object, options={"HIDDEN"})
    armature: PointerProperty(type=bpy.types.Object, options={"HIDDEN"})
    mesh: PointerProperty(type=bpy.types.Object, options={"HIDDEN"})
    track_version: IntProperty(options={"HIDDEN"})
    people: IntProperty(description="Faces in the frame that shows the most", options={"HIDDEN"})
    pins: CollectionProperty(type=PORTRAITGEN_PG_pin)
    pin_resistance: FloatProperty(
        name="Resistance",
        description="How firmly a face that is well tracked stays in its place while pins"
        " elsewhere are dragged; pins on the face move it freely",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    marks: CollectionProperty(type=PORTRAITGEN_PG_mark)
    active_mark: IntProperty(
        name="Frame", description="A frame worth a look; a click goes there", update=_go_to_mark
    )
    show_marks: BoolProperty(
        name="Show in Timelines",
        description="Show weak frames and pivots at the foot of the timeline and the sequencer",
        default=True,
    )
    hide_unseen: BoolProperty(
        name="Hide Unseen Arms",
        description="Hide arms that the plate does not show; they stand as arms usually do",
        default=True,
        update=_hide_unseen,
    )
    show_quality: BoolProperty(
        name="Quality Colors",
        description="Color the body by how far each part lies from where the plate shows it in"
        " this frame: green is good, red poor, dark what is guessed",
        update=_show_quality,
    )
    takes: CollectionProperty(type=PORTRAITGEN_PG_take)
    active_take: IntProperty(name="Take", description="The take the panels show")

    @property
    def path(self) -> Path:
        """The folder, absolute."""
        return _path_of(bpy.path.abspath(self.folder))

    @property
    def take(self) -> Any | None:
        """The active take, None if there is none."""
        if 0 <= self.active_take < len(self.takes):
            return self.takes[self.active_take]
        return None

    def mix_keys(self, take: Any) -> str:
        """The take's mix as the backend takes it: a number, or a key a footage frame."""
        return self.keys_of(f"{take.path_from_id()}.mix") or f"{take.mix:.4f}"

    def keys_of(self, path: str) -> str:
        """What a property of 0 to 1 is in each frame, FRAME:SHARE by commas; empty if it is not
        keyed."""
        curve = next(
            (each for each in compat.own_curves(self.id_data) if each.data_path == path), None
        )
        if curve is None:
            return ""
        shares = {
            frame: min(max(curve.evaluate(frame + self.offset), 0.0), 1.0)
            for frame in range(self.first, self.last + 1)
        }
        return ",".join(f"{frame}:{share:.4f}" for frame, share in shares.items())

    @property
    def frames(self) -> str:
        """The shot's range as the backend takes it."""
        return f"{self.first}-{self.last}"

    @property
    def has_rig(self) -> bool:
        """Whether all three objects of the rig are there."""
        return None not in (self.camera, self.armature, self.mesh)


class PORTRAITGEN_PG_scene(bpy.types.PropertyGroup):
    """The shots of a scene."""

    shots: CollectionProperty(type=PORTRAITGEN_PG_shot)
    active: IntProperty(name="Shot", description="The shot the panels show")
    beside: StringProperty(
        description="The folder of the file that relative paths are meant from", options={"HIDDEN"}
    )
    credentials: BoolProperty(
        name="Content Credentials",
        description="Sign what is delivered of this project with the studio's certificate",
    )
    certificate: StringProperty(
        name="Certificate",
        description="The studio's certificate chain, PEM, the signer's first",
        subtype="FILE_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    certificate_key: StringProperty(
        name="Key",
        description="The certificate's private key, PKCS#8 PEM; where keys may not lie on this"
        " machine, sign in a terminal with a command",
        subtype="FILE_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )


CLASSES = (
    PORTRAITGEN_PG_take,
    PORTRAITGEN_PG_pin,
    PORTRAITGEN_PG_mark,
    PORTRAITGEN_PG_shot,
    PORTRAITGEN_PG_scene,
)


def register() -> None:
    """Adds the shots to scenes, with the options the backend told of last time."""
    for each in CLASSES:
        bpy.utils.register_class(each)
    bpy.types.Scene.portraitgen = PointerProperty(type=PORTRAITGEN_PG_scene)
    backend_properties.register(
        backend_properties.remembered(), PORTRAITGEN_PG_shot, PORTRAITGEN_PG_take
    )


def unregister() -> None:
    """Takes them away; what a file stores of them stays stored."""
    backend_properties.unregister()
    del bpy.types.Scene.portraitgen
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)


def accept_description(description: Description) -> None:
    """Takes the backend's description over, if it says something new."""
    if description != backend_properties.remembered() or not backend_properties.editors():
        backend_properties.remember(description)
        backend_properties.register(description, PORTRAITGEN_PG_shot, PORTRAITGEN_PG_take)
        take_settings.show_waiting_settings()


def home_scene(shot: Any) -> Any | None:
    """The scene whose sequencer shows a shot's plate: the one that lists the shot.

    Never by its name: scenes are renamed, and a copied scene lists a copy of the shot.
    """
    return shot.id_data if shot is not None else None


def active_shot(context: Any) -> Any:
    """The active shot of the scene at hand, or of the one its rig belongs to; None without one."""
    from .compat import sequencer_scene

    for scene in (sequencer_scene(context), context.scene):
        state = getattr(scene, "portraitgen", None)
        if state and 0 <= state.active < len(state.shots):
            return state.shots[state.active]
    for scene in bpy.data.scenes:
        state = scene.portraitgen
        if 0 <= state.active < len(state.shots):
            shot = state.shots[state.active]
            if shot.camera and context.scene in shot.camera.users_scene:
                return shot
    return None


def find_shot(shot_id: str, scene: int = 0) -> Any | None:
    """The shot of an id in any scene, None if the file has lost it.

    Args:
        scene: where it is wanted, by the scene's `session_uid`, if it is there: a copied scene has
            a copy of its shots. Otherwise one that a window shows comes first.
    """
    shown = _shown_scenes()

    def far(shot: Any) -> tuple[bool, bool, bool]:
        own = shot.id_data
        return own.session_uid != scene, own not in shown, own.library is not None

    every = [shot for each in bpy.data.scenes for shot in each.portraitgen.shots]
    return min((each for each in every if each.shot_id == shot_id), key=far, default=None)


def _shown_scenes() -> list[Any]:
    """The scenes that windows and their sequencers show."""
    manager = bpy.context.window_manager
    windows = manager.windows if manager else ()
    edits = (getattr(window.workspace, "sequencer_scene", None) for window in windows)
    return [*(window.scene for window in windows), *edits]
