# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a strip to the first edited frame; and what panels say, and in which words."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from conftest import module, plate_strip

START = 1001


def picture_of(image: Any) -> np.ndarray:
    pixels = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(image.size[1], image.size[0], 4)


def test_four_clicks_from_the_strip_to_an_edited_frame(
    until: Callable[..., None], session: Any, tmp_path: Path
) -> None:
    """New Shot, its dialog's OK, Track, Try: no avatar, and no take to be added first."""
    scene = bpy.context.scene
    scene.render.resolution_x = scene.render.resolution_y = 512
    plate_strip(scene)
    bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "shot"))
    until(lambda: len(scene.portraitgen.shots))
    shot = scene.portraitgen.shots[0]
    shot.first, shot.last = 5, 8
    assert not bpy.ops.portraitgen.try_frame.poll(), "nothing is tracked"
    bpy.ops.portraitgen.track()
    until(lambda: not session.busy)
    until(lambda: shot.has_rig and not session.doing)
    assert session.job.share == 1 and session.job.left_s is None
    scene.frame_set(START + 5)
    assert bpy.ops.portraitgen.try_frame() == {"FINISHED"}
    until(lambda: shot.take is not None and shot.take.preview)
    image = bpy.data.images[shot.take.preview]
    plate = module("portraitgen_addon.picture_view").plate_of(image)
    assert tuple(image.size) == tuple(plate.size) == (512, 512), "the whole plate, at its size"
    change = np.abs(picture_of(image) - picture_of(plate)).max(-1)
    assert change.max() > 0.1 and (change == 0).mean() > 0.3
    assert image.portraitgen_wipe == 0.5
    # An image that nothing uses is not saved.
    assert plate.use_fake_user
    # Another take that is tried on the frame leaves this one's picture alone.
    before = picture_of(image)
    bpy.ops.portraitgen.take_add(editor="toon")
    bpy.ops.portraitgen.try_frame()
    until(lambda: scene.portraitgen.shots[0].take.preview)
    image.reload()
    assert np.array_equal(picture_of(image), before)
    shot = scene.portraitgen.shots[0]
    shot.active_take = 0

    # A mask that is given out and not painted is left out, which is said; and it can be removed.
    bpy.ops.portraitgen.paint_frame(mask=True)
    until(lambda: not session.doing)
    folder = module("operators.paint").mask_folder(shot)
    assert (folder / "0006.png").exists()
    bpy.ops.portraitgen.try_frame()
    until(lambda: session.tried)
    assert session.tried[0].startswith("The mask of frame 6 has no paint yet")
    until(lambda: not session.doing)
    assert bpy.ops.portraitgen.remove_mask() == {"FINISHED"}
    assert not folder.exists() and list((shot.path / "trash").glob("relight-mask-*/0006.png"))
    shot = scene.portraitgen.shots[0]

    # An editor that repaints the avatar needs one, and the button says so.
    shot.take.editor = "ic_light"
    assert not bpy.ops.portraitgen.try_frame.poll()
    with pytest.raises(RuntimeError, match="Reconstruct the avatar first"):
        bpy.ops.portraitgen.try_frame()
    shot.take.editor = "toon"
    assert bpy.ops.portraitgen.try_frame.poll()

    # What the backend takes as text, the panel has as boxes and menus.
    settings = shot.take.settings_edit
    settings.parts = {"skin", "hair"}
    settings_of = module("portraitgen_addon.take_settings").settings_of
    assert settings_of(shot.take)["parts"] == "hair,skin"
    module("portraitgen_addon.take_settings").restore_settings(
        shot.take, {"editor": "toon", "parts": "lips,eyes"}
    )
    assert settings.parts == {"lips", "eyes"}
    bpy.ops.portraitgen.take_duplicate()
    shot = scene.portraitgen.shots[0]
    assert shot.take.settings_edit.parts == {"lips", "eyes"}
    bpy.ops.portraitgen.take_base(base=shot.takes[0].folder_name)
    assert settings_of(shot.take)["base"] == shot.takes[0].folder_name
    assert not bpy.ops.portraitgen.try_frame.poll(), "it builds on what an avatar learns"


def row(frame: int, residual: float | None, state: str = "tracked") -> Any:
    return SimpleNamespace(
        frame=frame, state=state, confidence=0.5, landmark_residual_percent=residual
    )


