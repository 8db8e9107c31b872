# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plates that are cut in pieces, takes that are, and plates of more than one shot."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import living_shot
import pytest
from conftest import module, shown, trim
from test_edit_variants import COUNT, START, media, move, plate, shot, start, takes

__all__ = ["media", "shot"]


@pytest.fixture
def filled(shot: Any) -> Iterator[Any]:
    """The shot in an edit of the plate's size, where its take lies over the plate by itself."""
    render = bpy.context.scene.render
    render.resolution_x, render.resolution_y = living_shot.WIDTH, living_shot.HEIGHT
    assert living_shot.look(shot) == [] and len(bpy.context.scene.sequence_editor.strips) == 2
    yield shot


def pieces(*cuts: int) -> list[Any]:
    """The plate's strip, cut as by Blender's Split on these frames of the strip."""
    made = [plate()]
    for cut in cuts:
        made.append(made[-1].split(frame=START + cut, split_method="SOFT"))
    return made


def ranges(shot: Any) -> list[tuple[int, int]]:
    return sorted(shown(each) for each in takes(shot))


def test_a_plate_under_a_cover_can_be_cut_and_its_pieces_look_as_they_please(shot: Any) -> None:
    """Blender splits no Cross, nor anything under one: what covers a plate is none."""
    compat, layout = module("portraitgen_addon.compat"), module("portraitgen_addon.take_layout")
    _, right = pieces(10)
    right.transform.scale_x = 2.0
    assert living_shot.look(shot) == []
    left_take, right_take = sorted(takes(shot), key=shown)
    assert (left_take.transform.scale_x, right_take.transform.scale_x) == (1.0, 2.0)
    among = compat.strips(bpy.context.scene)
    for piece, take in ((plate(), left_take), (right, right_take)):
        cover = layout.cover_of(among, take)
        assert shown(cover) == shown(take) == shown(piece)
        assert (cover.input_1, cover.input_2, cover.effect_fader) == (piece, take, 0.0)


def test_a_cover_of_earlier_versions_is_made_anew_and_the_takes_own_look_stays(shot: Any) -> None:
    compat, layout = module("portraitgen_addon.compat"), module("portraitgen_addon.take_layout")
    among, (take,) = compat.strips(bpy.context.scene), takes(shot)
    among.remove(layout.cover_of(among, take))
    old = compat.new_effect(among, "old", "CROSS", 9, START, START + COUNT, plate(), take)
    old[layout.COVER], take.transform.offset_x = True, 7
    living_shot.look(shot)
    assert layout.cover_of(among, take).type != "CROSS" and "old" not in among
    assert take.transform.offset_x == 7


def test_a_piece_that_looks_otherwise_is_told_and_the_take_cut_with_it(filled: Any) -> None:
    """The take went on over the right piece as the left one looks."""
    _, right = pieces(10)
    assert living_shot.look(filled) == [], "pieces that look alike need no cut"
    right.transform.scale_x = right.transform.scale_y = 2.0
    told = [f"The plate was cut at frame {START + 10}, its takes were not"]
    assert living_shot.look(filled) == told
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(filled) == []
    assert ranges(filled) == [(START, START + 10), (START + 10, START + COUNT)]
    assert [each.transform.scale_x for each in sorted(takes(filled), key=shown)] == [1.0, 2.0]


def test_a_piece_that_is_taken_out_is_taken_out_of_the_take(filled: Any) -> None:
    middle = pieces(8, 16)[1]
    bpy.context.scene.sequence_editor.strips.remove(middle)
    assert living_shot.look(filled) == [
        f"The plate was cut at frame {START + 8}, {START + 16}, its takes were not"
    ]
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(filled) == []
    assert ranges(filled) == [(START, START + 8), (START + 16, START + COUNT)]


def test_all_parts_of_a_take_that_was_cut_show_what_is_rendered_again(
    filled: Any, media: SimpleNamespace, tmp_path: Path
) -> None:
    """The first part alone showed the new version."""
    takes(filled)[0].split(frame=START + 10, split_method="SOFT")
    again = tmp_path / "v002"
    shutil.copytree(media.take.parent, again)
    living_shot.show_take(bpy.context.scene, filled, again / media.take.name)
    assert len(takes(filled)) == 2
    for each in takes(filled):
        assert Path(each.directory) == again
        assert not module("portraitgen_addon.sequencer").shows_others(each)


@pytest.mark.parametrize("by", [-5, 5])
def test_a_copy_that_overlaps_its_take_keeps_its_frames(
    by: int, filled: Any, media: SimpleNamespace, tmp_path: Path
) -> None:
    """It was given the pictures of other frames, in the take's place."""
    among = bpy.context.scene.sequence_editor.strips
    copy = living_shot.image_strip(among, media.take, 9, START + by)
    # Blender lists strips as they were made: the copy before the take.
    among.remove(takes(filled)[0])
    living_shot.show_take(bpy.context.scene, filled, media.take)
    (take,) = takes(filled)
    for key in take.keys():
        copy[key] = take[key]
    before = [each.filename for each in copy.elements]
    again = tmp_path / "v002"
    shutil.copytree(media.take.parent, again)
    living_shot.show_take(bpy.context.scene, filled, again / media.take.name)
    assert [each.filename for each in copy.elements] == before
    assert Path(copy.directory) == media.take.parent and Path(take.directory) == again
    assert len(takes(filled)) == 2


