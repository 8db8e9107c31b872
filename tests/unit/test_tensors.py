# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of tensors that a disk or a stranger changed are refused."""

import os
import random
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from portraitgen.body.motion import Motion
from portraitgen.errors import ShotError
from portraitgen.tensors import (
    DamagedTensors,
    is_whole,
    load_arrays,
    load_tensors,
    save_arrays,
    save_tensors,
)

ARRAYS = {
    "frames": np.arange(1, 4),
    "valid": np.array([True, False, True]),
    "pose": np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4),
    "thumbnail": np.arange(6, dtype=np.uint8),
}


def test_arrays_come_back_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_arrays(path, ARRAYS, {"rig": "facts"})
    back = load_arrays(path)
    assert back.keys() == ARRAYS.keys() and is_whole(path)
    assert all(np.array_equal(back[name], each) for name, each in ARRAYS.items())
    # Other programs read the file too, and values lie aligned.
    assert safetensors.numpy.load_file(path).keys() == ARRAYS.keys()
    assert struct.unpack("<Q", path.read_bytes()[:8])[0] % 8 == 0


def test_tensors_come_back_to_the_bit(tmp_path: Path) -> None:
    tensors = {"a": torch.rand(3, 5).half(), "done": torch.tensor(7), "b": torch.rand(2)[:1]}
    save_tensors(tmp_path / "a.safetensors", tensors)
    back = load_tensors(tmp_path / "a.safetensors")
    assert all(torch.equal(back[name], each) for name, each in tensors.items())


def test_a_flipped_bit_is_refused_or_changes_no_value(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_arrays(path, ARRAYS, {"rig": "facts"})
    whole, harmless = path.read_bytes(), 0
    generator = random.Random(1)
    for _ in range(300):
        place, bit = generator.randrange(len(whole)), generator.randrange(8)
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        path.write_bytes(bytes(damaged))
        try:
            back = load_arrays(path)
        except DamagedTensors:
            continue
        harmless += 1
        assert all(np.array_equal(back[name], each) for name, each in ARRAYS.items())
    assert harmless < 60


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 8, b"\x02" + b"\0" * 7 + b"[]", b"\x04" + b"\0" * 7 + b"null"]
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    for load in (load_arrays, load_tensors):
        with pytest.raises(DamagedTensors):
            load(path)


def test_a_file_cut_short_and_a_pipe_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_arrays(path, ARRAYS)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DamagedTensors):
        load_arrays(path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DamagedTensors, match="no plain file"):
        load_arrays(tmp_path / "pipe")


def test_numbers_that_are_not_finite_are_refused_in_older_files_too(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    safetensors.numpy.save_file({"pose": np.array([1, np.nan], np.float32)}, path)
    for load in (load_arrays, load_tensors):
        with pytest.raises(DamagedTensors, match="not finite"):
            load(path)
    assert load_arrays(path, may_be_nan=["pose"])
    assert not is_whole(path)


def motion(count: int = 3) -> dict[str, np.ndarray]:
    return {
        "frames": np.arange(count),
        "betas": np.zeros(10, np.float32),
        "transl": np.zeros((count, 3), np.float32),
        "pose": np.zeros((count, 55, 3), np.float32),
        "expression": np.zeros((count, 50), np.float32),
        "valid": np.ones(count, bool),
        "fixed": np.zeros(count, bool),
    }


@pytest.mark.parametrize(
    "change",
    [
        {"frames": np.array([3, 2, 1])},
        {"frames": np.array([1, 2, 2**62])},
        {"frames": np.array([1.0, 2.0, 3.0], np.float32)},
        {"transl": np.full((3, 3), 1e30, np.float32)},
        {"transl": np.zeros((2, 3), np.float32)},
        {"pose": np.zeros((3, 54, 3), np.float32)},
        {"expression": np.zeros((3, 5, 2), np.float32)},
        {"valid": np.ones(3, np.float32)},
        {"betas": np.zeros((2, 5), np.float32)},
        {"frames": np.zeros(0, np.int64)},
    ],
)
def test_a_motion_that_no_performer_makes_is_refused(
    tmp_path: Path, change: dict[str, np.ndarray]
) -> None:
    path = tmp_path / "params.safetensors"
    safetensors.numpy.save_file(motion() | change, path)
    with pytest.raises(ShotError, match="the track's parameters cannot be read"):
        Motion.load(path)


def test_a_motion_of_an_older_version_opens(tmp_path: Path) -> None:
    path = tmp_path / "params.safetensors"
    safetensors.numpy.save_file(motion(), path)
    assert len(Motion.load(path)) == 3
