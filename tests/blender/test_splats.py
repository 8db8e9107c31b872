# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer as Blender's own splats: where the backend has them, whatever poses the rig."""

import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from conftest import module
from splat_performer import (
    FRAMES,
    NATIVE,
    OFFSET,
    apart,
    check_drawn_as_the_backend_does,
    display,
    modify_first,
    native,
    ply_rows,
    psnr,
    put_together,
    rendered,
    rendered_with_depth,
    shown,
)


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
def test_two_performers_stand_in_one_scene(built: SimpleNamespace, splat_shot: Path) -> None:
    other = put_together(splat_shot, "two")
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
def test_a_performer_is_moved_and_copied_by_hand(built: SimpleNamespace) -> None:
    """Moved as an object it stood still, since the rig's place was taken for its own."""
    scene, cloud = built.scene, built.performer.cloud
    scene.frame_set(4 + OFFSET)
    before = _in_world(cloud)
    copy = cloud.copy()
    copy.data = cloud.data.copy()
    scene.collection.objects.link(copy)
    copy.location.x += 0.5
    copy.scale *= 2
    bpy.context.view_layer.update()
    flip = np.array(cloud.matrix_world)
    wanted = 2 * (before - flip[:3, 3]) + flip[:3, 3] + 0.5 * flip[:3, 0]
    assert np.abs(_in_world(copy) - wanted).max() < 1e-4
    assert np.abs(_in_world(cloud) - before).max() < 1e-6
    built.splats.light_by_scene(cloud, True)
    assert not built.splats.is_lit(copy)
    built.splats.light_by_scene(copy, True)
    shadow = built.splats.shadow_of(copy).evaluated_get(bpy.context.evaluated_depsgraph_get())
    assert np.array(shadow.matrix_world) == pytest.approx(np.array(copy.matrix_world))
    # One of both is deleted: the other goes on being carried.
    built.splats.remove(cloud)
    bpy.context.view_layer.update()
    assert np.abs(_in_world(copy) - wanted).max() < 1e-4
    assert built.splats.is_lit(copy)


def _in_world(cloud: Any) -> np.ndarray:
    matrix = np.array(cloud.evaluated_get(bpy.context.evaluated_depsgraph_get()).matrix_world)
    placed: np.ndarray = shown(cloud)["position"] @ matrix[:3, :3].T + matrix[:3, 3]
    return placed


@native
def test_splats_erased_in_edit_mode_stay_erased(built: SimpleNamespace, tmp_path: Path) -> None:
    """Saving brought them back."""
    cloud = built.performer.cloud
    count = len(cloud.data.points)
    bpy.context.view_layer.objects.active = cloud
    cloud.select_set(True)
    picked = cloud.data.attributes.new(".selection", "BOOLEAN", "POINT")
    picked.data.foreach_set("value", np.arange(count) < 40)
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.pointcloud.delete()
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "erased.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "erased.blend"))
    (cloud,) = built.splats.performers()
    assert len(cloud.data.points) == count - 40 and cloud[built.splats.PACKED]
    module("portraitgen_addon.splat_retouch").write(
        cloud, tmp_path / "left.ply", tmp_path / "all.ply"
    )
    assert ply_rows(tmp_path / "left.ply")["id"].tolist() == list(range(40, count))
    assert ply_rows(tmp_path / "all.ply")["id"].tolist() == list(range(count))


@native
def test_copies_of_a_performer_are_saved_and_opened(built: SimpleNamespace, tmp_path: Path) -> None:
    copy = built.performer.cloud.copy()
    copy.data = built.performer.cloud.data.copy()
    built.scene.collection.objects.link(copy)
    path = str(tmp_path / "two.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    bpy.context.scene.frame_set(5 + OFFSET)
    clouds = built.splats.performers()
    assert len(clouds) == 2
    for cloud in clouds:
        assert np.percentile(apart(shown(cloud), built.truth, 5), 99) < 0.1


@native
def test_nothing_stays_of_a_performer_that_was_deleted_by_hand(
    built: SimpleNamespace, splat_shot: Path, tmp_path: Path
) -> None:
    other = put_together(splat_shot, "two")
    built.splats.light_by_scene(built.performer.cloud, True)
    bpy.ops.object.select_all(action="DESELECT")
    built.performer.cloud.select_set(True)
    bpy.ops.object.delete()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "one.blend"))
    left = [each.name for each in bpy.data.objects if each.name.startswith("one s")]
    assert not left and built.splats.performers() == [other.performer.cloud]
    built.scene.frame_set(4 + OFFSET)
    assert np.median(apart(shown(other.performer.cloud), built.truth, 4)) < 0.01


