# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rig and the camera: what goes in comes out, whatever the artist puts above it."""

import json
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from conftest import MadeOnce, by_backend, module
from test_path import vertices_of, world_to_pixels

# Poses of every joint far beyond a portrait's, posed by the backend's own body model.
_MAKE = """
import json, sys
from pathlib import Path
import numpy as np, torch
from safetensors.numpy import load_file, save_file
from portraitgen.body.camera import Camera
from portraitgen.body.model import BodyModel
from portraitgen.body.motion import Motion
from portraitgen.pipeline.requests.rig import _geometry
folder, frames = Path(sys.argv[1]), int(sys.argv[2])
body, rng = BodyModel.load(), np.random.default_rng(3)
pose = rng.normal(0, 0.3, (frames, 55, 3)).astype("f4")
pose[:, 0] = [np.pi, 0, 0] + rng.normal(0, 0.2, (frames, 3))
transl = (rng.normal(0, 0.05, (frames, 3)) + [0, 0, 1.3]).astype("f4")
units = body.n_expression
motion = Motion(np.arange(1, frames + 1), rng.normal(0, 1, body.n_shape).astype("f4"), transl,
    pose, rng.uniform(0, 1, (frames, units)).astype("f4"), np.ones(frames, bool),
    np.zeros(frames, bool))
camera = Camera(2400, 2400, 571.3, 902.7, 1080, 1920)
tensors = _geometry(body, motion) | {name: getattr(motion, name)
    for name in ("frames", "transl", "pose", "expression", "valid", "fixed")}
tensors["residual"] = np.full(frames, np.nan, "f4")
facts = {"version": 1, "joints": body.joint_names, "units": body.expression_names,
    "camera": camera.record().to_json(), "correctives": False, "source": "solve"}
save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()},
    folder / "rig.safetensors", metadata={"rig": json.dumps(facts)})
shown = [0, frames // 2, frames - 1]
take = lambda name: torch.from_numpy(getattr(motion, name)[shown])
posed = body.forward(torch.from_numpy(motion.betas)[None], take("pose"), take("expression"),
    take("transl"))
save_file({"rows": np.array(shown), "vertices": posed.vertices.numpy()}, folder / "posed")
"""


@pytest.fixture(scope="module")
def made(made_once: MadeOnce) -> Path:
    return made_once("rig of 500 frames", by_backend(_MAKE, 500))


@pytest.fixture
def built(made: Path) -> SimpleNamespace:
    rig, camera = module("portraitgen_addon.rig"), module("portraitgen_addon.camera")
    bundle = rig.RigData.load(made / "rig.safetensors")
    began = time.perf_counter()
    scene = bpy.context.scene
    holder = camera.make("plate")
    scene.collection.objects.link(holder)
    camera.set_intrinsics(holder, bundle.camera)
    camera.fit_scene(scene, bundle.camera, (24000, 1001))
    parts = rig.build("shot", bundle, holder, scene.collection, 1000)
    print(f"built in {time.perf_counter() - began:.2f} s")
    posed, _ = module("portraitgen_addon.tensors").load(made / "posed")
    return SimpleNamespace(rig=rig, bundle=bundle, parts=parts, scene=scene, posed=posed)


def local(parts: Any) -> np.ndarray:
    place = np.linalg.inv(np.array(parts.armature.matrix_world))
    return vertices_of(parts.mesh) @ place[:3, :3].T + place[:3, 3]


def test_what_lies_inside_does_not_cloud_the_face(built: SimpleNamespace) -> None:
    mesh, inside = built.parts.mesh, built.bundle.arrays["inside"]
    found = np.empty(len(inside), np.int32)
    mesh.data.polygons.foreach_get("material_index", found)
    assert np.array_equal(found, inside) and 500 < inside.sum() < 3000
    built.rig.tint(mesh, (1, 0, 0, 0.5))
    outer, inner = mesh.data.materials
    assert tuple(outer.diffuse_color) == (1, 0, 0, 0.5) and inner.diffuse_color[3] == 0


def test_the_mesh_is_the_backends_body_and_comes_back(built: SimpleNamespace) -> None:
    assert round(built.scene.render.fps / built.scene.render.fps_base, 3) == 23.976
    for row, vertices in zip(built.posed["rows"], built.posed["vertices"], strict=True):
        built.scene.frame_set(int(row) + 1001)
        assert np.linalg.norm(local(built.parts) - vertices, axis=1).max() < 1e-4
    reading = built.rig.read(built.parts, built.bundle, 1000)
    arrays = built.bundle.arrays
    assert np.abs(reading.transl - arrays["transl"]).max() < 1e-5
    assert np.abs(reading.expression - arrays["expression"]).max() < 1e-6
    # One rotation has several axis-angle vectors: compare what they turn.
    quaternions = module("portraitgen_addon.rotations").quaternions
    agree = np.abs((quaternions(reading.pose) * quaternions(arrays["pose"])).sum(-1))
    assert 2 * np.arccos(np.clip(agree, 0, 1)).max() < 3e-3 and np.min(agree) > 1 - 1e-6


