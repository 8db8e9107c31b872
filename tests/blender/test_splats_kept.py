# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer in 3D through what happens to files, takes and objects around it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from conftest import module
from splat_performer import OFFSET, apart, native, put_together, shown


def _saved(path: Path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(path))


def _rewrite(path: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Changes an array of a file of splats, as a newer export might."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), bytearray(data[8 + length :])
    header["__metadata__"].pop("sha256", None)
    begin, end = header[name]["data_offsets"]
    body[begin:end] = change(np.frombuffer(bytes(body[begin:end]), np.float32)).tobytes()
    told = json.dumps(header).encode()
    path.write_bytes(len(told).to_bytes(8, "little") + told + body)


@native
def test_a_performer_under_another_parent_keeps_its_face(
    built: SimpleNamespace, tmp_path: Path
) -> None:
    """Saving drove its face by whatever it was parented to, and it froze."""
    cloud, splats = built.performer.cloud, built.splats
    holder = bpy.data.objects.new("holder", None)
    built.scene.collection.objects.link(holder)
    cloud.parent = holder
    _saved(tmp_path / "one.blend")
    for frame in (2, 5):
        built.scene.frame_set(frame + OFFSET)
        assert np.percentile(apart(shown(cloud), built.truth, frame), 99) < 0.1
    assert splats.is_moved(cloud)
    cloud.parent = None
    assert splats.is_moved(cloud)


@native
def test_another_mesh_under_the_rig_does_not_hide_the_sculpt(built: SimpleNamespace) -> None:
    sculpt, body = module("portraitgen_addon.sculpt"), built.parts.mesh
    armature, cloud = built.parts.armature, built.performer.cloud
    built.scene.frame_set(3 + OFFSET)
    before = shown(cloud)["position"]
    hat = bpy.data.objects.new("a hat", bpy.data.meshes.new("a hat"))
    hat.data.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    built.scene.collection.objects.link(hat)
    hat.parent = armature
    hat.shape_key_add(name="Basis")
    # Children come by name.
    body.name = "z body"
    key = sculpt.ensure(body, "take")
    points = module("portraitgen_addon.rig").key_points(key) + [0, 0.01, 0]
    key.points.foreach_set("co", points.astype(np.float32).ravel())
    key.value = 1
    body.data.update()
    bpy.context.view_layer.update()
    module("portraitgen_addon.splat_surface").follow_sculpt(cloud[built.splats.SURFACE])
    bpy.context.view_layer.update()
    moved = np.linalg.norm(shown(cloud)["position"] - before, axis=1) * 1000
    assert np.abs(moved - 10).max() < 0.3


@native
def test_what_was_applied_to_the_splats_is_saved(built: SimpleNamespace, tmp_path: Path) -> None:
    """Saving read them from the shot again, without it."""
    cloud = built.performer.cloud
    built.scene.frame_set(3 + OFFSET)
    wanted = shown(cloud)["position"]
    bpy.context.view_layer.objects.active = cloud
    bpy.ops.object.modifier_apply(modifier="Carried by Rig")
    _saved(tmp_path / "applied.blend")
    assert np.abs(shown(cloud)["position"] - wanted).max() < 1e-6
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "applied.blend"))
    # The rig carries it no longer: it is a cloud as any other.
    assert not built.splats.performers()
    assert np.abs(shown(bpy.data.objects["one splats"])["position"] - wanted).max() < 1e-6


@native
def test_what_was_painted_on_the_splats_is_saved(built: SimpleNamespace, tmp_path: Path) -> None:
    cloud = built.performer.cloud
    own = cloud.data.attributes.new("mine", "FLOAT", "POINT")
    own.data.foreach_set("value", np.full(len(own.data), 0.25, np.float32))
    albedo = cloud.data.attributes["pg_albedo"].data
    albedo.foreach_set("vector", np.full(3 * len(albedo), 0.5, np.float32))
    _saved(tmp_path / "painted.blend")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "painted.blend"))
    (cloud,) = built.splats.performers()
    assert cloud[built.splats.PACKED]
    assert cloud.data.attributes["mine"].data[7].value == 0.25
    assert tuple(cloud.data.attributes["pg_albedo"].data[7].vector) == (0.5, 0.5, 0.5)


