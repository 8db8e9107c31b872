# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What artists do to a plate's strip that no manual lists: metas in metas, copies, other scenes."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import living_shot
import pytest
from conftest import PYTHON, module, shown, trim

START = 2001
FIRST, COUNT = living_shot.FIRST, living_shot.COUNT


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory, installed: None) -> Iterator[SimpleNamespace]:
    folder = tmp_path_factory.mktemp("variants")
    plate = living_shot.pictures(folder / "plate", "plate")
    take = living_shot.pictures(folder / "take", "take", edited=True)
    yield SimpleNamespace(plate=plate, take=take)


@pytest.fixture
def shot(media: SimpleNamespace, tmp_path: Path) -> Any:
    scene = bpy.context.scene
    made = living_shot.make(scene, tmp_path / "shot", media.plate, START)
    living_shot.show_take(scene, made, media.take)
    assert living_shot.look(made) == []
    return made


def plate() -> Any:
    return module("portraitgen_addon.compat").strips(bpy.context.scene)["plate"]


def takes(shot: Any) -> list[Any]:
    return module("portraitgen_addon.sequencer").all_take_strips(shot.id_data, shot.shot_id)


def start(strip: Any) -> int:
    return int(module("portraitgen_addon.compat").content_start(strip))


def move(strip: Any, by: int) -> None:
    module("portraitgen_addon.compat").move_content(strip, start(strip) + by)


def metas(strip: Any, count: int) -> list[Any]:
    """Puts a strip into a meta strip, that into another, and so on; the innermost first."""
    made = []
    for number in range(count):
        meta = bpy.context.scene.sequence_editor.strips.new_meta(
            name=f"meta {number}", channel=7 + number, frame_start=START
        )
        strip.move_to_meta(meta)
        trim(meta, START, START + COUNT)
        made.append(meta)
        strip = meta
    return made


def test_a_meta_in_a_meta_is_followed_wherever_it_goes(shot: Any) -> None:
    strip = plate()
    _inner, outer = metas(strip, 2)
    assert living_shot.look(shot) == []
    one = takes(shot)[0]
    assert one.channel > strip.channel and shown(one) == shown(strip)
    outer.channel = 20
    trim(outer, START + 3, START + COUNT)
    assert any("shows frames 1004 to" in text for text in living_shot.look(shot))
    bpy.ops.portraitgen.update_from_strip()
    assert (shot.first, shot.offset) == (FIRST + 3, START - FIRST)
    before = start(strip)
    move(outer, 40)
    assert start(strip) == before + 40, "a meta strip takes along what it holds"
    assert any("moved by +40" in text for text in living_shot.look(shot))
    bpy.ops.portraitgen.update_from_strip()
    assert shot.offset == START - FIRST + 40 and living_shot.look(shot) == []
    assert start(takes(shot)[0]) == start(strip)


@pytest.mark.parametrize("inner", [True, False])
def test_a_meta_that_holds_frames_is_refused(inner: bool, shot: Any) -> None:
    strip = plate()
    made = metas(strip, 2)
    living_shot.look(shot)
    made[0 if inner else 1].strobe = 2
    assert any("meta strip holds frames" in text for text in living_shot.look(shot))
    with pytest.raises(RuntimeError, match="set its Strobe to 1"):
        bpy.ops.portraitgen.update_from_strip()


def test_a_speed_effect_on_the_meta_is_refused(shot: Any) -> None:
    (meta,) = metas(plate(), 1)
    module("portraitgen_addon.compat").new_effect(
        bpy.context.scene.sequence_editor.strips, "slow", "SPEED", 9, START, START + 9, meta, None
    )
    told = living_shot.look(shot)
    assert any("'slow' plays the meta strip at another speed" in text for text in told), told


