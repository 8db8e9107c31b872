# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills every job at random moments and resumes it: the frames must be the same to the bit."""

import hashlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from portraitgen.footage.encode import read_exr
from synthetic.clip import write_clip

_STAGES = {
    "track": [],
    "reconstruct": ["--size", "96", "--gaussians", "3000", "--steps", "240"],
    "edit": ["--take", "look", "--editor", "toon", "--steps", "120"],
    "render": ["--take", "look"],
}
_KILLS = 5


def measure(footage: Path | None, out: Path, kills: int = _KILLS) -> dict[str, str]:
    """Runs all jobs once unbroken and once with `kills` kill -9 each.

    Returns:
        For each job, how often it was killed and whether the result is the same.
    """
    generator = random.Random(0)
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip"
        write_clip(clip, frames=40, size=256)
        whole, broken = Path(folder) / "whole", Path(folder) / "broken"
        for stage, options in _STAGES.items():
            if stage == "track":
                options = ["--footage", str(clip.with_suffix(".mp4"))]
            begun = time.monotonic()
            _start(stage, whole, options).wait()
            seconds = time.monotonic() - begun
            killed, status = 0, None
            while status is None:
                process = _start(stage, broken, options)
                limit = generator.uniform(0.1, 0.45) * seconds if killed < kills else None
                try:
                    status = process.wait(timeout=limit)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    killed += 1
            same = status == 0 and _digest(whole, stage) == _digest(broken, stage)
            figures[stage] = f"killed {killed} times, {'the same' if same else 'DIFFERENT'}"
    return figures


def _start(stage: str, shot: Path, options: list[str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "portraitgen.cli", stage, str(shot), *options]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )


def _digest(shot: Path, stage: str) -> dict[str, str]:
    """A mark of everything a stage made, without dates."""
    patterns = {
        "track": ["track/0001/params.safetensors", "track/0001/mattes/[!.]*.png"],
        "reconstruct": ["avatar/0001/avatar.safetensors", "track/0002/params.safetensors"],
        "edit": ["takes/look/edits/0001/avatar.safetensors", "takes/look/edits/0001/dataset/[!.]*"],
        "render": [
            "takes/look/renders/v001/frames/[!.]*.exr",
            "takes/look/renders/v001/frames/[!.]*.png",
        ],
    }[stage]
    found = {}
    for pattern in patterns:
        for path in sorted(shot.glob(pattern)):
            content = path.read_bytes()
            if path.suffix == ".exr":
                content = b"".join(values.tobytes() for values in read_exr(path).values())
            found[path.relative_to(shot).as_posix()] = hashlib.sha256(content).hexdigest()
    if not found:
        raise FileNotFoundError(f"{stage} made nothing in {shot}")
    return found