def test_a_correction_and_a_constraint_are_read_and_leave_other_frames_alone(
    built: SimpleNamespace,
) -> None:
    parts, scene = built.parts, built.scene
    before = built.rig.read(parts, built.bundle, 1000)
    scene.frame_set(1030)
    face = parts.armature.pose.bones["face"]
    face["jawOpen"] = face["jawOpen"] + 0.25
    face.keyframe_insert('["jawOpen"]')
    head = parts.armature.pose.bones["head"]
    turn = head.rotation_quaternion.copy()
    head.rotation_quaternion = turn @ type(turn)((0.98, 0.199, 0, 0))
    head.keyframe_insert("rotation_quaternion")
    data = parts.armature.animation_data
    for curve in module("portraitgen_addon.compat").curves(data.action, data.action_slot):
        one = curve.data_path.endswith("rotation_quaternion") and curve.array_index == 0
        for frame in (1024, 1036):
            curve.keyframe_points.insert(frame, float(one))
        curve.update()
    after = built.rig.read(parts, built.bundle, 1000)
    jaw = built.bundle.units.index("jawOpen")
    change = after.expression[:, jaw] - before.expression[:, jaw]
    assert change[29] == pytest.approx(0.25, abs=1e-4)
    outside = np.abs(after.frames - 30) >= 6
    assert np.abs(change[outside]).max() < 1e-5
    turned = np.abs(after.pose[:, 15] - before.pose[:, 15]).max(1)
    assert turned[29] > 0.1 and turned[outside].max() < 1e-4
    # The same mesh as what was read: the rig shows what is sent.
    limit = parts.armature.pose.bones["neck"].constraints.new("LIMIT_ROTATION")
    limit.use_limit_x = limit.use_limit_y = limit.use_limit_z = True
    limit.owner_space = "LOCAL"
    still = built.rig.read(parts, built.bundle, 1000)
    assert np.abs(still.pose[:, 12]).max() < 1e-4


def test_another_version_swaps_below_the_artists_layer(built: SimpleNamespace, made: Path) -> None:
    parts, scene = built.parts, built.scene
    face = parts.armature.pose.bones["face"]
    scene.frame_set(1010)
    before = face["mouthSmileLeft"]
    face["mouthSmileLeft"] = before + 0.3
    face.keyframe_insert('["mouthSmileLeft"]')
    arrays = dict(built.bundle.arrays)
    arrays["expression"] = arrays["expression"] * 0.5
    arrays["frames"] = arrays["frames"][:40]
    for name in ("transl", "pose", "expression", "residual"):
        arrays[name] = arrays[name][:40]
    other = type(built.bundle)(
        arrays, 2, built.bundle.joints, built.bundle.units, built.bundle.camera
    )
    built.rig.show_track(parts, "shot", other, 1000)
    scene.frame_set(1011)
    scene.frame_set(1010)
    assert face["mouthSmileLeft"] == pytest.approx(before * 0.5 + 0.3, abs=1e-4)
    assert len([each for each in bpy.data.actions if "track" in each.name]) == 1


def test_a_moved_armature_is_folded_into_the_root_and_a_scaled_one_refused(
    built: SimpleNamespace,
) -> None:
    parts = built.parts
    before = built.rig.read(parts, built.bundle, 1000)
    parts.armature.location.z += 0.1
    after = built.rig.read(parts, built.bundle, 1000)
    # Up in Blender's camera is -y or depth in the plate's.
    assert np.abs(np.linalg.norm(after.transl - before.transl, axis=1) - 0.1).max() < 1e-5
    parts.armature.scale = (2, 2, 2)
    with pytest.raises(Exception, match="the rig is scaled"):
        built.rig.read(parts, built.bundle, 1000)


