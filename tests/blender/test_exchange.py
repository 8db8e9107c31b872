# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The performance on an artist's own character, and out through Blender's own exporters."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from conftest import CLIP, MadeOnce, by_backend, module, open_copy, plate_strip, trim
from mathutils import Matrix, Vector
from test_path import vertices_of
from test_rig import _MAKE

FRAMES = 8
UNITS = (
    "jawOpen eyeBlinkLeft eyeBlinkRight mouthSmileLeft mouthSmileRight browInnerUp mouthFunnel"
    " mouthPucker cheekPuff mouthLeft mouthRight"
).split()
TO_BLENDER = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]) @ np.diag([1, -1, -1])


@pytest.fixture(scope="module")
def made(made_once: MadeOnce) -> Path:
    return made_once("rig of a few frames", by_backend(_MAKE, FRAMES))


@pytest.fixture
def built(made: Path) -> SimpleNamespace:
    rig, camera = module("portraitgen_addon.rig"), module("portraitgen_addon.camera")
    data = rig.RigData.load(made / "rig.safetensors")
    scene = bpy.context.scene
    holder = camera.make("plate")
    scene.collection.objects.link(holder)
    camera.set_intrinsics(holder, data.camera)
    camera.fit_scene(scene, data.camera, (24, 1))
    parts = rig.build("shot", data, holder, scene.collection, 0)
    scene.frame_start, scene.frame_end = 1, FRAMES
    return SimpleNamespace(
        data=data, parts=parts, scene=scene, on=module("portraitgen_addon.performance_transfer")
    )


def face_mesh(keys: list[str]) -> Any:
    data = bpy.data.meshes.new("face")
    data.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    mesh = bpy.data.objects.new("character", data)
    bpy.context.scene.collection.objects.link(mesh)
    mesh.shape_key_add(name="Basis")
    for key in keys:
        mesh.shape_key_add(name=key).value = 0
    return mesh


SPELLED = {
    "jawOpen": "jawOpen",
    "eyeBlinkLeft": "EyeBlink_L",
    "mouthSmileRight": "blendShape1.mouthSmile_R",
    "eyeLookOutLeft": "Eye Look Out Left",
    "browInnerUp": "head_lod0:browInnerUp",
    "mouthLeft": "MouthLeft",
    "mouthFunnel": "CC_mouth_funnel",
    "mouthPucker": 'set "A".mouthPucker',
}


def test_shapes_are_found_as_studios_spell_them(built: SimpleNamespace) -> None:
    keys = [*SPELLED.values(), "jawOpenExtra", "smile"]
    assert built.on.match_shapes(built.data.units, keys) == SPELLED


def shown_values(mesh: Any) -> dict[str, float]:
    graph = bpy.context.evaluated_depsgraph_get()
    keys = mesh.evaluated_get(graph).data.shape_keys or mesh.data.shape_keys
    return {key.name: key.value for key in keys.key_blocks}


@pytest.mark.parametrize("way", ["drivers", "keys"])
def test_a_character_s_shapes_act_what_the_face_does(built: SimpleNamespace, way: str) -> None:
    mesh = face_mesh(list(SPELLED.values()))
    if way == "drivers":
        done = built.on.drive_shapes(built.parts, built.data, mesh)
    else:
        done = built.on.key_shapes(built.parts, built.data, mesh, 0)
    assert len(done.found) == len(SPELLED) and "cheekPuff" in done.missing
    arrays, units = built.data.arrays, built.data.units
    eye = arrays["pose"][:, built.data.joints.index("left_eye_smplhf")]
    looked = 0
    for row in range(FRAMES):
        built.scene.frame_set(row + 1)
        bpy.context.view_layer.update()
        values = shown_values(mesh)
        for unit in ("jawOpen", "eyeBlinkLeft", "mouthSmileRight", "browInnerUp"):
            wanted = arrays["expression"][row, units.index(unit)]
            assert values[SPELLED[unit]] == pytest.approx(wanted, abs=1e-4)
        # An eye that turns to its own side looks out; other turns leave the sideways one inexact.
        if abs(eye[row, 0]) < 0.15 and abs(eye[row, 2]) < 0.15:
            wanted = max(0.0, eye[row, 1] / 0.5236)
            assert values[SPELLED["eyeLookOutLeft"]] == pytest.approx(min(wanted, 1), abs=0.08)
            looked += 1
    assert looked


