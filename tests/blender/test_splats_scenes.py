# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer in 3D through copied scenes, deleted rigs, moved files and settings of the scene."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from conftest import module
from splat_performer import (
    NATIVE,
    OFFSET,
    SIZE,
    apart,
    modify_first,
    native,
    ply_rows,
    put_together,
    shown,
)


@pytest.fixture
def performer(performer_shot: Any, until: Any, session: Any) -> SimpleNamespace:
    """The shot's performer, and what shows it anew."""
    splats = module("portraitgen_addon.splats")

    def bring() -> None:
        bpy.ops.portraitgen.to_3d()
        until(lambda: splats.performers() and not session.doing and not session.waiting_work)
        assert session.error is None, session.error

    bring()
    (cloud,) = splats.performers()
    return SimpleNamespace(splats=splats, shot=performer_shot, cloud=cloud, bring=bring)


def _copied(cloud: Any) -> Any:
    copy = cloud.copy()
    copy.data = cloud.data.copy()
    bpy.context.scene.collection.objects.link(copy)
    return copy


@native
def test_a_copied_scene_has_a_performer_of_its_own(performer: SimpleNamespace) -> None:
    """Its buttons changed the first scene's, and To 3D deleted it."""
    splats, first = performer.splats, performer.cloud
    bpy.ops.scene.new(type="FULL_COPY")
    (copy,) = (each for each in splats.performers() if each != first)
    copy.location.x = 3
    bpy.ops.portraitgen.lit_by_scene()
    assert splats.is_lit(copy) and not splats.is_lit(first)
    performer.bring()
    assert splats.performers() == [first, copy] and copy.location.x == 3
    # One scene's is deleted: To 3D brings that one back.
    splats.remove(copy)
    performer.bring()
    (made,) = (each for each in splats.performers() if each != first)
    assert made.users_scene[0] == bpy.context.scene
    assert splats.armature_of(made) == bpy.context.scene.portraitgen.shots[0].armature


@native
def test_a_lit_take_has_the_lights_of_the_scene_at_hand(performer: SimpleNamespace) -> None:
    """They were the first scene's, where the rig is linked into two."""
    lit_render = module("portraitgen_addon.lit_render")
    bpy.ops.portraitgen.lit_by_scene()
    bpy.ops.scene.new(type="LINK_COPY")
    light = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    bpy.context.scene.collection.objects.link(light)
    made = lit_render.prepare(performer.shot, performer.cloud, "grade", range(1, 2))
    assert light.name in bpy.data.scenes[made.scene].objects
    made.discard()


@native
def test_a_lit_take_shows_the_performer_whatever_the_scene_is_set_to(
    performer: SimpleNamespace,
) -> None:
    """Another camera saw it, another frame was rendered, and writing stood in the picture."""
    lit_render, scene = module("portraitgen_addon.lit_render"), bpy.context.scene
    bpy.ops.portraitgen.lit_by_scene()
    light = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    light.rotation_euler.x = 1.4
    scene.collection.objects.link(light)
    scene.render.engine, scene.cycles.samples, scene.cycles.seed = "CYCLES", 2, 1

    def drawn() -> np.ndarray:
        made = lit_render.prepare(performer.shot, performer.cloud, "grade", range(2, 3))
        lit_render.render_now(made)
        made.finish()
        image = bpy.data.images.load(str(made.folder / "grade.0002.exr"))
        pixels = np.empty(4 * SIZE**2, np.float32)
        image.pixels.foreach_get(pixels)
        bpy.data.images.remove(image)
        return pixels

    plain = drawn()
    assert plain.max() > 0.1
    other = bpy.data.objects.new("other", bpy.data.cameras.new("other"))
    other.location.z = 30
    scene.collection.objects.link(other)
    scene.timeline_markers.new("cut", frame=OFFSET).camera = other
    scene.render.use_stamp = scene.render.use_stamp_frame = True
    scene.render.frame_map_old, scene.render.frame_map_new = 100, 200
    scene.view_layers[0].material_override = bpy.data.materials.new("clay")
    assert np.array_equal(drawn(), plain)
    assert scene.render.use_stamp and scene.timeline_markers and scene.render.frame_map_new == 200
    assert scene.view_layers[0].material_override


