# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layer of acting: exactly above the corrections, a take's own, and never sent as a track."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from conftest import module
from test_rig import built, made

__all__ = ["built", "made"]

HEAD = 15
_SMALL = 2e-4


def key(rig: Any, armature: Any, turn: tuple[float, ...], unit: float, frame: int = 1001) -> None:
    data, compat = armature.animation_data, module("portraitgen_addon.compat")
    for index, value in enumerate(turn):
        compat.insert_key(data, 'pose.bones["head"].rotation_quaternion', index, frame, value)
    compat.insert_key(data, f'pose.bones["{rig.FACE}"]["jawOpen"]', 0, frame, unit)


def read(rig: Any, built: SimpleNamespace) -> Any:
    return rig.read(built.parts, built.bundle, 1000)


@pytest.fixture
def layers(built: SimpleNamespace) -> SimpleNamespace:
    rig, acting = module("portraitgen_addon.rig"), module("portraitgen_addon.acting_layer")
    return SimpleNamespace(rig=rig, acting=acting, built=built, armature=built.parts.armature)


def jaw(layers: SimpleNamespace) -> int:
    return int(layers.built.bundle.units.index("jawOpen"))


def test_acting_lies_above_corrections_and_is_not_read_without(layers: SimpleNamespace) -> None:
    rig, acting, built = layers.rig, layers.acting, layers.built
    tracked = read(rig, built)
    half = np.sqrt(0.5)
    key(rig, layers.armature, (half, half, 0.0, 0.0), 0.1)
    corrected = read(rig, built)
    acting.act(built.parts, "shot", "sad")
    assert acting.acting_take(layers.armature) == "sad"
    assert np.abs(read(rig, built).pose - corrected.pose).max() < _SMALL
    key(rig, layers.armature, (half, 0.0, half, 0.0), 0.2)
    acted = read(rig, built)
    with acting.without_acting(built.parts, "shot"):
        assert np.abs(read(rig, built).expression - corrected.expression).max() < _SMALL
    unit = jaw(layers)
    assert np.allclose(acted.expression[:, unit] - corrected.expression[:, unit], 0.2, atol=1e-5)
    assert np.allclose(corrected.expression[:, unit] - tracked.expression[:, unit], 0.1, atol=1e-5)
    acting.correct(built.parts)
    assert np.abs(read(rig, built).pose - corrected.pose).max() < _SMALL
    # Back again, the keys are still there.
    acting.act(built.parts, "shot", "sad")
    assert np.abs(read(rig, built).pose - acted.pose).max() < _SMALL


def test_another_take_does_not_hear_it(layers: SimpleNamespace) -> None:
    rig, acting, built = layers.rig, layers.acting, layers.built
    tracked = read(rig, built)
    acting.act(built.parts, "shot", "sad")
    key(rig, layers.armature, (1.0, 0.0, 0.0, 0.0), 0.3)
    acting.act(built.parts, "shot", "glad")
    assert np.abs(read(rig, built).expression - tracked.expression).max() < _SMALL
    muted = [each.mute for each in layers.armature.animation_data.nla_tracks if "sad" in each.name]
    assert muted == [True]


def test_acting_goes_to_a_file_and_comes_back(layers: SimpleNamespace, tmp_path: Path) -> None:
    rig, acting, built = layers.rig, layers.acting, layers.built
    tensors = module("portraitgen_addon.tensors")
    acting.act(built.parts, "shot", "sad")
    path = tmp_path / "acted.safetensors"
    assert not acting.save_acting(built.parts, built.bundle, "shot", 1000, path)
    half = np.sqrt(0.5)
    key(rig, layers.armature, (half, 0.0, half, 0.0), 0.2)
    assert acting.save_acting(built.parts, built.bundle, "shot", 1000, path)
    arrays, _ = tensors.load(path)
    acted = read(rig, built)
    assert np.allclose(arrays["pose"], acted.pose, atol=1e-6)
    # As the backend writes it: differences to the track.
    count = len(arrays["frames"])
    pose = np.zeros((count, 55, 3), np.float32)
    pose[:, HEAD] = (0.1, 0.4, -0.2)
    expression = np.zeros((count, len(built.bundle.units)), np.float32)
    expression[:, jaw(layers)] = np.linspace(0, 0.4, count)
    stored = {"frames": arrays["frames"], "pose": pose, "expression": expression}
    file = tmp_path / "acting.safetensors"
    tensors.save(file, stored | {"transl": np.zeros((count, 3), np.float32)})
    acting.show_acting(built.parts, built.bundle, "shot", "sad", 1000, file)
    shown = read(rig, built)
    difference = shown.expression - arrays["tracked_expression"]
    assert np.allclose(difference, expression, atol=1e-5)
    from mathutils import Matrix, Quaternion, Vector

    def turn(vector: np.ndarray) -> Matrix:
        axis = Vector(vector.tolist())
        return Quaternion(axis, axis.length).to_matrix()

    for row in (0, count - 1):
        wanted = turn(arrays["tracked_pose"][row, HEAD]) @ turn(pose[row, HEAD])
        found = turn(shown.pose[row, HEAD])
        assert np.abs(np.array(wanted) - np.array(found)).max() < 1e-3
    assert bpy.data.actions.get("Acting sad") is not None


