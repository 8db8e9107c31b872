# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The synthetic performer as a tracked shot, for the benchmarks that know the truth."""

from pathlib import Path
from typing import Any

from portraitgen.body.motion import Motion
from portraitgen.pipeline.data.shots import create_shot
from portraitgen.pipeline.registry import run
from portraitgen.pipeline.run.progress import Reporter
from portraitgen.shot import Shot
from synthetic.acting import camera
from synthetic.clip import write_clip


def performed(
    folder: Path, *, frames: int, size: int, identity: int = 0, light: str = "studio"
) -> tuple[Shot, Motion, dict[str, Any]]:
    """Writes a performance, makes a shot of it and tracks it.

    The focal length is given, as it would be from the plate's metadata.

    Args:
        folder: for the clip and the shot.
        frames, size, identity, light: as `write_clip` takes them.

    Returns:
        The shot, the true motion, and what tracking told.
    """
    stem = folder / f"performer{identity}"
    write_clip(stem, frames=frames, size=size, identity=identity, light=light)
    shot = create_shot(folder / f"shot{identity}", stem.with_suffix(".mp4"), {})
    told = run("track", shot.path, {"focal": camera(size).fx}, Reporter())
    return shot, Motion.load(stem.with_suffix(".safetensors")), dict(told.told())
