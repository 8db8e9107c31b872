# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an edit does to a plate, in random order: rig, plate and strips agree after each step.

PORTRAITGEN_STEPS says how many steps; 300 take about a minute. PORTRAITGEN_SEED says which.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import living_shot
import numpy as np
import pytest
from conftest import module, shown, trim
from test_rig import made

__all__ = ["made"]

STEPS = int(os.environ.get("PORTRAITGEN_STEPS", "24"))
SEED = int(os.environ.get("PORTRAITGEN_SEED", "22"))
FIRST, COUNT = living_shot.FIRST, living_shot.COUNT
KEYED = FIRST + 7


def scene() -> Any:
    return bpy.context.scene


def shot() -> Any:
    return scene().portraitgen.shots[0]


def plate() -> Any:
    return module("portraitgen_addon.strip_sync").plate_of(shot()).strip


def give_rig(made_: Path) -> None:
    """A rig of the plate's frames, with a correction, behind it the plate, and markers."""
    rig, camera = module("portraitgen_addon.rig"), module("portraitgen_addon.camera")
    bundle = rig.RigData.load(made_ / "rig.safetensors")
    whole = len(bundle.arrays["frames"])
    arrays = {
        name: each[:COUNT] if len(each) == whole else each for name, each in bundle.arrays.items()
    }
    arrays["frames"] = np.arange(FIRST, FIRST + COUNT)
    holder = camera.make("plate camera")
    scene().collection.objects.link(holder)
    built = rig.build(
        "shot", replace(bundle, arrays=arrays), holder, scene().collection, shot().offset
    )
    footage = module("portraitgen_addon.shot_summary").summary_of(shot().path).footage
    path = module("portraitgen_addon.plate_strip").file_of(plate())
    camera.show_plate(holder, path, footage, "", shot().offset)
    one = shot()
    one.camera, one.armature, one.mesh = built.camera, built.armature, built.mesh
    compat = module("portraitgen_addon.compat")
    compat.insert_key(
        built.armature.animation_data,
        'pose.bones["head"].location',
        0,
        KEYED + one.offset,
        0.1,
    )
    scene().timeline_markers.new("PortraitGen: 1.0 %", frame=KEYED + one.offset)
    one.takes.add().folder_name = "take"
    one.takes[0].mix = 0.5
    one.takes[0].keyframe_insert("mix", frame=KEYED + one.offset)


def check() -> None:
    """That everything lies where the strip says, read from keys and strips themselves."""
    one, strip = shot(), plate()
    found = module("portraitgen_addon.plate_strip").footage_of(strip, scene())
    assert (one.first, one.last, one.offset) == (found.first, found.last, found.offset)
    offset = found.offset
    data, compat = one.armature.animation_data, module("portraitgen_addon.compat")
    tracked = data.nla_tracks["Tracked"].strips[0]
    assert tuple(tracked.action.frame_range) == (FIRST + offset, FIRST + COUNT - 1 + offset)
    assert tracked.frame_start == tracked.action_frame_start == FIRST + offset
    keys = [key.co.x for curve in compat.own_curves(one.armature) for key in curve.keyframe_points]
    assert keys == [KEYED + offset]
    mixed = [curve for curve in compat.own_curves(scene()) if curve.data_path.endswith(".mix")]
    assert [key.co.x for key in mixed[0].keyframe_points] == [KEYED + offset]
    background = one.camera.data.background_images[0]
    assert background.image_user.frame_start == FIRST + offset
    assert Path(bpy.path.abspath(background.image.filepath)).parent == found.path.parent
    assert scene().timeline_markers[0].frame == KEYED + offset
    takes = module("portraitgen_addon.sequencer").all_take_strips(scene(), one.shot_id)
    assert len(takes) == 1 and compat.content_start(takes[0]) == FIRST + offset
    assert shown(takes[0]) == (found.first + offset, found.last + offset + 1)
    layout = module("portraitgen_addon.take_layout")
    assert layout.look_of(takes[0])[:3] == layout.look_of(strip)[:3]
    at = tracked.action_frame_start + KEYED - FIRST
    scene().frame_set(int(at))
    assert not module("portraitgen_addon.shot_time").disagreements(one)


