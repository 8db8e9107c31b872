# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pickled tracks become .npz; whatever else is in a pickle is refused and never run."""

import argparse
import bz2
import gzip
import io
import lzma
import os
import pickle
import zlib
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from child_process import child_environment
from scipy.spatial.transform import Rotation

from portraitgen.errors import ShotError
from portraitgen.interchange.convert import convert_track
from portraitgen.interchange.read import read_track
from portraitgen.interchange.unpickle_main import flattened, unpickled

TURNS = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_files_of_torch_and_pickles_become_arrays(tmp_path: Path) -> None:
    content = OrderedDict(
        smpl_params_incam={"global_orient": torch.from_numpy(TURNS), "betas": torch.zeros(4, 10)},
        part=torch.from_numpy(TURNS)[1:3, ::2],
        K_fullimg=torch.eye(3).expand(4, 3, 3),
    )
    torch.save(content, tmp_path / "hmr4d_results.pt")
    told = convert_track(tmp_path / "hmr4d_results.pt", tmp_path / "hmr.npz")
    assert "smpl_params_incam/global_orient" in told["arrays"]  # type: ignore[operator]
    with np.load(tmp_path / "hmr.npz") as stored:
        assert np.array_equal(stored["smpl_params_incam/global_orient"], TURNS)
        assert np.array_equal(stored["part"], TURNS[1:3, ::2])
        assert stored["K_fullimg"].shape == (4, 3, 3)
    people = defaultdict(dict, {7: {"pose": TURNS.astype(float), "name": "x", "n": 3}})
    for protocol in (2, 4, 5):
        found = flattened(unpickled(pickle.dumps(dict(people), protocol)))
        assert np.array_equal(found["7/pose"], TURNS)
    frames = [{"expression": [0.1, 0.2], "jaw": np.zeros(3)}] * 3
    assert flattened(unpickled(pickle.dumps(frames)))["expression"].shape == (3, 2)


def test_tensors_of_every_age_and_kind_are_read() -> None:
    """Tensors in plain pickles are of torch.save's former kind, stored once however often used."""
    whole = torch.from_numpy(TURNS)
    content = {"whole": whole, "part": whole[1:3, ::2], "turned": whole.t(), "n": torch.arange(5)}
    old = io.BytesIO()
    torch.save(content, old, _use_new_zipfile_serialization=False)
    for data in (old.getvalue(), pickle.dumps(content), pickle.dumps(content, 2)):
        found = flattened(unpickled(data))
        assert all(np.array_equal(found[name], value.numpy()) for name, value in content.items())
    short = io.BytesIO()
    torch.save({"a": whole.bfloat16()}, short)
    assert np.array_equal(flattened(unpickled(short.getvalue()))["a"], TURNS)


def test_what_a_pickle_holds_besides_does_not_refuse_it() -> None:
    besides = {"path": Path("/a"), "given": argparse.Namespace(a=1), "type": torch.float32}
    found = flattened(unpickled(pickle.dumps({"pose": TURNS, **besides})))
    assert list(found) == ["pose"]


@pytest.mark.parametrize("press", [zlib.compress, gzip.compress, bz2.compress, lzma.compress])
def test_pressed_dumps_are_read(press: Callable[[bytes], bytes]) -> None:
    found = flattened(unpickled(press(pickle.dumps({1: {"pose": TURNS}}))))
    assert np.array_equal(found["1/pose"], TURNS)


def test_objects_in_numpy_s_own_files_become_arrays(tmp_path: Path) -> None:
    """As TRAM, ROMP and others save a dict: importing names the converter, which reads it."""
    result = {"pose": TURNS, "frame": np.arange(4), "tensor": torch.from_numpy(TURNS)}
    np.save(tmp_path / "hps.npy", result)  # type: ignore[arg-type]
    np.savez(tmp_path / "romp.npz", results=result, plain=TURNS)  # type: ignore[arg-type]
    people = np.array([{"x": TURNS}, {"x": TURNS + 1}], object)
    np.save(tmp_path / "people.npy", people)
    wanted = {"hps.npy": "pose", "romp.npz": "results/tensor", "people.npy": "x"}
    for name, array in wanted.items():
        target = tmp_path / f"{name}.out.npz"
        convert_track(tmp_path / name, target)
        with np.load(target) as stored:
            assert np.array_equal(stored[array].reshape(-1, 4, 3)[0], TURNS)
    with pytest.raises(ShotError) as refused:
        read_track(tmp_path / "hps.npy")
    assert "convert-track hps.npy" in refused.value.remedy


