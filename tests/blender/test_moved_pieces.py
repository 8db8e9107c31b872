# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of a plate that were moved from the others, and those that hold frames: takes go along."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import living_shot
import pytest
from conftest import module, shown, trim
from test_cut_plate import filled, pieces, ranges
from test_cut_takes import hold, picture
from test_edit_variants import COUNT, FIRST, START, media, move, plate, shot, takes

__all__ = ["filled", "media", "shot"]


def ripple_delete(first: int, end: int) -> tuple[Any, Any]:
    """Takes a part out of the plate's strip and closes the gap, as editors do, takes left alone;
    the pieces before and behind it."""
    before, out, behind = pieces(first, end)
    bpy.context.scene.sequence_editor.strips.remove(out)
    move(behind, first - end)
    return before, behind


def seen(shot: Any) -> dict[int, str]:
    """The picture that the topmost take shows on each scene frame."""
    found = {}
    for take in sorted(takes(shot), key=lambda each: int(each.channel)):
        first, end = shown(take)
        played = module("portraitgen_addon.compat").played_range(take)
        for frame in range(first, end) if not take.mute else ():
            found[frame] = picture(take, min(max(frame, played[0]), played[1] - 1))
    return found


def pictures(*numbers: int) -> dict[int, str]:
    """The pictures of these frames of the plate, one after another from its first on."""
    return {START + at: f"take.{FIRST + number:04d}.png" for at, number in enumerate(numbers)}


@pytest.mark.parametrize("covered", [False, True])
def test_a_take_follows_a_ripple_delete(covered: bool, shot: Any, request: Any) -> None:
    """The piece behind it asked for a shot of its own, and the take went on over it."""
    if not covered:
        request.getfixturevalue("filled")
    before, behind = ripple_delete(8, 16)
    told = f"A piece of the plate, '{behind.name}', was moved by -8 frames, its takes were not"
    assert told in living_shot.look(shot)
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(shot) == []
    assert ranges(shot) == [(START, START + 8), (START + 8, START + 16)]
    assert seen(shot) == pictures(*range(8), *range(16, 24))
    assert (shot.first, shot.last) == (FIRST, FIRST + COUNT - 1), "its frames are the shot's still"
    behind.transform.scale_x = 0.5
    assert living_shot.look(shot) == []
    wanted = [before.transform.scale_x, 0.5]
    assert [each.transform.scale_x for each in sorted(takes(shot), key=shown)] == wanted


def test_a_take_follows_one_ripple_delete_after_another_and_back(filled: Any) -> None:
    _, behind = ripple_delete(8, 12)
    living_shot.look(filled)
    bpy.ops.portraitgen.update_from_strip()
    last = behind.split(frame=START + 12, split_method="SOFT")
    trim(behind, START + 8, START + 10)
    move(last, -2)
    assert any("was moved by -2 frames" in text for text in living_shot.look(filled))
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(filled) == []
    assert seen(filled) == pictures(*range(8), 12, 13, *range(16, 24))
    for piece, by in ((last, 6), (behind, 4)):
        move(piece, by)
    assert living_shot.look(filled) != []
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(filled) == []
    assert len(takes(filled)) == 3 and all(each.channel == 3 for each in takes(filled))
    assert {frame: START + frame for frame in range(8)} and seen(filled) == {
        START + at: f"take.{FIRST + at:04d}.png" for at in (*range(8), 12, 13, *range(16, 24))
    }


def test_takes_and_pieces_that_were_moved_together_are_in_line(filled: Any) -> None:
    """As by a ripple delete with plate and take selected."""
    among = bpy.context.scene.sequence_editor.strips
    every = [plate(), takes(filled)[0]]
    for strip in every:
        out = strip.split(frame=START + 8, split_method="SOFT")
        behind = out.split(frame=START + 16, split_method="SOFT")
        among.remove(out)
        move(behind, -8)
    assert living_shot.look(filled) == []
    for piece in module("portraitgen_addon.plate_strip").every_piece(filled, bpy.context.scene):
        move(piece, 30)
    assert living_shot.look(filled) == ["The plate's strip was moved by +30 frames"]
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(filled) == []
    assert ranges(filled) == [(START + 30, START + 38), (START + 38, START + 46)]