def test_keys_of_opacity_move_with_the_plate_once(shot: Any) -> None:
    compat = module("portraitgen_addon.compat")
    layout = module("portraitgen_addon.take_layout")
    strip = plate()
    for frame, value in ((START, 0.2), (START + 10, 1.0)):
        strip.blend_alpha = value
        strip.keyframe_insert("blend_alpha", frame=frame)
    living_shot.look(shot)
    move(strip, 25)
    living_shot.look(shot)
    bpy.ops.portraitgen.update_from_strip()
    living_shot.look(shot)
    cover = layout.cover_of(compat.strips(bpy.context.scene), takes(shot)[0])
    keys = {
        each.name: [
            point.co.x for curve in layout._curves_of(each) for point in curve.keyframe_points
        ]
        for each in (strip, takes(shot)[0], cover)
    }
    assert keys[strip.name] and len({tuple(each) for each in keys.values()}) == 1, keys


def test_a_strip_that_was_deleted_and_added_again_becomes_the_plate(
    shot: Any, media: SimpleNamespace
) -> None:
    among = bpy.context.scene.sequence_editor.strips
    among.remove(plate())
    assert living_shot.look(shot) == [
        "The plate's strip is no longer in the edit: add the plate's file again"
    ]
    again = living_shot.image_strip(among, media.plate, 2, START + 11)
    again.name = "again"
    assert living_shot.look(shot) == [
        "The plate's strip is no longer in the edit; 'again' shows the same file"
    ]
    notice = module("portraitgen_addon.edit_watch").notices(shot)[0]
    assert notice.label == "Use 'again'"
    assert bpy.ops.portraitgen.update_from_strip(**notice.options) == {"FINISHED"}
    assert shot.offset == START - FIRST + 11 and living_shot.look(shot) == []
    assert start(takes(shot)[0]) == start(again)


def test_a_copy_of_a_take_elsewhere_in_the_edit_is_left_alone(
    shot: Any, media: SimpleNamespace
) -> None:
    sequencer = module("portraitgen_addon.sequencer")
    among = bpy.context.scene.sequence_editor.strips
    copy = living_shot.image_strip(among, media.take, 9, START + 300)
    one = takes(shot)[0]
    for key in one.keys():
        copy[key] = one[key]
    copy.transform.scale_x = 0.25
    plate().transform.scale_x = 2.0
    living_shot.look(shot)
    move(plate(), 7)
    living_shot.look(shot)
    bpy.ops.portraitgen.update_from_strip()
    living_shot.look(shot)
    assert start(copy) == START + 300 and copy.transform.scale_x == 0.25
    assert start(one) == START + 7 and one.transform.scale_x == 2.0
    assert len(sequencer.all_take_strips(bpy.context.scene, shot.shot_id)) == 2


def test_a_take_that_was_moved_with_its_plate_is_not_moved_again(shot: Any) -> None:
    for strip in (plate(), takes(shot)[0]):
        move(strip, 31)
    living_shot.look(shot)
    bpy.ops.portraitgen.update_from_strip()
    assert start(takes(shot)[0]) == start(plate()) == START + 31


def test_a_renamed_scene_keeps_its_shot(shot: Any) -> None:
    bpy.context.scene.name = "reel 2"
    assert living_shot.look(shot) == []
    move(plate(), 3)
    assert any("moved by +3" in text for text in living_shot.look(shot))
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(shot) == []


def test_a_copied_scene_has_a_plate_of_its_own(shot: Any) -> None:
    first = bpy.context.scene
    bpy.ops.scene.new(type="FULL_COPY")
    second = next(each for each in bpy.data.scenes if each != first)
    strips = module("portraitgen_addon.compat").strips
    mine, theirs = first.portraitgen.shots[0], second.portraitgen.shots[0]
    assert living_shot.look(mine) == [] and living_shot.look(theirs) == []
    move(strips(second)["plate"], 50)
    assert any("moved by +50" in text for text in living_shot.look(theirs))
    assert living_shot.look(mine) == []
    module("portraitgen_addon.strip_sync").update(theirs)
    assert living_shot.look(theirs) == [] and living_shot.look(mine) == []
    assert (mine.offset, theirs.offset) == (START - FIRST, START - FIRST + 50)


def test_a_scene_that_was_copied_without_its_strips_does_not_disturb_the_first(shot: Any) -> None:
    first = bpy.context.scene
    bpy.ops.scene.new(type="LINK_COPY")
    for scene in bpy.data.scenes:
        for each in scene.portraitgen.shots:
            living_shot.look(each)
    assert living_shot.look(first.portraitgen.shots[0]) == []


