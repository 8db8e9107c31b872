# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer in 3D in renders of several kinds: blurred by motion, in parts, as passes."""

import math
import subprocess
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from conftest import PYTHON
from splat_performer import OFFSET, SIZE, display, native, psnr, rendered, shown

_PARTS = 8


def _moved(built: SimpleNamespace) -> None:
    """Lets the rig travel and its head turn about frame 3."""
    armature = built.parts.armature
    head = armature.pose.bones["head"]
    for frame, sign in ((2, -1), (4, 1)):
        armature.location.x = 0.03 * sign
        armature.keyframe_insert("location", frame=frame + OFFSET)
        head.rotation_quaternion = (0.97, 0, 0.24 * sign, 0)
        head.keyframe_insert("rotation_quaternion", frame=frame + OFFSET)


@native
@pytest.mark.parametrize("lit", [False, True], ids=["plate's light", "lit"])
def test_motion_blur_is_the_mean_of_what_is_seen_meanwhile(
    built: SimpleNamespace, tmp_path: Path, lit: bool
) -> None:
    scene = built.scene
    _moved(built)
    if lit:
        sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
        sun.data.energy, sun.rotation_euler = 3, (1.2, 0.3, 0)
        scene.collection.objects.link(sun)
        built.splats.light_by_scene(built.performer.cloud, True)
    scene.frame_set(3 + OFFSET)
    sharp = rendered(scene, tmp_path / "sharp", 16)
    scene.render.use_motion_blur, scene.render.motion_blur_shutter = True, 1
    blurred = rendered(scene, tmp_path / "blurred", 64)
    scene.render.use_motion_blur = False
    mean = np.zeros_like(sharp)
    for part in range(_PARTS):
        now = 2.5 + (part + 0.5) / _PARTS
        scene.frame_set(math.floor(now) + OFFSET, subframe=now % 1)
        mean += rendered(scene, tmp_path / f"part{part}", 8) / _PARTS
    colours = [psnr(display(each[..., :3]), display(mean[..., :3])) for each in (blurred, sharp)]
    alphas = [psnr(each[..., 3], mean[..., 3]) for each in (blurred, sharp)]
    print(f"motion blur: {colours[0]:.1f} dB, alpha {alphas[0]:.1f}; sharp {colours[1]:.1f} dB")
    assert colours[0] > 30 and alphas[0] > 30
    assert colours[0] > colours[1] + 6 and alphas[0] > alphas[1] + 6


_READ = """
import sys
import numpy as np, OpenImageIO as oiio
image, index, found = oiio.ImageInput.open(sys.argv[1]), 0, {}
while image.seek_subimage(index, 0):
    names = image.spec().channelnames
    pixels = image.read_image(index, 0, 0, len(names), oiio.FLOAT)
    index += 1
    found |= {name.split(".", 1)[-1]: pixels[..., at] for at, name in enumerate(names)}
np.savez(sys.argv[2], **found)
"""


@native
def test_passes_know_the_performer(built: SimpleNamespace, tmp_path: Path) -> None:
    scene, cloud = built.scene, built.performer.cloud
    scene.frame_set(3 + OFFSET)
    layer = scene.view_layers[0]
    passes = ("z", "mist", "normal", "vector", "object_index", "cryptomatte_object")
    for name in passes:
        setattr(layer, f"use_pass_{name}", True)
    scene.world = bpy.data.worlds.new("mist")
    scene.world.mist_settings.start, scene.world.mist_settings.depth = 0.5, 1
    scene.world.mist_settings.falloff = "LINEAR"
    cloud.pass_index = 5
    rendered(scene, tmp_path / "first", 1)
    image = scene.render.image_settings
    image.media_type, image.file_format = "MULTI_LAYER_IMAGE", "OPEN_EXR_MULTILAYER"
    image.color_mode, image.color_depth = "RGBA", "32"
    scene.cycles.samples, scene.render.filepath = 8, str(tmp_path / "passes")
    bpy.ops.render.render(write_still=True)
    image.media_type = "IMAGE"
    words = [tmp_path / "passes.exr", tmp_path / "passes.npz"]
    subprocess.run([PYTHON, "-c", _READ, *words], check=True)
    found = np.load(tmp_path / "passes.npz")
    inside, outside = (found["Combined.A"] > 0.99), (found["Combined.A"] == 0)
    depth = built.truth["means3"][:, 2]
    assert depth.min() - 0.05 < found["Depth.Z"][inside].min()
    assert found["Depth.Z"][inside].max() < depth.max() + 0.05
    assert (found["Depth.Z"][outside] > 1e6).all()
    mist = found["Mist.Z"][inside]
    # It counts along the ray, depth along the camera's axis.
    assert abs(np.median(mist - (found["Depth.Z"][inside] - 0.5))) < 0.05
    assert (found["Object Index.X"][inside] == 5).all()
    assert found["CryptoObject00.g"][inside].min() > 0.99
    assert len(np.unique(found["CryptoObject00.r"][inside].round(-1))) == 1
    assert not found["CryptoObject00.g"][outside].any()
    # Where points of the performer were in the frame before and are in the one after, y up.
    fx = built.parts.camera.data.lens / built.parts.camera.data.sensor_width * SIZE
    means = {frame: built.truth[f"means{frame}"] for frame in (2, 3, 4)}
    seen = {frame: fx * each[:, :2] / each[:, 2:] * [1, -1] for frame, each in means.items()}
    columns, rows = np.rint(seen[3] * [1, -1] + SIZE / 2 - 0.5).astype(int).clip(0, SIZE - 1).T
    front = inside[rows, columns]
    front &= np.abs(found["Depth.Z"][rows, columns] - means[3][:, 2]) < 0.005
    assert front.sum() > 300
    moved = np.concatenate([seen[2] - seen[3], seen[3] - seen[4]], 1)[front]
    shown_there = np.stack([found[f"Vector.{axis}"][rows, columns][front] for axis in "XYZW"], 1)
    assert np.abs(moved).max() > 1 and np.median(np.abs(moved - shown_there)) < 0.1
    normals = np.stack([found[f"Normal.{axis}"][inside] for axis in "XYZ"], 1)
    # The camera looks along +Y.
    assert normals[:, 1].mean() < -0.5