def test_what_is_rendered_again_is_shown_on_a_piece_that_was_moved(
    filled: Any, media: SimpleNamespace, tmp_path: Path
) -> None:
    """It was laid where the piece was before."""
    ripple_delete(8, 16)
    living_shot.look(filled)
    bpy.ops.portraitgen.update_from_strip()
    again = tmp_path / "v002"
    shutil.copytree(media.take.parent, again)
    living_shot.show_take(bpy.context.scene, filled, again / media.take.name)
    assert ranges(filled) == [(START, START + 8), (START + 8, START + 16)]
    assert {Path(bpy.path.abspath(each.directory)) for each in takes(filled)} == {again}
    assert not any(
        module("portraitgen_addon.sequencer").shows_others(each) for each in takes(filled)
    )
    for each in takes(filled):
        bpy.context.scene.sequence_editor.strips.remove(each)
    living_shot.show_take(bpy.context.scene, filled, again / media.take.name)
    living_shot.look(filled)
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(filled) == []
    assert seen(filled) == pictures(*range(8), *range(16, 24))


def test_a_moved_piece_that_is_deleted_takes_its_take_along(filled: Any) -> None:
    _, behind = ripple_delete(8, 16)
    living_shot.look(filled)
    bpy.ops.portraitgen.update_from_strip()
    bpy.context.scene.sequence_editor.strips.remove(behind)
    assert any(
        "lies where its piece of the plate no longer is" in text
        for text in living_shot.look(filled)
    )
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(filled) == []
    assert seen(filled) == pictures(*range(8))


def test_a_copy_of_a_piece_asks_for_a_shot_of_its_own(filled: Any) -> None:
    _, behind = pieces(8)
    among = bpy.context.scene.sequence_editor.strips
    copy = living_shot.image_strip(among, Path(plate().directory) / "plate.1001.png", 2, START + 90)
    for key in behind.keys():
        copy[key] = behind[key]
    told = [f"A piece of the plate, '{copy.name}', lies elsewhere: make a shot of it"]
    assert living_shot.look(filled) == told


def test_a_take_holds_the_frame_that_its_piece_holds_over_its_neighbour(filled: Any) -> None:
    """The neighbour's take was shown where the plate holds its last frame."""
    left, right = plate(), hold(plate(), 8)
    left.channel = 4
    trim(left, START, START + 12)
    told = living_shot.look(filled)
    assert any("holds a frame" in text for text in told), told
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(filled) == []
    held = pictures(*range(8), 7, 7, 7, 7, *range(12, 24))
    assert seen(filled) == held
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(filled) == [] and seen(filled) == held
    trim(left, START, START + 8)
    assert living_shot.look(filled) != []
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(filled) == []
    assert seen(filled) == pictures(*range(COUNT)) and shown(right)[0] == START + 8


def test_a_take_holds_the_first_frame_that_its_piece_holds(filled: Any) -> None:
    right = hold(plate(), 8)
    right.channel = 4
    trim(right, START + 4, START + COUNT)
    living_shot.look(filled)
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(filled) == []
    assert seen(filled) == pictures(*range(4), 8, 8, 8, 8, *range(8, 24))


def test_a_take_goes_on_with_its_piece_into_a_gap(filled: Any) -> None:
    """Its piece was lengthened, and its take was not."""
    left, out, right = pieces(8, 16)
    bpy.context.scene.sequence_editor.strips.remove(out)
    living_shot.look(filled)
    bpy.ops.portraitgen.update_from_strip()
    trim(left, START, START + 10)
    trim(right, START + 13, START + COUNT)
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(filled) == []
    assert ranges(filled) == [(START, START + 10), (START + 13, START + COUNT)]
    trim(sorted(takes(filled), key=shown)[0], START, START + 5)
    trim(left, START, START + 11)
    bpy.ops.portraitgen.update_from_strip()
    assert ranges(filled)[0] == (START, START + 5), "an end that the artist trimmed stays"