@native
def test_a_performer_whose_rig_was_deleted_is_carried_by_the_next(
    performer: SimpleNamespace, until: Any
) -> None:
    splats, shot, cloud = performer.splats, performer.shot, performer.cloud
    bpy.context.scene.frame_set(3 + OFFSET)
    before = shown(cloud)["position"]
    modify_first(cloud, "GeometryNodeSetPosition", 1)
    bpy.ops.portraitgen.lit_by_scene()
    bpy.ops.portraitgen.take_add(editor="grade")
    for each in (shot.mesh, shot.armature):
        bpy.data.objects.remove(each)
    bpy.ops.portraitgen.show_version(version=0)
    until(lambda: shot.has_rig)
    with pytest.raises(RuntimeError, match="the rig that carried the performer is gone"):
        bpy.ops.portraitgen.render_lit_take(frames="CURRENT")
    watch = module("portraitgen_addon.edit_watch")
    watch._look_at(shot)
    (notice,) = [each for each in watch.notices(shot) if "The performer" in each.text]
    assert "its rig is gone" in notice.text and notice.operator
    performer.bring()
    assert splats.performers() == [cloud] and "Retouch" in cloud.modifiers
    assert splats.armature_of(cloud) == cloud.parent == shot.armature and splats.is_lit(cloud)
    bpy.context.scene.frame_set(5 + OFFSET)
    bpy.context.scene.frame_set(3 + OFFSET)
    assert np.abs(shown(cloud)["position"] - before).max() < 1e-5


@native
def test_a_performer_without_its_surface_says_so(
    built: SimpleNamespace, tmp_path: Path, session: Any
) -> None:
    """It was said to belong to another file."""
    cloud = built.performer.cloud
    built.splats.unload(cloud)
    bpy.data.objects.remove(built.performer.surface)
    bpy.context.view_layer.objects.active = cloud
    with pytest.raises(RuntimeError, match="has lost its surface"):
        bpy.ops.portraitgen.lit_by_scene()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "one.blend"))
    assert "the performer has lost its surface" in session.message


@native
def test_an_empty_performer_follows_no_sculpt(built: SimpleNamespace) -> None:
    """Every change of a mesh ended in an error while one waited for its shot."""
    built.splats.unload(built.performer.cloud)
    surface = built.performer.cloud[built.splats.SURFACE]
    module("portraitgen_addon.splat_surface").follow_sculpt(surface)


@native
def test_an_artists_modifier_may_stand_before_ours(built: SimpleNamespace, tmp_path: Path) -> None:
    """The rig's carrying was taken for the retouch, and was taken off for it."""
    built.scene.frame_set(3 + OFFSET)
    cloud, splats = built.performer.cloud, built.splats
    _, erase = modify_first(cloud, "GeometryNodeDeleteGeometry", 100)
    erase.domain = "POINT"
    cloud.modifiers.move(len(cloud.modifiers) - 1, 0)
    module("portraitgen_addon.splat_retouch").write(
        cloud, tmp_path / "retouched.ply", tmp_path / "untouched.ply"
    )
    rows = ply_rows(tmp_path / "retouched.ply")
    assert rows["id"].tolist() == list(range(100, len(rows) + 100))
    place = np.stack([rows[name] for name in "xyz"], axis=1)
    assert np.abs(place - built.truth["means3"][100:]).max() < 1e-4
    splats.drop_retouch(cloud)
    assert cloud.modifiers.keys() == ["Carried by Rig", "Softness"]


@native
def test_a_retouch_takes_off_the_modifiers_that_made_it(
    performer: SimpleNamespace, until: Any, session: Any
) -> None:
    """A copy's own were taken off, too, whatever they did."""
    cloud, splats = performer.cloud, performer.splats
    bpy.context.scene.frame_set(OFFSET + 2)
    copy = _copied(cloud)
    for each in (copy, cloud):
        modify_first(each, "GeometryNodeSetPosition", 50)[1].inputs["Offset"].default_value.z = 0.01
    bpy.context.view_layer.objects.active = cloud
    bpy.ops.portraitgen.take_retouched_splats()
    until(lambda: not session.doing and not session.waiting_work)
    assert session.told_of_splats == ("50 splats changed, 0 erased",)
    assert "Retouch" not in cloud.modifiers and "Retouch" in copy.modifiers
    assert splats.made_of(copy).version == splats.made_of(cloud).version == 2


