# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes and plates that were cut by Hold Split, and what hides a take or shows other frames."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import living_shot
import pytest
from conftest import module, shown, trim
from test_cut_plate import filled, ranges
from test_edit_variants import COUNT, FIRST, START, media, move, plate, shot, takes

__all__ = ["filled", "media", "shot"]
ABOVE = "The plate's strip lies above its takes"


def hold(strip: Any, cut: int) -> Any:
    """Blender's Hold Split, which leaves each half its own frames alone; the right half."""
    return strip.split(frame=START + cut, split_method="HARD")


def effect(kind: str, channel: int, *inputs: Any) -> Any:
    compat, among = module("portraitgen_addon.compat"), bpy.context.scene.sequence_editor.strips
    begin, end = shown(inputs[0])
    one, other = (*inputs, None)[:2]
    return compat.new_effect(among, "effect", kind, channel, begin, end, one, other)


def picture(strip: Any, frame: int) -> str:
    """The name of the file that an image strip shows on a scene frame."""
    at = frame - module("portraitgen_addon.compat").file_start(strip)
    return str(strip.elements[at].filename)


def test_a_take_under_a_plate_that_was_held_and_split_follows_its_piece(shot: Any) -> None:
    """The right half was taken for a copy: it kept the look of the left one, and its place."""
    right = hold(plate(), 10)
    assert living_shot.look(shot) == [] and len(takes(shot)) == 2, "a cover is split with its plate"
    right.transform.scale_x = 0.5
    living_shot.look(shot)
    assert [each.transform.scale_x for each in sorted(takes(shot), key=shown)] == [1.0, 0.5]
    for each in (plate(), right):
        move(each, 30)
    living_shot.look(shot)
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(shot) == []
    assert ranges(shot) == [(START + 30, START + 40), (START + 40, START + 30 + COUNT)]


def test_both_halves_of_a_held_take_show_what_is_rendered_again(
    filled: Any, media: SimpleNamespace, tmp_path: Path
) -> None:
    """The right half kept the frames of the version before, or was given those of others."""
    hold(takes(filled)[0], 10)
    again = tmp_path / "v002"
    shutil.copytree(media.take.parent, again)
    living_shot.show_take(bpy.context.scene, filled, again / media.take.name)
    assert ranges(filled) == [(START, START + 10), (START + 10, START + COUNT)]
    for each in takes(filled):
        assert Path(bpy.path.abspath(each.directory)) == again
        for frame in range(*shown(each)):
            assert picture(each, frame) == f"take.{frame - START + FIRST:04d}.png"


def test_a_held_take_that_grows_keeps_all_its_pictures(filled: Any, media: SimpleNamespace) -> None:
    (take,) = takes(filled)
    take.elements.pop(-1)
    trim(take, START, START + COUNT - 1)
    hold(take, 10)
    living_shot.show_take(bpy.context.scene, filled, media.take)
    assert ranges(filled) == [(START, START + 10), (START + 10, START + COUNT)]
    for each in takes(filled):
        for frame in range(*shown(each)):
            assert picture(each, frame) == f"take.{frame - START + FIRST:04d}.png"


def test_a_held_take_goes_into_a_meta_strip_as_it_is(filled: Any) -> None:
    hold(takes(filled)[0], 10)
    among = bpy.context.scene.sequence_editor.strips
    meta = among.new_meta(name="meta", channel=7, frame_start=START)
    plate().move_to_meta(meta)
    trim(meta, START, START + COUNT)
    assert living_shot.look(filled) == []
    assert ranges(filled) == [(START, START + 10), (START + 10, START + COUNT)]
    for each in takes(filled):
        assert picture(each, START + 12) == f"take.{FIRST + 12:04d}.png"


def test_a_take_holds_the_frame_that_its_plate_holds(filled: Any) -> None:
    """It went on playing over the frame that its plate held."""
    among = bpy.context.scene.sequence_editor.strips
    among.remove(hold(plate(), 10))
    trim(plate(), START, START + 16)
    assert any(f"shows frames {FIRST} to {FIRST + 9}" in text for text in living_shot.look(filled))
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(filled) == [] and ranges(filled) == [(START, START + 16)]
    (take,) = takes(filled)
    assert module("portraitgen_addon.compat").played_range(take) == (START, START + 10)


def test_a_piece_that_was_put_above_its_take_is_told(filled: Any) -> None:
    """Only the first piece's channel was looked at."""
    right = plate().split(frame=START + 10, split_method="SOFT")
    assert living_shot.look(filled) == []
    right.channel = 9
    assert living_shot.look(filled) == [ABOVE]
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(filled) == []
    assert all(each.channel > 9 for each in takes(filled))


@pytest.mark.parametrize("channel", [9, 3])
def test_an_effect_that_shows_the_plate_over_its_take_is_told(channel: int, filled: Any) -> None:
    takes(filled)[0].channel = 5
    made = effect("GAUSSIAN_BLUR", channel, plate())
    told = [
        "'effect' shows the plate, not the take on it: delete it, and put one like it on the take"
    ]
    assert living_shot.look(filled) == told
    made.mute = True
    assert living_shot.look(filled) == []
    bpy.context.scene.sequence_editor.strips.remove(made)
    effect("GAUSSIAN_BLUR", 9, takes(filled)[0])
    assert living_shot.look(filled) == []


