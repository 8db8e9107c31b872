# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shot in an edit that lives on: strips moved, slipped, trimmed, retimed, lost, relinked."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import pytest
from conftest import CLIP, module, plate_strip, shown, trim


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return Path(shutil.copy(CLIP, tmp_path / "performer.mp4"))


@pytest.fixture
def shot(tmp_path: Path, clip: Path, until: Callable[..., None]) -> Any:
    scene = bpy.context.scene
    strip = plate_strip(scene, 1001, clip)
    trim(strip, 1005, 1021)
    bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "shot"))
    until(lambda: len(scene.portraitgen.shots))
    return scene.portraitgen.shots[0]


def look() -> list[str]:
    """What the panel says once the timer has looked."""
    watch = module("portraitgen_addon.edit_watch")
    watch.note_change()
    watch.look(force=True)
    return [each.text for each in watch.notices(bpy.context.scene.portraitgen.shots[0])]


def plate() -> Any:
    return bpy.context.scene.sequence_editor.strips["performer"]


def move(strip: Any, by: int) -> None:
    compat = module("portraitgen_addon.compat")
    compat.move_content(strip, compat.content_start(strip) + by)


def slip(strip: Any, by: int) -> None:
    begin, end = shown(strip)
    move(strip, by)
    trim(strip, begin, end)


@pytest.mark.parametrize(
    ("change", "sentence", "after"),
    [
        (lambda strip: move(strip, 30), "was moved by +30 frames", (5, 20, 1030)),
        (lambda strip: slip(strip, -3), "was slipped by -3 frames", (8, 23, 997)),
        (lambda strip: trim(strip, 1003, 1011), "shows frames 3 to 10", (3, 10, 1000)),
    ],
)
def test_what_was_done_to_the_strip_is_said_and_followed(
    change: Any, sentence: str, after: tuple[int, int, int], shot: Any
) -> None:
    assert look() == []
    change(plate())
    assert any(sentence in text for text in look()), look()
    assert (shot.first, shot.last, shot.offset) == (5, 20, 1000), "only told so far"
    assert bpy.ops.portraitgen.update_from_strip() == {"FINISHED"}
    assert (shot.first, shot.last, shot.offset) == after
    assert look() == []


def test_new_shot_on_the_same_folder_follows_the_strip_as_update_does(
    shot: Any, until: Callable[..., None]
) -> None:
    move(plate(), 12)
    bpy.ops.portraitgen.new_shot(folder=shot.folder)
    until(lambda: shot.offset == 1012)
    assert len(bpy.context.scene.portraitgen.shots) == 1 and look() == []


def test_a_strip_that_is_muted_or_deleted_is_said(shot: Any) -> None:
    plate().mute = True
    assert look() == ["The plate's strip is muted"]
    plate().mute = False
    bpy.context.scene.sequence_editor.channels[plate().channel].mute = True
    assert look() == ["The plate's strip is muted"]
    bpy.context.scene.sequence_editor.strips.remove(plate())
    assert look() == ["The plate's strip is no longer in the edit: add the plate's file again"]
    with pytest.raises(RuntimeError, match="no strip of the plate any more"):
        bpy.ops.portraitgen.update_from_strip()


def test_a_renamed_strip_is_still_the_plate(shot: Any) -> None:
    plate().name = "A001"
    assert look() == []


def test_another_scene_rate_is_said_and_nothing_changes(shot: Any) -> None:
    bpy.context.scene.render.fps = 30
    told = "performer: the movie runs at 25 frames a second, the scene at 30"
    assert any(text.startswith(told) for text in look()), "the strip keeps its name"
    with pytest.raises(RuntimeError, match="set the scene's frame rate"):
        bpy.ops.portraitgen.update_from_strip()
    assert (shot.first, shot.last, shot.offset) == (5, 20, 1000)


def test_a_speed_effect_is_refused_with_what_to_do(clip: Path, tmp_path: Path) -> None:
    scene = bpy.context.scene
    strip = plate_strip(scene, 1, clip)
    among = scene.sequence_editor.strips
    length = {"length": 48} if bpy.app.version >= (5, 0, 0) else {"frame_end": 49}
    among.new_effect(name="slow", type="SPEED", channel=4, frame_start=1, input1=strip, **length)
    with pytest.raises(RuntimeError, match="Speed effect 'slow' plays the strip"):
        bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "shot"))


@pytest.mark.parametrize("inside", [False, True])
def test_a_retimed_strip_or_meta_strip_is_refused_with_what_to_do(
    inside: bool, clip: Path, tmp_path: Path
) -> None:
    scene = bpy.context.scene
    strip = plate_strip(scene, 1, clip)
    strip.select = True
    window, area = bpy.context.window, bpy.context.window.screen.areas[0]
    area.type = "SEQUENCE_EDITOR"
    if hasattr(window.workspace, "sequencer_scene"):
        window.workspace.sequencer_scene = scene
    canvas = next(each for each in area.regions if each.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=canvas):
        if inside:
            bpy.ops.sequencer.meta_make()
        assert module("portraitgen_addon.plate_strip").footage_of(strip, scene).last == 48
        bpy.ops.sequencer.retiming_key_add(timeline_frame=20)
        bpy.ops.sequencer.retiming_segment_speed_set(speed=50)
    scene.sequence_editor.active_strip = strip
    what = "meta strip" if inside else "strip"
    with pytest.raises(RuntimeError, match=f"the {what} is retimed; remove its retiming keys"):
        bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "shot"))


