# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames in memory that two processes share: reused, never pulled away, gone with both."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from footage_media import number_of, write_movie

from portraitgen.errors import FootageError
from portraitgen.footage import decoder, shared_frames
from portraitgen.footage.plate import open_plate

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="frames are shared on Linux")


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    return write_movie(tmp_path / "plate.mp4", 40)


@pytest.fixture
def alone() -> None:
    """No decoder from a test before."""
    gc.collect()
    decoder._POOL.end()


def _files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_slots_are_used_again_and_frames_that_are_kept_stay_as_they_are(
    movie: Path, alone: None
) -> None:
    plate = open_plate(movie)
    reader = plate._source.reader()
    kept, passed = [], 0
    for native in reader.sequence(list(range(40)) * 3):
        if len(kept) < 5:
            kept.append(native.pixels)
        passed += 1
    shared = reader._process.frames
    assert passed == 120 and shared is not None
    assert len(shared._maps) <= 5 + decoder._AHEAD + 3
    assert [number_of(each) for each in kept] == [0, 1, 2, 3, 4]
    reader.close()
    decoder._POOL.end()
    assert [number_of(each) for each in kept] == [0, 1, 2, 3, 4]


def test_what_does_not_fit_goes_through_the_pipe(
    movie: Path, alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_frames, "MOST_BYTES", 2 * (128 * 64 * 3 + 4096))
    plate = open_plate(movie)
    every = [image.copy() for _, image in plate.frames_uint8()]
    assert [number_of(image) for image in every] == list(range(40))
    held = [image for _, image in plate.frames_uint8()]
    assert [number_of(image) for image in held] == list(range(40))


def test_a_killed_decoder_takes_no_frame_and_no_file_along(movie: Path, alone: None) -> None:
    plate = open_plate(movie)
    reader = plate._source.reader()
    before = _files()
    for _ in range(3):
        frames = [native.pixels for native in reader.sequence(range(6))]
        process = reader._process._process
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        assert [number_of(each) for each in frames] == list(range(6))
        assert number_of(reader.read(7).pixels) == 7, "a new one takes over"
    del frames
    reader.close()
    plate.close()
    decoder._POOL.end()
    gc.collect()
    assert _files() <= before


def test_a_decoder_cannot_shrink_the_memory_under_a_frame(alone: None) -> None:
    shared = shared_frames.SharedFrames()
    slot = shared.take(10000)
    assert slot is not None
    with pytest.raises(OSError):
        os.ftruncate(shared.file, 0)
    writer = shared_frames.SlotWriter(shared.file)
    picture = np.arange(7500, dtype=np.uint16).reshape(50, 50, 3)
    assert not writer.write(slot, np.zeros(20000, np.uint8))
    assert writer.write(slot, picture[:, :33])
    assert np.array_equal(shared.array(slot, "<u2", [50, 33, 3]), picture[:, :33])
    with pytest.raises(ValueError):
        shared.array(slot, "<u2", [500, 500, 3])
    shared.close()


def test_a_decoder_ends_with_a_killed_parent(movie: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from portraitgen.footage.plate import open_plate\n"
        "plate = open_plate(Path(sys.argv[1])); reader = plate._source.reader()\n"
        "frames = [each.pixels for each in reader.sequence(range(9))]\n"
        "print(reader._process._process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(movie)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait(10)
    parent.stdout.close()
    for _ in range(100):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("the decoder lives on")


def test_a_lying_decoder_is_a_crash_in_one_sentence(
    movie: Path, alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> np.ndarray:
        raise ValueError("a frame that is larger than its slot")

    plate = open_plate(movie)
    reader = plate._source.reader()
    next(iter(reader.sequence([0])))
    monkeypatch.setattr(shared_frames.SharedFrames, "array", refuse)
    with pytest.raises(FootageError, match="crashed"):
        list(reader.sequence(range(3)))
