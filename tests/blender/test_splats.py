# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer as Blender's own splats: where the backend has them, whatever poses the rig."""

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from conftest import CLIP, PYTHON, ROOT, module, plate_strip

NATIVE = bpy.app.version >= (5, 3, 0)
native = pytest.mark.skipif(not NATIVE, reason="splats came with Blender 5.3")
FRAMES, SIZE, OFFSET = 6, 256, 1000

# A tracked shot whose avatar holds something of everything, and its Gaussians in every frame.
_MAKE = """
import sys
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[3])
from performer_shot import performer_shot
from portraitgen.body.model import BodyModel
from portraitgen.pipeline.data.avatars import frame_parameters, load_avatar
from portraitgen.pipeline.data.shots import Track
from portraitgen.pipeline.requests.rig import export_rig
from portraitgen.pipeline.requests.splats import export_cloud
from portraitgen.tensors import save_arrays
from synthetic.acting import camera
folder, count, size = Path(sys.argv[1]), int(sys.argv[4]), int(sys.argv[5])
body, seen = BodyModel.load(), camera(size)
shot = performer_shot(folder, Path(sys.argv[2]), body, frames=count, size=size, splats=4000)
motion, avatar = Track(shot).motion, load_avatar(shot.version_folder("avatar"), body).on("cpu")
export_rig(shot)
export_cloud(shot)
truth = {}
with torch.no_grad():
    for frame in range(1, count + 1):
        parameters = frame_parameters(motion, [frame])
        made, _ = avatar.gaussians(parameters, None, 3)
        fields = vars(made) | {"features": made.features[..., :3]}
        truth |= {f"{name}{frame}": value[0].numpy() for name, value in fields.items()}
    K = torch.from_numpy(seen.matrix())[None]
    drawn = avatar.render(frame_parameters(motion, [3]), K, size)
    truth["rgb"], truth["alpha"] = drawn.premultiplied[0].numpy(), drawn.alpha[0, 0].numpy()
save_arrays(folder / "truth.safetensors", truth)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("splats")
    tests = ROOT / "tests" / "unit"
    words: list[Any] = [PYTHON, "-c", _MAKE, folder, CLIP, tests, str(FRAMES), str(SIZE)]
    path = str(ROOT / "backend")
    subprocess.run(words, check=True, env=os.environ | {"PYTHONPATH": path})
    return folder


@pytest.fixture
def built(made: Path) -> SimpleNamespace:
    return put_together(made, "one")


def put_together(made: Path, name: str) -> SimpleNamespace:
    rig, camera = module("portraitgen_addon.rig"), module("portraitgen_addon.camera")
    splats = module("portraitgen_addon.splats")
    bundle = rig.RigData.load(made / "shot" / "rigs" / "0001.safetensors")
    scene = bpy.context.scene
    holder = camera.make(f"{name} camera")
    scene.collection.objects.link(holder)
    scene.camera = holder
    camera.set_intrinsics(holder, bundle.camera)
    camera.fit_scene(scene, bundle.camera, (25, 1))
    parts = rig.build(name, bundle, holder, scene.collection, OFFSET)
    path = made / "shot" / "splats" / "reconstruction.safetensors"
    data = splats.SplatData.load(path)
    performer = splats.build(name, name, data, path, parts.armature, holder, OFFSET)
    truth, _ = module("portraitgen_addon.tensors").load(made / "truth.safetensors")
    return SimpleNamespace(
        scene=scene, parts=parts, performer=performer, truth=truth, splats=splats, data=data
    )


def shown(cloud: Any) -> dict[str, np.ndarray]:
    """What a cloud evaluates to: positions, rotations, scales and radiance."""
    points = cloud.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    assert points.type == "GAUSSIAN_SPLAT"
    found = {}
    fields = {"position": "vector", "rotation": "value", "scale": "vector"}
    for name, field in (fields | {"radiance:base": "color"}).items():
        attribute = points.attributes[name]
        width = 3 if name in ("position", "scale") else 4
        values = np.empty(len(attribute.data) * width, np.float32)
        attribute.data.foreach_get(field, values)
        found[name] = values.reshape(-1, width)
    return found


def apart(found: dict[str, np.ndarray], truth: dict[str, np.ndarray], frame: int) -> np.ndarray:
    """Millimetres between carried splats and the backend's."""
    return np.linalg.norm(found["position"] - truth[f"means{frame}"], axis=1) * 1000