def test_a_scene_copied_without_its_strips_says_nothing_and_one_with_them_its_own(
    shot: Any,
) -> None:
    home = bpy.context.scene
    for kind in ("LINK_COPY", "FULL_COPY"):
        bpy.context.window.scene = home
        bpy.ops.scene.new(type=kind)
    watch = module("portraitgen_addon.edit_watch")
    copies = [scene for scene in bpy.data.scenes if scene != home]
    bare, whole = sorted(copies, key=lambda scene: scene.sequence_editor is not None)
    move(whole.sequence_editor.strips["performer"], 7)
    bpy.context.window.scene = home
    assert look() == []
    told = {scene: watch.notices(scene.portraitgen.shots[0]) for scene in copies}
    assert told[bare] == () and "moved by +7 frames" in told[whole][0].text
    home.sequence_editor.strips.remove(plate())
    whole.sequence_editor.strips.remove(whole.sequence_editor.strips["performer"])
    assert look() == ["The plate's strip is no longer in the edit: add the plate's file again"]


def test_a_linked_scene_stays_as_its_own_file_has_it(shot: Any, tmp_path: Path) -> None:
    from portraitgen.shot import Shot

    folder, name, saved = shot.path, bpy.context.scene.name, tmp_path / "edit.blend"
    move(plate(), 9)
    bpy.ops.wm.save_as_mainfile(filepath=str(saved))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
    with bpy.data.libraries.load(str(saved), link=True) as (_, wanted):
        wanted.scenes = [name]
    Shot.open(folder).make_take("night")
    linked = next(scene for scene in bpy.data.scenes if scene.library)
    watch = module("portraitgen_addon.edit_watch")
    watch.note_change()
    watch.look(force=True)
    theirs = linked.portraitgen.shots[0]
    assert watch.notices(theirs) == () and not len(theirs.takes)
    bpy.context.window.scene = linked
    with pytest.raises(RuntimeError, match="linked from another file"):
        bpy.ops.portraitgen.update_from_strip()


def test_a_strip_longer_than_its_movie_ends_with_it(clip: Path) -> None:
    strip = plate_strip(bpy.context.scene, 1001, clip)
    trim(strip, 990, 1100)
    found = module("portraitgen_addon.plate_strip").footage_of(strip, bpy.context.scene)
    assert (found.first, found.last, found.offset) == (1, 48, 1000)


def test_frames_left_out_of_the_file_are_counted(clip: Path) -> None:
    strip = plate_strip(bpy.context.scene, 1001, clip)
    name = "content_trim_start" if hasattr(strip, "content_trim_start") else None
    setattr(strip, name or "animation_offset_start", 10)
    found = module("portraitgen_addon.plate_strip").footage_of(strip, bpy.context.scene)
    content = module("portraitgen_addon.compat").content_start(strip)
    assert found.first + found.offset == content and found.first == 11