def sculpted(layers: SimpleNamespace, take: str, height: float) -> np.ndarray:
    """Raises a part of the body in a take's sculpt, as a stroke would; what it raised, (V, 3)."""
    sculpt, mesh = module("portraitgen_addon.sculpt"), layers.built.parts.mesh
    key = sculpt.ensure(mesh, take)
    points = module("portraitgen_addon.rig").key_points(key)
    raised = np.zeros_like(points)
    raised[40:90, 2] = height
    key.points.foreach_set("co", (points + raised).ravel())
    return raised


def sent(layers: SimpleNamespace, path: Path) -> dict[str, np.ndarray]:
    parts, bundle = layers.built.parts, layers.built.bundle
    assert layers.acting.save_acting(parts, bundle, "shot", 1000, path)
    arrays, _ = module("portraitgen_addon.tensors").load(path)
    return dict(arrays)


def test_a_sculpt_belongs_to_its_take_and_is_sent(layers: SimpleNamespace, tmp_path: Path) -> None:
    acting, built, mesh = layers.acting, layers.built, layers.built.parts.mesh
    acting.act(built.parts, "shot", "horns")
    raised = sculpted(layers, "horns", 0.01)
    keys = mesh.data.shape_keys.key_blocks
    assert not keys["PG Sculpt"].mute
    found = sent(layers, tmp_path / "acted.safetensors")
    assert np.abs(found["sculpt"] - raised).max() < 1e-6
    assert np.array_equal(found["sculpted"], np.ones(len(found["frames"]), np.float32))
    # Corrections and other takes do not show it, and it comes back.
    acting.correct(built.parts)
    assert keys["PG Sculpt"].mute
    long = "another take of a name that is longer than a name of a key may be"
    acting.act(built.parts, "shot", long)
    assert "PG Sculpt" not in keys and keys["PG Sculpt horns"].mute
    other = sculpted(layers, long, 0.02)
    acting.act(built.parts, "shot", "horns")
    assert np.abs(sent(layers, tmp_path / "a.safetensors")["sculpt"] - raised).max() < 1e-6
    acting.act(built.parts, "shot", long)
    assert np.abs(sent(layers, tmp_path / "b.safetensors")["sculpt"] - other).max() < 1e-6


@pytest.mark.parametrize("how", ["keys", "driver"])
def test_a_sculpt_that_grows_is_sent_as_it_shows(
    layers: SimpleNamespace, tmp_path: Path, how: str
) -> None:
    layers.acting.act(layers.built.parts, "shot", "horns")
    sculpted(layers, "horns", 0.01)
    key = layers.built.parts.mesh.data.shape_keys.key_blocks["PG Sculpt"]
    if how == "keys":
        for frame, value in ((1001, 0.0), (1003, 1.0)):
            key.value = value
            key.keyframe_insert("value", frame=frame)
    else:
        key.driver_add("value").driver.expression = "(frame - 1001) / 2"
    shown = sent(layers, tmp_path / "acted.safetensors")["sculpted"]
    assert abs(shown[0]) < 1e-6 and abs(shown[1] - 0.5) < 1e-6 and abs(shown[2] - 1) < 1e-6


def test_a_sculpt_outlives_another_version_of_the_track(layers: SimpleNamespace) -> None:
    from dataclasses import replace

    rig, built = layers.rig, layers.built
    layers.acting.act(built.parts, "shot", "horns")
    raised = sculpted(layers, "horns", 0.01)
    arrays = dict(built.bundle.arrays)
    arrays["vertices"] = arrays["vertices"] * np.float32(1.1)
    rig.show_track(built.parts, "shot", replace(built.bundle, arrays=arrays), 1000)
    found = module("portraitgen_addon.sculpt").offsets(built.parts.mesh, "horns")
    assert np.abs(found - raised).max() < 1e-6
    assert np.allclose(rig.key_points(built.parts.mesh.data.shape_keys.key_blocks[0]),
                       arrays["vertices"], atol=1e-6)  # fmt: skip


