# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The performer in 3D in a real, windowed Blender, where there is one; see test_window.py."""

import os
import subprocess
from pathlib import Path

import pytest
from test_window import LAUNCHER, ROOT, run_tour, told_by_us

_MAKE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from footage_media import write_movie
from performer_shot import performer_shot
from portraitgen.body.model import BodyModel
folder = Path(sys.argv[1])
plate = write_movie(folder / "performer.mp4", 6, size=(256, 256))
performer_shot(folder, plate, BodyModel.load(), frames=6, size=256, splats=4000)
"""


@pytest.mark.skipif(not LAUNCHER, reason="no windowed Blender: PORTRAITGEN_BLENDER is not set")
def test_the_performer_in_3d_in_a_window(tmp_path: Path) -> None:
    python = os.environ["PORTRAITGEN_PYTHON"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "backend")}
    subprocess.run(
        [python, "-c", _MAKE, tmp_path, ROOT / "tests" / "unit"], check=True, env=environment
    )
    seen = run_tour("splats_tour.py", tmp_path, tmp_path / "performer.mp4")
    assert "error" not in seen, seen["error"]
    assert seen["exported"] == "ply"
    if seen["splats"]:
        assert [seen[name] for name in ("lit", "lit undone", "lit redone")] == [
            [True],
            [False],
            [True],
        ]
        assert seen["lit strip"] == [1] and not [name for name in seen["scenes"] if "lit" in name]
    else:
        assert "export PLY instead" in seen["grey"]
    ours = told_by_us(tmp_path / "console.txt")
    assert not ours, "\n".join(ours)
    if not seen["splats"]:
        pytest.skip(f"{seen['version']} has no splats: what is lit and laid back was not seen")
