# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The performer in 3D in a real, windowed Blender, where there is one; see test_window.py."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from test_window import LAUNCHER, ROOT, _all_but_pictures, _ours, _serve

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
    zipped, python = os.environ["PORTRAITGEN_EXTENSION"], os.environ["PORTRAITGEN_PYTHON"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "backend")}
    subprocess.run(
        [python, "-c", _MAKE, tmp_path, ROOT / "tests" / "unit"], check=True, env=environment
    )
    tour = ROOT / "tests" / "window" / "splats_tour.py"
    words = [LAUNCHER, "--factory-startup", "--python", tour, "--", tmp_path]
    words += [tmp_path / "performer.mp4", zipped, python]
    environment = os.environ | {"BLENDER_USER_RESOURCES": str(tmp_path / "user")}
    with open(tmp_path / "console.txt", "wb") as console:
        blender = subprocess.Popen(
            words,
            stdout=console,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            _serve(blender, Path(LAUNCHER).parent, tmp_path)
        finally:
            # The launcher's screen and Blender are children of its own, and would stay.
            if blender.poll() is None:
                os.killpg(blender.pid, signal.SIGTERM)
            blender.wait()
    seen = json.loads((tmp_path / "seen.json").read_text())
    pictures = os.environ.get("PORTRAITGEN_PICTURES")
    if pictures:
        shutil.copytree(tmp_path, pictures, dirs_exist_ok=True, ignore=_all_but_pictures)
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
    ours = [line for line in (tmp_path / "console.txt").read_text().splitlines() if _ours(line)]
    assert not ours, "\n".join(ours)
    if not seen["splats"]:
        pytest.skip(f"{seen['version']} has no splats: what is lit and laid back was not seen")
