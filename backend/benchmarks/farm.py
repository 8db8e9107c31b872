# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three shots as one farm's job, a task of which fails once; chunks of four processes; signing."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from portraitgen.errors import PortraitError
from portraitgen.footage.encode import read_exr
from portraitgen.renders import render_of
from synthetic.clip import write_clip

_TAKE = "look"
_SHOTS, _FRAMES, _CHUNK, _SIZE = 3, 24, 8, 256
_SMALL = ["--reconstruct-option", "size=96", "--reconstruct-option", "gaussians=3000"]
_SMALL += ["--reconstruct-option", "steps=60", "--edit-option", "steps=20", "--edit-option"]
_SMALL += ["keys=2", "--render-option", "plate=true"]
_FAILS_ONCE = """#!{python}
import os, sys
mark = {mark!r}
if sys.argv[1] == "render" and not os.path.exists(mark):
    open(mark, "w").close()
    sys.exit("the worker was taken away")
os.execv(sys.executable, [sys.executable, "-m", "portraitgen", *sys.argv[1:]])
"""


def measure(footage: Path | None, out: Path) -> dict[str, str]:
    """Runs the bundle by `openjd run`, twice, since a task of the first run fails.

    Returns:
        bundle: how many frames and movies there are; chunks: whether four processes made the bits
        that one makes; signing: its cost as a share of a frame's, where c2pa-python is installed.

    Raises:
        PortraitError: if openjd-cli is not installed.
    """
    openjd = Path(sys.executable).with_name("openjd")
    if not openjd.exists():
        raise PortraitError("openjd-cli is not installed", "bench farm", "pip install openjd-cli")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shots = [folder / f"shot{index + 1}" for index in range(_SHOTS)]
        for index, shot in enumerate(shots):
            clip = folder / f"plate{index + 1}"
            write_clip(clip, frames=_FRAMES, size=_SIZE, identity=index)
            _portraitgen("track", shot, "--footage", clip.with_suffix(".mp4"))
        figures = {"bundle": _bundle(openjd, folder, shots)}
        figures["chunks"], seconds = _chunks(shots[0])
        figures["signing"] = _signing(shots[0], folder, seconds)
        return figures


def _portraitgen(*words: str | Path) -> None:
    command = [sys.executable, "-m", "portraitgen", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _bundle(openjd: Path, folder: Path, shots: list[Path]) -> str:
    program = folder / "program.py"
    program.write_text(_FAILS_ONCE.format(python=sys.executable, mark=str(folder / "failed")))
    program.chmod(0o755)
    job = folder / "job"
    words = ["--take", _TAKE, "--editor", "toon", "--chunk", str(_CHUNK), *_SMALL]
    _portraitgen("bundle", *shots, *words, "--command", program, "--out", job)
    command = [str(openjd), "run", str(job / "template.json"), "--extensions", "TASK_CHUNKING"]
    command += ["-p", f"file://{job / 'openjd_parameters.json'}"]
    begun = time.monotonic()
    states = []
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, env=dict(os.environ))
        states.append(done.returncode)
    renders = [render_of(shot / "takes" / _TAKE) for shot in shots]
    frames = sum(len(render.exr_frames()) for render in renders)
    movies = sum((render.folder / f"{_TAKE}.mp4").exists() for render in renders)
    versions = sorted(render.version for render in renders)
    ended = "failed, then done" if states[0] and not states[1] else f"ended with {states}"
    return (
        f"{ended}: {frames} of {_SHOTS * _FRAMES} frames, {movies} movies, in versions {versions},"
        f" {time.monotonic() - begun:.0f} s"
    )


def _chunks(shot: Path) -> tuple[str, float]:
    """Whether four processes make the bits that one makes; and a frame's seconds in one."""
    home = shot / "takes" / _TAKE
    command = [sys.executable, "-m", "portraitgen", "render", str(shot), "--take", _TAKE]
    command += ["--no-movie", "--plate", "--steady", "0.9"]
    begun = os.times().children_user
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = (os.times().children_user - begun) / _FRAMES
    whole = _pixels(home)
    for path in render_of(home).frames.iterdir():
        path.unlink()
    parts = [
        subprocess.Popen(
            [*command, "--frames", f"{first}-{_FRAMES}x4"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for first in range(1, 5)
    ]
    states = [part.wait() for part in parts]
    same = _pixels(home) == whole and len(whole) == _FRAMES
    text = "bit for bit the same" if same and not any(states) else f"DIFFERENT ({states})"
    return f"{_FRAMES} frames by 4 processes, every fourth each: {text}", seconds


def _pixels(home: Path) -> dict[int, bytes]:
    return {
        frame: b"".join(np.ascontiguousarray(each).tobytes() for each in read_exr(path).values())
        for frame, path in render_of(home).exr_frames().items()
    }


def _signing(shot: Path, folder: Path, seconds: float) -> str:
    """What signing a frame's EXR, picture and full plate costs, of a frame's own cost."""
    try:
        import c2pa  # noqa: F401

        from .farm_certificate import certificate
    except ImportError as error:
        return f"not measured: {error}"
    from portraitgen.pipeline.data.provenance import statement_of
    from portraitgen.pipeline.data.shots import Track
    from portraitgen.provenance.credentials import Signer
    from portraitgen.shot import Shot

    chain, key = certificate(folder)
    opened = Shot.open(shot)
    record = opened.edit_record(_TAKE)
    track = Track(opened, opened.avatar_record(record.avatar).track)
    statement = statement_of(opened, _TAKE, opened.edit_folder(_TAKE), record, record.avatar, track)
    signer, render = Signer(chain, key), render_of(shot / "takes" / _TAKE)
    costs = []
    for frame, path in render.exr_frames().items():
        files = [path, path.with_suffix(".png"), render.full_plates()[frame]]
        begun = time.process_time()
        for file in files:
            signer.sign(file, statement, opened.footage_path)
        costs.append(time.process_time() - begun)
    cost = statistics.median(costs)
    return json.dumps(
        {
            "ms a frame (three files)": round(1000 * cost, 1),
            "% of a frame's rendering": round(100 * cost / seconds, 2),
        }
    )
