# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artist's whole path, from the strip to the edited strip, with the real backend."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from conftest import module, plate_strip, shown, trim
from mathutils import Vector

START = 1001


def active() -> Any:
    state = bpy.context.scene.portraitgen
    return state.shots[state.active]


def world_to_pixels(camera: Any, scene: Any, points: np.ndarray) -> np.ndarray:
    """World points (N, 3) to pixels (N, 2), by the matrices Blender renders with."""
    render = scene.render
    width, height = render.resolution_x, render.resolution_y
    projection = np.array(
        camera.calc_matrix_camera(
            bpy.context.evaluated_depsgraph_get(),
            x=width,
            y=height,
            scale_x=render.pixel_aspect_x,
            scale_y=render.pixel_aspect_y,
        )
    )
    view = np.linalg.inv(np.array(camera.matrix_world))
    seen = np.c_[points, np.ones(len(points))] @ (projection @ view).T
    plane = seen[:, :2] / seen[:, 3:]
    return np.stack([(plane[:, 0] + 1) / 2 * width, (1 - plane[:, 1]) / 2 * height], axis=1)


def vertices_of(mesh: Any) -> np.ndarray:
    shown = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
    data = shown.to_mesh()
    points = np.empty(len(data.vertices) * 3, np.float32)
    data.vertices.foreach_get("co", points)
    shown.to_mesh_clear()
    world = np.array(shown.matrix_world)
    return points.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]


