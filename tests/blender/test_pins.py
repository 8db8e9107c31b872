# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins in Blender: from a ray to a pin, from the backend's answer to keys above the track."""

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
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


class Hand:
    """A hand that drags by the pin tool: the operator's own steps, with events made by hand."""

    def __init__(self, shot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tool = module("operators.pins")
        self.shot, self.told, self.status = shot, [], []
        own = vars(self.tool.PORTRAITGEN_OT_pin)
        self.drag = type("Drag", (), {name: own[name] for name in own if callable(own[name])})()
        self.drag.report = lambda kind, text: self.told.append((*kind, text))
        self.drag._ray = lambda context, event: ray_to(shot, event.pixel)
        monkeypatch.setattr(self.tool, "_not_over_plate", lambda context: "")
        monkeypatch.setattr(self.tool, "_nearest", lambda *given: None)
        self.context = SimpleNamespace(
            scene=bpy.context.scene,
            area=SimpleNamespace(tag_redraw=lambda: None),
            window=None,
            workspace=SimpleNamespace(status_text_set=self.status.append, sequencer_scene=None),
            window_manager=SimpleNamespace(
                event_timer_add=lambda *given, **more: None,
                event_timer_remove=lambda timer: None,
                modal_handler_add=lambda operator: None,
            ),
        )

    def does(self, kind: str, pixel: tuple[float, float], value: str = "PRESS") -> set[str]:
        x, y = (round(each) for each in pixel)
        event = SimpleNamespace(
            type=kind, value=value, pixel=pixel, mouse_region_x=x, mouse_region_y=y
        )
        step = self.drag.modal if self.status else self.drag.invoke
        found: set[str] = step(self.context, event)
        return found

    def waits(self, pixel: tuple[float, float]) -> set[str]:
        """Until the drag has ended."""
        for _ in range(60_000):
            if (found := self.does("TIMER", pixel)) != {"RUNNING_MODAL"}:
                return found
            time.sleep(0.01)
        raise AssertionError("the drag did not end")


@pytest.fixture
def hand(tracked: Any, monkeypatch: pytest.MonkeyPatch) -> Hand:
    return Hand(tracked, monkeypatch)


NOSE = (250.0, 215.0)


def corrected(shot: Any) -> bool:
    return bool(module("portraitgen_addon.acting_layer").has_corrections(shot.armature))


def test_a_click_that_drags_nothing_keys_nothing_and_says_so(hand: Hand) -> None:
    """A fast drag in a slow window came as such a click, and nothing was said; Blender also tells
    where a mouse is that has not moved, which keyed the rounding of an answer."""
    assert hand.does("LEFTMOUSE", NOSE) == {"RUNNING_MODAL"}
    hand.does("MOUSEMOVE", NOSE)
    assert hand.does("LEFTMOUSE", NOSE, "RELEASE") == {"FINISHED"}
    assert len(hand.shot.pins) == 1 and not corrected(hand.shot)
    assert hand.told == [("INFO", "The pin holds this point of the body; drag it to move the body")]


def test_a_drag_moves_the_body_without_a_word(hand: Hand) -> None:
    hand.does("LEFTMOUSE", NOSE)
    place = (NOSE[0] + 12, NOSE[1])
    hand.does("MOUSEMOVE", place)
    hand.does("LEFTMOUSE", place, "RELEASE")
    assert hand.waits(place) == {"FINISHED"}
    assert corrected(hand.shot) and not hand.told


def test_a_drag_that_locked_bones_hold_says_so(hand: Hand) -> None:
    for bone in hand.shot.armature.pose.bones:
        bone.lock_rotation = bone.lock_location = (True, True, True)
    hand.does("LEFTMOUSE", NOSE)
    place = (NOSE[0] + 60, NOSE[1])
    hand.does("MOUSEMOVE", place)
    hand.does("LEFTMOUSE", place, "RELEASE")
    hand.waits(place)
    (kind, text) = hand.told[0]
    assert kind == "WARNING" and "locked bones" in text


def test_a_drag_that_the_backend_cannot_answer_is_taken_back_and_told(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended as if nothing had been done; the reason stood in a panel, if one was open."""
    session = hand.tool.session
    monkeypatch.setattr(
        session, "ask", lambda call, result, error: error(hand.tool.PortraitError("it has died"))
    )
    hand.does("LEFTMOUSE", NOSE)
    hand.does("MOUSEMOVE", (NOSE[0] + 12, NOSE[1]))
    assert hand.waits(NOSE) == {"CANCELLED"}
    assert hand.told == [("ERROR", "it has died.")] and not len(hand.shot.pins)
    assert not corrected(hand.shot)


def test_a_drag_says_that_it_waits_for_the_backend(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stood still, with a hint that said to drag, for as long as the backend was busy."""
    monkeypatch.setattr(hand.tool.session, "ask", lambda *given: None)
    hand.does("LEFTMOUSE", NOSE)
    hand.does("MOUSEMOVE", (NOSE[0] + 12, NOSE[1]))
    end = time.monotonic() + 600
    while len(hand.status) < 2 and time.monotonic() < end:
        hand.does("TIMER", NOSE)
        time.sleep(0.02)
    assert hand.status[-1].startswith("The backend is busy")
    assert hand.does("ESC", NOSE) == {"CANCELLED"} and not len(hand.shot.pins)


@pytest.mark.parametrize(
    ("hinder", "sentence"),
    [
        (lambda hand: setattr(hand.tool.session, "doing", "Trying frame 7"), "Trying frame 7 is"),
        (lambda hand: setattr(hand.shot.armature.animation_data, "action", None), "Tweak Mode"),
        (lambda hand: bpy.context.scene.frame_set(START + 40), "frame 41 is not tracked"),
        (lambda hand: setattr(hand.shot, "mesh", None), "Track the shot first"),
    ],
)
def test_a_press_that_can_drag_nothing_says_why(
    hand: Hand, hinder: Callable[[Hand], None], sentence: str
) -> None:
    """A tool whose operator's poll fails is passed over without a word; the popup of an error lies
    under the mouse and takes the next press."""
    assert bpy.ops.portraitgen.pin.poll()
    hinder(hand)
    assert hand.does("LEFTMOUSE", NOSE) == {"CANCELLED"}
    hand.tool.session.doing = ""
    (kind, text) = hand.told[0]
    assert kind == "WARNING" and sentence in text and not len(hand.shot.pins)


def test_a_key_that_finds_no_pin_to_delete_says_so(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand.shot.pins.add()
    context = SimpleNamespace(**vars(hand.context), space_data=None)
    event = SimpleNamespace(mouse_region_x=1, mouse_region_y=1)
    delete = hand.tool.PORTRAITGEN_OT_pin_delete.invoke
    assert delete(hand.drag, context, event) == {"CANCELLED"}
    assert hand.told.pop() == ("WARNING", "There is no pin of this frame under the mouse")
    monkeypatch.setattr(hand.tool, "_nearest", lambda *given: 0)
    assert delete(hand.drag, context, event) == {"FINISHED"}
    assert not len(hand.shot.pins) and not hand.told


def test_keys_set_while_the_rig_is_sent_are_told(
    tracked: Any, until: Callable[..., None], session: Any
) -> None:
    """They went away with what was sent."""
    shot, scene = tracked, bpy.context.scene
    root = shot.armature.pose.bones["pelvis"]
    root.location.x += 0.05
    root.keyframe_insert("location", frame=scene.frame_current)
    bpy.ops.portraitgen.send_to_shot()
    root.location.x += 0.05
    root.keyframe_insert("location", frame=scene.frame_current + 1)
    until(lambda: shot.track_version == 2)
    assert "keyed while the rig was being sent is not in version 2" in session.told[0]
    session.told = ()
    scene.frame_set(scene.frame_current)
    root.location.x += 0.05
    root.keyframe_insert("location", frame=scene.frame_current)
    bpy.ops.portraitgen.send_to_shot()
    until(lambda: shot.track_version == 3)
    assert session.told == ()