def test_only_what_is_weak_is_marked_and_the_scene_keeps_its_markers() -> None:
    marks = module("portraitgen_addon.frame_marks")
    assert marks.weak_frames([row(frame, 0.8 + 0.02 * frame) for frame in range(32)]) == []
    rows = [row(1, 1.0), row(2, 1.8), row(3, 2.4), row(4, 1.6), row(5, 1.0)]
    rows += [row(6, None, "lost"), row(7, None, "lost"), row(8, 1.1), row(9, 1.2, "weak")]
    found = marks.weak_frames(rows)
    assert [frame for frame, _, _ in found] == [3, 6, 9]
    assert found[0][2] == "residual 2.4 %" and found[1][1] == "lost"

    scene = bpy.context.scene
    shot = scene.portraitgen.shots.add()
    shot.offset = 1000
    marks.fill(shot, rows, [5, 8])
    assert len(shot.marks) == 5 and not scene.timeline_markers
    assert marks.step(shot, 3, backwards=False) == 6 and marks.step(shot, 3, True) == 9
    drawn = marks.shown([shot], lambda frame: 2.0 * frame)
    assert (2006.0, "weak") in drawn and (2010.0, "pivot") in drawn
    shot.show_marks = False
    assert not marks.shown([shot], float)
    shot.active_mark = 1
    assert scene.frame_current == 1005


def test_sentences_are_wrapped_to_the_room_there_is() -> None:
    text = module("ui.text")
    sentence = "The performer was not seen in frames 12 to 40, so these stand as they usually do."
    for width in (20, 46, 90):
        lines = text.wrapped(sentence, width, len)
        assert " ".join(lines) == sentence and max(map(len, lines)) <= width
        assert len(lines) == 1 or len(lines[0]) + len(lines[1].split()[0]) + 1 > width
    assert text.wrapped("/a/" + "x" * 50 + " b", 20, len)[-1].endswith("b")
    assert text.wrapped("", 20, len) == []


def test_a_report_is_no_line_across_the_whole_screen() -> None:
    reported = module("operators.base").reported
    sentence = "clip: the movie runs at 29.97 frames a second, the scene at 24; " * 4
    lines = reported(sentence, True).splitlines()
    assert len(lines) > 1 and max(map(len, lines)) <= 89
    # The status bar shows it without the line ends.
    assert "".join(lines) == sentence.strip()
    assert reported(sentence, False) == sentence, "a script's message is one line"


def test_panels_speak_blenders_words() -> None:
    words = module("ui.text").blender_words
    assert words("the shot has no track yet; run track first").endswith("press Track first")
    text = "Frames rendered in parts have no movie yet; `portraitgen movie` makes it."
    assert "portraitgen" not in words(text)
    assert words("find it again by `portraitgen relink`.") == "find it again by Relink Plate."
    fetch = words("`portraitgen models fetch vgg16` gets them.")
    assert fetch == "List Models, in the preferences, gets them."
    assert "--" not in words("track each part by itself, such as --frames 10-20")


def test_without_a_window_a_picture_opens_nowhere(empty: None) -> None:
    assert bpy.context.window_manager.windows, "as `blender -b` has one"
    image = bpy.data.images.new("tried", 8, 8)
    module("portraitgen_addon.picture_view").show(image)
    assert len(bpy.context.window_manager.windows) == 1


@pytest.mark.skipif(bpy.app.version < (5, 0, 0), reason="the sequencer shows the window's scene")
def test_a_button_in_the_sequencer_is_of_the_frame_that_the_sequencer_shows() -> None:
    """With a rig in a scene of its own it was of that scene's frame, which nobody looked at."""
    shot_time = module("portraitgen_addon.shot_time")
    edit, rig = bpy.context.scene, bpy.data.scenes.new("rig")
    edit.frame_set(140)
    rig.frame_set(173)
    shot = SimpleNamespace(offset=100, first=31, last=60)

    def frame(kind: str) -> int:
        workspace, space = SimpleNamespace(sequencer_scene=edit), SimpleNamespace(type=kind)
        context = SimpleNamespace(scene=rig, workspace=workspace, space_data=space)
        return int(shot_time.frame_at_hand(context, shot))

    assert frame("SEQUENCE_EDITOR") == 40
    assert frame("VIEW_3D") == 60, "the shot's last, since 73 lies behind it"
    edit.frame_set(3)
    assert frame("SEQUENCE_EDITOR") == 31