@pytest.fixture(scope="module")
def shot_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Named as artists name things."""
    return tmp_path_factory.mktemp("Größe & co") / "shot one"


def test_from_strip_to_strip(
    shot_folder: Path, session: Any, until: Callable[..., None], tmp_path: Path
) -> None:
    scene = bpy.context.scene
    scene.render.resolution_x = scene.render.resolution_y = 512
    strip = plate_strip(scene, START)
    trim(strip, START + 4, START + 20)
    assert bpy.ops.portraitgen.new_shot(folder=str(shot_folder)) == {"FINISHED"}
    until(lambda: len(scene.portraitgen.shots))
    shot = active()
    assert (shot.first, shot.last, shot.offset) == (5, 20, START - 1)

    assert bpy.ops.portraitgen.track() == {"FINISHED"}
    assert not bpy.ops.portraitgen.track.poll()
    until(lambda: not session.busy)
    assert session.job.state == "done", session.job.message
    until(lambda: shot.has_rig)
    _check_rig(scene, shot)
    _check_round_trip(shot)

    # A correction, sent: a new version, and the rig shows it without the layer.
    assert not bpy.ops.portraitgen.send_to_shot.poll(), "nothing was corrected"
    bone = shot.armature.pose.bones["head"]
    scene.frame_set(START + 9)
    bone.rotation_quaternion = (0.995, 0.0, 0.0998, 0.0)
    bone.keyframe_insert("rotation_quaternion")
    posed = vertices_of(shot.mesh)
    bpy.ops.portraitgen.send_to_shot()
    until(lambda: shot.track_version == 2)
    scene.frame_set(START + 8)
    scene.frame_set(START + 9)
    assert np.abs(vertices_of(shot.mesh) - posed).max() < 1e-4
    assert not module("portraitgen_addon.acting_layer").has_corrections(shot.armature)

    settings = shot.settings_reconstruct
    settings.use_gaussians = settings.use_size = True
    settings.steps, settings.gaussians, settings.size = 30, 3000, 96
    bpy.ops.portraitgen.reconstruct()
    until(lambda: not session.busy)
    assert session.job.state == "done", session.job.message
    until(lambda: shot.track_version == 3)
    pivots = [mark for mark in shot.marks if mark.kind == "pivot"]
    assert 2 <= len(pivots) <= 8
    assert all(5 <= mark.frame <= 20 for mark in pivots)
    assert not scene.timeline_markers, "the scene's markers are the artist's"

    bpy.ops.portraitgen.take_add(editor="grade")
    take = shot.take
    take.options_grade.exposure = 1.0
    take.settings_edit.steps = 10
    assert not bpy.ops.portraitgen.keep_key.poll()
    bpy.ops.portraitgen.try_frame()
    until(lambda: take.preview)
    assert bpy.data.images[take.preview].size[0] > 0
    tried = next((shot_folder / "takes" / take.folder_name / "tried").glob("*.png"))
    keys = shot_folder / "takes" / take.folder_name / "keys"
    preferences = module("portraitgen_addon.preferences").get()
    assert not preferences.author, "nobody is named unasked"
    preferences.author = "Ann"
    bpy.ops.portraitgen.keep_key()
    until(lambda: (keys / tried.name).exists())
    until(lambda: not session.doing)
    preferences.author = ""
    assert scene.frame_current == int(tried.stem) + shot.offset
    scene.frame_set(START + 8)
    bpy.ops.portraitgen.paint_frame()
    painted = shot_folder / "takes" / take.folder_name / "paint" / "0009.png"
    until(lambda: painted.exists() and len(bpy.data.images) > 1)
    assert (painted.parent / "0009.base.png").exists()
    bpy.ops.portraitgen.edit()
    until(lambda: not session.busy)
    assert session.job.state == "done", session.job.message
    edit = shot_folder / "takes" / take.folder_name / "edits" / "0001"
    made = json.loads((edit / "edit.json").read_text())
    assert made["anchor"] == int(tried.stem)
    assert made["authors"] == {"paint": [], "key_frames": ["Ann"], "splats": []}
    scene.frame_set(START + 4)
    bpy.ops.portraitgen.keep_key()
    until(lambda: len(list(keys.glob("*.png"))) == 2)
    until(lambda: not session.doing)
    kept = next(each for each in keys.glob("*.png") if each.name != tried.name)
    assert scene.frame_current == int(kept.stem) + shot.offset

    _check_light(scene, shot, shot_folder, until)
    before = {each.name: (each.channel, shown(each)) for each in strips(scene)}
    bpy.ops.portraitgen.render_to_strip()
    lengths = set()
    made = None
    while session.busy or session._pending:
        session.tick()
        made = next((each for each in strips(scene) if each.type == "IMAGE"), None)
        if made is not None:
            lengths.add(len(made.elements))
        time.sleep(0.005)
    assert session.job.state == "done", session.job.message
    assert made is not None and len(lengths) > 1, "the strip did not grow while frames arrived"
    assert shown(made) == (START + 4, START + 20)
    assert made.channel > strip.channel
    assert made.colorspace_settings.name == strip.colorspace_settings.name
    after = {each.name: (each.channel, shown(each)) for each in strips(scene)}
    assert before.items() <= after.items()
    _check_edit_shows(scene, strip, made, tmp_path)

    # Rendering again refreshes the same strip; the file has a place by now.
    saved = shot_folder.parent / "edit.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(saved), relative_remap=True)
    bpy.ops.portraitgen.render_to_strip()
    until(lambda: not session.busy and not session._pending)
    assert len([each for each in strips(scene) if each.type == "IMAGE"]) == 1
    assert len(made.elements) == 16
    assert made.directory.startswith("//"), made.directory

    # With a keyed mix the edit comes and goes; at none of it the plate keeps its bits.
    take.mix = 0.0
    take.keyframe_insert("mix", frame=START + 4)
    take.mix = 1.0
    take.keyframe_insert("mix", frame=START + 8)
    keys = shot.mix_keys(take).split(",")
    assert keys[0] == "5:0.0000" and keys[4] == "9:1.0000" and len(keys) == 16
    bpy.ops.portraitgen.render_to_strip()
    until(lambda: not session.busy and not session._pending)
    assert session.job.state == "done", session.job.message
    _check_faded(scene, strip, made, tmp_path)
    _check_versions(scene, shot, made, tmp_path)

    assert bpy.ops.portraitgen.to_compositor() == {"FINISHED"}
    _check_compositor(scene, made, tmp_path)
    _check_survives_a_move(scene, shot_folder, tmp_path)


def strips(scene: Any) -> Any:
    return module("portraitgen_addon.compat").strips(scene)


def _check_light(scene: Any, shot: Any, folder: Path, until: Callable[..., None]) -> None:
    """A light that goes from the left of the plate's camera to its right lights a take."""
    assert not bpy.ops.portraitgen.light_from_scene.poll()
    bpy.ops.portraitgen.take_add(editor="relight")
    take = shot.take
    light = bpy.data.objects.new("key", bpy.data.lights.new("key", "POINT"))
    scene.collection.objects.link(light)
    across = shot.camera.matrix_world.to_3x3() @ Vector((1, 0, 0))
    for frame, side in ((START + 4, -3.0), (START + 19, 3.0)):
        light.location = shot.camera.matrix_world.translation + across * side
        light.keyframe_insert("location", frame=frame)
    light.data.color = (1.0, 0.5, 0.25)
    bpy.context.view_layer.objects.active = light
    before = scene.frame_current
    assert bpy.ops.portraitgen.light_from_scene() == {"FINISHED"}
    assert scene.frame_current == before and take.options_relight.key == "scene"
    sent = json.loads((folder / "takes" / take.folder_name / "light.json").read_text())
    assert sent["frames"] == list(range(5, 21))
    directions = np.array(sent["directions"])
    assert directions[0, 0] < -0.7 and directions[-1, 0] > 0.7
    assert (directions[:, 2] < 0).all(), "the camera's side of the performer"
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, atol=1e-5)
    colours = np.array(sent["colours"])
    np.testing.assert_allclose(colours[:, 1] / colours[:, 0], 0.5, atol=1e-5)
    assert colours.max() == 1 and colours[0, 0] < 0.6, "farther, and weaker, at the ends"
    light.data.type = "SUN"
    light.rotation_euler = (0, 0, 0)
    bpy.ops.portraitgen.light_from_scene()
    sent = json.loads((folder / "takes" / take.folder_name / "light.json").read_text())
    up = np.array(sent["directions"])
    assert (up[:, 1] < -0.9).all(), "a sun that shines straight down"
    bpy.ops.portraitgen.try_frame()
    until(lambda: take.preview)
    bpy.data.objects.remove(light)
    shot.active_take = 0