def test_a_folder_of_frames_becomes_one_track(tmp_path: Path) -> None:
    """As metrical-tracker leaves one: a file of torch.save for every frame."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for frame in (0, 1, 2, 5, 10):
        flame = {"exp": np.full((1, 100), frame), "jaw": np.eye(3)[:2].reshape(1, 6)}
        turn = Rotation.from_rotvec([np.pi, 0, 0.1]).as_matrix()[None]
        content = {"flame": flame, "opencv": {"R": turn}, "frame_id": f"{frame:05}"}
        torch.save(content, folder / f"{frame:05}.frame")
    convert_track(folder, tmp_path / "track.npz")
    track = read_track(tmp_path / "track.npz")
    assert track.layout == "FLAME (metrical-tracker)" and track.kind == "head"
    assert track.frames is not None and track.frames.tolist() == [0, 1, 2, 5, 10]
    assert track.expression is not None and track.expression[:, 3].tolist() == [0, 1, 2, 5, 10]
    (folder / "a1.frame").write_bytes(b"rubbish")
    with pytest.raises(ShotError, match="a frame's number in each name"):
        convert_track(folder, tmp_path / "other.npz")


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"echo ran > {self.path}",)


def test_a_program_in_a_pickle_never_runs(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    evil = {"pose": TURNS, "x": _Evil(mark)}
    files = {"evil.pkl": pickle.dumps(evil), "pressed.pkl": zlib.compress(pickle.dumps(evil))}
    array = io.BytesIO()
    np.save(array, evil)  # type: ignore[arg-type]
    files["evil.npy"] = array.getvalue()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ShotError, match="no array"):
            convert_track(tmp_path / name, tmp_path / "evil.npz")
        assert not mark.exists() and not (tmp_path / "evil.npz").exists()


class _Endless:
    """A tensor of ten thousand million numbers that are one and the same."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return torch._utils._rebuild_tensor_v2, (np.zeros(1), 0, (10**10,), (0,))  # type: ignore[attr-defined]


def test_a_tensor_is_not_believed_about_its_size(tmp_path: Path) -> None:
    (tmp_path / "large.pkl").write_bytes(pickle.dumps({"pose": _Endless()}))
    with pytest.raises(ShotError, match="too large for a track"):
        convert_track(tmp_path / "large.pkl", tmp_path / "large.npz")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04rubbish",
        b"PK\x03\x04rubbish",
        pickle.dumps(np.array([{}], object)),
        pickle.dumps({"a": "text"})[:-4],
        pickle.dumps([]),
    ],
)
def test_rubbish_is_refused_in_a_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(data)
    with pytest.raises(ShotError) as refused:
        convert_track(tmp_path / "a.pkl", tmp_path / "a.npz")
    assert "\n" not in str(refused.value) and refused.value.remedy


def test_the_converter_s_process_writes_nothing_and_calls_nobody(tmp_path: Path) -> None:
    import subprocess
    import sys

    tried = (
        "from portraitgen.interchange.unpickle_main import confine\nconfine()\n"
        "import socket, os\nfailed = 0\n"
        f"for what in (lambda: open({str(tmp_path / 'x')!r}, 'w'), lambda: socket.socket(),"
        " lambda: os.system('true')):\n"
        "    try:\n        what()\n    except (PermissionError, OSError):\n        failed += 1\n"
        "print(failed)"
    )
    said = subprocess.run(
        [sys.executable, "-c", tried], capture_output=True, text=True, env=child_environment()
    )
    assert said.stdout.strip() == "3", said.stderr
