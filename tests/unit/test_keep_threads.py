# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bits depend on how many threads torch has: numba must not change that in the midst of a job."""

import subprocess
import sys

from child_process import child_environment

PROGRAM = """
import torch
from portraitgen.pipeline.run.threads import keep_threads

keep_threads()
before = torch.get_num_threads()
import numba

@numba.njit(parallel=True)
def total(count):
    found = 0.0
    for index in numba.prange(count):
        found += index
    return found

total(9)
print(before, torch.get_num_threads(), numba.get_num_threads())
"""


def test_numbas_threads_leave_torch_as_many_as_it_had() -> None:
    around = child_environment(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="2")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=around, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.split() == ["1", "1", "2"], done.stderr
