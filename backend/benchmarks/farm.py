# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three shots as one farm's job, a task of which fails once; chunks of four processes; signing."""

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from portraitgen.errors import PortraitError
from portraitgen.footage.exr import read_exr
from portraitgen.renders import Render, render_of
from portraitgen.shot import Shot
from synthetic.clip import write_clip

_TAKE = "look"
_SHOTS, _FRAMES, _CHUNK, _SIZE = 3, 24, 8, 256
_PROCESSES = 4
# Of the shot whose frames are signed, and how many of its frames a render takes more than another.
_SIGNED_SIZE, _MORE = 1080, 4
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


def measure(
    footage: Path | None, out: Path, count: int = _SHOTS, frames: int = _FRAMES
) -> dict[str, str]:
    """Runs the bundle by `openjd run`, twice, since a task of the first run fails.

    Args:
        out: its folder `farm` keeps the tracked shots, so that a second measure begins there.
        count: how many shots.
        frames: of each shot.

    Returns:
        bundle: how many frames and movies there are; chunks: whether four processes made the bits
        that one makes; signing: its cost as a share of an HD frame's, and told apart: what is said
        of files that do not hold, where c2pa-python is installed.

    Raises:
        PortraitError: if openjd-cli is not installed, or a command fails.
    """
    openjd = Path(sys.executable).with_name("openjd")
    if not openjd.exists():
        raise PortraitError("openjd-cli is not installed", "bench farm", "pip install openjd-cli")
    folder = out.absolute() / "farm"
    shots = [folder / f"shot{index + 1}" for index in range(count)]
    for index, shot in enumerate(shots):
        clip = folder / f"plate{index + 1}"
        if not clip.with_suffix(".json").exists():
            write_clip(clip, frames=frames, size=_SIZE, identity=index)
        if not (shot / "shot.json").exists() or not Shot.open(shot).versions("track"):
            _portraitgen("track", shot, "--footage", clip.with_suffix(".mp4"))
        for made in ("avatar", "takes", "jobs"):
            shutil.rmtree(shot / made, ignore_errors=True)
    figures = {"bundle": _bundle(openjd, folder, shots, frames)}
    figures["chunks"] = _chunks(shots[0], frames)
    return figures | _credentials(folder)


