# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills every job at random moments and resumes it: the frames must be the same to the bit.

So is the command that copies a take to five shots and edits it in each of them.
"""

import hashlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from portraitgen.footage.exr import read_exr
from portraitgen.shot import Shot
from synthetic.clip import write_clip

_STAGES = {
    "track": [],
    "reconstruct": ["--size", "96", "--gaussians", "3000", "--steps", "240"],
    "edit": ["--take", "look", "--editor", "toon", "--steps", "120"],
    "render": ["--take", "look"],
}
_KILLS = 5
_OTHER_SHOTS = 5


def measure(footage: Path | None, out: Path, kills: int = _KILLS) -> dict[str, str]:
    """Runs all jobs once unbroken and once with `kills` kill -9 each.

    The first kill waits until the job has kept something that it can go on from.

    Returns:
        For each job, how often it was killed and went on from what it had kept, and whether the
        result is the same.
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
            if _start(stage, whole, options).wait():
                figures[stage] = f"ended before any kill: {_last_line(whole)}"
                break
            seconds = time.monotonic() - begun
            killed, ended = 0, None
            while ended is None:
                process = _start(stage, broken, options)
                if killed < kills:
                    ended = _killed(process, broken, stage, generator.uniform(0.1, 0.45) * seconds)
                    killed += ended is None
                else:
                    ended = process.wait()
            if ended:
                figures[stage] = f"killed {killed} times, then ended: {_last_line(broken)}"
                break
            same = _digest(whole, stage) == _digest(broken, stage)
            went_on = Shot.open(broken).jobs()[-1].record.resumed
            figures[stage] = (
                f"killed {killed} times, went on {went_on} times,"
                f" {'the same' if same else 'DIFFERENT'}"
            )
        else:
            figures["apply"] = _copied_to_others(whole, Path(folder), kills, generator)
    return figures


def _copied_to_others(source: Path, folder: Path, kills: int, generator: random.Random) -> str:
    """Copies the take to other shots unbroken, and to as many with kills, each in another shot."""
    shots = {}
    for name in ("unbroken", "killed"):
        shots[name] = [folder / f"{name} {number}" for number in range(1, _OTHER_SHOTS + 1)]
        for shot in shots[name]:
            shutil.copytree(
                source, shot, ignore=lambda _, names: {"takes", "jobs"}.intersection(names)
            )
    words = {name: ["--take", "look", *map(str, others)] for name, others in shots.items()}
    begun = time.monotonic()
    if _start("apply", source, words["unbroken"]).wait():
        return f"ended before any kill: {_last_line(source)}"
    each = (time.monotonic() - begun) / _OTHER_SHOTS
    killed, ended = 0, None
    while ended is None:
        process = _start("apply", source, words["killed"])
        if killed < kills:
            shot = shots["killed"][killed % _OTHER_SHOTS]
            ended = _killed(process, shot, "edit", generator.uniform(0.1, 0.45) * each)
            killed += ended is None
        else:
            ended = process.wait()
    if ended:
        return f"killed {killed} times, then ended: {_last_line(source)}"
    edits = [Shot.open(shot).take("look").edit for shot in shots["killed"]]
    same = all(
        _digest(one, "edit") == _digest(other, "edit")
        for one, other in zip(shots["unbroken"], shots["killed"], strict=True)
    )
    return (
        f"to {_OTHER_SHOTS} shots, killed {killed} times, edits in each {edits},"
        f" {'the same' if same else 'DIFFERENT'}"
    )


def _killed(
    process: "subprocess.Popen[bytes]", shot: Path, stage: str, seconds: float
) -> int | None:
    """Kills a job after some seconds, once it has kept something.

    Returns:
        The status with which it ended before that, None if it was killed.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until or not _kept(shot, stage):
        if (status := process.poll()) is not None:
            return status
        time.sleep(0.01)
    process.kill()
    process.wait()
    return None


def _kept(shot: Path, stage: str) -> bool:
    """Whether a job has written down what it can go on from."""
    pattern = {
        "track": "jobs/*-track-*/work/[!.]*.safetensors",
        "reconstruct": "jobs/*-reconstruct-*/work/checkpoint.safetensors",
        "edit": "jobs/*-edit-*/work/checkpoint.safetensors",
        "render": "takes/look/renders/v001/frames/[!.]*.exr",
    }[stage]
    return next(shot.glob(pattern), None) is not None


def _start(stage: str, shot: Path, options: list[str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "portraitgen.cli", stage, str(shot), *options]
    with open(_log(shot), "wb") as log:
        return subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=log, stdin=subprocess.DEVNULL
        )


def _log(shot: Path) -> Path:
    """Where what a command says of a shot goes."""
    return shot.with_name(f"{shot.name} log.txt")


def _last_line(shot: Path) -> str:
    lines = _log(shot).read_text(errors="replace").splitlines()
    return lines[-1] if lines else "it said nothing"


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