def test_a_sculpt_of_a_file_is_shown_and_keeps_keys_that_say_the_same(
    layers: SimpleNamespace,
) -> None:
    sculpt, parts = module("portraitgen_addon.sculpt"), layers.built.parts
    frames = layers.built.bundle.arrays["frames"].astype(np.int64)
    raised = np.zeros((len(parts.mesh.data.vertices), 3), np.float32)
    sculpt.take_over(parts, "horns", raised, np.zeros(len(frames)), frames, 1000)
    assert sculpt.key_of(parts.mesh, "horns") is None
    raised[10:20, 1] = 0.004
    grows = np.linspace(0, 1, len(frames)).astype(np.float32)
    sculpt.take_over(parts, "horns", raised, grows, frames, 1000)
    assert np.abs(sculpt.offsets(parts.mesh, "horns") - raised).max() < 1e-6
    assert np.abs(sculpt.amounts(parts, "horns", frames, 1000) - grows).max() < 1e-6
    action = parts.mesh.data.shape_keys.animation_data.action
    sculpt.take_over(parts, "horns", raised, grows, frames, 1000)
    assert parts.mesh.data.shape_keys.animation_data.action == action
    from portraitgen.errors import ShotError

    with pytest.raises(ShotError, match="vertices"):
        sculpt.take_over(parts, "horns", raised[:-1], grows, frames, 1000)


def test_corrections_are_sent_or_reverted_while_the_rig_acts(layers: SimpleNamespace) -> None:
    """They were sought where the acting is: that was lost, and they counted twice."""
    rig, acting, built = layers.rig, layers.acting, layers.built
    tracked = read(rig, built)
    assert not acting.may_differ(layers.armature)
    key(rig, layers.armature, (1.0, 0.0, 0.0, 0.0), 0.1, frame=1003)
    assert acting.has_corrections(layers.armature) and acting.may_differ(layers.armature)
    acting.act(built.parts, "shot", "sad")
    key(rig, layers.armature, (1.0, 0.0, 0.0, 0.0), 0.2, frame=1001)
    assert acting.corrected_frames(layers.armature) == [1003]
    kept = acting.start_corrections(built.parts, "shot")
    assert kept is not None and [point.co.x for point in _jaw_curve(kept)] == [1003]
    assert acting.acting_take(layers.armature) == "sad"
    assert not acting.has_corrections(layers.armature) and not acting.may_differ(layers.armature)
    unit = jaw(layers)
    acted = read(rig, built).expression[:, unit] - tracked.expression[:, unit]
    assert np.allclose(acted, 0.2, atol=1e-5)
    with acting.without_acting(built.parts, "shot"):
        assert np.abs(read(rig, built).expression - tracked.expression).max() < _SMALL


def _jaw_curve(action: Any) -> Any:
    curves = module("portraitgen_addon.compat").curves(action, action.slots[0])
    return next(each for each in curves if "jawOpen" in each.data_path).keyframe_points


@pytest.mark.parametrize("way", ["bone", "object", "moved", "layer"])
def test_what_hangs_on_the_rig_can_be_sent_without_a_key(way: str, layers: SimpleNamespace) -> None:
    armature = layers.armature
    if way == "bone":
        armature.pose.bones["neck"].constraints.new("LIMIT_ROTATION")
    elif way == "object":
        armature.constraints.new("LIMIT_LOCATION")
    elif way == "moved":
        armature.location.x += 0.1
        bpy.context.view_layer.update()
    else:
        armature.animation_data.nla_tracks.new().name = "mine"
    assert layers.acting.may_differ(armature)