@native
def test_copies_of_a_performer_move_in_time_once(performer_shot: Any, until: Any) -> None:
    """Each copy moved the keys that all of them share."""
    splats, shot_time = module("portraitgen_addon.splats"), module("portraitgen_addon.shot_time")
    bpy.ops.portraitgen.to_3d()
    until(splats.performers)
    (cloud,) = splats.performers()
    copy = cloud.copy()
    copy.data = cloud.data.copy()
    bpy.context.scene.collection.objects.link(copy)
    surface = cloud[splats.SURFACE]
    before = surface.animation_data.action.frame_range[0]
    shot_time.move(performer_shot, performer_shot.offset + 10)
    assert surface.animation_data.action.frame_range[0] == before + 10
    assert cloud[splats.OFFSET] == copy[splats.OFFSET] == performer_shot.offset
    bpy.data.objects.remove(surface)
    shot_time.move(performer_shot, performer_shot.offset - 10)
    assert performer_shot.offset == OFFSET


@native
def test_splats_that_were_made_anew_bring_their_own_keys(
    built: SimpleNamespace, tmp_path: Path
) -> None:
    """A file that was opened after a newer reconstruction had been written showed the new splats
    with the weights of the old."""
    splats, cloud = built.splats, built.performer.cloud
    path = tmp_path / "splats" / "reconstruction.safetensors"
    path.parent.mkdir()
    shutil.copy(splats.data_path(cloud), path)
    cloud[splats.PLACE] = cloud[splats.PATH] = str(path)
    _saved(tmp_path / "one.blend")
    _rewrite(path, "weights", lambda values: np.full_like(values, 0.125))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "one.blend"))
    bpy.context.scene.frame_set(3 + OFFSET)
    (cloud,) = splats.performers()
    assert cloud[splats.SURFACE]["personal 00"] == pytest.approx(0.125)


@native
def test_every_linked_performer_without_splats_is_named(
    built: SimpleNamespace, splat_shot: Path, tmp_path: Path, session: Any
) -> None:
    put_together(splat_shot, "two")
    _saved(tmp_path / "both.blend")
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
    folder = str(tmp_path / "both.blend" / "Object") + os.sep
    names = [{"name": "one splats"}, {"name": "two splats"}]
    bpy.ops.wm.link(directory=folder, files=names)
    assert len(built.splats.performers()) == 2
    assert "one splats" in session.message and "two splats" in session.message
    # What another file holds is changed there.
    bpy.context.view_layer.objects.active = built.splats.performers()[0]
    for operator in (bpy.ops.portraitgen.lit_by_scene, bpy.ops.portraitgen.pack_splats):
        with pytest.raises(RuntimeError, match="belongs to another file"):
            operator()


@native
def test_every_performer_whose_data_is_missing_is_named(
    built: SimpleNamespace, splat_shot: Path, tmp_path: Path, session: Any
) -> None:
    splats = built.splats
    put_together(splat_shot, "two")
    path = tmp_path / "splats.safetensors"
    shutil.copy(splats.data_path(built.performer.cloud), path)
    for cloud in splats.performers():
        cloud[splats.PLACE] = cloud[splats.PATH] = str(path)
    _saved(tmp_path / "both.blend")
    path.unlink()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "both.blend"))
    assert "one splats" in session.message and "two splats" in session.message
    # There is nothing to pack.
    cloud = splats.performers()[0]
    bpy.context.view_layer.objects.active = cloud
    with pytest.raises(RuntimeError, match="press To 3D"):
        bpy.ops.portraitgen.pack_splats()
    assert not cloud.get(splats.PACKED)