@native
def test_sculpting_the_body_moves_the_splats(built: SimpleNamespace) -> None:
    sculpt, body = module("portraitgen_addon.sculpt"), built.parts.mesh
    cloud = built.performer.cloud
    built.scene.frame_set(3 + OFFSET)
    before = shown(cloud)["position"]
    key = sculpt.ensure(body, "take")
    points = module("portraitgen_addon.rig").key_points(key) + [0, 0.01, 0]
    key.points.foreach_set("co", points.astype(np.float32).ravel())
    body.data.update()
    for value, wanted in ((1.0, 10.0), (0.5, 5.0), (0.0, 0.0)):
        key.value = value
        bpy.context.view_layer.update()
        moved = np.linalg.norm(shown(cloud)["position"] - before, axis=1) * 1000
        assert np.abs(moved - wanted).max() < 0.3
    key.value = 1
    sculpt.show(body, "")
    bpy.context.view_layer.update()
    assert np.abs(shown(cloud)["position"] - before).max() < 1e-6
    # Shown anew it follows at once, too.
    sculpt.show(body, "take")
    built.splats.show_anew(cloud, built.data, built.splats.data_path(cloud), OFFSET)
    moved = np.linalg.norm(shown(cloud)["position"] - before, axis=1) * 1000
    assert np.abs(moved - 10).max() < 0.3


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
def test_a_packed_performer_is_linked_and_another_is_told(
    built: SimpleNamespace, tmp_path: Path, session: Any
) -> None:
    built.performer.cloud[built.splats.PACKED] = True
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "packed.blend"))
    built.performer.cloud[built.splats.PACKED] = False
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "small.blend"))
    for name in ("packed", "small"):
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
        folder = str(tmp_path / f"{name}.blend" / "Object")
        bpy.ops.wm.link(directory=folder + os.sep, filename="one splats")
        (cloud,) = built.splats.performers()
        assert cloud.library is not None
        if name == "packed":
            assert session.error is None
            bpy.context.scene.frame_set(3 + OFFSET)
            assert np.percentile(apart(shown(cloud), built.truth, 3), 99) < 0.1
            # An override's data stays the other file's: nobody may empty or fill it.
            count, own = len(cloud.data.points), cloud.override_create(remap_local_usages=True)
            assert own.library is None and own.data.library is not None
            bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "override.blend"))
            assert len(own.data.points) == count and session.error is None
    assert "press Pack Splats there" in session.message
    # Saving does not touch what is another file's.
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "other.blend"))


@native
def test_light_is_undone_and_redone(built: SimpleNamespace) -> None:
    bpy.ops.ed.undo_push(message="before")
    built.splats.light_by_scene(built.performer.cloud, True)
    bpy.ops.ed.undo_push(message="lit")
    for step, lit in ((bpy.ops.ed.undo, False), (bpy.ops.ed.redo, True)):
        step()
        (cloud,) = built.splats.performers()
        assert built.splats.is_lit(cloud) == lit == bool(cloud.data.materials)
        assert cloud.visible_shadow == cloud.visible_diffuse != lit
        bpy.context.scene.frame_set(5 + OFFSET)
        assert np.percentile(apart(shown(cloud), built.truth, 5), 99) < 0.1


@native
def test_blenders_own_importer_reads_what_is_written(splat_shot: Path) -> None:
    truth, _ = module("portraitgen_addon.tensors").load(splat_shot / "truth.safetensors")
    rows = ply_rows(splat_shot / "frame3.ply")
    bpy.ops.wm.ply_import(filepath=str(splat_shot / "frame3.ply"))
    points = bpy.context.object.data
    assert points.type == "GAUSSIAN_SPLAT"

    def values(name: str, width: int, field: str = "vector") -> np.ndarray:
        found = np.empty(len(rows) * width, np.float32)
        points.attributes[name].data.foreach_get(field, found)
        return found.reshape(-1, width)

    def relative(found: np.ndarray, wanted: np.ndarray) -> float:
        return float(np.abs(found - wanted).max() / np.abs(wanted).max())

    assert relative(values("position", 3), truth["means3"]) < 1e-5
    assert np.abs(values("scale", 3) / truth["scales3"] - 1).max() < 1e-5
    turned = np.abs((values("rotation", 4, "value") * truth["quats3"]).sum(1))
    assert 1 - turned.min() < 1e-5
    base = values("radiance:base", 4)
    assert relative(base[:, :3], np.stack([rows[f"f_dc_{at}"] for at in range(3)], 1)) < 1e-5
    assert relative(base[:, 3], truth["opacities3"]) < 1e-5
    for index in range(8):
        own = np.stack([rows[f"f_rest_{channel * 8 + index}"] for channel in range(3)], 1)
        assert relative(values(f"radiance:sh_{index}", 3), own) < 1e-5
    assert values("id", 1, "value")[:, 0].tolist() == list(range(len(rows)))