def _check_rig(scene: Any, shot: Any) -> None:
    """The rig's vertices, through Blender's camera, lie where the backend projects them."""
    assert shot.armature.users_scene[0] == scene
    assert len(shot.mesh.data.shape_keys.key_blocks) == 53
    assert set(shot.armature.data.collections.keys()) == {"Body", "Head", "Face", "Hands"}
    assert all(bone.custom_shape for bone in shot.armature.pose.bones)
    pixels = module("portraitgen_addon.rig").RigData.load(shot.path / "rigs" / "0001.safetensors")
    facts = pixels.camera
    place = np.linalg.inv(np.array(shot.armature.matrix_world))
    for frame in (5, 12, 20):
        scene.frame_set(frame + shot.offset)
        world = vertices_of(shot.mesh)
        local = world @ place[:3, :3].T + place[:3, 3]
        wanted = np.stack(
            [
                facts.fx * local[:, 0] / local[:, 2] + facts.cx,
                facts.fy * local[:, 1] / local[:, 2] + facts.cy,
            ],
            axis=1,
        )
        graph = bpy.context.evaluated_depsgraph_get()
        lens = shot.camera.evaluated_get(graph)
        seen = module("portraitgen_addon.camera").as_seen(lens, lens, (512, 512), graph)
        for name in ("fx", "fy", "cx", "cy"):
            assert abs(seen[name] - getattr(facts, name)) < 0.01, name
        assert np.abs(np.array(seen["matrix"]) - np.eye(4)).max() < 1e-5
        front = local[:, 2] > 0.2
        error = np.abs(world_to_pixels(shot.camera, scene, world) - wanted)[front].max()
        assert error < 0.1, error


def _check_round_trip(shot: Any) -> None:
    """What is read back from the untouched rig is the track."""
    rig = module("portraitgen_addon.rig")
    bundle = rig.RigData.load(shot.path / "rigs" / "0001.safetensors")
    parts = rig.Rig(shot.camera, shot.armature, shot.mesh)
    reading = rig.read(parts, bundle, shot.offset)
    assert reading.frames.tolist() == list(range(5, 21)) and reading.joint_offset == 0
    assert np.abs(reading.transl - bundle.arrays["transl"]).max() < 1e-5
    assert np.abs(reading.expression - bundle.arrays["expression"]).max() < 1e-5


def _check_edit_shows(scene: Any, plate: Any, made: Any, folder: Path) -> None:
    """The sequencer's picture changes on the performer and nowhere else, and is brighter there."""
    scene.render.image_settings.file_format = "PNG"
    scene.view_settings.view_transform = "Standard"
    scene.frame_set(START + 10)
    pictures = []
    for name, hidden in (("with", False), ("without", True)):
        made.mute = hidden
        pictures.append(_render(scene, folder / name))
    made.mute = False
    change = pictures[0] - pictures[1]
    assert np.abs(change[:40, :40]).max() < 0.01
    face = change[150:250, 200:300]
    assert face.mean() > 0.02