@pytest.mark.parametrize(
    "facts",
    [
        (2400.0, 2400.0, 540.0, 960.0, 1080, 1920),
        (2400.0, 2400.0, 571.3, 902.7, 1080, 1920),
        (1800.0, 1800.0, 981.2, 500.3, 1920, 1080),
        (1800.0, 2100.0, 571.3, 902.7, 1080, 1920),
        (2100.0, 1800.0, 900.0, 560.0, 1920, 1080),
    ],
)
def test_the_camera_projects_as_the_backend_does(
    facts: tuple[float, float, float, float, int, int],
) -> None:
    camera = module("portraitgen_addon.camera")
    # Found once the extension is enabled.
    from portraitgen.records import CameraRecord

    k = CameraRecord(*facts)
    scene = bpy.context.scene
    holder = camera.make("plate")
    scene.collection.objects.link(holder)
    camera.set_intrinsics(holder, k)
    camera.fit_scene(scene, k, (25, 1))
    bpy.context.view_layer.update()
    rng = np.random.default_rng(1)
    points = rng.uniform([-0.3, -0.4, 0.8], [0.3, 0.4, 2.0], (500, 3))
    wanted = np.stack(
        [
            k.fx * points[:, 0] / points[:, 2] + k.cx,
            k.fy * points[:, 1] / points[:, 2] + k.cy,
        ],
        axis=1,
    )
    stands = np.array(holder.matrix_world) @ np.array(camera.FLIP)
    world = points @ stands[:3, :3].T + stands[:3, 3]
    assert np.abs(world_to_pixels(holder, scene, world) - wanted).max() < 0.02
    assert camera.shows_plate_exactly(scene, k.width, k.height, k.fy / k.fx)


def test_the_body_moves_through_the_world_of_a_solved_camera(built: SimpleNamespace) -> None:
    camera, parts, scene = module("portraitgen_addon.camera"), built.parts, built.scene
    solved = bpy.data.objects.new("solve", bpy.data.cameras.new("solve"))
    scene.collection.objects.link(solved)
    solved.rotation_euler, solved.scale = (1.2, 0.1, 0.4), (2.0, 2.0, 2.0)
    for frame, place in ((1001, (0.0, 0.0, 1.5)), (1500, (3.0, -1.0, 2.0))):
        solved.location = place
        solved.keyframe_insert("location", frame=frame)
    bpy.context.view_layer.objects.active = solved
    frames = [int(row) + 1001 for row in built.posed["rows"]]
    before = []
    for frame in frames:
        scene.frame_set(frame)
        before.append(world_to_pixels(parts.camera, scene, vertices_of(parts.mesh)))
    camera.follow(parts.camera, solved)
    assert camera.followed(parts.camera) == solved
    for frame, pixels in zip(frames, before, strict=True):
        scene.frame_set(frame)
        stands = parts.camera.evaluated_get(bpy.context.evaluated_depsgraph_get()).matrix_world
        assert (stands.translation - solved.matrix_world.translation).length < 1e-5
        world = vertices_of(parts.mesh)
        assert np.abs(world_to_pixels(parts.camera, scene, world) - pixels).max() < 0.05
    assert np.abs(world.mean(0) - np.array(solved.location)).max() < 3
    reading = built.rig.read(parts, built.bundle, 1000)
    assert np.abs(reading.transl - built.bundle.arrays["transl"]).max() < 1e-5
    camera.stand_still(parts.camera)
    assert camera.followed(parts.camera) is None and not parts.camera.constraints