@native
def test_borders_percentages_and_frame_ranges_show_the_same(
    built: SimpleNamespace, tmp_path: Path
) -> None:
    scene, render = built.scene, built.scene.render
    scene.frame_set(3 + OFFSET)
    whole = rendered(scene, tmp_path / "whole", 8)
    render.use_border, render.use_crop_to_border = True, False
    render.border_min_x, render.border_max_x = render.border_min_y, render.border_max_y = 0.25, 0.75
    part = rendered(scene, tmp_path / "part", 8)
    quarter, three = SIZE // 4, 3 * SIZE // 4
    inner = np.s_[quarter:three, quarter:three]
    assert np.array_equal(part[inner], whole[inner]) and not part[:quarter].any()
    render.use_border = False
    scene.frame_start, scene.frame_end = 4 + OFFSET, 5 + OFFSET
    render.filepath = str(tmp_path / "range.####")
    bpy.ops.render.render(animation=True)
    for frame in (4, 5):
        scene.frame_set(frame + OFFSET)
        one = rendered(scene, tmp_path / f"one{frame}", 8)
        image = bpy.data.images.load(str(tmp_path / f"range.{frame + OFFSET}.exr"))
        pixels = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(pixels)
        assert np.array_equal(pixels.reshape(SIZE, SIZE, 4)[::-1], one)


@native
def test_outside_of_its_frames_a_performer_holds_its_ends(built: SimpleNamespace) -> None:
    cloud = built.performer.cloud
    for frame, like in ((-40, 1), (OFFSET, 1), (OFFSET + 7, 6), (OFFSET + 500, 6)):
        built.scene.frame_set(frame)
        found = shown(cloud)
        assert np.abs(found["position"] - built.truth[f"means{like}"]).max() < 1e-4
        colours = found["radiance:base"][:, :3] * 0.28209479 + 0.5
        assert np.abs(colours - built.truth[f"features{like}"]).max() < 2e-3
    # Between two frames it is between them, as motion blur asks for it.
    built.scene.frame_set(3 + OFFSET, subframe=0.5)
    between = (built.truth["means3"] + built.truth["means4"]) / 2
    assert np.abs(shown(cloud)["position"] - between).max() < 5e-4


@native
def test_holdouts_and_indirect_light_of_a_collection(
    built: SimpleNamespace, tmp_path: Path
) -> None:
    scene, cloud, splats = built.scene, built.performer.cloud, built.splats
    scene.frame_set(3 + OFFSET)
    splats.light_by_scene(cloud, True)
    own = bpy.data.collections.new("performer")
    scene.collection.children.link(own)
    for each in (cloud, cloud[splats.SURFACE], splats.shadow_of(cloud)):
        for old in each.users_collection:
            old.objects.unlink(each)
        own.objects.link(each)
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy, sun.rotation_euler = 3, (1.2, 0, 0)
    scene.collection.objects.link(sun)
    turn = (math.pi / 2, 0, 0)
    bpy.ops.mesh.primitive_plane_add(size=20, location=(0, 2, 0), rotation=turn)
    layer = scene.view_layers[0].layer_collection.children["performer"]
    found = {"plain": rendered(scene, tmp_path / "plain", 8)}
    for name in ("holdout", "indirect_only", "exclude"):
        setattr(layer, name, True)
        found[name] = rendered(scene, tmp_path / name, 8)
        setattr(layer, name, False)
    middle = np.s_[SIZE // 2 - 8 : SIZE // 2 + 8, SIZE // 2 - 8 : SIZE // 2 + 8]
    assert found["plain"][..., 3].min() > 0.99 and found["holdout"][middle][..., 3].max() == 0
    assert found["holdout"][:20, :20, 3].min() > 0.99
    cloud.is_holdout = True
    assert rendered(scene, tmp_path / "held", 4)[middle][..., 3].max() == 0
    # Out of the camera's sight it goes on throwing its shadow on the wall.
    bare = found["exclude"][..., :3].mean(-1)
    shaded = found["indirect_only"][..., :3].mean(-1)
    assert found["indirect_only"][..., 3].min() > 0.99
    assert (shaded < 0.5 * bare).mean() > 0.02 and np.median(shaded / bare) > 0.9
