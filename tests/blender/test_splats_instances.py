# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lit performer that is turned, mirrored and instanced, and files without the extension."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import pytest
from conftest import module
from mathutils import Matrix
from splat_performer import OFFSET, display, native, psnr, rendered, shown

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


def test_a_scene_that_stretches_time_is_told_and_read_as_it_is_keyed(
    performer_shot: Any, until: Any, session: Any, tmp_path: Path
) -> None:
    """Cameras went into the world from other frames than their splats."""
    watch, scene = module("portraitgen_addon.edit_watch"), bpy.context.scene
    world = module("operators.splats")._world
    carried = bpy.data.objects.new("dolly", None)
    scene.collection.objects.link(carried)
    performer_shot.camera.parent = carried
    for frame in (OFFSET + 1, OFFSET + 6):
        carried.location = (frame - OFFSET, 0, 0)
        carried.keyframe_insert("location", frame=frame)
    plain = world(performer_shot).read_text()
    assert len({str(place) for place in json.loads(plain)["frames"].values()}) == 6
    scene.render.frame_map_old, scene.render.frame_map_new = 100, 250
    assert world(performer_shot).read_text() == plain
    assert (scene.render.frame_map_old, scene.render.frame_map_new) == (100, 250)
    watch.note_change()
    watch.look(force=True)
    assert any("stretches time" in each.text for each in watch.notices(performer_shot))
    scene.render.frame_map_new = 100
    watch.note_change()
    watch.look(force=True)
    assert not any("stretches time" in each.text for each in watch.notices(performer_shot))


_BARE = """
import sys
import bpy, numpy as np
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
(cloud,) = (each for each in bpy.data.objects if each.type == "POINTCLOUD")
for frame in map(int, sys.argv[2:]):
    bpy.context.scene.frame_set(frame)
    points = cloud.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    found = np.empty(len(points.points) * 3, np.float32)
    points.points.foreach_get("co", found)
    print("SHOWN", points.type, len(found) // 3, found.sum().round(2) if len(found) else 0)
print("TOLD", cloud["PortraitGen"])
"""


@native
def test_a_packed_performer_is_shown_without_the_extension(
    built: SimpleNamespace, tmp_path: Path
) -> None:
    """A file that holds no splats says so where anybody can read it."""
    cloud, frames = built.performer.cloud, [OFFSET + 2, OFFSET + 5]
    told = []
    for packed in (False, True):
        cloud[built.splats.PACKED] = packed
        path = tmp_path / f"packed-{packed}.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(path))
        words = [sys.executable, "-c", _BARE, path, *map(str, frames)]
        alone = os.environ | {"BLENDER_USER_RESOURCES": str(tmp_path / "bare")}
        done = subprocess.run(words, capture_output=True, text=True, env=alone, check=True)
        told.append([line for line in done.stdout.splitlines() if line[:5] in ("SHOWN", "TOLD ")])
    assert told[0][0].split()[2] == "0"
    assert "Pack Splats" in told[0][-1] and "extension" in told[0][-1]
    places = []
    for frame, line in zip(frames, told[1], strict=False):
        built.scene.frame_set(frame)
        truth = shown(cloud)["position"]
        kind, count, total = line.split()[1:]
        assert kind == "GAUSSIAN_SPLAT" and int(count) == len(truth)
        assert abs(float(total) - truth.sum()) < 1
        places.append(float(total))
    assert abs(places[0] - places[1]) > 1