@native
def test_splats_that_were_thrown_away_are_passed_over_with_a_word(
    performer: SimpleNamespace, until: Any, session: Any
) -> None:
    """They were taken, and every frame had splats light years off."""
    cloud = performer.cloud
    bpy.context.scene.frame_set(OFFSET + 2)
    _, move = modify_first(cloud, "GeometryNodeSetPosition", 3)
    move.inputs["Offset"].default_value = (0, 0, 1e20)
    bpy.context.view_layer.objects.active = cloud
    bpy.ops.portraitgen.take_retouched_splats()
    until(lambda: session.error is not None)
    assert "nothing to take; 3 passed over, which are no splats any more" in session.message
    session.error = None
    move.inputs["Offset"].default_value = (0, 0, 0.01)
    bpy.ops.portraitgen.take_retouched_splats()
    until(lambda: not session.doing and not session.waiting_work)
    assert session.error is None, session.error
    assert session.told_of_splats == ("3 splats changed, 0 erased",)


@native
def test_two_packed_performers_are_appended_linked_and_overridden(
    built: SimpleNamespace, splat_shot: Path, tmp_path: Path, session: Any
) -> None:
    splats, other = built.splats, put_together(splat_shot, "two")
    splats.light_by_scene(other.performer.cloud, True)
    group = bpy.data.collections.new("both")
    built.scene.collection.children.link(group)
    for each in (built, other):
        cloud = each.performer.cloud
        cloud[splats.PACKED] = True
        parts = [cloud, each.performer.surface, splats.shadow_of(cloud), *vars(each.parts).values()]
        for one in parts:
            if isinstance(one, bpy.types.Object) and one.name not in group.objects:
                group.objects.link(one)
    file = tmp_path / "both.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(file))
    for way in ("append", "link", "override"):
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
        bring = bpy.ops.wm.append if way == "append" else bpy.ops.wm.link
        bring(directory=str(file / "Collection") + os.sep, filename="both")
        if way == "override":
            linked = bpy.data.collections["both"]
            linked.override_hierarchy_create(bpy.context.scene, bpy.context.view_layer)
        here = str(tmp_path / f"{way}.blend")
        bpy.ops.wm.save_as_mainfile(filepath=here)
        bpy.ops.wm.open_mainfile(filepath=here)
        assert session.error is None
        shown_here = [each for each in splats.performers() if way == "link" or not each.library]
        assert sorted(each.name for each in shown_here) == ["one splats", "two splats"]
        bpy.context.scene.frame_set(4 + OFFSET)
        for cloud in shown_here:
            assert np.percentile(apart(shown(cloud), built.truth, 4), 99) < 0.1
            assert splats.is_lit(cloud) == (cloud.name == "two splats"), way
        if way == "link":
            continue
        # Each is posed by its own rig alone.
        first, second = sorted(shown_here, key=lambda each: each.name)
        before = [shown(each)["position"] for each in (first, second)]
        rig = splats.armature_of(first)
        rig.pose.bones["head"].rotation_quaternion = (0.98, 0, 0.199, 0)
        rig.update_tag()
        bpy.context.view_layer.update()
        moved = [
            np.abs(shown(each)["position"] - was).max()
            for each, was in zip((first, second), before, strict=True)
        ]
        assert moved[0] > 0.01 and moved[1] < 1e-6


def _beside(cloud: Any, made: Path, project: Path) -> Path:
    """A project with the shot's splats and a file that holds their performer."""
    shutil.copytree(made / "shot", project / "shot")
    splats = module("portraitgen_addon.splats")
    path = project / "shot" / "splats" / "reconstruction.safetensors"
    data = module("portraitgen_addon.splat_data").SplatData.load(path)
    splats.show_anew(cloud, data, path, OFFSET)
    (project / "scenes").mkdir()
    file = project / "scenes" / "one.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(file))
    return file


@native
def test_a_file_of_a_windows_machine_finds_its_splats(
    built: SimpleNamespace, splat_shot: Path, tmp_path: Path, session: Any
) -> None:
    cloud, splats = built.performer.cloud, built.splats
    _beside(cloud, splat_shot, tmp_path / "project")
    assert cloud[splats.PATH] == "//../shot/splats/reconstruction.safetensors"
    assert cloud[splats.PLACE] == str(tmp_path / "project/shot/splats/reconstruction.safetensors")
    cloud[splats.PATH] = str(cloud[splats.PATH]).replace("/", "\\").replace("\\\\", "//", 1)
    cloud[splats.PLACE] = "C:\\project\\shot\\splats\\reconstruction.safetensors"
    found = os.path.normpath(splats.data_path(cloud))
    assert found == str(tmp_path / "project" / "shot" / "splats" / "reconstruction.safetensors")