def _check_faded(scene: Any, plate: Any, made: Any, folder: Path) -> None:
    """The first frame shows the plate."""
    scene.frame_set(START + 4)
    shown = _render(scene, folder / "faded")
    made.mute = True
    plain = _render(scene, folder / "plain")
    made.mute = False
    # Blender's decoder places colour between the movie's coarser samples in its own way.
    assert np.abs(shown - plain).mean() < 0.002


def _check_versions(scene: Any, shot: Any, made: Any, folder: Path) -> None:
    """Another render is another version; the strip goes to one and back, whole or in part."""
    home = shot.path / "takes" / shot.take.folder_name / "renders"
    assert sorted(path.name for path in home.iterdir()) == ["v001", "v002"]

    def files() -> list[Path]:
        place = Path(bpy.path.abspath(made.directory))
        return [(place / each.filename).resolve() for each in made.elements]

    def versions() -> set[str]:
        assert all(path.exists() for path in files()), files()
        return {path.parent.parent.name for path in files()}

    assert versions() == {"v002"} and made["portraitgen_render"] == 2
    bpy.ops.portraitgen.next_version(backwards=True)
    assert versions() == {"v001"} and made["portraitgen_render"] == 1
    bpy.ops.portraitgen.next_version(backwards=True)
    assert versions() == {"v001"}
    bpy.ops.portraitgen.next_version()
    assert versions() == {"v002"}
    # Of one that is not whole yet, the rest shows what it showed.
    third = home / "v003"
    (third / "plates").mkdir(parents=True)
    for path in sorted((home / "v002" / "plates").iterdir())[:3]:
        shutil.copyfile(path, third / "plates" / path.name)
    scene.frame_set(START + 10)
    before = _render(scene, folder / "second")
    bpy.ops.portraitgen.next_version()
    assert versions() == {"v002", "v003"} and made["portraitgen_render"] == 3
    assert np.abs(_render(scene, folder / "mixed") - before).max() == 0
    bpy.ops.portraitgen.next_version(backwards=True)
    assert versions() == {"v002"}
    shutil.rmtree(third)


def _check_compositor(scene: Any, made: Any, folder: Path) -> None:
    """The group renders what the strip shows, from the EXR frames and the plate."""
    trees = module("portraitgen_addon.compat").compositor_trees(scene)
    groups = [node for tree in trees for node in tree.nodes if node.type == "GROUP"]
    assert len(groups) == 1
    assert {each.name for each in groups[0].outputs} == {
        "Image",
        "Beauty",
        "Alpha",
        "Depth",
        "Normal",
        "Reconstruction",
    }
    linked = {link.to_node.type for link in groups[0].node_tree.links}
    assert {"CONVERT_COLORSPACE", "TRANSLATE", "ALPHAOVER", "GROUP_OUTPUT"} <= linked
    scene.frame_set(START + 10)
    scene.render.use_sequencer = False
    composed = _render(scene, folder / "composed")
    scene.render.use_sequencer = True
    shown = _render(scene, folder / "shown")
    assert np.abs(composed - shown).mean() < 0.004
    assert np.percentile(np.abs(composed - shown), 99) < 0.03


def _render(scene: Any, path: Path) -> Any:
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(f"{path}.png")
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(512, 512, 4)[::-1, :, :3]


def _check_survives_a_move(scene: Any, shot_folder: Path, folder: Path) -> None:
    """A saved project is moved as a whole: plate, shot and edited strip are found again."""
    saved = shot_folder.parent / "edit.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(saved), relative_remap=True)
    moved = folder / "moved"
    saved.parent.rename(moved)
    bpy.ops.wm.open_mainfile(filepath=str(moved / "edit.blend"))
    scene = bpy.context.scene
    shot = active()
    assert shot.path == moved / "shot one"
    made = next(each for each in strips(scene) if each.type == "IMAGE")
    file = Path(bpy.path.abspath(made.directory)) / made.elements[3].filename
    assert file.exists() and moved in file.parents
    assert shot.has_rig and shot.take.options_grade.exposure == 1.0
    moved.rename(shot_folder.parent)
