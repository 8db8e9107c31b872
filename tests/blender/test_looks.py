# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks in Blender: the library, learning, wearing, keys of the blend, and Live Look."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
import pytest
from conftest import CLIP, PYTHON, copy_shot, module

_PAIRS = """
import sys
from pathlib import Path
import cv2
clip, folder = cv2.VideoCapture(sys.argv[1]), Path(sys.argv[2])
for part in ("before", "after"):
    (folder / part).mkdir(parents=True)
for number in range(3):
    found, frame = clip.read()
    small = cv2.resize(frame, (192, 192))
    cv2.imwrite(str(folder / "before" / f"{number}.png"), small)
    cv2.imwrite(str(folder / "after" / f"{number}.png"), small // 2)
"""


@pytest.fixture(scope="session")
def tracked(tracked_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tracked shot and with pairs to learn from."""
    folder = tmp_path_factory.mktemp("looks")
    copy_shot(tracked_clip, CLIP, folder / "shot")
    making = ["-c", _PAIRS, str(CLIP), str(folder / "pairs")]
    subprocess.run([str(PYTHON), *making], check=True)
    return folder


@pytest.fixture
def shot(tracked: Path, session: Any, until: Callable[..., None]) -> Iterator[Any]:
    """The tracked shot, and a library of looks of its own."""
    folder = str(tracked / "looks")
    module("portraitgen_addon.preferences").get().looks_folder = folder
    if os.environ.get("PORTRAITGEN_LOOKS") != folder:
        session.end()
    if session.state != "ready":
        bpy.ops.portraitgen.check_setup()
    until(lambda: session.state == "ready" and not session.doing)
    bpy.ops.portraitgen.open_shot(directory=str(tracked / "shot"))
    opened = bpy.context.scene.portraitgen.shots[0]
    opened.first, opened.last = 5, 10
    yield opened
    module("portraitgen_addon.look_library").Live.stop()
    module("portraitgen_addon.preferences").get().looks_folder = ""


@pytest.fixture
def learned(shot: Any, tracked: Path, session: Any, until: Callable[..., None]) -> Any:
    """A look that pairs taught in a second."""
    library = module("portraitgen_addon.look_library").Library
    if library.rows:
        return library.rows[0]
    bpy.ops.portraitgen.take_add(editor="grade")
    asked = {"name": "first", "seconds": 1.0, "pairs": str(tracked / "pairs")}
    assert bpy.ops.portraitgen.learn_look(**asked) == {"FINISHED"}
    until(lambda: not session.busy)
    assert session.job.state == "done", session.job.message
    until(lambda: library.rows)
    return library.rows[0]


def test_pairs_teach_a_look_that_the_library_lists_and_a_take_wears(
    shot: Any, session: Any, learned: Any
) -> None:
    assert learned.name == "first" and learned.pairs >= 1 and not learned.error
    assert Path(learned.thumbnail).exists() and session.job.preview
    assert session.job.kind == "look" and session.job.state == "done"
    bpy.ops.portraitgen.take_add(editor="relight")
    assert bpy.ops.portraitgen.wear_look(path=learned.path) == {"FINISHED"}
    told = json.loads(
        module("portraitgen_addon.take_settings").settings_of(shot.take)["editor_options"]
    )
    assert shot.take.editor == "look" and told["look"] == learned.path


def test_keys_of_the_blend_go_to_the_backend_by_the_plates_frames(shot: Any) -> None:
    bpy.ops.portraitgen.take_add(editor="look")
    group = shot.take.options_look
    options = module("portraitgen_addon.take_settings").editor_options
    assert options(shot.take)["mix_keys"] == ""
    for frame, share in ((shot.first, 0.0), (shot.last, 1.0)):
        group.mix = share
        assert group.keyframe_insert("mix", frame=frame + shot.offset)
    keys = dict(each.split(":") for each in options(shot.take)["mix_keys"].split(","))
    assert float(keys[str(shot.first)]) == 0 and float(keys[str(shot.last)]) == 1


def test_live_look_shows_the_frame_that_is_scrubbed_to_without_a_take_being_edited(
    shot: Any, learned: Any, until: Callable[..., None]
) -> None:
    live = module("portraitgen_addon.look_library").Live
    bpy.ops.portraitgen.take_add(editor="look")
    bpy.ops.portraitgen.wear_look(path=learned.path)
    bpy.context.scene.frame_set(shot.first + shot.offset)
    assert bpy.ops.portraitgen.live_look() == {"FINISHED"} and live.on()

    def shown(frame: int) -> Callable[[], bool]:
        def met() -> bool:
            live.look_again()
            return bool(not live._waiting and live._asked and live._asked.frame == frame)

        return met

    until(shown(shot.first))
    assert not live.error and live.path
    image = bpy.data.images["Live Look"]
    before = list(image.pixels)
    # After a rest the first change is asked for at once, the next as it stands still.
    time.sleep(0.35)
    bpy.context.scene.frame_set(shot.first + 3 + shot.offset)
    live.look_again()
    assert live._waiting and live._asked.frame == shot.first + 3
    until(shown(shot.first + 3))
    assert not live.error
    until(lambda: list(image.pixels) != before)
    assert live.milliseconds > 0
    assert bpy.ops.portraitgen.live_look() == {"FINISHED"} and not live.on()


def test_a_look_that_cannot_be_used_is_told_in_the_panel(
    shot: Any, until: Callable[..., None]
) -> None:
    live = module("portraitgen_addon.look_library").Live
    bpy.ops.portraitgen.take_add(editor="look")
    bpy.ops.portraitgen.wear_look(path="nowhere.safetensors")
    assert bpy.ops.portraitgen.live_look() == {"FINISHED"}
    until(lambda: live.look_again() or live.error)
    assert "no such look" in live.error


def test_live_look_follows_a_look_that_is_learned_anew_and_one_that_comes_back(
    shot: Any, learned: Any, until: Callable[..., None]
) -> None:
    live = module("portraitgen_addon.look_library").Live
    path = Path(learned.path)
    kept = path.read_bytes()
    bpy.ops.portraitgen.take_add(editor="look")
    bpy.ops.portraitgen.wear_look(path=str(path))
    bpy.context.scene.frame_set(shot.first + shot.offset)
    assert bpy.ops.portraitgen.live_look() == {"FINISHED"}

    def rests() -> bool:
        live.look_again()
        return bool(not live._waiting and live._asked)

    until(rests)
    try:
        path.unlink()
        until(lambda: live.look_again() or live.error)
        assert "no such look" in live.error
        # Shown anew before the files are looked at again, the same file goes once more.
        live.stop()
        path.write_bytes(kept)
        live._stamped = time.monotonic()
        assert bpy.ops.portraitgen.live_look() == {"FINISHED"}
        until(lambda: rests() and not live.error)
        path.unlink()
        until(lambda: live.look_again() or live.error)
    finally:
        path.write_bytes(kept)
    until(lambda: live.look_again() or not live.error)


def test_a_look_is_named_by_a_name(shot: Any) -> None:
    bpy.ops.portraitgen.take_add(editor="grade")
    with pytest.raises(RuntimeError, match="not a path"):
        bpy.ops.portraitgen.learn_look(name="other/place", seconds=1.0)


def test_a_panel_keeps_the_pictures_of_a_large_library(tmp_path: Path) -> None:
    thumbnails = module("ui.thumbnails")
    paths = [tmp_path / f"{number}.png" for number in range(120)]
    image = bpy.data.images.new("thumbnail", 8, 4)
    image.filepath_raw, image.file_format = str(paths[0]), "PNG"
    image.save()
    for path in paths[1:]:
        path.write_bytes(paths[0].read_bytes())
    # One that is freed while its panel is drawn would be drawn as nothing.
    for path in paths:
        thumbnails.icon(str(path))
    kept = {key: each for key, each in thumbnails._collection.items() if str(tmp_path) in key}
    assert len(kept) == len(paths)
    for path in paths:
        thumbnails.icon(str(path))
    assert all(thumbnails._collection[key] is each for key, each in kept.items())
    # What a file showed before it changed is freed at once: Live Look writes one many times.
    os.utime(paths[0], (1e9, 1e9))
    module("portraitgen_addon.file_marks").forget(paths[0])
    thumbnails.icon(str(paths[0]))
    of_first = [key for key in thumbnails._collection if key.startswith(f"{paths[0]} ")]
    assert len(of_first) == 1


def test_a_file_that_is_no_look_is_shown_with_why(
    shot: Any, learned: Any, tracked: Path, until: Callable[..., None]
) -> None:
    library = module("portraitgen_addon.look_library").Library
    short = tracked / "looks" / "short.safetensors"
    short.write_bytes(Path(learned.path).read_bytes()[:5000])
    assert bpy.ops.portraitgen.list_looks() == {"FINISHED"}
    try:
        until(lambda: any(row.name == "short" for row in library.rows))
        told: list[str] = []

        class Layout:
            """Takes all that is drawn and keeps its words."""

            def __getattr__(self, name: str) -> Callable[..., Any]:
                def call(*given: Any, **words: Any) -> Any:
                    told.append(str(words.get("text", "")))
                    return (self, self) if name == "panel" else self

                return call

        bpy.ops.portraitgen.take_add(editor="grade")
        module("ui.looks").draw_looks(Layout(), shot, shot.take)
        assert any("short" in each for each in told) and "cut short" in " ".join(told)
    finally:
        short.unlink()
