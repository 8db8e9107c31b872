# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins in Blender: from a ray to a pin, from the backend's answer to keys above the track."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from conftest import CLIP, module, open_copy, plate_strip

START = 1001


@pytest.fixture
def tracked(tracked_clip: Path, until: Callable[..., None], tmp_path: Path) -> Any:
    scene = bpy.context.scene
    # The plate's own size, so that the rig shares its scene.
    scene.render.resolution_x = scene.render.resolution_y = 512
    plate_strip(scene)
    shot = open_copy(tracked_clip, CLIP, tmp_path / "shot", until)
    shot.first, shot.last = 5, 10
    scene.frame_set(START + 6)
    return shot


def ray_to(shot: Any, pixel: tuple[float, float]) -> tuple[Any, Any]:
    pins = module("portraitgen_addon.pins")
    origin = shot.camera.matrix_world.translation
    facts = pins.bundle_of(shot).camera
    return origin, (pins.world_of(shot, facts, pixel) - origin).normalized()


def test_a_dragged_pin_moves_the_body_and_is_keyed(
    tracked: Any, until: Callable[..., None], session: Any
) -> None:
    pins, rig = module("portraitgen_addon.pins"), module("portraitgen_addon.rig")
    shot, scene = tracked, bpy.context.scene
    parts, bundle = pins.parts_of(shot), pins.bundle_of(shot)
    frame = scene.frame_current - shot.offset
    pixel = (250.0, 215.0)
    origin, direction = ray_to(shot, pixel)
    assert pins.plate_pixel(shot, bundle.camera, direction) == pytest.approx(pixel, abs=1e-2)
    face, weights = pins.hit(shot.mesh, origin, direction)
    assert sum(weights) == pytest.approx(1, abs=1e-4)
    index = pins.add(shot, frame, face, weights, pixel)
    surface = pins.surface_of(shot, shot.pins[index])
    seen = pins.plate_pixel(shot, bundle.camera, surface - origin)
    assert seen == pytest.approx(pixel, abs=0.5)

    start = rig.read_now(parts, bundle, shot.offset)
    row = bundle.arrays["frames"].tolist().index(frame)
    assert np.abs(start.transl[0] - bundle.arrays["transl"][row]).max() < 1e-5
    shot.pins[index].target = (pixel[0] + 14, pixel[1] - 5)
    answers: list[Any] = []
    session.ask(pins.call_of(shot, frame, start), answers.append, pytest.fail)
    until(lambda: answers)
    wanted = pins.answer_of(answers[0], frame)
    rig.set_pose(parts, bundle, wanted)
    bpy.context.view_layer.update()
    put = rig.read_now(parts, bundle, shot.offset)
    assert np.abs(put.pose - wanted.pose).max() < 1e-5
    rig.insert_keys(parts, bundle, wanted, start, scene.frame_current)
    scene.frame_set(scene.frame_current)
    surface = pins.surface_of(shot, shot.pins[index])
    seen = pins.plate_pixel(shot, bundle.camera, surface - origin)
    # Blender loses turns of less than a thousandth of a radian in a combining layer.
    assert seen == pytest.approx(tuple(shot.pins[index].target), abs=0.5)
    again = rig.read_now(parts, bundle, shot.offset)
    assert np.abs(again.transl - wanted.transl).max() < 1e-5
    assert np.abs(again.pose - wanted.pose).max() < 1e-3
    assert module("portraitgen_addon.acting_layer").has_corrections(shot.armature)
    assert bpy.ops.portraitgen.pins_clear() == {"FINISHED"} and not len(shot.pins)


def test_a_ray_beside_the_body_is_refused(tracked: Any) -> None:
    pins = module("portraitgen_addon.pins")
    with pytest.raises(Exception, match="no body under the pin"):
        pins.hit(tracked.mesh, *ray_to(tracked, (10.0, 10.0)))


def test_a_locked_bone_stays_when_pins_pull(
    tracked: Any, until: Callable[..., None], session: Any
) -> None:
    pins, rig = module("portraitgen_addon.pins"), module("portraitgen_addon.rig")
    shot = tracked
    frame = bpy.context.scene.frame_current - shot.offset
    start = rig.read_now(pins.parts_of(shot), pins.bundle_of(shot), shot.offset)
    joints = pins.bundle_of(shot).joints
    for name in ("neck", "jaw"):
        shot.armature.pose.bones[name].lock_rotation = (True, True, True)
    for pixel, pull in (((250.0, 215.0), 12), ((250.0, 300.0), -12)):
        face, weights = pins.hit(shot.mesh, *ray_to(shot, pixel))
        pins.add(shot, frame, face, weights, (pixel[0] + pull, pixel[1]))
    answers: list[Any] = []
    session.ask(pins.call_of(shot, frame, start), answers.append, pytest.fail)
    until(lambda: answers)
    moved = np.abs(np.array(answers[0].pose) - start.pose[0]).max(1)
    assert moved[[joints.index("neck"), joints.index("jaw")]].max() < 1e-6 < moved.max()


def test_frames_follow_the_keyed_ones_into_a_new_version(
    tracked: Any, until: Callable[..., None]
) -> None:
    scene, shot = bpy.context.scene, tracked
    pins = module("portraitgen_addon.pins")
    assert not bpy.ops.portraitgen.resolve_range.poll()
    before = pins.bundle_of(shot).arrays

    def key(frame: int) -> None:
        scene.frame_set(frame)
        root = shot.armature.pose.bones["pelvis"]
        root.location.x += 0.05
        root.keyframe_insert("location")

    def moved() -> np.ndarray:
        arrays = pins.bundle_of(shot).arrays
        return np.linalg.norm(arrays["transl"] - before["transl"], axis=1) / 0.05

    # Footage frames 5 to 10 lie at START + 4 to START + 9.
    key(START + 6)
    scene.use_preview_range = True
    scene.frame_preview_start, scene.frame_preview_end = START + 7, START + 9
    with pytest.raises(RuntimeError, match="corrections outside frames 1008 to 1010"):
        bpy.ops.portraitgen.resolve_range()
    scene.frame_preview_start = START + 5
    bpy.ops.portraitgen.resolve_range()
    until(lambda: shot.track_version == 2)
    share = moved()
    assert share[[0, 2, 3, 5]] == pytest.approx([0, 1, 1, 1], abs=1e-3)
    assert 0.2 < share[1] < 0.8
    assert not module("portraitgen_addon.acting_layer").has_corrections(shot.armature)
    assert pins.bundle_of(shot).arrays["fixed"].tolist() == [
        False,
        False,
        True,
        False,
        False,
        False,
    ]

    scene.use_preview_range = False
    key(START + 8)
    bpy.ops.portraitgen.refine_from_here()
    until(lambda: shot.track_version == 3)
    assert moved() == pytest.approx([*share[:4], 2, 2], abs=1e-3)