@native
def test_a_file_is_saved_and_undone(built: SimpleNamespace, tmp_path: Path) -> None:
    """What a save empties and fills again is what undo goes back to."""
    bpy.ops.ed.undo_push(message="built")
    built.scene["step"] = 1
    bpy.ops.ed.undo_push(message="first")
    _saved(tmp_path / "one.blend")
    bpy.context.scene["step"] = 2
    bpy.ops.ed.undo_push(message="second")
    for step in (bpy.ops.ed.undo, bpy.ops.ed.undo, bpy.ops.ed.redo, bpy.ops.ed.redo):
        step()
        (cloud,) = built.splats.performers()
        bpy.context.scene.frame_set(5 + OFFSET)
        assert np.percentile(apart(shown(cloud), built.truth, 5), 99) < 0.1
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "one.blend"))
    bpy.ops.ed.undo_push(message="opened")
    bpy.context.scene["step"] = 3
    bpy.ops.ed.undo_push(message="third")
    bpy.ops.ed.undo()
    (cloud,) = built.splats.performers()
    bpy.context.scene.frame_set(4 + OFFSET)
    assert np.percentile(apart(shown(cloud), built.truth, 4), 99) < 0.1


@native
def test_a_save_is_undone_at_once(built: SimpleNamespace, splat_shot: Path, tmp_path: Path) -> None:
    """Undo straight after a save ended Blender: the shape keys that it went back to were gone."""
    put_together(splat_shot, "two")
    names = ["one splats", "two splats"]
    for step in ("built", "first", "second"):
        built.scene["step"] = step
        bpy.ops.ed.undo_push(message=step)
    bpy.data.objects.remove(built.performer.cloud)
    bpy.ops.ed.undo_push(message="deleted")
    path = tmp_path / "one.blend"
    _saved(path)
    assert [each.name for each in built.splats.performers()] == names[1:]
    for step in (bpy.ops.ed.undo, bpy.ops.ed.undo, bpy.ops.ed.redo):
        step()
        clouds = built.splats.performers()
        assert [each.name for each in clouds] == names
        bpy.context.scene.frame_set(5 + OFFSET)
        for cloud in clouds:
            assert np.percentile(apart(shown(cloud), built.truth, 5), 99) < 0.1
        _saved(path)
    # Nothing of what stood in for it while it was written stays.
    kinds = (bpy.data.meshes, bpy.data.pointclouds, bpy.data.shape_keys)
    assert not [each.name for kind in kinds for each in kind if not each.users]
    assert {each.name for each in bpy.data.pointclouds} == set(names)


@native
def test_a_save_that_fills_a_performer_is_undone(built: SimpleNamespace, tmp_path: Path) -> None:
    """One whose shot was found again showed its splats after a save; undo then ended Blender."""
    built.splats.unload(built.performer.cloud)
    for step in range(3):
        built.scene["step"] = step
        bpy.ops.ed.undo_push(message=str(step))
    _saved(tmp_path / "one.blend")
    for step in (bpy.ops.ed.undo, bpy.ops.ed.undo, bpy.ops.ed.redo):
        step()
        bpy.context.scene.frame_set(5 + OFFSET)
        (cloud,) = built.splats.performers()
        assert not len(cloud.data.points)
    _saved(tmp_path / "one.blend")
    bpy.context.scene.frame_set(4 + OFFSET)
    (cloud,) = built.splats.performers()
    assert np.percentile(apart(shown(cloud), built.truth, 4), 99) < 0.1


@native
def test_a_performer_in_edit_mode_is_saved_as_it_is(built: SimpleNamespace, tmp_path: Path) -> None:
    cloud = built.performer.cloud
    count = len(cloud.data.points)
    material = bpy.data.materials.new("mine")
    cloud.data.materials.append(material)
    linked = cloud.copy()
    built.scene.collection.objects.link(linked)
    bpy.context.view_layer.objects.active = cloud
    bpy.ops.object.mode_set(mode="EDIT")
    _saved(tmp_path / "one.blend")
    assert cloud.mode == "EDIT" and len(cloud.data.points) == count
    bpy.ops.object.mode_set(mode="OBJECT")
    big = (tmp_path / "one.blend").stat().st_size
    _saved(tmp_path / "one.blend")
    assert (tmp_path / "one.blend").stat().st_size < big - 1_000_000
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "one.blend"))
    first, second = built.splats.performers()
    assert first.data == second.data and first.material_slots[0].material.name == "mine"
    assert len(first.data.points) == count and not first.get(built.splats.PACKED)