def test_acting_that_was_undone_is_not_acted(performer_shot: Any, session: Any, until: Any) -> None:
    """What the rig shows is sent, also where that is nothing: the file kept the old acting."""
    acting, tensors = module("portraitgen_addon.acting_layer"), module("portraitgen_addon.tensors")
    bpy.ops.portraitgen.take_add(editor="grade")
    with pytest.raises(RuntimeError, match="Choose an object, or an angle"):
        bpy.ops.portraitgen.eyeline()
    bpy.ops.portraitgen.act_layer(layer="ACT")
    file = performer_shot.path / "takes" / "grade" / acting.FILE
    bpy.ops.portraitgen.eyeline(right=20)
    until(lambda: not session.busy and not session.waiting_work)
    armature = performer_shot.armature
    assert acting.acting_take(armature) == "grade" and np.abs(tensors.load(file)[0]["pose"]).max()

    def curves() -> Any:
        return module("portraitgen_addon.compat").own_curves(armature)

    assert not acting.not_sent(armature, "grade", file)
    assert not module("operators.render")._left_out(performer_shot)
    # A rig that has not heard of it, since another file let the take act, shows it with Act.
    shown = len(curves())
    assert shown
    for curve in list(curves()):
        module("portraitgen_addon.compat").remove_curve(curve)
    bpy.ops.portraitgen.act_layer(layer="CORRECT")
    bpy.ops.portraitgen.act_layer(layer="ACT")
    assert len(curves()) == shown and not acting.not_sent(armature, "grade", file)
    for curve in list(curves()):
        module("portraitgen_addon.compat").remove_curve(curve)
    assert "press Send Acting" in module("operators.render")._left_out(performer_shot)
    bpy.ops.portraitgen.send_acting()
    until(lambda: not session.busy and not session.waiting_work)
    assert session.job.state == "done" and not np.abs(tensors.load(file)[0]["pose"]).max()
    assert not acting.not_sent(armature, "grade", file)
    rig = module("portraitgen_addon.rig")
    # Moved with the plate it is the same; keyed anew it is not, and what lies there counts.
    for change, differs in ((0.0, False), (0.1, True)):
        key(rig, armature, (1.0, 0.0, 0.0, 0.0), change)
        if not differs:
            bpy.ops.portraitgen.send_acting()
        until(lambda: not session.busy and not session.waiting_work)
        shift, offset = module("portraitgen_addon.compat").shift_keys, armature[rig.OFFSET]
        for by in (30, -30):
            shift(armature.animation_data.action, by)
            armature[rig.OFFSET] += by
            assert acting.not_sent(armature, "grade", file) == differs
        assert armature[rig.OFFSET] == offset


@pytest.mark.parametrize("kind", ["exaggerate", "retime"])
def test_acting_that_would_change_nothing_is_refused(kind: str, performer_shot: Any) -> None:
    """The dialogs began with a factor and a speed of 1, and OK made keys of nothing."""
    if performer_shot.take is None:
        bpy.ops.portraitgen.take_add(editor="grade")
    with pytest.raises(RuntimeError, match="of 1 changes nothing"):
        bpy.ops.portraitgen.ready_made_acting(kind=kind)
    operator = module("operators.act")
    drawn, asked = [], []
    layout = SimpleNamespace(prop=lambda owner, name, text="": drawn.append((name, text)))
    manager = SimpleNamespace(invoke_props_dialog=lambda made, title: asked.append(title) or set())
    dialog = SimpleNamespace(kind=kind, layout=layout, amount=1.0)
    shown = operator.PORTRAITGEN_OT_ready_made_acting
    shown.invoke(dialog, SimpleNamespace(window_manager=manager), None)
    shown.draw(dialog, bpy.context)
    assert dialog.amount != 1 and asked == [kind.title()]
    assert drawn[0] == ("amount", {"exaggerate": "Factor", "retime": "Speed"}[kind])


def test_a_part_of_the_face_is_exaggerated_alone(
    performer_shot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The terminal could, the dialog had no field for it."""
    if performer_shot.take is None:
        bpy.ops.portraitgen.take_add(editor="grade")
    operator = module("operators.act")
    asked: list[Any] = []
    monkeypatch.setattr(operator.base, "run_job", lambda context, kind, *more: asked.append(more))
    monkeypatch.setattr(operator, "_sent", lambda shot: "")
    run = bpy.ops.portraitgen.ready_made_acting
    assert run(kind="exaggerate", amount=1.5, region="brows") == {"FINISHED"}
    assert run(kind="exaggerate", amount=1.5) == {"FINISHED"}
    told = [json.loads(options["settings"]) for options, _ in asked]
    assert told == [{"exaggerate": "1.5000:brows"}, {"exaggerate": "1.5000"}]
    drawn: list[str] = []
    layout = SimpleNamespace(prop=lambda owner, name, text="": drawn.append(name))
    dialog = SimpleNamespace(kind="exaggerate", layout=layout)
    operator.PORTRAITGEN_OT_ready_made_acting.draw(dialog, bpy.context)
    assert drawn == ["amount", "region", "fade"]