def test_two_shots_of_one_plate_in_two_scenes_keep_to_themselves(
    shot: Any, media: SimpleNamespace, tmp_path: Path
) -> None:
    other = bpy.data.scenes.new("other")
    second = living_shot.make(other, tmp_path / "second", media.plate, 1)
    assert living_shot.look(shot) == [] and living_shot.look(second) == []
    move(module("portraitgen_addon.compat").strips(other)["plate"], 9)
    assert living_shot.look(shot) == []
    assert any("moved by +9" in text for text in living_shot.look(second))


@pytest.mark.parametrize(("fps", "base"), [(24, 1.001), (30, 1.001), (24, 1.25)])
def test_a_rate_by_fps_base_is_told_exactly_and_taken_over(
    fps: int, base: float, shot: Any
) -> None:
    render = bpy.context.scene.render
    render.fps, render.fps_base = fps, base
    assert any("The scene runs at" in text for text in living_shot.look(shot))
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(shot) == []
    record = module("portraitgen_addon.shot_summary").summary_of(shot.path).footage
    assert float(record.fps) == pytest.approx(fps / base, rel=1e-9)


def test_a_plate_that_is_renamed_while_blender_is_open_is_told(
    shot: Any, media: SimpleNamespace, tmp_path: Path
) -> None:
    watch = module("portraitgen_addon.edit_watch")
    folder = media.plate.parent
    moved = Path(shutil.move(folder, folder.with_name("graded")))
    try:
        # Nothing in Blender has changed, and no folder of the shot's.
        assert watch.look(force=True)
        assert [each.label for each in watch.notices(shot)] == ["Relink Plate"]
    finally:
        shutil.move(moved, folder)
    assert watch.look(force=True) and watch.notices(shot) == ()


def test_what_another_process_adds_is_listed(shot: Any) -> None:
    watch = module("portraitgen_addon.edit_watch")
    script = (
        "import sys; from portraitgen.shot import Shot; Shot.open(sys.argv[1]).make_take('farm')"
    )
    subprocess.run([str(PYTHON), "-c", script, str(shot.path)], check=True, timeout=600)
    assert watch.look(force=True)
    assert [each.folder_name for each in shot.takes] == ["farm"]


def test_a_render_of_another_process_is_told(shot: Any, media: SimpleNamespace) -> None:
    from portraitgen.shot import Shot

    Shot.open(shot.path).make_take("take")
    living_shot.look(shot)
    renders = shot.path / "takes" / "take" / "renders"
    for version in (1, 2):
        for name, suffix in (("plates", ".png"), ("frames", ".exr")):
            folder = renders / f"v{version:03d}" / name
            folder.mkdir(parents=True)
            shutil.copy(media.take, folder / f"take.{FIRST}{suffix}")
        told = living_shot.look(shot)
        if version == 1:
            assert bpy.ops.portraitgen.show_frames() == {"FINISHED"}
            assert living_shot.look(shot) == [], "what came last is shown"
    assert told == ["'take' shows render 1, render 2 came last"]
    bpy.ops.portraitgen.show_frames()
    assert living_shot.look(shot) == []


def test_undo_after_update_tells_the_difference_again(shot: Any) -> None:
    bpy.ops.ed.undo_push(message="before")
    move(plate(), 14)
    bpy.ops.ed.undo_push(message="move")
    living_shot.look(shot)
    bpy.ops.portraitgen.update_from_strip()
    bpy.ops.ed.undo_push(message="Update from Strip")
    bpy.ops.ed.undo()
    again = bpy.context.scene.portraitgen.shots[0]
    assert again.offset == START - FIRST and start(plate()) == START + 14
    assert any("moved by +14" in text for text in living_shot.look(again))
    assert start(takes(again)[0]) == START
    bpy.ops.portraitgen.update_from_strip()
    assert again.offset == START - FIRST + 14 and living_shot.look(again) == []
    assert start(takes(again)[0]) == START + 14