@native
def test_what_is_older_than_the_shot_is_said_with_the_button_that_renews_it(
    performer_shot: Any, until: Any, session: Any
) -> None:
    splats, watch = module("portraitgen_addon.splats"), module("portraitgen_addon.edit_watch")
    summary = module("portraitgen_addon.shot_summary")

    def told() -> list[Any]:
        summary.forget_summaries()
        watch._look_at(performer_shot)
        known = watch.notices(performer_shot)
        return [each for each in known if "The performer" in each.text]

    def at_rest() -> bool:
        return not session.doing and not session.waiting_work and not session.busy

    bpy.context.scene.frame_set(OFFSET + 2)
    bpy.ops.portraitgen.take_add(editor="grade")
    _edit(performer_shot, "first")
    bpy.ops.portraitgen.to_3d()
    until(lambda: splats.performers() and at_rest())
    (cloud,) = splats.performers()
    assert cloud[splats.TAKE] == _folder(performer_shot) and not told()
    # An edit later the performer is what it was before.
    _edit(performer_shot, "second")
    (notice,) = told()
    assert "edit 1" in notice.text and "edit 2" in notice.text
    bpy.ops.portraitgen.lit_by_scene()
    with pytest.raises(RuntimeError, match="it shows edit 1"):
        bpy.ops.portraitgen.render_lit_take(frames="CURRENT")
    bpy.context.view_layer.objects.active = cloud
    with pytest.raises(RuntimeError, match="it shows edit 1"):
        bpy.ops.portraitgen.take_retouched_splats()
    bpy.context.view_layer.objects.active = None
    # The button renews that one, whatever take is shown.
    bpy.ops.portraitgen.take_add(editor="toon")
    getattr(bpy.ops.portraitgen, notice.operator.split(".")[1])(**notice.options)
    until(at_rest)
    assert splats.performers() == [cloud] and not told() and session.error is None
    # Another take's performer is not laid over the plate as this take's.
    _edit(performer_shot, "third")
    with pytest.raises(RuntimeError, match="is not that of"):
        bpy.ops.portraitgen.render_lit_take(frames="CURRENT")
    bpy.ops.portraitgen.to_3d()
    until(lambda: len(splats.performers()) == 2 and at_rest())
    assert not told()
    # A take that is deleted and made again under its name is another.
    performer_shot.active_take = 0
    gone = _folder(performer_shot)
    bpy.ops.portraitgen.take_delete()
    (notice,) = told()
    assert "no longer in the folder" in notice.text and not notice.operator
    bpy.ops.portraitgen.take_add(editor="grade")
    take = performer_shot.take
    take.name = take.folder_name = gone
    _edit(performer_shot, "fourth")
    _edit(performer_shot, "fifth")
    (notice,) = told()
    assert notice.operator and "not the current edit" in notice.text


def _folder(shot: Any) -> str:
    return str(shot.take.folder_name)


def _edit(shot: Any, job: str) -> None:
    """Publishes the reconstruction as an edit of the active take, as a job does."""
    from portraitgen.records import EditRecord
    from portraitgen.shot import Shot

    folder = shot.path / "staged"
    folder.mkdir()
    shutil.copy(shot.path / "avatar" / "0001" / "avatar.safetensors", folder)
    record = EditRecord(
        created="2026-01-01T00:00:00+00:00",
        job=job,
        avatar=1,
        settings={"editor": "grade"},
        editor="grade",
        options={},
    )
    Shot.open(shot.path).publish_edit(_folder(shot), folder, record)
    module("portraitgen_addon.shot_summary").forget_summaries()


@native
def test_a_take_may_be_called_reconstruction(performer_shot: Any, until: Any, session: Any) -> None:
    """Its splats took the place of the reconstruction's, which showed them once it was opened."""
    splats, places = module("portraitgen_addon.splats"), []
    for name in ("", "reconstruction"):
        if name:
            bpy.ops.portraitgen.take_add(editor="grade")
            performer_shot.take.name = performer_shot.take.folder_name = name
            _edit(performer_shot, "first")
        bpy.ops.portraitgen.to_3d()
        until(lambda take=name: splats.performers(performer_shot.shot_id, take))
        places.append(splats.data_path(splats.performers(performer_shot.shot_id, name)[0]))
    assert places[0] != places[1]