@pytest.mark.parametrize("folder", ["//shots/one", "shots/one", ""])
def test_a_folder_that_hangs_on_where_blender_was_started_is_refused(
    folder: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plate_strip(bpy.context.scene, 1, clip)
    with pytest.raises(RuntimeError, match="relative to a file|not whole|no folder"):
        bpy.ops.portraitgen.new_shot(folder=folder)
    assert not (tmp_path / "shots").exists()


def test_a_movie_of_varying_rate_is_refused_at_any_scene_rate() -> None:
    check = module("portraitgen_addon.plate_strip").check_probed_rate
    check("phone", 30.0, (30, 1), 29.99)
    with pytest.raises(Exception, match="convert the movie to a constant frame rate"):
        check("phone", 120.0, (120, 1), 29.7)


def test_a_plate_in_a_meta_strip_is_found_and_clipped_by_it(shot: Any) -> None:
    among = bpy.context.scene.sequence_editor.strips
    strip = plate()
    meta = among.new_meta(name="meta", channel=6, frame_start=1005)
    strip.move_to_meta(meta)
    bpy.context.scene.sequence_editor.active_strip = meta
    assert module("operators.footage")._no_plate(bpy.context).startswith("Open the meta strip")
    trim(meta, 1005, 1015)
    assert any("shows frames 5 to 14" in text for text in look())
    bpy.ops.portraitgen.update_from_strip()
    assert (shot.first, shot.last, shot.offset) == (5, 14, 1000)
    assert look() == []


def test_a_moved_plate_is_found_by_its_digest(
    shot: Any, clip: Path, tmp_path: Path, session: Any, until: Callable[..., None]
) -> None:
    moved = tmp_path / "day 2" / "renamed.mp4"
    moved.parent.mkdir()
    shutil.copy(CLIP.parents[2] / "README.md", tmp_path / "other.mp4")
    clip.rename(moved)
    assert look() == ["The plate's file is missing: performer.mp4"]
    bpy.ops.portraitgen.relink_plate()
    until(lambda: not session.doing and not session.waiting_work)
    assert not session.message, session.message
    assert Path(bpy.path.abspath(plate().filepath)) == moved
    record = module("portraitgen_addon.shot_summary").summary_of(shot.path).footage
    assert record.path == "../day 2/renamed.mp4"
    assert look() == []


def test_plates_that_moved_along_are_found_with_the_first(
    tmp_path: Path, session: Any, until: Callable[..., None]
) -> None:
    """It was one press a shot, also for the parts of one plate that was split."""
    scene, day = bpy.context.scene, tmp_path / "day 1"
    shots = scene.portraitgen.shots
    for index, name in enumerate(("a/first", "b/second", "b/second")):
        place = day / f"{name}.mp4"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CLIP, place)
        strip = plate_strip(scene, 1001 + 100 * index, place)
        trim(strip, 1001 + 100 * index, 1011 + 100 * index)
        bpy.ops.portraitgen.new_shot(folder=str(tmp_path / f"shot {index}"))
        until(lambda: len(shots) == index + 1 and not session.doing)  # noqa: B023
    stays = shots[2]
    elsewhere = tmp_path / "elsewhere.mp4"
    shutil.copy(CLIP, elsewhere)
    bpy.ops.portraitgen.relink_plate(filepath=str(elsewhere))
    until(lambda: not session.doing and not session.waiting_work)
    day.rename(tmp_path / "day one")
    lost = shots.add()
    lost.name, lost.shot_id, lost.folder = "lost", "lost", str(tmp_path / "nowhere")
    scene.portraitgen.active = 0
    look()
    bpy.ops.portraitgen.relink_plate(filepath=str(tmp_path / "day one" / "a"))
    until(lambda: not session.doing and not session.waiting_work)
    assert not session.message, session.message
    summary = module("portraitgen_addon.shot_summary")
    shots.remove(3)
    places = [summary.plate_path(each.path) for each in shots]
    whole = tmp_path / "day one"
    assert places == [whole / "a/first.mp4", whole / "b/second.mp4", elsewhere]
    find = module("portraitgen_addon.strip_sync").plate_of
    assert [Path(bpy.path.abspath(find(each).strip.filepath)) for each in shots] == places
    assert session.told == (f"The plates of {shots[1].name} had moved along and are found, too",)
    assert stays == shots[2]


def test_takes_of_the_folder_are_listed_and_lost_ones_told(shot: Any) -> None:
    from portraitgen.shot import Shot

    opened = Shot.open(shot.path)
    opened.make_take("night")
    assert look() == [] and [take.folder_name for take in shot.takes] == ["night"]
    opened.discard_take("night")
    assert look() == ["The take 'night' is no longer in the folder"]
    bpy.ops.portraitgen.forget_take(folder_name="night")
    assert not len(shot.takes) and look() == []
    bpy.ops.portraitgen.take_add(editor="grade")
    assert look() == [], "a take that was never in the folder is not missed there"


def test_a_loaded_file_lists_what_came_meanwhile(shot: Any, tmp_path: Path) -> None:
    from portraitgen.shot import Shot

    folder, saved = shot.path, tmp_path / "edit.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(saved))
    Shot.open(folder).make_take("from a colleague")
    bpy.ops.wm.open_mainfile(filepath=str(saved))
    takes = bpy.context.scene.portraitgen.shots[0].takes
    assert [take.folder_name for take in takes] == ["from a colleague"]


def test_many_strips_cost_little(shot: Any) -> None:
    """Not a matter of time: how many strips are visited does not grow with the panels drawn."""
    watch = module("portraitgen_addon.edit_watch")
    look()
    watch.look()
    compat = module("portraitgen_addon.compat")
    visited = []
    every = compat.every_strip
    compat.every_strip = lambda scene: visited.append(1) or every(scene)
    try:
        for _ in range(100):
            watch.notices(shot)
            watch.look()
    finally:
        compat.every_strip = every
    assert not visited


def test_an_edit_that_takes_long_to_look_at_is_looked_at_less_often(shot: Any) -> None:
    watch, clock = (
        module("portraitgen_addon.edit_watch"),
        module("portraitgen_addon.edit_watch").time,
    )
    look()
    move(plate(), 5)
    watch.note_change()
    watch._state.next_look = clock.perf_counter() + 60
    watch.look()
    assert watch.notices(shot) == (), "not yet"
    watch._state.next_look = 0.0
    assert watch.look(), "the change is not forgotten"
    assert "moved by +5" in watch.notices(shot)[0].text
