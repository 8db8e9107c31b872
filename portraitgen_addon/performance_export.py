# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Camera, skeleton, skin and shapes of a shot as files, by Blender's own exporters."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy

from portraitgen.errors import PortraitError

from . import rig


def export(parts: rig.Rig, path: Path, first: int, last: int) -> None:
    """Writes a shot's rig; selection, visibility and the scene's range are put back.

    Args:
        path: its ending says how: .abc, .usdc, .usda, .fbx or .bvh.
        first, last: the scene's frames.

    Raises:
        PortraitError: if the ending is no such one, or Blender's exporter fails.
        OSError: if the file can't be written.
    """
    way = _WAYS.get(path.suffix.lower())
    if way is None:
        known = ", ".join(_WAYS)
        raise PortraitError("the file's ending names no format", path, f"use one of {known}")
    # Blender's exporters say it in many lines, or not at all.
    there = path.exists()
    with open(path, "ab"):
        pass
    if not there:
        path.unlink()
    scene = parts.armature.users_scene[0]
    try:
        with _chosen(parts, scene, first, last):
            done = way(str(path), first, last)
    except RuntimeError as error:
        raise PortraitError(
            f"Blender's exporter failed ({_last_line(error)})", path, "choose another format"
        ) from error
    if "FINISHED" not in done or not path.exists():
        raise PortraitError("Blender's exporter wrote nothing", path, "choose another place")


def _last_line(error: RuntimeError) -> str:
    """What an operator's error says, without the lines of Python that led there."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next(line for line in reversed(lines) if not line.startswith(("Location:", "^", "~")))


def _alembic(path: str, first: int, last: int) -> set[str]:
    """A mesh cache and the camera."""
    return bpy.ops.wm.alembic_export(
        filepath=path,
        start=first,
        end=last,
        selected=True,
        evaluation_mode="VIEWPORT",
        as_background_job=False,
    )


def _usd(path: str, first: int, last: int) -> set[str]:
    """Skeleton, skin and shapes, and the camera."""
    return bpy.ops.wm.usd_export(
        filepath=path,
        selected_objects_only=True,
        export_animation=True,
        export_armatures=True,
        export_shapekeys=True,
        evaluation_mode="VIEWPORT",
    )


def _fbx(path: str, first: int, last: int) -> set[str]:
    """Skeleton, skin and shapes, and the camera."""
    return bpy.ops.export_scene.fbx(
        filepath=path,
        use_selection=True,
        bake_anim=True,
        bake_anim_use_all_actions=False,
        add_leaf_bones=False,
    )


def _bvh(path: str, first: int, last: int) -> set[str]:
    """The skeleton."""
    return bpy.ops.export_anim.bvh(filepath=path, frame_start=first, frame_end=last)


_WAYS: Mapping[str, Callable[[str, int, int], set[str]]] = {
    ".abc": _alembic,
    ".usdc": _usd,
    ".usda": _usd,
    ".fbx": _fbx,
    ".bvh": _bvh,
}


@contextmanager
def _chosen(parts: rig.Rig, scene: Any, first: int, last: int) -> Iterator[None]:
    """The shot's objects alone selected, over its own frames."""
    layer = scene.view_layers[0]
    ours = (parts.camera, parts.armature, parts.mesh)
    selected = [each for each in layer.objects if each.select_get(view_layer=layer)]
    active, span = layer.objects.active, (scene.frame_start, scene.frame_end)
    hidden = [(each, each.hide_select, each.hide_viewport) for each in ours]
    unseen = [each for each in ours if each.hide_get(view_layer=layer)]
    try:
        for each in selected:
            each.select_set(False, view_layer=layer)
        for each in ours:
            each.hide_select = each.hide_viewport = False
            each.hide_set(False, view_layer=layer)
            each.select_set(True, view_layer=layer)
        layer.objects.active = parts.armature
        scene.frame_start, scene.frame_end = first, last
        with bpy.context.temp_override(
            scene=scene,
            view_layer=layer,
            selected_objects=list(ours),
            active_object=parts.armature,
            object=parts.armature,
        ):
            yield
    finally:
        for each in ours:
            each.select_set(False, view_layer=layer)
        for each, select, viewport in hidden:
            each.hide_select, each.hide_viewport = select, viewport
        for each in unseen:
            each.hide_set(True, view_layer=layer)
        for each in selected:
            each.select_set(True, view_layer=layer)
        layer.objects.active = active
        scene.frame_start, scene.frame_end = span