@native
def test_what_modifiers_did_to_the_splats_is_written(
    built: SimpleNamespace, tmp_path: Path
) -> None:
    built.scene.frame_set(3 + OFFSET)
    cloud = built.performer.cloud
    group, erase = modify_first(cloud, "GeometryNodeDeleteGeometry", 100)
    erase.domain = "POINT"
    module("portraitgen_addon.splat_retouch").write(
        cloud, tmp_path / "retouched.ply", tmp_path / "untouched.ply"
    )
    assert len(ply_rows(tmp_path / "untouched.ply")) == len(built.data.arrays["opacity"])
    rows = ply_rows(tmp_path / "retouched.ply")
    assert len(rows) == len(built.data.arrays["opacity"]) - 100
    assert rows["id"].tolist() == list(range(100, len(rows) + 100))
    place = np.stack([rows[name] for name in "xyz"], axis=1)
    assert np.abs(place - built.truth["means3"][100:]).max() < 1e-4
    assert cloud.modifiers["Retouch"].show_viewport
    group.nodes.remove(erase)
    lost = group.nodes.new("GeometryNodeRemoveAttribute")
    lost.inputs["Name"].default_value = module("portraitgen_addon.splat_cloud").ID
    entry, exit_ = group.nodes["Group Input"], group.nodes["Group Output"]
    group.links.new(entry.outputs[0], lost.inputs["Geometry"])
    group.links.new(lost.outputs[0], exit_.inputs[0])
    with pytest.raises(Exception, match="have lost 'pg_id'"):
        module("portraitgen_addon.splat_retouch").write(
            cloud, tmp_path / "lost.ply", tmp_path / "whole.ply"
        )


def test_splats_go_out_and_come_back(performer_shot: Any, tmp_path: Path, until: Any) -> None:
    """The buttons: on every Blender as files, where it has splats in the scene too."""
    session = module("portraitgen_addon.session").session
    summary = module("portraitgen_addon.shot_summary")
    bpy.context.scene.frame_set(OFFSET + 2)
    path = tmp_path / "out.ply"
    bpy.ops.portraitgen.export_splats(filepath=str(path), in_world=True)
    until(lambda: path.exists() and not session.doing)
    path.unlink()
    # What only this export needed does not lie in the shot, which may be read-only.
    assert not (performer_shot.path / "splats" / "world.json").exists()
    here = bpy.context.scene.frame_current
    bpy.context.scene.frame_set(here + 500)
    for operator in ("export_splats", "take_retouched_splats"):
        with pytest.raises(RuntimeError, match=f"frame {here + 500} does not show the shot"):
            getattr(bpy.ops.portraitgen, operator)(filepath=str(path))
    bpy.context.scene.frame_set(here)
    # The name says the format, and keeps its points: both were lost, and another file written.
    for name, options, wanted in (
        ("out.spz", {}, "out.spz"),
        ("look.v02", {"kind": ".spz"}, "look.v02.spz"),
        ("look.v03.spz", {"kind": ".ply"}, "look.v03.ply"),
    ):
        bpy.ops.portraitgen.export_splats(filepath=str(tmp_path / name), **options)
        until(lambda: not session.doing)
        assert (tmp_path / wanted).exists() and not session.error, (name, session.message)
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
    (cloud,) = splats.performers(performer_shot.shot_id, "")
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
    cloud.location.x += 0.25
    cloud[splats.PACKED] = True
    # Pressed again, it shows what is newest and keeps what the artist did to it.
    bpy.ops.portraitgen.to_3d()
    until(lambda: not session.doing and not session.waiting_work)
    (cloud,) = splats.performers(performer_shot.shot_id, "")
    assert "Fade" in cloud.modifiers and cloud[splats.PACKED] and splats.is_lit(cloud)
    assert cloud.location.x == 0.25 and len(cloud.data.points) == count
    with pytest.raises(RuntimeError, match="was moved out of the plate's camera; put it back"):
        bpy.ops.portraitgen.take_add(editor="grade")
        bpy.ops.portraitgen.render_lit_take(frames="CURRENT")
    bpy.context.view_layer.objects.active = cloud
    bpy.ops.portraitgen.take_retouched_splats()
    until(lambda: summary.summary_of(performer_shot.path).avatars == [1, 2] or session.error)
    assert session.error is None, session.error
    until(lambda: not session.doing and not session.waiting_work)
    assert session.told_of_splats == (f"{count} splats changed, 0 erased",)
    (cloud,) = splats.performers(performer_shot.shot_id, "")
    assert splats.is_lit(cloud) and len(cloud.modifiers) == 2
    assert np.abs(shown(cloud)["scale"] / [0.004, 0.004, 0.002] - 1).max() < 0.01