def test_a_correction_shows_on_the_driven_character(built: SimpleNamespace) -> None:
    mesh = face_mesh(["jawOpen"])
    built.on.drive_shapes(built.parts, built.data, mesh)
    built.scene.frame_set(3)
    face = built.parts.armature.pose.bones["face"]
    face["jawOpen"] = 0.77
    built.parts.armature.update_tag()
    bpy.context.view_layer.update()
    assert shown_values(mesh)["jawOpen"] == pytest.approx(0.77, abs=1e-4)


def test_a_mesh_without_such_shapes_is_refused(built: SimpleNamespace) -> None:
    for keys in ([], ["smile", "key 1"]):
        with pytest.raises(Exception, match="shape"):
            built.on.drive_shapes(built.parts, built.data, face_mesh(keys))


def character(preset: dict[str, str], euler: bool = False) -> Any:
    """A small character that rests with level arms, z up, facing -y, by a preset's names."""
    places = {
        "pelvis": ((0, 0, 1.0), (0, 0, 1.1), None),
        "spine1": ((0, 0, 1.1), (0, 0, 1.2), "pelvis"),
        "spine3": ((0, 0, 1.2), (0, 0, 1.45), "spine1"),
        "neck": ((0, 0, 1.45), (0, 0, 1.55), "spine3"),
        "head": ((0, 0, 1.55), (0, 0, 1.75), "neck"),
    }
    for side, sign in (("left", 1), ("right", -1)):
        reach = [0.05, 0.2, 0.45, 0.7, 0.8]
        above = "spine3"
        for joint, near, far in zip(
            ("collar", "shoulder", "elbow", "wrist"), reach, reach[1:], strict=False
        ):
            ends = (sign * near, 0, 1.42), (sign * far, 0, 1.42)
            places[f"{side}_{joint}"] = (*ends, above)
            above = f"{side}_{joint}"
    data = bpy.data.armatures.new("character")
    armature = bpy.data.objects.new("character", data)
    bpy.context.scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    for joint, (head, tail, above) in places.items():
        bone = data.edit_bones.new(preset[joint])
        bone.head, bone.tail, bone.roll = head, tail, 0.4
        bone.parent = data.edit_bones[preset[above]] if above else None
    bpy.ops.object.mode_set(mode="OBJECT")
    for bone in armature.pose.bones:
        bone.rotation_mode = "ZYX" if euler else "QUATERNION"
    return armature


@pytest.mark.parametrize("name", ["RIGIFY", "METARIG", "UNREAL", "MIXAMO"])
def test_a_character_s_limbs_lie_as_the_performer_s(built: SimpleNamespace, name: str) -> None:
    target = character(built.on.PRESETS[name], euler=name == "UNREAL")
    assert built.on.best_preset(target) == name
    done = built.on.transfer_bones(built.data, target, name, 0)
    assert len(done.found) == 13
    own = built.parts.armature.pose.bones
    for frame in (1, 4, FRAMES):
        built.scene.frame_set(frame)
        bpy.context.view_layer.update()
        for joint, child in (("left_shoulder", "left_elbow"), ("right_elbow", "right_wrist")):
            limb = TO_BLENDER @ np.array(own[child].head - own[joint].head)
            bone = target.pose.bones[built.on.PRESETS[name][joint]]
            along = np.array((bone.tail - bone.head).normalized())
            assert along @ limb / np.linalg.norm(limb) > 0.999, joint
        # The head: its turn from rest is the performer's.
        head = target.pose.bones[built.on.PRESETS[name]["head"]]
        turned = head.matrix.to_3x3() @ head.bone.matrix_local.to_3x3().inverted()
        theirs = own["head"].matrix.to_3x3() @ own["head"].bone.matrix_local.to_3x3().inverted()
        axes = Matrix(TO_BLENDER.tolist())
        flat = Matrix(((1, 0, 0), (0, 0, -1), (0, 1, 0)))
        wanted = axes @ theirs @ flat.transposed()
        for axis in (Vector((1, 0, 0)), Vector((0, 0, 1))):
            assert (turned @ axis).dot(wanted @ axis) > 0.999