def test_damaged_files_are_one_sentence(tmp_path: Path) -> None:
    tensors = module("portraitgen_addon.tensors")
    for data in (b"", b"\x08\0\0\0\0\0\0\0{}", b"\xff" * 40, b"\x02\0\0\0\0\0\0\0[]"):
        (tmp_path / "bad").write_bytes(data)
        if data == b"\x08\0\0\0\0\0\0\0{}":
            data += b"      "
        with pytest.raises(Exception, match="cannot be read"):
            tensors.load(tmp_path / "bad")
    header = json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    (tmp_path / "bad").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 8)
    with pytest.raises(Exception, match="cut off"):
        tensors.load(tmp_path / "bad")
    tensors.save(tmp_path / "good", {"a": np.arange(6, dtype=np.float32).reshape(2, 3)})
    assert tensors.load(tmp_path / "good")[0]["a"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_parts_have_curves_and_colours_and_unseen_arms_are_hidden(built: Any) -> None:
    quality = module("portraitgen_addon.part_quality")
    parts, bundle, scene = built.parts, built.bundle, built.scene
    frames = len(bundle.arrays["frames"])
    names = tuple(quality.LABELS)
    residual = np.full((len(names), frames), np.nan, np.float32)
    residual[names.index("face")] = 0.84
    residual[names.index("left_ear")] = np.linspace(5, 90, frames)
    residual[names.index("right_arm")] = 8.0
    scene.frame_set(int(bundle.arrays["frames"][0]) + 1000)
    before = vertices_of(parts.mesh)
    told = replace(
        bundle,
        arrays=bundle.arrays | {"part_residual": residual},
        parts=names,
        guessed=("left_arm", "left_forearm", "left_hand"),
    )
    quality.show(parts, "shot", told, 1000, True)
    first = int(bundle.arrays["frames"][0]) + 1000
    scene.frame_set(first)
    assert parts.mesh["quality Face"] == pytest.approx(0.84)
    assert parts.mesh["quality Left Ear"] == pytest.approx(5)
    scene.frame_set(first + frames - 1)
    assert parts.mesh["quality Left Ear"] == pytest.approx(90)
    assert "quality Left Arm" not in parts.mesh, "a guess has no number"

    labels = quality.vertex_parts(told)
    attribute = parts.mesh.data.color_attributes[quality.ATTRIBUTE]
    colours = np.empty(len(labels) * 4, np.float32)
    quality.paint(parts.mesh, told, first - 1000 + frames - 1)
    attribute.data.foreach_get("color", colours)
    colours = colours.reshape(-1, 4)
    ear, face = (colours[labels == names.index(each)][0] for each in ("left_ear", "face"))
    assert ear[0] > 0.8 and ear[1] < 0.3 and face[1] > 0.6
    for part in ("left_ear", "right_ear"):
        assert 10 < (labels == names.index(part)).sum() < 400

    # Hidden vertices lie in one point of what stays, and all keep their numbers.
    after = vertices_of(parts.mesh)
    assert after.shape == before.shape
    gone = np.isin(labels, [names.index(f"left_{each}") for each in ("arm", "forearm", "hand")])
    assert np.ptp(after[gone], axis=0).max() < 1e-5 and np.ptp(before[gone], axis=0).max() > 0.2
    scene.frame_set(first)
    assert np.abs(vertices_of(parts.mesh)[~gone] - before[~gone]).max() < 1e-6
    quality.hide_unseen(parts.mesh, False)
    assert np.ptp(vertices_of(parts.mesh)[gone], axis=0).max() > 0.2
    quality.show(parts, "shot", replace(told, guessed=()), 1000, True)
    assert not quality.hides(parts.mesh)


def test_the_rigs_own_scene_shows_the_frame_of_the_edit(performer_shot: Any) -> None:
    """Where the edit's frame has another shape; it showed the shot's first frame."""
    rig = module("operators.rig").PORTRAITGEN_OT_view_rig
    assert performer_shot.armature.users_scene[0] == bpy.context.scene
    other = bpy.data.scenes.new("edit")
    assert rig._frame_of(performer_shot, bpy.context.scene) is None
    bpy.context.scene.frame_set(performer_shot.offset + 4)
    assert rig._frame_of(performer_shot, other) == performer_shot.offset + 4
    bpy.context.scene.frame_set(performer_shot.offset + 400)
    assert rig._frame_of(performer_shot, other) is None


def test_a_frame_chosen_in_the_rigs_own_scene_stays(performer_shot: Any) -> None:
    """The pin tool threw the artist back to the frame of the edit."""
    home, own = bpy.context.scene, bpy.data.scenes.new("rig")
    for thing in (performer_shot.armature, performer_shot.camera, performer_shot.mesh):
        for each in thing.users_collection:
            each.objects.unlink(thing)
        own.collection.objects.link(thing)
    home.frame_set(performer_shot.offset + 4)
    window, name = bpy.context.window, home.name
    area = max(window.screen.areas, key=lambda each: each.width * each.height)
    area.type = "VIEW_3D"
    assert bpy.ops.portraitgen.view_rig() == {"FINISHED"}
    assert window.scene == own and own.frame_current == performer_shot.offset + 4, "arrived"
    own.frame_set(performer_shot.offset + 6)
    assert bpy.ops.portraitgen.view_rig() == {"FINISHED"}
    assert own.frame_current == performer_shot.offset + 6
    assert bpy.data.scenes[name].frame_current == performer_shot.offset + 4


def test_rounding_is_no_correction(built: Any) -> None:
    rig = module("portraitgen_addon.rig")
    shown_now = rig.read_now(built.parts, built.bundle, 1000)
    rounded = replace(shown_now, transl=shown_now.transl + np.float32(3e-7))
    rig.insert_keys(built.parts, built.bundle, rounded, shown_now, 1001)
    assert not module("portraitgen_addon.acting_layer").has_corrections(built.parts.armature)
