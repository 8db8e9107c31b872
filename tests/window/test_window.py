# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artist's path in a real, windowed Blender, where there is one.

PORTRAITGEN_BLENDER names a launcher that opens Blender on a virtual screen; beside it lie `grab`,
which takes the screen's picture, and `in`, which runs xdotool on that screen. The pictures are
kept in PORTRAITGEN_PICTURES, to be looked at.
"""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = os.environ.get("PORTRAITGEN_BLENDER", "")


@pytest.mark.skipif(not LAUNCHER, reason="no windowed Blender: PORTRAITGEN_BLENDER is not set")
def test_the_path_in_a_window(tmp_path: Path) -> None:
    tools = Path(LAUNCHER).parent
    command = [LAUNCHER, "--factory-startup", "--python", ROOT / "tests" / "window" / "tour.py"]
    clip = tmp_path / "performer.mp4"
    shutil.copy(ROOT / "tests" / "data" / "performer.mp4", clip)
    zipped, python = os.environ["PORTRAITGEN_EXTENSION"], os.environ["PORTRAITGEN_PYTHON"]
    environment = os.environ | {"BLENDER_USER_RESOURCES": str(tmp_path / "user")}
    with open(tmp_path / "console.txt", "wb") as console:
        blender = subprocess.Popen(
            [*command, "--", tmp_path, clip, zipped, python],
            stdout=console,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            _serve(blender, tools, tmp_path)
        finally:
            blender.kill()
    seen = json.loads((tmp_path / "seen.json").read_text())
    pictures = os.environ.get("PORTRAITGEN_PICTURES")
    if pictures:
        shutil.copytree(tmp_path, pictures, dirs_exist_ok=True, ignore=_all_but_pictures)
    assert "error" not in seen, seen["error"]
    assert seen["strip"][0] > 2 and seen["strip"][1] == 48
    assert seen["pins"] == 1 and seen["pin off by"] < 2
    # One undo after the first pin takes the pin back, and nothing else.
    assert seen["undone"] == [0, "POSE", "CAMERA"] and seen["redone"] == 1
    # Four clicks: New Shot, OK, Track, Try; then the wipe follows the mouse.
    assert seen["tried without avatar"] == [512, 512] and 0.7 < seen["wiped to"] < 0.9
    assert seen["markers"] == 0
    # The strip's way by keys is told without the mouse, followed by all, and undone in two steps.
    offset, start, tracked = seen["place"]
    assert seen["moved"] == [offset, start + 30, tracked]
    assert any("moved by +30 frames" in text for text in seen["told"])
    assert seen["followed"] == [offset + 30, start + 30, tracked + 30]
    assert seen["update undone"] == seen["moved"] and seen["move undone"] == seen["place"]
    assert seen["told at last"] == []
    assert seen["version after undo"] == 1 and seen["version after redo"] == 2
    ours = [line for line in (tmp_path / "console.txt").read_text().splitlines() if _ours(line)]
    assert not ours, "\n".join(ours)
    late = sorted(value for key, value in seen.items() if key.startswith("late"))
    print(f"frame to strip: median {late[len(late) // 2]:.3f} s, longest {late[-1]:.3f} s")
    ticks = sorted(seen["ticks"])
    shares = [ticks[int(share * (len(ticks) - 1))] for share in (0.5, 0.95, 0.99, 1)]
    words = ", ".join(f"{value:.2f}" for value in shares)
    print(f"drains during jobs: {len(ticks)}; median, 95 %, 99 %, longest: {words} ms")
    print(f"longest of the others, which build the rig: {max(seen['others']):.0f} ms")
    print(f"first preview of a reconstruction after {seen['preview after']:.1f} s")


def _ours(line: str) -> bool:
    return "portraitgen" in line.lower() and any(
        word in line for word in ("Warning", "Error", "Traceback", "rror:")
    )


def _all_but_pictures(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not name.endswith(".png")]


def _serve(blender: "subprocess.Popen[bytes]", tools: Path, folder: Path) -> None:
    """Does to the window what the tour asks for, until Blender has ended."""
    end = time.monotonic() + 900
    number = 1
    while blender.poll() is None:
        assert time.monotonic() < end, "Blender did not come to an end"
        want = folder / f"want_{number:03d}"
        if not want.exists():
            time.sleep(0.05)
            continue
        word, *rest = want.read_text().split()
        if word == "grab":
            subprocess.run([tools / "grab", folder / rest[0]], check=True)
        elif word == "key":
            subprocess.run([tools / "in", "xdotool", "key", *rest], check=True)
        elif word == "drag":
            x, y, to_x, to_y = rest
            pressed = ["mousemove", x, y, "sleep", "0.3", "mousedown", "1", "sleep", "0.3"]
            moved = ["mousemove", to_x, to_y, "sleep", "1.0", "mouseup", "1"]
            subprocess.run([tools / "in", "xdotool", *pressed, *moved], check=True)
        else:
            x, y, *times = rest
            button = ["--repeat", times[0], "5"] if word == "scroll" else ["1"]
            subprocess.run(
                [tools / "in", "xdotool", "mousemove", x, y, "sleep", "0.1", "click", *button],
                check=True,
            )
        (folder / f"got_{number:03d}").touch()
        number += 1
