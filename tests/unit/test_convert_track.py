# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pickled tracks become .npz; whatever else is in a pickle is refused and never run."""

import os
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from child_process import child_environment

from portraitgen.errors import ShotError
from portraitgen.interchange.convert import convert_track
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


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"echo ran > {self.path}",)


def test_a_program_in_a_pickle_never_runs(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"pose": TURNS, "x": _Evil(mark)}))
    with pytest.raises(ShotError, match="no array"):
        convert_track(tmp_path / "evil.pkl", tmp_path / "evil.npz")
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