def test_a_piece_that_is_slipped_has_its_take_slipped(filled: Any) -> None:
    _, right = pieces(8)
    trim(right, START + 8, START + 20)
    living_shot.look(filled)
    bpy.ops.portraitgen.update_from_strip()
    move(right, -2)
    trim(right, START + 8, START + 20)
    assert any("was moved by -2 frames" in text for text in living_shot.look(filled))
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(filled) == []
    assert seen(filled) == pictures(*range(8), *range(10, 22))
    move(right, 3)
    trim(right, START + 8, START + 20)
    living_shot.look(filled)
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(filled) == []
    assert seen(filled) == pictures(*range(8), *range(7, 19)), "a frame is shown twice"


def test_a_cut_plate_that_was_moved_with_its_takes_keeps_them_as_they_are(filled: Any) -> None:
    """One take grew over the others, and their frames were seen twice."""
    every = [*pieces(8), *takes(filled)]
    living_shot.look(filled)
    bpy.context.scene.sequence_editor.strips.remove(every[1].split(START + 16, "SOFT"))
    bpy.ops.portraitgen.update_from_strip()
    whole = takes(filled)[0]
    whole.split(frame=START + 8, split_method="SOFT")
    living_shot.look(filled)
    bpy.ops.portraitgen.update_from_strip()
    found = module("portraitgen_addon.plate_strip").every_piece(filled, bpy.context.scene)
    for strip in [*found, *takes(filled)]:
        move(strip, 8)
    assert any("was moved by +8 frames" in text for text in living_shot.look(filled))
    bpy.ops.portraitgen.update_from_strip()
    assert living_shot.look(filled) == []
    assert ranges(filled) == [(START + 8, START + 16), (START + 16, START + 24)]


def slow(strip: Any) -> None:
    """Plays a strip at half its speed, as an artist has it play."""
    window, area = bpy.context.window, bpy.context.window.screen.areas[0]
    area.type = "SEQUENCE_EDITOR"
    if hasattr(window.workspace, "sequencer_scene"):
        window.workspace.sequencer_scene = bpy.context.scene
    module("portraitgen_addon.compat").select_alone(bpy.context.scene, strip)
    canvas = next(each for each in area.regions if each.type == "WINDOW")
    with bpy.context.temp_override(window=window, area=area, region=canvas):
        bpy.ops.sequencer.retiming_segment_speed_set(speed=50)


def test_a_piece_that_is_retimed_adds_no_frames_to_its_shot(filled: Any) -> None:
    """The shot went on beyond the last frame of its file."""
    _, right = pieces(8)
    living_shot.look(filled)
    slow(right)
    assert shown(right)[1] > START + COUNT
    told = living_shot.look(filled)
    assert any("is retimed" in text for text in told), told
    bpy.ops.portraitgen.update_from_strip()
    assert (filled.first, filled.last) == (FIRST, FIRST + 7)


def test_relink_plate_finds_pieces_that_were_moved_and_copies(
    filled: Any, media: SimpleNamespace, tmp_path: Path
) -> None:
    """They kept the place where the plate was."""
    from portraitgen.messages.shots import PlateRelinked

    ripple_delete(8, 16)
    living_shot.look(filled)
    bpy.ops.portraitgen.update_from_strip()
    shutil.copytree(media.plate.parent, tmp_path / "moved")
    new = tmp_path / "moved" / media.plate.name
    module("operators.plate")._relinked(filled.shot_id, PlateRelinked(str(new)))
    found = module("portraitgen_addon.plate_strip").every_piece(filled, bpy.context.scene)
    assert len(found) == 2
    assert {Path(bpy.path.abspath(each.directory)) for each in found} == {new.parent}
