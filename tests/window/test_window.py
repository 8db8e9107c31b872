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
import signal
import subprocess
import time
from pathlib import Path
from typing import IO, Any

import cv2
import pytest

ROOT = Path(__file__).resolve().parents[2]
# A busy machine takes its time; one that hangs is found out all the same.
_LIMIT_S = 3600
LAUNCHER = os.environ.get("PORTRAITGEN_BLENDER", "")


@pytest.mark.skipif(not LAUNCHER, reason="no windowed Blender: PORTRAITGEN_BLENDER is not set")
def test_the_path_in_a_window(tmp_path: Path) -> None:
    clip = tmp_path / "performer.mp4"
    shutil.copy(ROOT / "tests" / "data" / "performer.mp4", clip)
    seen = run_tour("tour.py", tmp_path, clip)
    assert "error" not in seen, seen["error"]
    assert seen["strip"][0] > 2 and seen["strip"][1] == 24
    assert seen["pins"] == 1 and seen["pin off by"] < 2
    # One undo after the first pin takes the pin back, and nothing else.
    assert seen["undone"] == [0, "POSE", "CAMERA"] and seen["redone"] == 1
    # Four clicks: New Shot, OK, Track, Try; then the wipe follows the mouse.
    assert seen["clicks to the first edited frame"] == 4 and seen["avatars by then"] == 0
    assert seen["tried without avatar"] == [512, 512] and 0.7 < seen["wiped to"] < 0.9
    for place, path, share, height in seen["wipe"]:
        x, y = (int(each) for each in place.split())
        drawn, meant = cv2.imread(str(tmp_path / "3_wiped.png")), cv2.imread(path)
        wanted = meant[int((1 - height) * len(meant)), int(share * meant.shape[1])]
        assert abs(drawn[y, x].astype(int) - wanted).max() <= 4, (drawn[y, x], wanted)
    assert seen["markers"] == 0
    # The bar of a job is drawn while nothing moves the mouse, and says how long it takes still.
    assert seen["bars while the mouse rested"] > 3 and seen["times told"] > 3
    # A click on the face picks it, as exactly as the preview's pixels allow.
    frame, point = seen["performer"].split(":")
    x, y = (float(each) for each in point.split(","))
    assert frame == "13" and abs(x - 268) < 4 and abs(y - 225) < 4, seen["performer refused"]
    # The strip's way by keys is told without the mouse, followed by all, and undone in two steps.
    offset, start, tracked = seen["place"]
    assert seen["moved"] == [offset, start + 30, tracked]
    assert any("moved by +30 frames" in text for text in seen["told"])
    assert seen["followed"] == [offset + 30, start + 30, tracked + 30]
    assert seen["update undone"] == seen["moved"] and seen["move undone"] == seen["place"]
    assert seen["told at last"] == []
    assert seen["version after undo"] == 1 and seen["version after redo"] == 2
    # Rendered, by the queue once more, back, and on again.
    assert seen["versions"] == [1, 2, 1, 2] and seen["queue"] == ["done"]
    # What was drawn of a take that has moved with its plate is not shown where both have been.
    x, y = (int(each) for each in seen["left at"].split())
    there, left = (cv2.imread(str(tmp_path / f"10_{each}.png"))[y, x] for each in ("there", "left"))
    assert there.max() > 100 and left.max() < 80, (there, left)
    # Save Copy leaves the file at hand its shot.
    assert seen["folder"][0] == seen["folder"][1] and seen["folder"][2], seen["folder"]
    ours = told_by_us(tmp_path / "console.txt")
    assert not ours, "\n".join(ours)
    late = sorted(value for key, value in seen.items() if key.startswith("late"))
    print(f"frame to strip: median {late[len(late) // 2]:.3f} s, longest {late[-1]:.3f} s")
    ticks = sorted(seen["ticks"])
    shares = [ticks[int(share * (len(ticks) - 1))] for share in (0.5, 0.95, 0.99, 1)]
    words = ", ".join(f"{value:.2f}" for value in shares)
    print(f"drains during jobs: {len(ticks)}; median, 95 %, 99 %, longest: {words} ms")
    print(f"longest of the others, which build the rig: {max(seen['others']):.0f} ms")
    for panel, times in sorted(seen["drawn"].items()):
        times.sort()
        middle = times[len(times) // 2]
        print(
            f"drawing {panel}: {len(times)} times, median {middle:.2f}, longest {times[-1]:.1f} ms"
        )
    slow = max(seen["longest"], key=lambda panel: max(seen["drawn"][panel]))
    made_of = sorted(seen["longest"][slow].items(), key=lambda part: -part[1])[:5]
    words = ", ".join(f"{part} {took:.1f}" for part, took in made_of)
    print(f"the longest, {slow}, was made of: {words} ms")
    pauses = seen["collected"]
    longest = max(pauses, default=0.0)
    print(f"the garbage collector came {len(pauses)} times meanwhile, longest {longest:.1f} ms")
    print(f"first preview of a reconstruction after {seen['preview after']:.1f} s")


def run_tour(name: str, folder: Path, clip: Path) -> dict[str, Any]:
    """Runs a tour in a window and serves it.

    Args:
        name: of the file beside this one.
        folder, clip: what the tour is given.

    Returns:
        What it saw.
    """
    zipped, python = os.environ["PORTRAITGEN_EXTENSION"], os.environ["PORTRAITGEN_PYTHON"]
    words = [LAUNCHER, "--factory-startup", "--python", ROOT / "tests" / "window" / name]
    environment = os.environ | {"BLENDER_USER_RESOURCES": str(folder / "user")}
    with open(folder / "console.txt", "wb") as console:
        blender = subprocess.Popen(
            [*words, "--", folder, clip, zipped, python],
            stdout=console,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            _serve(blender, Path(LAUNCHER).parent, folder)
        finally:
            # The launcher's screen and Blender are children of its own, and would stay.
            if blender.poll() is None:
                os.killpg(blender.pid, signal.SIGTERM)
            blender.wait()
    if pictures := os.environ.get("PORTRAITGEN_PICTURES"):
        shutil.copytree(folder, pictures, dirs_exist_ok=True, ignore=_all_but_pictures)
    seen: dict[str, Any] = json.loads((folder / "seen.json").read_text())
    return seen


def told_by_us(console: Path) -> list[str]:
    """The warnings and errors of ours that Blender printed."""
    return [line for line in console.read_text().splitlines() if _ours(line)]


def _ours(line: str) -> bool:
    return "portraitgen" in line.lower() and any(
        word in line for word in ("Warning", "Error", "Traceback", "rror:")
    )


def _all_but_pictures(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not name.endswith(".png")]


def _serve(blender: "subprocess.Popen[bytes]", tools: Path, folder: Path) -> None:
    """Does to the window what the tour asks for, until Blender has ended."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    # One shell for all: each entry into the screen's tree takes as long as several clicks.
    with subprocess.Popen([tools / "in", "bash"], **pipes) as shell:
        _do(blender, tools, folder, shell.stdin, shell.stdout)
        shell.stdin.close()


def _movements(word: str, rest: list[str]) -> str:
    """What xdotool does for a word of the tour's."""
    if word == "key":
        return f"key {' '.join(rest)}"
    x, y, *more = rest
    moved = f"mousemove {x} {y}"
    if word == "drag":
        pressed = f"{moved} sleep 0.3 mousedown 1 sleep 0.3"
        return f"{pressed} mousemove {' '.join(more)} sleep 1.0 mouseup 1"
    if word == "press":
        return f"{moved} sleep 0.3 mousedown 1"
    if word == "release":
        return f"{moved} sleep 1.0 mouseup 1"
    if word in ("scroll", "scrollup"):
        return f"{moved} sleep 0.1 click --repeat {more[0]} {5 if word == 'scroll' else 4}"
    return moved if word == "move" else f"{moved} sleep 0.1 click 1"


def _do(
    blender: "subprocess.Popen[bytes]", tools: Path, folder: Path, hands: IO[str], done: IO[str]
) -> None:
    end = time.monotonic() + _LIMIT_S
    number = 1
    while blender.poll() is None:
        assert time.monotonic() < end, "Blender did not come to an end"
        want = folder / f"want_{number:03d}"
        if not want.exists():
            time.sleep(0.02)
            continue
        word, *rest = want.read_text().split()
        if word == "grab":
            subprocess.run([tools / "grab", folder / rest[0]], check=True)
        else:
            hands.write(f"xdotool {_movements(word, rest)} && echo done\n")
            hands.flush()
            assert done.readline() == "done\n", want.read_text()
        (folder / f"got_{number:03d}").touch()
        number += 1