def _portraitgen(*words: str | Path) -> None:
    """Runs a command.

    Raises:
        PortraitError: if it fails.
    """
    command = [sys.executable, "-m", "portraitgen", *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise PortraitError(f"{words[0]} failed: {done.stderr[-500:]}", "bench farm")


def _bundle(openjd: Path, folder: Path, shots: list[Path], count: int) -> str:
    program, mark = folder / "program.py", folder / "failed"
    mark.unlink(missing_ok=True)
    program.write_text(_FAILS_ONCE.format(python=sys.executable, mark=str(mark)))
    program.chmod(0o755)
    job = folder / "job"
    words = ["--take", _TAKE, "--editor", "toon", "--chunk", str(_CHUNK), *_SMALL]
    _portraitgen("bundle", *shots, *words, "--command", program, "--out", job)
    command = [str(openjd), "run", str(job / "template.json"), "--extensions", "TASK_CHUNKING"]
    command += ["-p", f"file://{job / 'openjd_parameters.json'}"]
    begun = time.monotonic()
    first, second = (subprocess.run(command, capture_output=True, text=True) for _ in range(2))
    if not first.returncode or "the worker was taken away" not in first.stdout + first.stderr:
        raise PortraitError(f"no task failed as it should: {first.stdout[-2000:]}", "bench farm")
    if second.returncode:
        raise PortraitError(f"the job failed again: {second.stdout[-2000:]}", "bench farm")
    renders = [render_of(shot / "takes" / _TAKE) for shot in shots]
    frames = sum(len(render.exr_frames()) for render in renders)
    movies = sum((render.folder / f"{_TAKE}.mp4").exists() for render in renders)
    versions = sorted({render.name for render in renders})
    return (
        f"a task failed, then all done: {frames} of {len(shots) * count} frames, {movies} movies,"
        f" in versions {', '.join(versions)}, {time.monotonic() - begun:.0f} s"
    )


def _chunks(shot: Path, count: int) -> str:
    """Whether four processes make the bits that one makes."""
    home = shot / "takes" / _TAKE
    command = [sys.executable, "-m", "portraitgen", "render", str(shot), "--take", _TAKE]
    command += ["--no-movie", "--plate", "--steady", "0.9"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, check=True, **quiet)
    render = render_of(home)
    whole = _pixels(render)
    for path in (*render.frames.iterdir(), *render.plates.iterdir()):
        path.unlink()
    parts = [
        subprocess.Popen([*command, "--frames", f"{first}-{count}x{_PROCESSES}"], **quiet)
        for first in range(1, _PROCESSES + 1)
    ]
    states = [part.wait() for part in parts]
    again = render_of(home)
    same = again.folder == render.folder and len(whole) == count and _pixels(again) == whole
    text = "bit for bit the same" if same and not any(states) else f"DIFFERENT ({states})"
    every = f"every {_PROCESSES}th frame each"
    return f"{count} frames by {_PROCESSES} processes, {every}: {text}"


def _signed_shot(folder: Path) -> tuple[Path, float]:
    """A rendered shot as large as a delivery, and what one of its frames cost, CPU seconds."""
    shot, clip = folder / "shot-hd", folder / "plate-hd"
    if not clip.with_suffix(".json").exists():
        write_clip(clip, frames=_MORE + 2, size=_SIGNED_SIZE)
    if not (shot / "track").exists():
        _portraitgen("track", shot, "--footage", clip.with_suffix(".mp4"))
    if not (shot / "avatar").exists():
        _portraitgen("reconstruct", shot, "--gaussians", "3000", "--steps", "60")
    if not (shot / "takes").exists():
        small = ["--steps", "20", "--keys", "2"]
        _portraitgen("edit", shot, "--take", _TAKE, "--editor", "toon", *small)
    shutil.rmtree(shot / "takes" / _TAKE / "renders", ignore_errors=True)
    seconds = []
    for frames in ("1", f"2-{_MORE + 2}"):
        begun = _children_seconds()
        _portraitgen("render", shot, "--take", _TAKE, "--plate", "--no-movie", "--frames", frames)
        seconds.append(_children_seconds() - begun)
    return shot, (seconds[1] - seconds[0]) / _MORE


def _children_seconds() -> float:
    """CPU seconds of all processes that were begun here and have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _pixels(render: Render) -> dict[int, bytes]:
    plates = render.full_plates()
    return {
        frame: b"".join(np.ascontiguousarray(each).tobytes() for each in read_exr(path).values())
        + plates[frame].read_bytes()
        for frame, path in render.exr_frames().items()
    }


def _credentials(folder: Path) -> dict[str, str]:
    """What signing a frame's EXR, picture and full plate costs, of a frame's own cost; and what
    `verify` says of a file that was changed, of another signature and of a foreign root."""
    try:
        import c2pa  # noqa: F401

        from .farm_certificate import certificate
    except ImportError as error:
        return {"signing": f"not measured: {error}"}
    from portraitgen.pipeline.data.provenance import statement_of
    from portraitgen.pipeline.data.shots import Track
    from portraitgen.provenance.credentials import Signer

    shot, seconds = _signed_shot(folder)
    chain, key, root = certificate(folder, "ours")
    *_, foreign = certificate(folder, "theirs")
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
    signed = next(iter(render.exr_frames().values()))
    return {
        "signing": f"{1000 * cost:.1f} ms of CPU a frame (three files),"
        f" {100 * cost / seconds:.2f} % of its rendering's {seconds:.2f} s,"
        f" {_SIGNED_SIZE} x {_SIGNED_SIZE}",
        "told apart": _told_apart(signed, folder, root, foreign),
    }


def _told_apart(signed: Path, folder: Path, root: Path, foreign: Path) -> str:
    """What is said of a signed EXR and of three that do not hold."""
    from portraitgen.provenance.credentials import verify

    copy, beside = folder / "verified.exr", folder / "verified.exr.c2pa"
    content = signed.read_bytes()
    credential = signed.with_name(f"{signed.name}.c2pa").read_bytes()
    # A signature of ES256: 64 bytes, at the end of their box.
    at = credential.rindex(b"\x58\x40") + 2
    other = credential[:at] + bytes(each ^ 1 for each in credential[at : at + 64])
    cases = {
        "as it was signed": (content, credential, root),
        "changed file": (
            content[:-30] + bytes([content[-30] ^ 1]) + content[-29:],
            credential,
            root,
        ),
        "another key": (content, other + credential[at + 64 :], root),
        "foreign root": (content, credential, foreign),
    }
    told = []
    for name, (data, seal, roots) in cases.items():
        copy.write_bytes(data)
        beside.write_bytes(seal)
        told.append(f"{name}: {verify(copy, roots).state}")
    return ", ".join(told)
