# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins in Blender: from a ray to a pin, from the backend's answer to keys above the track."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from conftest import module, plate_strip

START = 1001


@pytest.fixture
def tracked(until: Callable[..., None], tmp_path: Path) -> Any:
    scene = bpy.context.scene
    # The plate's own size, so that the rig shares its scene.
    scene.render.resolution_x = scene.render.resolution_y = 512
    plate_strip(scene)
    bpy.ops.portraitgen.new_shot(folder=str(tmp_path / "shot"))
    until(lambda: len(scene.portraitgen.shots))
    shot = scene.portraitgen.shots[0]
    shot.first, shot.last = 5, 10
    session = module("portraitgen_addon.session").session
    bpy.ops.portraitgen.track()
    until(lambda: not session.busy, 120)
    until(lambda: shot.has_rig)
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
    answers: list[dict[str, Any]] = []
    asked = pins.request(shot, frame, start)
    session.ask("track.solve_pins", asked, answers.append, pytest.fail)
    until(lambda: answers)
    wanted = pins.answer_of(answers[0], frame)
    rig.put(parts, bundle, wanted)
    bpy.context.view_layer.update()
    put = rig.read_now(parts, bundle, shot.offset)
    assert np.abs(put.pose - wanted.pose).max() < 1e-5
    rig.key(parts, bundle, wanted, start, scene.frame_current)
    scene.frame_set(scene.frame_current)
    surface = pins.surface_of(shot, shot.pins[index])
    seen = pins.plate_pixel(shot, bundle.camera, surface - origin)
    # Blender loses turns of less than a thousandth of a radian in a combining layer.
    assert seen == pytest.approx(tuple(shot.pins[index].target), abs=0.5)
    again = rig.read_now(parts, bundle, shot.offset)
    assert np.abs(again.transl - wanted.transl).max() < 1e-5
    assert np.abs(again.pose - wanted.pose).max() < 1e-3
    assert rig.has_corrections(shot.armature)
    assert bpy.ops.portraitgen.pins_clear() == {"FINISHED"} and not len(shot.pins)


def test_a_ray_beside_the_body_is_refused(tracked: Any) -> None:
    pins = module("portraitgen_addon.pins")
    with pytest.raises(Exception, match="no body under the pin"):
        pins.hit(tracked.mesh, *ray_to(tracked, (10.0, 10.0)))