def test_a_title_between_a_take_and_its_cover_is_told(shot: Any) -> None:
    """Only what lay under the take was looked for."""
    among = bpy.context.scene.sequence_editor.strips
    cover = module("portraitgen_addon.take_layout").cover_of(among, takes(shot)[0])
    cover.channel = 8
    title = living_shot.image_strip(among, Path(plate().directory) / "plate.1001.png", 5, START)
    title.name = "Title"
    assert any("'Title' lies under the take" in text for text in living_shot.look(shot))
    title.channel = 9
    assert living_shot.look(shot) == []


def test_a_take_that_was_moved_over_other_frames_of_its_plate_is_told(filled: Any) -> None:
    (take,) = takes(filled)
    move(take, 5)
    assert living_shot.look(filled) == [
        f"'{take.name}' lies +5 frames off its plate: move it back, or mute it"
    ]
    move(take, COUNT)
    assert living_shot.look(filled) == [], "elsewhere it is the artist's"
    move(take, -COUNT - 5)
    assert living_shot.look(filled) == []


def test_two_takes_on_a_plate_that_lets_through_are_told(
    shot: Any, media: SimpleNamespace, tmp_path: Path
) -> None:
    """Each was laid over what was below, the other take included."""
    (first,) = takes(shot)
    living_shot.show_take(bpy.context.scene, shot, media.take, "other")
    second = next(each for each in takes(shot) if each != first)
    told = (
        f"'{second.name}' and '{first.name}' lie over each other, and the plate lets through what "
        "is below, so that both are seen: mute one"
    )
    assert living_shot.look(shot) == [told]
    second.mute = True
    assert living_shot.look(shot) == []


def test_a_piece_of_a_take_that_is_shown_again_leaves_the_others_their_frames(filled: Any) -> None:
    """It came back as long as the whole plate, over all other pieces."""
    takes(filled)[0].split(frame=START + 10, split_method="SOFT")
    trim(plate(), START, START + 8)
    living_shot.look(filled)
    bpy.ops.portraitgen.update_from_strip()
    assert [each.mute for each in sorted(takes(filled), key=shown)] == [False, True]
    trim(plate(), START, START + 20)
    living_shot.look(filled)
    bpy.ops.portraitgen.update_from_strip()
    frames = [frame for each in takes(filled) if not each.mute for frame in range(*shown(each))]
    assert sorted(frames) == list(range(START, START + 20)), "each frame once"


def test_a_take_that_was_moved_away_has_no_cover(shot: Any) -> None:
    """Blender showed it from where the plate ends to where the take begins."""
    (take,) = takes(shot)
    move(take, COUNT + 9)
    assert living_shot.look(shot) == []
    among = bpy.context.scene.sequence_editor.strips
    assert sorted(each.name for each in among) == sorted(["plate", take.name])
    move(take, -COUNT - 9)
    assert living_shot.look(shot) == []
    cover = module("portraitgen_addon.take_layout").cover_of(among, take)
    assert shown(cover) == shown(take) == shown(plate())


def test_a_take_on_pieces_that_let_through_has_a_cover_on_each(
    shot: Any, media: SimpleNamespace
) -> None:
    """One piece alone had one, since all look alike; on the others the plate counted twice."""
    among = bpy.context.scene.sequence_editor.strips
    plate().split(frame=START + 10, split_method="SOFT")
    for each in takes(shot):
        among.remove(each)
    living_shot.show_take(bpy.context.scene, shot, media.take)
    told = [f"The plate was cut at frame {START + 10}, its takes were not"]
    assert living_shot.look(shot) == told
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(shot) == []
    cover_of = module("portraitgen_addon.take_layout").cover_of
    assert sorted(shown(cover_of(among, each)) for each in takes(shot)) == ranges(shot)
    assert len(takes(shot)) == 2


def test_a_channel_that_is_muted_hides_the_take_on_a_plate_that_lets_through(shot: Any) -> None:
    """Its cover went on showing it; without the cover, take and plate counted both."""
    among = bpy.context.scene.sequence_editor.strips
    channels = bpy.context.scene.sequence_editor.channels
    (take,) = takes(shot)
    cover = module("portraitgen_addon.take_layout").cover_of(among, take)
    channels[take.channel].mute = True
    assert living_shot.look(shot) == [] and cover.mute
    channels[take.channel].mute = False
    assert living_shot.look(shot) == [] and not cover.mute
    channels[cover.channel].mute = True
    assert living_shot.look(shot) == [
        f"'{cover.name}' shows the take where the plate lets through, and its channel "
        f"{cover.channel} is muted: unmute it"
    ]


@pytest.mark.parametrize("lets_through", [False, True])
def test_a_multicam_that_shows_the_plates_channel_is_told(
    lets_through: bool, shot: Any, request: Any
) -> None:
    if not lets_through:
        request.getfixturevalue("filled")
    compat, among = module("portraitgen_addon.compat"), bpy.context.scene.sequence_editor.strips
    made = compat.new_effect(among, "cut", "MULTICAM", 9, START, START + COUNT, None, None)
    made.multicam_source = plate().channel
    wanted = plate().channel + (2 if lets_through else 1)
    told = f"'cut' shows the plate's channel, not the take on it: have it show channel {wanted}"
    assert living_shot.look(shot) == [told]
    made.multicam_source = wanted
    assert living_shot.look(shot) == []