class Edit:
    """The steps; each does one thing of an editor's, and names it."""

    def __init__(self, rng: np.random.Generator, folder: Path) -> None:
        self.rng, self.folder = rng, folder
        self.moves = self.undone = 0

    def by(self, reach: int) -> int:
        return int(self.rng.integers(-reach, reach + 1))

    def ripple(self) -> None:
        compat, strip = module("portraitgen_addon.compat"), plate()
        compat.move_content(strip, compat.content_start(strip) + self.by(60))

    def slip(self) -> None:
        compat, strip = module("portraitgen_addon.compat"), plate()
        begin, end = shown(strip)
        start = compat.content_start(strip)
        by = int(np.clip(self.by(6), end - start - COUNT, begin - start))
        compat.move_content(strip, start + by)
        trim(strip, begin, end)

    def cut(self) -> None:
        start = module("portraitgen_addon.compat").content_start(plate())
        first = int(self.rng.integers(0, 8))
        trim(plate(), start + first, start + int(self.rng.integers(first + 4, COUNT + 1)))

    def transform(self) -> None:
        move = plate().transform
        move.scale_x = move.scale_y = self.rng.uniform(0.3, 2)
        move.rotation, move.offset_x = self.rng.uniform(-1, 1), self.rng.uniform(-20, 20)
        plate().blend_alpha = float(self.rng.choice([1.0, 0.5]))

    def rate(self) -> None:
        scene().render.fps = int(self.rng.choice([24, 25, 30]))

    def reload(self) -> None:
        path = self.folder / "edit.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(path), relative_remap=True)
        bpy.ops.wm.open_mainfile(filepath=str(path))

    def undo(self) -> None:
        """Moves, follows, and takes both back."""
        bpy.ops.ed.undo_push(message="before")
        before = shot().offset
        self.ripple()
        bpy.ops.ed.undo_push(message="ripple")
        living_shot.look(shot())
        bpy.ops.portraitgen.update_from_strip()
        bpy.ops.ed.undo_push(message="update")
        bpy.ops.ed.undo()
        bpy.ops.ed.undo()
        assert shot().offset == before
        self.undone += 1

    def relink(self) -> None:
        """The plate goes to another folder; how the backend finds it is a test of its own."""
        from portraitgen.messages.shots import PlateRelinked
        from portraitgen.shot import Shot

        old = module("portraitgen_addon.plate_strip").file_of(plate()).parent
        self.moves += 1
        new = self.folder / f"plates {self.moves}"
        shutil.move(old, new)
        module("portraitgen_addon.shot_summary").forget_summaries()
        assert any("missing" in text for text in living_shot.look(shot()))
        opened, first = Shot.open(shot().path), new / f"plate.{FIRST}.png"
        opened.update(footage=replace(opened.record.footage, path=opened.relative(first)))
        module("operators.plate")._relinked(shot().shot_id, PlateRelinked(str(first)))


