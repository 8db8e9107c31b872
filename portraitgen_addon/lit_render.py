# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders a lit performer alone, through the plate's camera, by the engine that the scene uses.

It is rendered in a scene of its own, a copy of the rig's with all of its render settings, so that
nothing of the artist's is changed for it. The scene's lights and CG are in it, too: they light the
performer and throw their shadows, but the camera does not see them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from portraitgen.errors import PortraitError
from portraitgen.shot import Shot
from portraitgen.storage import make_folder, remove_tree

from . import camera, compat, splats

_SPACE = "Linear Rec.709"
_NAME = "PortraitGen lit take"
_AROUND = "PortraitGen lit take surroundings"
# Nothing is seen of them; what hangs on them finds them in any scene.
_UNSEEN = ("ARMATURE", "CAMERA", "LATTICE", "SPEAKER")


@dataclass
class LitRender:
    """One rendering under way.

    Attributes:
        scene: the name of the scene it is rendered in.
        frames: of the footage; offset: scene frame minus footage frame.
        folder: where the pictures go, `take`.####.exr by footage frames once they are finished.
    """

    scene: str
    frames: range
    offset: int
    folder: Path
    take: str

    def finish(self) -> None:
        """Names the pictures by the footage's frames and takes the scene out of the file.

        Raises:
            PortraitError: if a picture is missing.
        """
        scene = bpy.data.scenes[self.scene]
        written = {
            frame: Path(scene.render.frame_path(frame=frame + self.offset)) for frame in self.frames
        }
        self.discard()
        missing = [frame for frame, path in written.items() if not path.exists()]
        if missing:
            raise PortraitError(
                f"Blender wrote no picture of frame {missing[0]}",
                self.folder,
                "look at its console",
            )
        # From the end where numbers grow, so that none takes the place of one to be renamed.
        order = sorted(written, reverse=self.offset < 0)
        for frame in order:
            written[frame].rename(self.folder / f"{self.take}.{frame:04d}.exr")

    def discard(self) -> None:
        """Takes the scene out of the file."""
        scene = bpy.data.scenes.get(self.scene)
        if scene is None:
            return
        for each in list(scene.collection.children):
            bpy.data.collections.remove(each)
        bpy.data.scenes.remove(scene)


def prepare(shot: Any, cloud: Any, take: str, frames: range) -> LitRender:
    """Makes the scene in which a performer is rendered, and an empty folder for its pictures.

    Args:
        shot: with its rig.
        cloud: the performer.
        take: that the pictures belong to.
        frames: of the footage.
    """
    if frames[0] + shot.offset < 0:
        raise PortraitError(
            "Blender renders no frames before 0",
            f"frame {frames[0] + shot.offset}",
            "move the plate's strip later and press Update from Strip",
        )
    opened = Shot.open(shot.path)
    folder = opened.make_take(take) / "lit"
    remove_tree(folder)
    make_folder(folder)
    # The lights are those of the scene at hand, where the rig is linked into several.
    scenes = shot.armature.users_scene
    source = bpy.context.scene if bpy.context.scene in scenes else scenes[0]
    scene = source.copy()
    scene.name = _NAME
    # The copy is nobody's edit.
    scene.portraitgen.shots.clear()
    _stage(source, scene, cloud)
    # Cameras may be bound to them.
    scene.timeline_markers.clear()
    scene.camera = shot.camera
    fps = opened.record.footage.fps
    lens = opened.track_record(shot.track_version).camera
    camera.fit_scene(scene, lens, (fps.numerator, fps.denominator))
    scene.frame_start, scene.frame_end = (frames[at] + shot.offset for at in (0, -1))
    scene.frame_step = 1
    render = scene.render
    render.use_sequencer = render.use_compositing = render.use_border = False
    render.use_multiview = render.use_stamp = render.use_freestyle = False
    render.frame_map_old = render.frame_map_new = 100
    render.film_transparent = render.use_overwrite = render.use_file_extension = True
    settings = render.image_settings
    settings.media_type, settings.file_format = "IMAGE", "OPEN_EXR"
    settings.color_mode, settings.color_depth, settings.exr_codec = "RGBA", "16", "ZIP"
    settings.color_management = "OVERRIDE"
    settings.linear_colorspace_settings.name = _SPACE
    render.filepath = f"{compat.plain_path(folder / take)}.scene.#####"
    return LitRender(scene.name, frames, shot.offset, folder, take)


def _stage(source: Any, scene: Any, cloud: Any) -> None:
    """Gives a scene what is rendered in another: the performer, and out of the camera's sight what
    lights and shadows it."""
    root = scene.collection
    for child in list(root.children):
        root.children.unlink(child)
    for each in list(root.objects):
        root.objects.unlink(each)
    for layer in list(scene.view_layers)[1:]:
        scene.view_layers.remove(layer)
    own = [cloud, splats.shadow_of(cloud)]
    around = bpy.data.collections.new(_AROUND)
    root.children.link(around)
    for each in own:
        root.objects.link(each)
    for each in _rendered(source.view_layers[0].layer_collection):
        if each not in own and each.type not in _UNSEEN and each.name not in around.objects:
            around.objects.link(each)
    layer = scene.view_layers[0]
    layer.use = True
    layer.material_override = None
    seen = layer.layer_collection.children[around.name]
    # Cycles alone can leave them out of sight; others cut out what is behind them.
    if scene.render.engine == "CYCLES":
        seen.indirect_only = True
    else:
        seen.holdout = True


def _rendered(layer: Any) -> Iterator[Any]:
    """The objects that a layer's collection renders, with those below it."""
    if layer.exclude or layer.collection.hide_render:
        return
    for each in layer.collection.objects:
        if not each.hide_render:
            yield each
    for child in layer.children:
        yield from _rendered(child)


def render_now(made: LitRender) -> None:
    """Renders while a script waits."""
    with _in_scene(made):
        bpy.ops.render.render(animation=True)


def render_beside(made: LitRender, on_end: Callable[[bool], None]) -> None:
    """Renders beside the artist's work, in Blender's own job with its window and its Escape.

    Args:
        on_end: called with whether it is complete, from Blender's handlers, which may not change
            the file.
    """
    handlers = (bpy.app.handlers.render_complete, bpy.app.handlers.render_cancel)

    def leave() -> None:
        for handler, work in zip(handlers, works, strict=True):
            handler.remove(work)

    def completed(scene: Any, *unused: Any) -> None:
        if scene.name == made.scene:
            leave()
            on_end(True)

    def cancelled(scene: Any, *unused: Any) -> None:
        if scene.name == made.scene:
            leave()
            on_end(False)

    works = (completed, cancelled)
    for handler, work in zip(handlers, works, strict=True):
        handler.append(work)
    try:
        with _in_scene(made):
            bpy.ops.render.render("INVOKE_DEFAULT", animation=True)
    except RuntimeError:
        leave()
        raise


@contextmanager
def _in_scene(made: LitRender) -> Iterator[None]:
    """Of a scene that is only named, the frames rendered would be the active scene's."""
    scene = bpy.data.scenes[made.scene]
    with compat.with_window(bpy.context), bpy.context.temp_override(scene=scene):
        yield
