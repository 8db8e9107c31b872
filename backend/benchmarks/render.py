# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a render costs, in CPU seconds: its start, load and end, and each frame of it.

Unix only: it asks the system what the command and its decoders used.
"""

import hashlib
import importlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from portraitgen.pipeline.data.shots import Track, create_shot
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.preloaded import VARIABLE, connected
from portraitgen.renders import render_of
from portraitgen.shot import Shot
from synthetic.clip import write_clip

from .avatar import CLIP

_FRAMES = 12
_SIDE = 1080
_STEPS = 60
_RUNS = 3


def measure(footage: Path | None, out: Path) -> dict[str, str | float]:
    """Renders a reconstruction over its plate (EXR, PNG and plate written) by the command line.

    Args:
        footage: a folder of clips; the synthetic performer at 1080 x 1080 without one.

    Returns:
        CPU seconds, user and system, of the command and of all that it starts, the least of some
        runs: `frame`, what each frame beyond the first costs; `fixed`, what a render costs besides
        its frames; `on_disk`, a render whose frames are there; `info`, `portraitgen info`.
        `digest` is that of the frames' pixels: equal before and after a change that keeps bits.
    """
    with tempfile.TemporaryDirectory() as folder:
        clip = footage / CLIP if footage else Path(folder) / "performer.mp4"
        if not footage:
            write_clip(clip.with_suffix(""), frames=_FRAMES, size=_SIDE)
        shot = create_shot(Path(folder) / "shot", clip, {})
        run("track", shot.path, {"frames": f"1-{_FRAMES}"}, Reporter())
        run("reconstruct", shot.path, {"steps": _STEPS}, Reporter())
        return costs(shot, _FRAMES)


def costs(shot: Shot, count: int) -> dict[str, str | float]:
    """The figures of a shot's first frames, as `measure` gives them."""
    folder = shot.version_folder("avatar")
    first = Track(shot, shot.avatar_record(int(folder.name)).track).frames[0]

    def render(last: int) -> float:
        asked = ("--plate", "--no-movie", "--frames", f"{first}-{first + last - 1}")
        return cpu_seconds("render", str(shot.path), *asked)

    def rendered(last: int) -> float:
        shutil.rmtree(folder / "renders", ignore_errors=True)
        return render(last)

    one = min(rendered(1) for _ in range(_RUNS))
    all_ = min(rendered(count) for _ in range(_RUNS))
    frame = (all_ - one) / (count - 1)
    figures: dict[str, str | float] = {"frame": frame, "fixed": one - frame}
    if sys.platform.startswith("linux"):
        figures["preloaded"] = min(_preloaded(rendered)) - frame
    return figures | {
        "on_disk": min(render(count) for _ in range(_RUNS)),
        "info": min(cpu_seconds("info", str(shot.path)) for _ in range(_RUNS)),
        "digest": _digest(render_of(folder).folder),
    }


def _preloaded(rendered: Callable[[int], float]) -> list[float]:
    """What renders of one frame cost in copies of a process that has loaded what they need."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "loaded"
        cpu_seconds("preload", str(folder))
        with connected(folder) as server:
            told = server.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        stat = Path(f"/proc/{struct.unpack('3i', told)[0]}/stat")

        def copies() -> float:
            # User and system time of those that have ended; the name before may hold blanks.
            fields = stat.read_text().rpartition(")")[2].split()
            return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

        os.environ[VARIABLE] = str(folder)
        try:
            costs = []
            for _ in range(_RUNS):
                before = copies()
                costs.append(rendered(1) + copies() - before)
        finally:
            del os.environ[VARIABLE]
            cpu_seconds("preload", str(folder), "--end")
    return costs


def cpu_seconds(*arguments: str) -> float:
    """What a command of `portraitgen`, and all that it starts, uses; user and system."""
    resource = importlib.import_module("resource")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "portraitgen", *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _digest(folder: Path) -> str:
    """Of the pixels of all layers of the frames, pictures and plates; files also hold dates."""
    oiio = importlib.import_module("OpenImageIO")
    whole = hashlib.sha256()
    for path in sorted((*(folder / "frames").iterdir(), *(folder / "plates").iterdir())):
        image = oiio.ImageBuf(str(path))
        whole.update(f"{path.name} {image.spec().channelnames}".encode())
        whole.update(image.get_pixels(image.spec().format).tobytes())
    return whole.hexdigest()[:16]
