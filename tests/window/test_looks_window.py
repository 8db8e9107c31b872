# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Live Look in a real, windowed Blender, where there is one; see test_window.py."""

import os
import subprocess
from pathlib import Path

import pytest
from test_window import LAUNCHER, ROOT, run_tour, told_by_us

# A tracked shot of 512 pixels, and a look that was learned for a second from pairs of its plate.
_MAKE = """
import sys
from pathlib import Path
import cv2
sys.path.insert(0, sys.argv[2])
from footage_media import write_movie
from performer_shot import performer_shot
from portraitgen.body.model import BodyModel
folder, clip = Path(sys.argv[1]), cv2.VideoCapture(sys.argv[3])
plate = write_movie(folder / "performer.mp4", 24, size=(512, 512))
performer_shot(folder, plate, BodyModel.load(), frames=24, size=512, splats=4000)
for part in ("before", "after"):
    (folder / "pairs" / part).mkdir(parents=True)
for number in range(3):
    found, frame = clip.read()
    cv2.imwrite(str(folder / "pairs" / "before" / f"{number}.png"), frame)
    cv2.imwrite(str(folder / "pairs" / "after" / f"{number}.png"), frame // 2)
"""


@pytest.mark.skipif(not LAUNCHER, reason="no windowed Blender: PORTRAITGEN_BLENDER is not set")
def test_live_look_in_a_window(tmp_path: Path) -> None:
    python = os.environ["PORTRAITGEN_PYTHON"]
    clip = ROOT / "tests" / "data" / "performer.mp4"
    subprocess.run(
        [python, "-c", _MAKE, tmp_path, ROOT / "tests" / "unit", clip],
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "backend")},
    )
    looks = tmp_path / "looks"
    looks.mkdir()
    words = ["look", "learn", "--pairs", tmp_path / "pairs", "--out", looks / "dark.safetensors"]
    subprocess.run([python, "-m", "portraitgen", *words, "--seconds", "1"], check=True)
    seen = run_tour("looks_tour.py", tmp_path, tmp_path / "performer.mp4")
    assert "error" not in seen, seen["error"]
    assert len(seen["scrubbed"]) == 12
    ours = told_by_us(tmp_path / "console.txt")
    assert not ours, "\n".join(ours)
    times = sorted(seen["scrubbed"])
    print(
        f"from scrubbing to picture, {len(times)} times: median {times[len(times) // 2]:.0f},"
        f" longest {times[-1]:.0f} ms"
    )