@native
def test_carried_splats_are_the_backends_in_every_frame(built: SimpleNamespace) -> None:
    for frame in range(1, FRAMES + 1):
        built.scene.frame_set(frame + OFFSET)
        found, truth = shown(built.performer.cloud), built.truth
        distance = apart(found, truth, frame)
        assert np.median(distance) < 0.01 and np.percentile(distance, 99) < 0.1
        agree = np.abs((found["rotation"] * truth[f"quats{frame}"]).sum(1))
        turned = 2 * np.degrees(np.arccos(np.clip(agree, 0, 1)))
        assert np.median(turned) < 0.05
        assert np.abs(found["scale"] / truth[f"scales{frame}"] - 1).max() < 0.01
        colour = found["radiance:base"][:, :3] * 0.28209479 + 0.5
        assert np.abs(colour - truth[f"features{frame}"]).max() < 2e-3
        assert np.abs(found["radiance:base"][:, 3] - truth[f"opacities{frame}"]).max() < 1e-5


@native
def test_posing_the_rig_moves_the_splats_at_once(built: SimpleNamespace) -> None:
    built.scene.frame_set(2 + OFFSET)
    before = shown(built.performer.cloud)["position"]
    bones = built.parts.armature.pose.bones
    bones["face"]["jawOpen"] = bones["face"]["jawOpen"] + 0.6
    bones["head"].rotation_quaternion = (0.98, 0, 0.199, 0)
    built.parts.armature.update_tag()
    after = shown(built.performer.cloud)["position"]
    moved = np.linalg.norm(after - before, axis=1)
    assert np.percentile(moved, 90) > 0.01 and np.percentile(moved, 5) < 1e-4


@native
def test_two_performers_stand_in_one_scene(built: SimpleNamespace, made: Path) -> None:
    other = put_together(made, "two")
    other.parts.camera.location.x += 1
    built.scene.frame_set(4 + OFFSET)
    for each in (built, other):
        assert np.median(apart(shown(each.performer.cloud), built.truth, 4)) < 0.01
    assert built.splats.performers("two") == [other.performer.cloud]
    built.splats.remove(other.performer.cloud)
    assert built.splats.performers() == [built.performer.cloud]
    assert not [each.name for each in bpy.data.objects if each.name.startswith("two s")]
    assert np.median(apart(shown(built.performer.cloud), built.truth, 4)) < 0.01


@native
def test_a_saved_file_is_small_and_opens_whole(built: SimpleNamespace, tmp_path: Path) -> None:
    cloud = built.performer.cloud
    count = len(cloud.data.points)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "packed.blend"))
    assert len(cloud.data.points) == count, "what is shown stays after saving"
    small = (tmp_path / "packed.blend").stat().st_size
    cloud[built.splats.PACKED] = True
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "packed.blend"))
    assert (tmp_path / "packed.blend").stat().st_size > small + 1_000_000
    cloud[built.splats.PACKED] = False
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "small.blend"))
    for name in ("small", "packed"):
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / f"{name}.blend"))
        bpy.context.scene.frame_set(5 + OFFSET)
        cloud = built.splats.performers()[0]
        assert np.percentile(apart(shown(cloud), built.truth, 5), 99) < 0.1


@native
def test_a_performer_is_appended_into_another_file(built: SimpleNamespace, tmp_path: Path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "one.blend"))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
    name = "one splats"
    folder = str(tmp_path / "one.blend" / "Object")
    bpy.ops.wm.append(directory=folder + os.sep, filename=name)
    cloud = built.splats.performers()[0]
    bpy.context.scene.frame_set(3 + OFFSET)
    assert np.percentile(apart(shown(cloud), built.truth, 3), 99) < 0.1


