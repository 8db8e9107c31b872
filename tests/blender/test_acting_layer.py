# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layer of acting: exactly above the corrections, a take's own, and never sent as a track."""

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