# As FBX brings characters, and as some are built.
LAIN = {
    "y up, in centimetres": Matrix.Rotation(-np.pi / 2, 4, "X") @ Matrix.Scale(100, 4),
    "facing x": Matrix.Rotation(np.pi / 2, 4, "Z"),
    "y up, facing x": Matrix.Rotation(np.pi / 2, 4, "Y") @ Matrix.Rotation(-np.pi / 2, 4, "X"),
}


@pytest.mark.parametrize("way", LAIN)
def test_a_character_of_other_axes_turns_as_an_upright_one(
    built: SimpleNamespace, way: str
) -> None:
    names = built.on.PRESETS["MIXAMO"]
    upright, lain = character(names), character(names)
    lain.data.transform(LAIN[way])
    lain.matrix_world = LAIN[way].inverted()
    for target in (upright, lain):
        built.on.transfer_bones(built.data, target, "MIXAMO", 0)
    for frame in (1, FRAMES):
        built.scene.frame_set(frame)
        bpy.context.view_layer.update()
        for bone in upright.pose.bones:
            other = lain.pose.bones[bone.name]
            along = (lain.matrix_world.to_3x3() @ (other.tail - other.head)).normalized()
            assert along.dot((bone.tail - bone.head).normalized()) > 0.999, bone.name


def test_an_armature_of_other_bones_is_refused(built: SimpleNamespace) -> None:
    target = character({joint: joint for joint in built.on.PRESETS["RIGIFY"]})
    with pytest.raises(Exception, match="bones of this preset"):
        built.on.transfer_bones(built.data, target, "MIXAMO", 0)


def extent(vertices: np.ndarray) -> float:
    return float(np.linalg.norm(np.ptp(vertices, axis=0)))


# Blender's FBX exporter speaks to an older NumPy.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_blender_s_own_exporters_write_the_performance(
    built: SimpleNamespace, tmp_path: Path
) -> None:
    built.scene.frame_set(5)
    wanted = vertices_of(built.parts.mesh)
    mesh, scene = built.parts.mesh, built.scene
    cube = bpy.data.objects.new("mine", None)
    scene.collection.objects.link(cube)
    cube.select_set(True)
    scene.view_layers[0].objects.active = cube
    scene.frame_start, scene.frame_end = 100, 200
    write = module("portraitgen_addon.performance_export").export
    abc, usd, fbx, bvh = (tmp_path / f"shot{end}" for end in (".abc", ".usdc", ".fbx", ".bvh"))
    for file in (abc, usd, fbx, bvh):
        write(built.parts, file, 1, FRAMES)
    with pytest.raises(Exception, match="no format"):
        write(built.parts, tmp_path / "shot.obj", 1, FRAMES)
    # The artist's selection and range are as they were.
    assert (scene.frame_start, scene.frame_end) == (100, 200) and mesh.hide_select
    assert bpy.context.selected_objects == [cube]
    scene.frame_start, scene.frame_end = 1, FRAMES
    assert bvh.read_text().count("JOINT") >= 54 and "Frames: 8" in bvh.read_text()
    for file, bring in (
        (abc, lambda: bpy.ops.wm.alembic_import(filepath=str(abc), as_background_job=False)),
        (usd, lambda: bpy.ops.wm.usd_import(filepath=str(usd))),
        (fbx, lambda: bpy.ops.import_scene.fbx(filepath=str(fbx))),
    ):
        before = set(bpy.data.objects)
        bring()
        came = [each for each in bpy.data.objects if each not in before]
        kinds = {each.type for each in came}
        rigged = {"ARMATURE"} if file.suffix != ".abc" else set()
        assert {"MESH", "CAMERA"} | rigged <= kinds, file.suffix
        mesh = max((e for e in came if e.type == "MESH"), key=lambda e: len(e.data.vertices))
        built.scene.frame_set(5)
        bpy.context.view_layer.update()
        found = vertices_of(mesh)
        assert len(found) == len(wanted), file.suffix
        if file.suffix != ".fbx":
            assert np.abs(found - wanted).max() < 2e-3, file.suffix
        else:
            assert extent(found) == pytest.approx(extent(wanted), rel=0.05)


