# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lit performer that is turned, mirrored and instanced, and files without the extension."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import pytest
from mathutils import Matrix
from splat_performer import OFFSET, display, native, psnr, rendered

_TURNED = Matrix.Rotation(math.radians(130), 4, "Z") @ Matrix.Rotation(math.radians(40), 4, "X")
_MIRRORED = Matrix.Scale(-1, 4, (1, 0, 0))


def _lit(built: SimpleNamespace) -> tuple[Any, Any]:
    """The performer's cloud and a sun that lights it from its side."""
    built.scene.frame_set(3 + OFFSET)
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy, sun.rotation_euler = 3, (0.3, 1.2, 0)
    built.scene.collection.objects.link(sun)
    built.splats.light_by_scene(built.performer.cloud, True)
    bpy.context.view_layer.update()
    return built.performer.cloud, sun


def _around(built: SimpleNamespace, sun: Any, change: Matrix) -> None:
    """Turns sun and camera as the performer is turned; neither is mirrored."""
    turn = change if change.determinant() > 0 else Matrix.Identity(4)
    seen_from = built.scene.camera.copy()
    seen_from.parent = None
    seen_from.matrix_world = turn @ built.scene.camera.matrix_world
    built.scene.collection.objects.link(seen_from)
    built.scene.camera = seen_from
    shines = change.to_3x3() @ sun.matrix_world.to_3x3().col[2]
    sun.rotation_euler = shines.to_track_quat("Z", "Y").to_euler()


def _instanced(built: SimpleNamespace, cloud: Any, change: Matrix) -> None:
    group = bpy.data.collections.new("performer")
    for each in (cloud, built.splats.shadow_of(cloud)):
        for collection in each.users_collection:
            collection.objects.unlink(each)
        group.objects.link(each)
    holder = bpy.data.objects.new("instance", None)
    holder.instance_type, holder.instance_collection = "COLLECTION", group
    holder.matrix_world = change
    built.scene.collection.objects.link(holder)


@native
@pytest.mark.parametrize("change", [_TURNED, _MIRRORED], ids=["turned", "mirrored"])
@pytest.mark.parametrize("instanced", [True, False], ids=["instance", "object"])
def test_a_performer_that_is_turned_is_lit_from_where_the_light_is(
    built: SimpleNamespace, tmp_path: Path, change: Matrix, instanced: bool
) -> None:
    """Instances were lit as the performer itself stood, from the other side where they looked away;
    mirrored objects too."""
    cloud, sun = _lit(built)
    before = rendered(built.scene, tmp_path / "before", 16)
    mirrored = change.determinant() < 0
    if instanced:
        _instanced(built, cloud, change)
    else:
        cloud.matrix_world = change @ cloud.matrix_world
    _around(built, sun, change)
    after = rendered(built.scene, tmp_path / "after", 16)
    if mirrored:
        after = after[:, ::-1]
    both = (before[..., 3] > 0.95) & (after[..., 3] > 0.95)
    assert both.sum() > 0.9 * (before[..., 3] > 0.95).sum()
    apart = psnr(display(before[both][:, :3]), display(after[both][:, :3]))
    # The light comes from the side, so that a wrong one shows.
    lit = before[..., :3].mean(-1)
    assert lit[both].std() > 0.3 * lit[both].mean()
    assert apart > 25, f"{apart:.1f} dB"