@native
def test_a_retouch_is_taken_from_a_pose_that_the_shot_does_not_know(
    performer_shot: Any, until: Any, session: Any
) -> None:
    """All splats were taken for moved, as far as the rig was posed, in every frame."""
    splats = module("portraitgen_addon.splats")
    bpy.context.scene.frame_set(OFFSET + 2)
    bpy.ops.portraitgen.to_3d()
    until(splats.performers)
    (cloud,) = splats.performers()
    count = len(cloud.data.points)
    bones = performer_shot.armature.pose.bones
    bones["face"]["jawOpen"] = 0.5
    bones["head"].rotation_quaternion = (0.98, 0, 0.199, 0)
    performer_shot.armature.update_tag()
    before = shown(cloud)["position"]
    _, move = modify_first(cloud, "GeometryNodeSetPosition", 50)
    move.inputs["Offset"].default_value = (0, 0, 0.01)
    bpy.context.view_layer.objects.active = cloud
    bpy.ops.portraitgen.take_retouched_splats()
    until(lambda: not session.doing and not session.waiting_work)
    assert session.error is None, session.error
    assert session.told_of_splats == ("50 splats changed, 0 erased",)
    (cloud,) = splats.performers()
    assert len(cloud.data.points) == count and "Retouch" not in cloud.modifiers
    moved = shown(cloud)["position"] - before
    assert np.abs(moved[:50] - [0, 0, 0.01]).max() < 2e-4 and np.abs(moved[50:]).max() < 2e-5


@native
def test_a_rig_of_another_body_carries_no_splats(built: SimpleNamespace) -> None:
    assert built.splats.fits(built.data, built.parts.armature)
    moved = built.data.arrays | {"joints": built.data.arrays["joints"] + [0, 0.007, 0]}
    other = dataclasses.replace(built.data, arrays=moved)
    assert not built.splats.fits(other, built.parts.armature)


@native
def test_data_that_lead_nowhere_are_refused(splat_shot: Path, tmp_path: Path) -> None:
    tensors, splat_data = (
        module("portraitgen_addon.tensors"),
        module("portraitgen_addon.splat_data"),
    )
    path = splat_shot / "shot" / "splats" / "reconstruction.safetensors"
    data = splat_data.SplatData.load(path)
    for name, change in (("corners", 10**6), ("faces", -1)):
        broken = {**data.arrays, name: data.arrays[name] + change}
        with pytest.raises(ValueError, match=f"{name} lead nowhere"):
            dataclasses.replace(data, arrays=broken)._check()
    # Files of earlier versions know of no shift.
    old = path.read_bytes().replace(b'"sha256"', b'"former"', 1)
    (tmp_path / "old.safetensors").write_bytes(old.replace(b'"shift"', b'"other"', 1))
    assert data.arrays["shift"].max() > 0
    assert not splat_data.SplatData.load(tmp_path / "old.safetensors").arrays["shift"].any()
    tensors.save(tmp_path / "bad.safetensors", {"vertices": data.arrays["vertices"]})
    with pytest.raises(Exception, match="the splats are damaged .* press To 3D again"):
        splat_data.SplatData.load(tmp_path / "bad.safetensors")


@native
def test_cycles_draws_what_the_backend_draws_in_every_frame(
    built: SimpleNamespace, tmp_path: Path
) -> None:
    frames = range(1 + OFFSET, FRAMES + 1 + OFFSET)
    pictures = rendered_with_depth(built.scene, tmp_path, 32, frames)
    check_drawn_as_the_backend_does(pictures, built.truth, [each - OFFSET for each in frames])