@pytest.mark.parametrize("end", [".abc", ".usdc", ".fbx", ".bvh"])
def test_a_place_that_cannot_be_written_is_told_in_one_sentence(
    end: str, performer_shot: Any, tmp_path: Path
) -> None:
    """It was lines of Python, or words of a library's."""
    path = tmp_path / "gone" / f"out{end}"
    with pytest.raises(RuntimeError) as told:
        bpy.ops.portraitgen.export_performance(filepath=str(path))
    (sentence,) = str(told.value).strip().splitlines()
    assert str(path) in sentence and "exporter" not in sentence


@pytest.mark.parametrize("name", ["export_track", "export_performance", "export_splats"])
def test_an_export_without_a_name_is_told(name: str, performer_shot: Any, tmp_path: Path) -> None:
    """A fault of the program's own, or a file beside the folder."""
    from splat_performer import OFFSET

    bpy.context.scene.frame_set(OFFSET + 2)
    for text in ("", f"{tmp_path}/"):
        with pytest.raises(RuntimeError, match="no file name is given; type one"):
            getattr(bpy.ops.portraitgen, name)(filepath=text)


def test_a_track_goes_out_and_another_comes_in_from_the_panel(
    tracked_clip: Path, tmp_path: Path, session: Any, until: Callable[..., None]
) -> None:
    scene = bpy.context.scene
    trim(plate_strip(scene, 1), 5, 11)
    shot = open_copy(tracked_clip, CLIP, tmp_path / "shot", until)
    until(lambda: not session.doing)
    for kind in (".npz", ".csv", ".bvh"):
        bpy.ops.portraitgen.export_track(filepath=str(tmp_path / f"out{kind}"))
        until(lambda: not session.doing)
        assert session.error is None and (tmp_path / f"out{kind}").stat().st_size > 1000
    bpy.ops.portraitgen.export_track(filepath=str(tmp_path / "out.npz"))
    until(lambda: session.error is not None)
    assert "there already" in str(session.error)
    # A face capture: the jaw opens, the notes say what else became of it.
    names = ["jawOpen", *[unit for unit in UNITS if unit != "jawOpen"]]
    rows = [",".join(names), *[",".join(["0.7", *["0"] * (len(names) - 1)])] * 6]
    (tmp_path / "face.csv").write_text("\n".join(rows))
    bpy.ops.portraitgen.import_track(filepath=str(tmp_path / "face.csv"))
    until(lambda: shot.track_version == 2 and not session.doing)
    assert session.told[0].startswith("read as ARKit's shapes, 6 frames")
    scene.frame_set(7)
    assert shot.armature.pose.bones["face"]["jawOpen"] > 0.3
    (tmp_path / "track.pkl").write_bytes(b"\x80\x04N.")
    bpy.ops.portraitgen.import_track(filepath=str(tmp_path / "track.pkl"))
    until(lambda: session.error is not None)
    assert "convert-track" in str(session.error)
