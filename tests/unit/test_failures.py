# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any error becomes one sentence with place, cause and remedy."""

import errno
import os
from pathlib import Path

import pytest

from portraitgen.errors import ShotError
from portraitgen.failures import ProgramFault, readable


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_error_of_the_system_is_a_sentence(number: int, tmp_path: Path) -> None:
    told = readable(OSError(number, os.strerror(number), str(tmp_path / "a.json")))
    assert not isinstance(told, ProgramFault)
    assert told.remedy and str(told).count("\n") == 0 and "Errno" not in str(told)


def test_reading_refused_is_not_told_as_writing(tmp_path: Path) -> None:
    path = tmp_path / "plate.exr"
    path.write_text("")
    error = OSError(errno.EACCES, "Permission denied", str(path))
    if os.geteuid() == 0:
        # An administrator may read everything, so what is refused is the writing.
        assert "writing here is not allowed" in str(readable(error))
        return
    path.chmod(0)
    assert "reading this is not allowed" in str(readable(error))


def test_names_that_a_system_cannot_use_are_told() -> None:
    for name in ("a\0b", "\ud800"):
        with pytest.raises((ValueError, UnicodeError)) as caught:
            os.stat(name)
        assert "cannot use" in str(readable(caught.value))


def test_memory_that_ran_out_is_told_whoever_says_so() -> None:
    said = (
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    )
    for error in (MemoryError(), RuntimeError(said), RuntimeError("CUDA out of memory. Tried")):
        assert "memory" in str(readable(error)) and not isinstance(readable(error), ProgramFault)


def test_a_fault_of_ours_says_where_and_stays_short() -> None:
    try:
        raise TypeError("x" * 10_000)
    except TypeError as error:
        told = readable(error)
    assert isinstance(told, ProgramFault) and len(str(told)) < 600 and told.remedy
    assert readable(ShotError("a", "b", "c")).place == "b"


def test_what_a_file_says_never_fills_the_window() -> None:
    told = ShotError("y" * 9000, "/a/" + "x" * 9000 + "/shot.json", "mend it")
    assert len(str(told)) < 1100 and told.place.endswith("/shot.json")