@native
def test_what_modifiers_did_to_the_splats_is_written(
    built: SimpleNamespace, tmp_path: Path
) -> None:
    built.scene.frame_set(3 + OFFSET)
    cloud = built.performer.cloud
    group = bpy.data.node_groups.new("retouch", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    node, link = group.nodes.new, group.links.new
    entry, exit_, index = (
        node("NodeGroupInput"),
        node("NodeGroupOutput"),
        node("GeometryNodeInputIndex"),
    )
    erase, first = node("GeometryNodeDeleteGeometry"), node("FunctionNodeCompare")
    erase.domain, first.data_type, first.operation = "POINT", "INT", "LESS_THAN"
    integers = [each for each in first.inputs if each.type == "INT"]
    integers[1].default_value = 100
    link(index.outputs[0], integers[0])
    link(entry.outputs[0], erase.inputs["Geometry"])
    link(first.outputs[0], erase.inputs["Selection"])
    link(erase.outputs[0], exit_.inputs[0])
    cloud.modifiers.new("Retouch", "NODES").node_group = group
    built.splats.write_retouched(cloud, tmp_path / "retouched.ply")
    data = (tmp_path / "retouched.ply").read_bytes()
    header, body = data.split(b"end_header\n", 1)
    assert b"element vertex %d\n" % (len(built.data.arrays["opacity"]) - 100) in header
    names = [line.split()[2].decode() for line in header.splitlines() if b"property" in line]
    rows = np.frombuffer(body, [(name, "<i4" if name == "id" else "<f4") for name in names])
    assert rows["id"].tolist() == list(range(100, len(rows) + 100))
    place = np.stack([rows[name] for name in "xyz"], axis=1)
    assert np.abs(place - built.truth["means3"][100:]).max() < 1e-4
    assert cloud.modifiers["Retouch"].show_viewport
    group.nodes.remove(erase)
    lost = node("GeometryNodeRemoveAttribute")
    lost.inputs["Name"].default_value = built.splats.ID
    link(entry.outputs[0], lost.inputs["Geometry"])
    link(lost.outputs[0], exit_.inputs[0])
    with pytest.raises(Exception, match="have lost 'pg_id'"):
        built.splats.write_retouched(cloud, tmp_path / "lost.ply")


@pytest.fixture
def opened(made: Path, tmp_path: Path, session: Any, until: Any) -> Any:
    """The shot with its rig, opened in the scene from a folder of its own."""
    folder = Path(shutil.copytree(made / "shot", tmp_path / "shot"))
    scene = bpy.context.scene
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    plate_strip(scene, OFFSET + 1)
    assert bpy.ops.portraitgen.open_shot(directory=str(folder)) == {"FINISHED"}
    bpy.ops.portraitgen.show_version(version=0)
    shot = scene.portraitgen.shots[0]
    until(lambda: shot.has_rig)
    return shot


def test_splats_go_out_and_come_back(opened: Any, tmp_path: Path, until: Any) -> None:
    """The buttons: on every Blender as files, where it has splats in the scene too."""
    session = module("portraitgen_addon.session").session
    summary = module("portraitgen_addon.shot_summary")
    bpy.context.scene.frame_set(OFFSET + 2)
    path = tmp_path / "out.ply"
    bpy.ops.portraitgen.export_splats(filepath=str(path), in_world=True)
    until(lambda: path.exists() and not session.doing)
    path.unlink()
    bpy.ops.portraitgen.export_splats(filepath=str(path))
    until(lambda: path.exists() and not session.doing)
    bpy.ops.portraitgen.take_retouched_splats(filepath=str(path))
    until(lambda: not session.doing and session.error is not None)
    assert "nothing to take" in str(session.error)
    if not NATIVE:
        with pytest.raises(RuntimeError, match="needs Blender 5.3, .*; export PLY instead"):
            bpy.ops.portraitgen.to_3d()
        return
    splats = module("portraitgen_addon.splats")
    session.error = None
    assert not bpy.ops.portraitgen.lit_by_scene.poll()
    bpy.ops.portraitgen.to_3d()
    until(splats.performers)
    (cloud,) = splats.performers(opened.shot_id, "")
    count = len(cloud.data.points)
    bpy.ops.portraitgen.lit_by_scene()
    assert splats.is_lit(cloud)
    points = cloud.data.attributes["pg_opacity"].data
    assert len(points) == count
    # An artist makes all of one size by a modifier of their own.
    group = bpy.data.node_groups.new("fade", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    entry, exit_ = group.nodes.new("NodeGroupInput"), group.nodes.new("NodeGroupOutput")
    scale = group.nodes.new("GeometryNodeStoreNamedAttribute")
    scale.data_type, scale.inputs["Name"].default_value = "FLOAT_VECTOR", "scale"
    scale.inputs["Value"].default_value = (0.004, 0.004, 0.002)
    group.links.new(entry.outputs[0], scale.inputs["Geometry"])
    group.links.new(scale.outputs[0], exit_.inputs[0])
    cloud.modifiers.new("Fade", "NODES").node_group = group
    bpy.context.view_layer.objects.active = cloud
    bpy.ops.portraitgen.take_retouched_splats()
    until(lambda: summary.summary_of(opened.path).avatars == [1, 2] or session.error)
    assert session.error is None, session.error
    until(lambda: not session.doing and not session.waiting_work)
    (cloud,) = splats.performers(opened.shot_id, "")
    assert splats.is_lit(cloud) and len(cloud.modifiers) == 2
    assert np.abs(shown(cloud)["scale"] / [0.004, 0.004, 0.002] - 1).max() < 0.01


@native
def test_data_that_lead_nowhere_are_refused(made: Path, tmp_path: Path) -> None:
    tensors, splats = module("portraitgen_addon.tensors"), module("portraitgen_addon.splats")
    path = made / "shot" / "splats" / "reconstruction.safetensors"
    data = splats.SplatData.load(path)
    for name, change in (("corners", 10**6), ("faces", -1)):
        broken = {**data.arrays, name: data.arrays[name] + change}
        with pytest.raises(ValueError, match=f"{name} lead nowhere"):
            splats.SplatData(broken, "", data.joints, data.units, 0.0)._check()
    tensors.save(tmp_path / "bad.safetensors", {"vertices": data.arrays["vertices"]})
    with pytest.raises(Exception, match="the splats are damaged .* press To 3D again"):
        splats.SplatData.load(tmp_path / "bad.safetensors")


def rendered(scene: Any, path: Path, samples: int) -> np.ndarray:
    """A Cycles render with transparent film, scene-linear, (H, W, 4) premultiplied."""
    scene.render.engine, scene.cycles.samples = "CYCLES", samples
    scene.cycles.use_denoising, scene.cycles.seed = False, 1
    scene.render.film_transparent, scene.render.filepath = True, str(path)
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(f"{path}.exr")
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(SIZE, SIZE, 4)[::-1]


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((first - second) ** 2)))