@native
def test_a_file_that_was_copied_to_another_shot_shows_its_own_performer(
    built: SimpleNamespace, splat_shot: Path, tmp_path: Path, session: Any
) -> None:
    """It showed the other shot's performer on its rig, without a word."""
    splats, other = built.splats, tmp_path / "other"
    first = _beside(built.performer.cloud, splat_shot, tmp_path / "first")
    shutil.copytree(tmp_path / "first", other)
    facts = other / "shot" / "shot.json"
    own = module("portraitgen_addon.splats").Shot.open(other / "shot").record.id
    facts.write_text(facts.read_text().replace(own, "0" * len(own)))
    for file, gone in ((first, False), (other / "scenes" / "one.blend", False), (first, True)):
        if gone:
            shutil.move(tmp_path / "first" / "shot", tmp_path / "gone")
            file = other / "scenes" / "one.blend"
        bpy.ops.wm.open_mainfile(filepath=str(file))
        (cloud,) = splats.performers()
        if not gone:
            assert "first" in str(splats.data_path(cloud)) and len(cloud.data.points)
        else:
            assert not len(cloud.data.points) and "are missing" in session.message
    # A copy of a shot is the shot.
    shutil.rmtree(other / "shot")
    shutil.move(tmp_path / "gone", other / "shot")
    bpy.ops.wm.open_mainfile(filepath=str(other / "scenes" / "one.blend"))
    bpy.context.scene.frame_set(4 + OFFSET)
    (cloud,) = splats.performers()
    assert np.median(apart(shown(cloud), built.truth, 4)) < 0.01


@native
def test_splats_that_an_older_blender_has_saved_are_splats_again(
    built: SimpleNamespace, tmp_path: Path
) -> None:
    """Packed ones came back as points: it knows no others."""
    cloud, file = built.performer.cloud, str(tmp_path / "one.blend")
    cloud[built.splats.PACKED], cloud.data.type = True, "POINTS"
    bpy.ops.wm.save_as_mainfile(filepath=file, copy=True)
    bpy.ops.wm.open_mainfile(filepath=file)
    bpy.context.scene.frame_set(4 + OFFSET)
    (cloud,) = built.splats.performers()
    assert np.median(apart(shown(cloud), built.truth, 4)) < 0.01


@pytest.mark.skipif(NATIVE, reason="about the Blenders before")
def test_an_older_blender_says_what_it_does_not_show(performer_shot: Any) -> None:
    """Take Retouched Splats sent what it made of them, or ended Blender."""
    splats, watch = module("portraitgen_addon.splats"), module("portraitgen_addon.edit_watch")
    cloud = bpy.data.objects.new("a performer", bpy.data.pointclouds.new("a performer"))
    cloud[splats.PATH] = cloud[splats.PLACE] = cloud[splats.TAKE] = ""
    cloud[splats.SHOT] = performer_shot.shot_id
    group = bpy.data.node_groups.new("carried", "GeometryNodeTree")
    for name, way, kind in (
        ("Geometry", "INPUT", "NodeSocketGeometry"),
        ("Geometry", "OUTPUT", "NodeSocketGeometry"),
        ("Personal 01", "INPUT", "NodeSocketFloat"),
    ):
        group.interface.new_socket(name, in_out=way, socket_type=kind)
    cloud.modifiers.new("Carried by Rig", "NODES").node_group = group
    bpy.context.scene.collection.objects.link(cloud)
    bpy.context.view_layer.objects.active = cloud
    with pytest.raises(RuntimeError, match="Blender 5.3 and later alone show its splats"):
        bpy.ops.portraitgen.take_retouched_splats()
    watch._look_at(performer_shot)
    told = [each.text for each in watch.notices(performer_shot)]
    assert "'a performer' is shown by Blender 5.3 and later alone" in told


@native
def test_what_was_joined_to_a_performer_goes_with_a_word(
    performer: SimpleNamespace, until: Any, session: Any
) -> None:
    """It was told as less than no splats that came back."""
    bpy.context.view_layer.objects.active = performer.cloud
    other = bpy.data.objects.new("other", bpy.data.pointclouds.new("other"))
    other.data.resize(10)
    bpy.context.scene.collection.objects.link(other)
    for each in (performer.cloud, other):
        each.select_set(True)
    bpy.ops.object.join()
    with pytest.raises(RuntimeError, match="take off what was joined"):
        bpy.ops.portraitgen.take_retouched_splats()
    session.told_of_splats = ()
    performer.bring()
    until(lambda: session.told_of_splats)
    (told,) = session.told_of_splats
    assert told.startswith("10 splats that were joined to the performer are gone; Undo")
    assert not performer.splats.erased(performer.cloud)