def test_takes_are_lifted_above_a_plate_that_was_put_above_them(shot: Any) -> None:
    """Update said that all was well, and no take was seen."""
    plate().channel = 50
    assert living_shot.look(shot) == ["The plate's strip lies above its takes"]
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(shot) == []
    (take,) = takes(shot)
    cover = module("portraitgen_addon.take_layout").cover_of(
        bpy.context.scene.sequence_editor.strips, take
    )
    assert cover.channel > take.channel > plate().channel == 50


def test_a_strip_is_the_plate_of_two_shots(
    filled: Any, media: SimpleNamespace, tmp_path: Path, session: Any, until: Any
) -> None:
    """Of two people in one plate each is a shot; the second took the strip from the first."""
    scene = bpy.context.scene
    shots = scene.portraitgen.shots
    scene.sequence_editor.active_strip = plate()
    bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "second"))
    until(lambda: len(shots) == 2 and not session.doing)
    assert [living_shot.look(each) for each in shots] == [[], []]
    living_shot.show_take(scene, shots[1], media.take)
    told = living_shot.look(shots[1])
    assert told == [
        f"'{takes(shots[0])[0].name}', of another shot of this plate, lies under the take, which "
        "hides it: mute one, or join both in the compositor (To Compositor)"
    ]
    move(plate(), 10)
    for index, each in enumerate(shots):
        assert "The plate's strip was moved by +10 frames" in living_shot.look(each)
        scene.portraitgen.active = index
        bpy.ops.portraitgen.update_from_strip()
    for each in shots:
        assert start(takes(each)[0]) == start(plate()) == START + 10


def test_a_part_that_was_split_off_becomes_the_plate_of_its_own_shot_alone(
    filled: Any, tmp_path: Path, session: Any, until: Any
) -> None:
    scene = bpy.context.scene
    _, right = pieces(10)
    scene.sequence_editor.active_strip = right
    bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "second"))
    until(lambda: len(scene.portraitgen.shots) == 2 and not session.doing)
    shots_of = module("portraitgen_addon.plate_strip").shots_of
    first, second = scene.portraitgen.shots
    assert shots_of(plate()) == [first.shot_id] and shots_of(right) == [second.shot_id]


def in_meta(shot: Any) -> Any:
    """A meta strip that holds the plate, and with it the take."""
    meta = bpy.context.scene.sequence_editor.strips.new_meta(
        name="meta", channel=7, frame_start=START
    )
    plate().move_to_meta(meta)
    trim(meta, START, START + COUNT)
    assert living_shot.look(shot) == []
    return meta


def homes(shot: Any) -> list[tuple[str, int]]:
    """The meta strip of each take's strip, and where the strip begins."""
    every = module("portraitgen_addon.compat").every_strip(bpy.context.scene)
    ours = takes(shot)
    return sorted((metas[-1].name, start(strip)) for strip, metas in every if strip in ours)


def test_a_meta_strip_that_is_cut_keeps_its_take_in_both_halves(shot: Any) -> None:
    """The take of the right half was put into the left one, by itself."""
    meta = in_meta(shot)
    right = meta.split(frame=START + 10, split_method="SOFT")
    assert living_shot.look(shot) == []
    assert homes(shot) == [("meta", START), ("meta.001", START)]
    assert bpy.ops.portraitgen.update_from_strip() == {"FINISHED"}
    assert ranges(shot) == [(START, START + COUNT)] * 2
    for half in (meta, right):
        move(half, 30)
    assert living_shot.look(shot) == ["The plate's strip was moved by +30 frames"]
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(shot) == []
    assert homes(shot) == [("meta", START + 30), ("meta.001", START + 30)]
    move(right, 50)
    living_shot.look(shot)
    bpy.ops.portraitgen.update_from_strip()
    assert homes(shot) == [("meta", START + 30), ("meta.001", START + 80)], "it went along"


def test_a_take_is_rendered_into_both_halves_of_a_meta_strip(
    filled: Any, media: SimpleNamespace
) -> None:
    meta = in_meta(filled)
    (take,) = takes(filled)
    meta.strips.remove(take)
    meta.split(frame=START + 10, split_method="SOFT")
    living_shot.show_take(bpy.context.scene, filled, media.take)
    assert living_shot.look(filled) == []
    assert homes(filled) == [("meta", START), ("meta.001", START)]
    assert {len(each.elements) for each in takes(filled)} == {COUNT}


def test_a_piece_that_is_muted_is_told(filled: Any) -> None:
    _, right = pieces(10)
    right.mute = True
    assert living_shot.look(filled) == [f"A piece of the plate, '{right.name}', is muted"]
    plate().mute = True
    assert living_shot.look(filled) == ["The plate's strip is muted"]


def test_a_piece_that_plays_otherwise_is_told(filled: Any) -> None:
    """The take went on over it at the plate's own speed, without a word."""
    _, right = pieces(10)
    right.strobe = 2
    assert living_shot.look(filled) == [
        f"{right.name}: the strip holds frames; set its Strobe to 1"
    ]
    right.strobe, right.use_reverse_frames = 1, True
    assert living_shot.look(filled) == [
        f"{right.name}: the strip plays backwards; turn Reverse Frames off"
    ]
