# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs killed in the middle and resumed end with the same bits as unbroken ones."""

from pathlib import Path

from benchmarks.resume import measure


def test_every_job_survives_a_kill(tmp_path: Path) -> None:
    figures = measure(None, tmp_path, kills=1)
    assert figures.keys() == {"track", "reconstruct", "edit", "render", "apply"}
    copied = "to 5 shots, killed 1 times, edits in each [1, 1, 1, 1, 1], the same"
    assert figures.pop("apply") == copied
    # Each was killed once it had kept something, and went on from there.
    told = "killed 1 times, went on 1 times, the same"
    assert set(figures.values()) == {told}, figures