@native
def test_a_shot_that_is_found_elsewhere_shows_its_performer(
    performer_shot: Any, until: Any, tmp_path: Path, session: Any
) -> None:
    splats = module("portraitgen_addon.splats")
    bpy.ops.portraitgen.to_3d()
    until(lambda: splats.performers() and not session.waiting_work)
    count = len(splats.performers()[0].data.points)
    _saved(tmp_path / "one.blend")
    (tmp_path / "shot").rename(tmp_path / "moved")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "one.blend"))
    (cloud,) = splats.performers()
    assert not len(cloud.data.points) and "press To 3D again" in session.message
    _saved(tmp_path / "one.blend")
    bpy.context.scene.portraitgen.shots[0].folder = str(tmp_path / "moved")
    _saved(tmp_path / "one.blend")
    assert len(cloud.data.points) == count
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "one.blend"))
    assert len(splats.performers()[0].data.points) == count


@native
def test_splats_that_were_erased_come_back_with_a_word(
    performer_shot: Any, until: Any, session: Any
) -> None:
    splats = module("portraitgen_addon.splats")
    bpy.ops.portraitgen.to_3d()
    until(lambda: splats.performers() and not session.waiting_work)
    (cloud,) = splats.performers()
    bpy.context.view_layer.objects.active = cloud
    cloud.select_set(True)
    picked = cloud.data.attributes.new(".selection", "BOOLEAN", "POINT")
    picked.data.foreach_set("value", np.arange(len(cloud.data.points)) < 40)
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.pointcloud.delete()
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.portraitgen.to_3d()
    until(lambda: not session.doing and not session.waiting_work)
    assert "40 splats that were erased by hand are back" in session.told_of_splats[0]


@native
def test_a_shot_before_frame_0_is_not_rendered_elsewhere(
    performer_shot: Any, until: Any, session: Any
) -> None:
    splats, shot_time = module("portraitgen_addon.splats"), module("portraitgen_addon.shot_time")
    bpy.ops.portraitgen.to_3d()
    until(lambda: splats.performers() and not session.waiting_work)
    bpy.ops.portraitgen.lit_by_scene()
    bpy.ops.portraitgen.take_add(editor="grade")
    shot_time.move(performer_shot, -20)
    with pytest.raises(RuntimeError, match="renders no frames before 0"):
        bpy.ops.portraitgen.render_lit_take(frames="ALL")


def test_splats_are_written_where_they_can_be(
    performer_shot: Any, until: Any, tmp_path: Path, session: Any
) -> None:
    bpy.context.scene.frame_set(OFFSET + 2)

    def exported(path: Path, **options: Any) -> str:
        session.error = None
        bpy.ops.portraitgen.export_splats(filepath=str(path), **options)
        until(lambda: not session.doing and not session.waiting_work)
        return str(session.message)

    blocked = tmp_path / "a file"
    blocked.write_text("mine")
    (tmp_path / "folder.ply").mkdir()
    with pytest.raises(RuntimeError, match="no file name is given"):
        exported(tmp_path / "folder.ply")
    told = exported(blocked / "out.ply")
    assert told and "fault of its own" not in told and "Traceback" not in told, told
    assert blocked.read_text() == "mine" and (tmp_path / "folder.ply").is_dir()
    named = tmp_path / "Jürgen 日本 é {x}" / "ö 🙂.v01.ply"
    assert not exported(named) and named.exists()
    size = named.stat().st_size
    named.write_text("old")
    assert not exported(named) and named.stat().st_size == size
    assert not exported(named.with_suffix(".spz"), frames="ALL")
    files = sorted(each.name for each in named.parent.glob("*.spz"))
    assert files == [f"ö 🙂.v01.{frame:04d}.spz" for frame in range(1, 7)]
    bpy.ops.portraitgen.take_retouched_splats(filepath=str(named.parent / files[1]))
    until(lambda: not session.doing and session.error is not None)
    assert "nothing to take" in session.message
    for name in ("export_splats", "export_track", "export_performance"):
        asks = getattr(bpy.ops.portraitgen, name).get_rna_type().properties
        assert asks["check_existing"].default