@native
def test_a_sun_lights_the_performer_as_the_body_it_lies_on(
    built: SimpleNamespace, tmp_path: Path
) -> None:
    """Blender's own mesh under the same sun and world is the truth. These splats were never learned
    and stand far off the body, so that the sun comes from the camera: shadows would not meet."""
    scene, cloud, mesh = built.scene, built.performer.cloud, built.parts.mesh
    scene.frame_set(3 + OFFSET)
    built.splats.light_by_scene(cloud, True)
    count = len(cloud.data.points)
    albedo = np.tile(np.float32([0.6, 0.45, 0.35]), count)
    cloud.data.attributes["pg_albedo"].data.foreach_set("vector", albedo)
    cloud.data.attributes["pg_roughness"].data.foreach_set("value", np.ones(count, np.float32))
    cloud.data.update_tag()
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy, sun.rotation_euler = 3, (1.4, 0, -0.3)
    scene.collection.objects.link(sun)
    _even_world(scene, 0.3)
    drawn = rendered(scene, tmp_path / "splats", 32)
    for hidden in (cloud, cloud["portraitgen_shadow"]):
        hidden.hide_render = True
    mesh.hide_render = False
    matter = bpy.data.materials.new("plain")
    (shader,) = (each for each in matter.node_tree.nodes if each.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = (0.6, 0.45, 0.35, 1)
    shader.inputs["Roughness"].default_value = 1
    mesh.data.materials[0], mesh.data.materials[1] = matter, matter
    wanted = rendered(scene, tmp_path / "mesh", 32)
    inside = (drawn[..., 3] > 0.99) & (wanted[..., 3] > 0.99)
    # One gain for all, as where the plate's own light is not known.
    first, second = drawn[..., :3][inside], wanted[..., :3][inside]
    gain = (first * second).sum() / (first * first).sum()
    value = psnr(display(gain * first), display(second))
    print(f"lit by a sun: {value:.1f} dB, gain {gain:.2f}")
    assert value > 24 and 0.8 < gain < 1.25


def _even_world(scene: Any, strength: float) -> None:
    world = scene.world = bpy.data.worlds.new("even")
    (background,) = (each for each in world.node_tree.nodes if each.type == "BACKGROUND")
    background.inputs["Color"].default_value = (1, 1, 1, 1)
    background.inputs["Strength"].default_value = strength


@native
def test_a_view_layer_without_its_collection_shows_no_performer(
    built: SimpleNamespace, tmp_path: Path
) -> None:
    scene, cloud = built.scene, built.performer.cloud
    scene.frame_set(3 + OFFSET)
    own = bpy.data.collections.new("performer")
    scene.collection.children.link(own)
    for each in (cloud, cloud["portraitgen_surface"]):
        for old in each.users_collection:
            old.objects.unlink(each)
        own.objects.link(each)
    plain = scene.view_layers.new("without")
    plain.layer_collection.children["performer"].exclude = True
    covers = []
    for layer in scene.view_layers:
        for each in scene.view_layers:
            each.use = each == layer
        covers.append(rendered(scene, tmp_path / layer.name, 4)[..., 3].max())
    assert covers[0] > 0.9 and covers[1] == 0
    assert np.percentile(apart(shown(cloud), built.truth, 3), 99) < 0.1


@native
def test_to_3d_is_undone_and_redone(performer_shot: Any, until: Any, session: Any) -> None:
    splats = module("portraitgen_addon.splats")
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.portraitgen.to_3d()
    until(splats.performers)
    until(lambda: not session.doing and not session.waiting_work)
    count = len(splats.performers()[0].data.points)
    bpy.ops.ed.undo()
    assert not splats.performers()
    assert not [each.name for each in bpy.data.objects if "splats" in each.name]
    bpy.ops.ed.redo()
    (cloud,) = splats.performers()
    assert len(cloud.data.points) == count > 1000
    bpy.context.scene.frame_set(3 + OFFSET)
    assert np.ptp(shown(cloud)["position"], axis=0).min() > 0.1


@native
def test_even_light_on_one_colour_shows_no_blotches(built: SimpleNamespace, tmp_path: Path) -> None:
    built.scene.frame_set(3 + OFFSET)
    cloud = built.performer.cloud
    built.splats.light_by_scene(cloud, True)
    count = len(cloud.data.points)
    albedo = np.full(count * 3, 0.5, np.float32)
    cloud.data.attributes["pg_albedo"].data.foreach_set("vector", albedo)
    cloud.data.attributes["pg_roughness"].data.foreach_set("value", np.ones(count, np.float32))
    cloud.data.update_tag()
    _even_world(built.scene, 1)
    picture = rendered(built.scene, tmp_path / "even", 24)
    inside = picture[..., 3] > 0.99
    shown = picture[..., 1][inside]
    print(f"even light: mean {shown.mean():.3f}, deviation {shown.std():.3f}")
    # Chin and ears take some of it; splats that stood in each other's light took half.
    assert 0.4 < shown.mean() < 0.52 and shown.std() < 0.09


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
