# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer that the scene lights, rendered by Blender and laid over the plate as a take is."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from conftest import module
from mathutils import Vector
from splat_performer import OFFSET, native

FRAME = 3


def pixels_of(path: Path) -> np.ndarray:
    """A picture's values as they are in the file, (H, W, 4), the first row above."""
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    values = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(values)
    shape = (image.size[1], image.size[0], 4)
    bpy.data.images.remove(image)
    return values.reshape(shape)[::-1]


@pytest.fixture
def lit(performer_shot: Any, until: Any) -> Any:
    """The shot with a performer that a sun lights, and a take that was never edited."""
    splats = module("portraitgen_addon.splats")
    scene = bpy.context.scene
    bpy.ops.portraitgen.take_add(editor="grade")
    scene.frame_set(FRAME + OFFSET)
    bpy.ops.portraitgen.to_3d()
    until(splats.performers)
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy, sun.rotation_euler = 3, (0, 1.2, 0)
    scene.collection.objects.link(sun)
    scene.render.engine, scene.cycles.samples = "CYCLES", 4
    scene.cycles.use_denoising = False
    return performer_shot


def everything() -> dict[str, set[str]]:
    """The names of all that a file holds, of what a render might leave behind."""
    names = ("scenes", "collections", "objects", "materials", "worlds", "cameras", "actions")
    return {name: {each.name for each in getattr(bpy.data, name)} for name in names}


@native
def test_a_lit_take_goes_over_its_plate_and_leaves_the_scene_as_it_was(
    lit: Any, splat_shot: Path, until: Any, session: Any
) -> None:
    scene = bpy.context.scene
    with pytest.raises(RuntimeError, match="Press Lit by Scene first"):
        bpy.ops.portraitgen.render_lit_take()
    bpy.ops.portraitgen.lit_by_scene()

    # A ball between lens and face: the camera of the lit take does not see it.
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.1)
    view = lit.camera.matrix_world
    bpy.context.object.location = view.translation + view.to_3x3() @ Vector((0, 0, -0.5))
    bpy.ops.ed.undo_push(message="a ball")
    before = everything()
    settings = (scene.render.filepath, scene.render.film_transparent, scene.camera)
    assert bpy.ops.portraitgen.render_lit_take(frames="CURRENT") == {"FINISHED"}
    until(lambda: not session.busy and not session.waiting_work)
    assert session.job.state == "done", session.message
    assert everything() == before
    assert settings == (scene.render.filepath, scene.render.film_transparent, scene.camera)
    home = lit.path / "takes" / lit.take.folder_name
    (picture,) = (home / "lit").iterdir()
    assert picture.name == f"{lit.take.folder_name}.{FRAME:04d}.exr"
    drawn = pixels_of(picture)
    middle = drawn[100:150, 110:150]
    assert middle[..., 3].mean() > 0.9 and drawn[:20, :20, 3].max() == 0
    sequencer = module("portraitgen_addon.sequencer")
    (strip,) = sequencer.take_strips(scene, lit.shot_id, lit.take.folder_name)
    assert len(strip.elements) == 1
    # What is laid over the plate is what Blender lit; where the performer is not, the plate stays.
    (plate,) = (home / "renders" / "v001" / "plates").iterdir()
    laid = pixels_of(plate)
    truth, _ = module("portraitgen_addon.tensors").load(splat_shot / "truth.safetensors")
    solid = drawn[..., 3] > 0.99
    linear = drawn[..., :3] / np.maximum(drawn[..., 3:], 1e-6)
    shown = np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    error = np.abs(laid[..., :3] - shown.clip(0, 1))[solid]
    assert np.median(error) < 0.06
    steps = range(-2, 3)
    near = [
        np.roll(truth[f"alpha{FRAME}"], (down, across), (0, 1))
        for down in steps
        for across in steps
    ]
    # The plate's matte says where the performer is, a little softer than the picture.
    outside = np.max(near, axis=0) < 1e-3
    codes = np.rint(laid[..., :3] * 255).astype(np.uint8)
    assert np.array_equal(codes[outside], truth["plate"][outside]) and outside.mean() > 0.2
    # Undo takes the strip out, and nothing else; the frames stay in the shot's folder.
    bpy.ops.ed.undo()
    shot = bpy.context.scene.portraitgen.shots[0]
    found = sequencer.take_strips(bpy.context.scene, shot.shot_id, shot.take.folder_name)
    assert not found and picture.exists()
    assert module("portraitgen_addon.splats").is_lit(
        module("portraitgen_addon.splats").performers()[0]
    )
    bpy.ops.ed.redo()
    shot = bpy.context.scene.portraitgen.shots[0]
    assert sequencer.take_strips(bpy.context.scene, shot.shot_id, shot.take.folder_name)


@native
def test_a_rig_that_was_posed_since_is_not_laid_beside_its_plate(lit: Any) -> None:
    bpy.ops.portraitgen.lit_by_scene()
    head = lit.armature.pose.bones["head"]
    head.rotation_quaternion = (0.98, 0, 0.199, 0)
    head.keyframe_insert("rotation_quaternion")
    with pytest.raises(RuntimeError, match="send the corrections to the shot first"):
        bpy.ops.portraitgen.render_lit_take(frames="CURRENT")
    assert not [each for each in bpy.data.scenes if "lit" in each.name]