@native
def test_cycles_draws_what_the_backend_draws(built: SimpleNamespace, tmp_path: Path) -> None:
    built.scene.frame_set(3 + OFFSET)
    picture = rendered(built.scene, tmp_path / "cycles", 16)
    alpha, wanted = built.truth["alpha"], built.truth["rgb"].transpose(1, 2, 0)
    inside = (alpha > 0.99) & (picture[..., 3] > 0.9)
    linear = picture[..., :3] / np.maximum(picture[..., 3:], 1e-6)
    display = np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    colour = psnr(display[inside], (wanted / np.maximum(alpha[..., None], 1e-6))[inside])
    print(f"inside {colour:.1f} dB, alpha {psnr(picture[..., 3], alpha):.1f} dB")
    assert colour > 30 and psnr(picture[..., 3], alpha) > 30


@native
def test_lights_of_the_scene_light_the_performer(built: SimpleNamespace, tmp_path: Path) -> None:
    built.scene.frame_set(3 + OFFSET)
    light = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    built.scene.collection.objects.link(light)
    cloud = built.performer.cloud
    built.splats.light_by_scene(cloud, True)
    assert built.splats.is_lit(cloud)
    # The camera looks along +Y: a sun from its right, then from its left.
    sides = []
    for angle in (1.2, -1.2):
        light.rotation_euler = (0, angle, 0)
        light.data.energy = 3
        picture = rendered(built.scene, tmp_path / f"sun{angle}", 8)
        covered = picture[..., 3] > 0.9
        columns = np.flatnonzero(covered.any(0))
        middle = int(columns.mean())
        sides.append(
            [picture[:, part][covered[:, part]].mean() for part in (np.s_[:middle], np.s_[middle:])]
        )
    assert sides[0][1] > sides[0][0] * 1.2 and sides[1][0] > sides[1][1] * 1.2
    built.splats.light_by_scene(cloud, False)
    assert not built.splats.is_lit(cloud) and not cloud.data.materials