def test_rig_plate_and_strips_agree_after_each_step(made: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(SEED)
    path = living_shot.pictures(tmp_path / "plates 0", "plate")
    take = living_shot.pictures(tmp_path / "taken", "take")
    living_shot.make(scene(), tmp_path / "shot", path)
    give_rig(made)
    living_shot.show_take(scene(), shot(), take)
    edit = Edit(rng, tmp_path)
    steps = (
        edit.ripple,
        edit.slip,
        edit.cut,
        edit.transform,
        edit.rate,
        edit.reload,
        edit.undo,
        edit.relink,
    )
    done: dict[str, int] = {}
    for _ in range(STEPS):
        step = steps[rng.integers(len(steps))]
        done[step.__name__] = done.get(step.__name__, 0) + 1
        known = (shot().first, shot().last, shot().offset, shot().strip_rate)
        step()
        told = living_shot.look(shot())
        found = module("portraitgen_addon.plate_strip").footage_of(plate(), scene())
        now = (found.first, found.last, found.offset, f"{found.fps[0]}/{found.fps[1]}")
        assert bool(told) == (now != known) or step == edit.undo, (step.__name__, told, known, now)
        assert bpy.ops.portraitgen.update_from_strip() == {"FINISHED"}
        assert living_shot.look(shot()) == [], step.__name__
        check()
    print(f"{STEPS} steps: {done}, {edit.undone} undone")


@pytest.mark.parametrize("moved", [False, True])
def test_send_to_shot_refuses_where_rig_and_strip_disagree(
    moved: bool, made: Path, tmp_path: Path
) -> None:
    path = living_shot.pictures(tmp_path / "plates 0", "plate")
    living_shot.make(scene(), tmp_path / "shot", path)
    give_rig(made)
    sync = module("portraitgen_addon.strip_sync")
    sync.check_in_line(shot())
    if moved:
        compat = module("portraitgen_addon.compat")
        compat.move_content(plate(), compat.content_start(plate()) + 5)
        sentence = "was moved by \\+5 frames since"
    else:
        shot().armature.animation_data.nla_tracks["Tracked"].strips[0].frame_start_ui += 3
        sentence = "moved in the NLA editor"
    with pytest.raises(RuntimeError, match=sentence):
        bpy.ops.portraitgen.send_to_shot()


def test_layers_of_acting_move_with_the_plate(made: Path, tmp_path: Path) -> None:
    path = living_shot.pictures(tmp_path / "plates 0", "plate")
    living_shot.make(scene(), tmp_path / "shot", path)
    give_rig(made)
    acting, pins = module("portraitgen_addon.acting_layer"), module("portraitgen_addon.pins")
    compat = module("portraitgen_addon.compat")
    parts = pins.parts_of(shot())
    for name in ("sad", "glad"):
        acting.act(parts, "shot", name)
        data = shot().armature.animation_data
        compat.insert_key(data, 'pose.bones["head"].location', 1, KEYED + shot().offset, 0.2)
    compat.move_content(plate(), compat.content_start(plate()) + 100)
    bpy.ops.portraitgen.update_from_strip()
    wanted = KEYED + shot().offset
    for action in acting.actions_of(shot().armature):
        curves = compat.curves(action, action.slots[0])
        assert [key.co.x for each in curves for key in each.keyframe_points] == [wanted], action
    for track in shot().armature.animation_data.nla_tracks:
        for strip in track.strips:
            assert strip.frame_start == strip.action_frame_start, track.name
    acting.correct(parts)
    acting.act(parts, "shot", "sad")
    assert acting.acting_take(shot().armature) == "sad"


def test_a_scene_of_the_rig_shows_the_shot_again_after_it_lay_before_frame_0(
    made: Path, tmp_path: Path
) -> None:
    """Blender lets no scene begin before frame 0; what it cut off stayed cut off."""
    path = living_shot.pictures(tmp_path / "plates 0", "plate")
    living_shot.make(scene(), tmp_path / "shot", path)
    give_rig(made)
    own = bpy.data.scenes.new("rig")
    own.collection.objects.link(shot().armature)
    own.frame_start, own.frame_end = FIRST + shot().offset, FIRST + COUNT - 1 + shot().offset
    compat = module("portraitgen_addon.compat")
    home = compat.content_start(plate())
    for start in (-10, -5 * COUNT, 3, home):
        compat.move_content(plate(), start)
        bpy.ops.portraitgen.update_from_strip()
        shown_frames = (own.frame_start, own.frame_end)
        assert shown_frames == (max(start, 0), max(start + COUNT - 1, 0)), start
    own.frame_start += 5
    compat.move_content(plate(), home + 7)
    bpy.ops.portraitgen.update_from_strip()
    assert own.frame_start == home + 12, "the artist's own range goes along"


def test_a_plate_that_is_lost_behind_the_rig_is_told_and_relinked(
    made: Path, tmp_path: Path
) -> None:
    """As after an undo to before the file was saved elsewhere, which breaks relative paths."""
    from portraitgen.messages.shots import PlateRelinked

    path = living_shot.pictures(tmp_path / "plates 0", "plate")
    living_shot.make(scene(), tmp_path / "shot", path)
    give_rig(made)
    assert living_shot.look(shot()) == []
    (background,) = shot().camera.data.background_images
    background.image.filepath = str(tmp_path / "nowhere" / path.name)
    watch = module("portraitgen_addon.edit_watch")
    assert living_shot.look(shot()) == [f"The plate behind the rig is missing: {path.name}"]
    assert watch.notices(shot())[0].operator == "portraitgen.relink_plate"
    module("operators.plate")._relinked(shot().shot_id, PlateRelinked(str(path)))
    assert living_shot.look(shot()) == []
    assert Path(bpy.path.abspath(background.image.filepath)) == path
